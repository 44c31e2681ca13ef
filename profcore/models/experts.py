"""Which implementation of the routed experts runs at which stage, and what it takes of the device's memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import torch

from profcore.errors import UserError
from profcore.models.memory import free_bytes

if TYPE_CHECKING:
    from profcore.models.config import MolmoConfig
    from profcore.spec.settings import Setting

EXPERTS = ("eager", "batched_mm", "grouped_mm")
_GROUPED_CAPABILITY = (8, 0)


@dataclass(frozen=True)
class Experts:
    """transformers' experts implementation of each stage of the language model.

    Attributes:
        prefill: What a prompt's tokens run through.
        decode: What a decode step's token runs through.
        reason: Why they are others than transformers' `generate` would take; empty where they are not.
    """

    prefill: str
    decode: str
    reason: str = ""

    @classmethod
    def of(cls, name: str) -> Experts:
        """One implementation for both stages."""
        return cls(name, name)

    def __str__(self) -> str:
        if self.prefill == self.decode:
            return self.prefill
        return f"{self.prefill} for prefill, {self.decode} for decode"


def resolve_experts(name: str, device: torch.device, dtype: torch.dtype, engine: str) -> Experts:
    """What runs for a name that was asked for.

    'auto' is what transformers' `generate` does: its default `grouped_mm`, which off the CPU gives way to `batched_mm`
    for the decode steps. Where grouped products cannot be had, another takes their place and the reason is said.

    Raises:
        UserError: The name is another, or the device, the dtype or the engine cannot run that implementation.

    Source: transformers, `GenerationMixin._optimize_model_for_decode`, the same in 5.17 and 5.24.
    """
    if name not in ("auto", *EXPERTS):
        raise UserError(f"Unknown experts implementation {name!r}: choose from auto, {', '.join(EXPERTS)}.")
    if device.type == "cuda" and engine == "compiled" and name != "auto":
        raise UserError(f"The compiled engine has experts of its own on a GPU: leave experts at auto, not {name}.")
    lacking = why_not_grouped(device, dtype)
    if name == "grouped_mm" and lacking:
        raise UserError(f"{lacking}: choose batched_mm or eager experts.")
    if engine == "graph":
        return _capturable(name, device, dtype, lacking)
    if name != "auto":
        return Experts.of(name)
    prefill = "eager" if lacking else "grouped_mm"
    return Experts(prefill, "batched_mm" if device.type != "cpu" else prefill, lacking)


def _capturable(name: str, device: torch.device, dtype: torch.dtype, lacking: str) -> Experts:
    """What a CUDA graph can hold.

    Raises:
        UserError: Not the implementation that was asked for.
    """
    if not lacking and dtype != torch.bfloat16:
        # Outside of bfloat16 grouped products ask the host for the groups, which no graph can hold.
        lacking = f"The graph engine cannot capture grouped_mm experts in {_named(dtype)}"
    if name == "eager" or (name == "grouped_mm" and lacking):
        others = "batched_mm" if lacking else "grouped_mm or batched_mm"
        raise UserError(f"The graph engine cannot capture {name} experts in {_named(dtype)}: choose {others}.")
    if name != "auto":
        return Experts.of(name)
    return Experts("batched_mm" if lacking else "grouped_mm", "batched_mm", lacking)


def why_not_grouped(device: torch.device, dtype: torch.dtype) -> str:
    """Why a device has no grouped products in a dtype, as the beginning of a sentence; empty where it has them."""
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < _GROUPED_CAPABILITY:
        return f"{device} has no grouped matrix products"
    tried = _tried(device, dtype)
    return f"torch has no grouped matrix products in {_named(dtype)} on {device} ({tried})" if tried else ""


@cache
def _tried(device: torch.device, dtype: torch.dtype) -> str:
    """What a small grouped product says against itself; empty where it is made."""
    product = getattr(torch.nn.functional, "grouped_mm", None) or getattr(torch, "_grouped_mm", None)
    if product is None:
        return f"torch {torch.__version__} has none"
    rows = torch.zeros(16, 16, dtype=dtype, device=device)
    matrices = torch.zeros(2, 16, 16, dtype=dtype, device=device)
    ends = torch.tensor([8, 16], dtype=torch.int32, device=device)
    try:
        product(rows, matrices.transpose(-2, -1), offs=ends)
    except (RuntimeError, TypeError) as error:
        return (str(error).splitlines() or [""])[0].rstrip(".")
    return ""


def check_memory(
    experts: Experts, config: MolmoConfig, dtype: torch.dtype, device: torch.device, tokens: int, setting: Setting
) -> None:
    """Whether a setting's experts fit the memory that is free, before anything of it is run.

    `batched_mm` makes a copy of the weights of every expert of every token.

    Args:
        experts: What is to run.
        config: The model's shape.
        dtype: The weights' type.
        device: Where the model is.
        tokens: Length of the prompt.
        setting: The knobs.

    Raises:
        UserError: They do not.
    """
    copied = {"prefill": tokens, "decode": 1 if setting.output_tokens > 1 else 0}
    most = max((copied[stage] for stage in copied if getattr(experts, stage) == "batched_mm"), default=0)
    needed = most * setting.top_k * 3 * config.expert_width * config.d_model * dtype.itemsize
    free = free_bytes(device)
    if free is None or needed <= free:
        return
    instead = f"{experts.reason}: choose bfloat16" if experts.reason else "Leave experts at auto, or choose grouped_mm"
    raise UserError(
        f"batched_mm experts copy the weights of each token's experts: {most:,} tokens at top-{setting.top_k} take "
        f"{needed / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB of {device} are free. {instead}."
    )


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
