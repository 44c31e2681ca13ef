"""FLOPs, bytes and the physical floor of each stage, from a model's shape and a device's measured ceilings; pure.

FLOPs count 2 per multiply-add and leave out norms, activations and the softmax. Bytes are those that must pass between
memory and chip at least once: weights that are used, the cache, inputs and results of a stage; what one part hands to
the next inside a stage could stay on the chip. So the floor is one that no implementation of the same arithmetic
passes, not an estimate of a good one.

Source: the counting of Kaplan et al. 2020 (arXiv:2001.08361, table 1) with attention counted as it is done (causal:
half), and the roofline of Williams et al. 2009: the longer of compute and memory time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profcore.images.geometry import PATCH_VALUES, PATCHES_PER_CROP, PATCHES_PER_TOKEN, TOKENS_PER_CROP
from profcore.spec.records import Ceilings
from profcore.spec.stages import Stage

if TYPE_CHECKING:
    from profcore.models.config import MolmoConfig


LAUNCH_SHARE = 0.8
"""A stage that the host took this share of its time to issue is bound by launching."""

NEAR = 0.5
"""A stage at this share of a ceiling or above is near enough to be bound by it."""

NEITHER = "neither"
"""What binds a stage far above its floor whose kernels were issued in time."""


@dataclass(frozen=True)
class Cost:
    """Arithmetic and memory traffic of a part."""

    flops: float = 0.0
    read_bytes: float = 0.0
    written_bytes: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.flops + other.flops, self.read_bytes + other.read_bytes, self.written_bytes + other.written_bytes
        )

    @property
    def bytes(self) -> float:
        """Bytes read and written."""
        return self.read_bytes + self.written_bytes


@dataclass(frozen=True)
class Workload:
    """What an inference has to do, as far as its cost depends on it.

    Attributes:
        num_crops: Crops that the vision encoder sees, the global view included.
        num_input_tokens: Length of the prompt with its image tokens.
        num_output_tokens: Tokens generated.
        top_k: Experts of each token.
        active_blocks: Transformer blocks that run.
        prefill_experts: Distinct experts that the prompt uses in each active block; None for the number expected of a
            router that chooses evenly.
    """

    num_crops: int
    num_input_tokens: int
    num_output_tokens: int
    top_k: int
    active_blocks: int
    prefill_experts: Sequence[int] | None = None


@dataclass(frozen=True)
class Floor:
    """The least time of a stage on a device, in milliseconds, and what sets it."""

    compute_ms: float
    memory_ms: float

    @property
    def ms(self) -> float:
        """The longer of the two."""
        return max(self.compute_ms, self.memory_ms)

    @property
    def binds(self) -> str:
        """'compute' or 'memory', whichever takes longer."""
        return "compute" if self.compute_ms > self.memory_ms else "memory"


def floor(cost: Cost, ceilings: Ceilings) -> Floor:
    """The least time that a cost takes where the device does its best."""
    return Floor(
        compute_ms=cost.flops / (ceilings.matmul_tflop_s * 1e12) * 1e3,
        memory_ms=cost.bytes / (ceilings.memory_gb_s * 1e9) * 1e3,
    )


def total(parts: dict[str, Cost]) -> Cost:
    """The sum of a stage's parts."""
    return sum(parts.values(), Cost())


def stage_costs(
    config: MolmoConfig, workload: Workload, itemsize: int, unread: bool = False
) -> dict[Stage, dict[str, Cost]]:
    """The cost of each stage, by part.

    Args:
        config: The model's shape.
        workload: What one inference has to do.
        itemsize: Bytes of a weight or activation.
        unread: As `vision_encoder`.
    """
    return {
        Stage.VISION_ENCODER: vision_encoder(config, workload.num_crops, itemsize, unread),
        Stage.PROJECTOR: projector(config, workload.num_crops, itemsize),
        Stage.LLM_PREFILL: prefill(config, workload, itemsize),
        Stage.LLM_DECODE: decode(config, workload, itemsize),
    }


def vision_encoder(config: MolmoConfig, crops: int, itemsize: int, unread: bool = False) -> dict[str, Cost]:
    """The vision encoder on some crops, up to the last block whose output is read.

    What no answer depends on is no part of a floor, under whichever engine.

    Args:
        config: The model's shape.
        crops: How many.
        itemsize: Bytes of a weight or activation.
        unread: Whether the blocks after it count too, which the published code and the engines `eager` and `graph` run
            and `compiled` does not.
    """
    width, mlp, blocks = config.vit_width, config.vit_mlp, config.vit_layers_total if unread else config.vit_blocks_read
    tokens = PATCHES_PER_CROP + 1
    features = width * len(config.vit_layers)
    return {
        "patch embedding": _linear(crops * PATCHES_PER_CROP, PATCH_VALUES, width, itemsize)
        + Cost(read_bytes=(crops * PATCHES_PER_CROP * PATCH_VALUES + (tokens + 1) * width) * itemsize),
        "projections": _times(blocks, _linear(crops * tokens, width, 4 * width, itemsize)),
        "attention": Cost(flops=blocks * 4 * crops * tokens**2 * width),
        "mlp": _times(blocks, _linear(crops * tokens, width, 2 * mlp, itemsize)),
        "features": Cost(written_bytes=crops * PATCHES_PER_CROP * features * itemsize),
    }


def projector(config: MolmoConfig, crops: int, itemsize: int) -> dict[str, Cost]:
    """The projector on some crops."""
    width, features, hidden = config.vit_width, config.vit_width * len(config.vit_layers), config.projector_hidden
    windows = crops * TOKENS_PER_CROP
    return {
        "features": Cost(read_bytes=crops * PATCHES_PER_CROP * features * itemsize),
        "pooling": _linear(windows, features, width, itemsize)
        + _linear(windows * PATCHES_PER_TOKEN, features, 2 * width, itemsize)
        + _linear(windows, width, width, itemsize),
        "attention": Cost(flops=4 * windows * PATCHES_PER_TOKEN * width),
        "mlp": _linear(windows, width, 2 * hidden, itemsize) + _linear(windows, hidden, config.d_model, itemsize),
        "image tokens": Cost(written_bytes=windows * config.d_model * itemsize),
    }


def prefill(config: MolmoConfig, workload: Workload, itemsize: int) -> dict[str, Cost]:
    """The prompt through the active blocks, and the logits of its last token."""
    width, blocks, tokens = config.d_model, workload.active_blocks, workload.num_input_tokens
    hit = workload.prefill_experts
    distinct = sum(hit) if hit is not None else blocks * expected_experts(config.num_experts, workload.top_k, tokens)
    expert = 3 * width * config.expert_width
    return {
        "embedding": Cost(read_bytes=tokens * width * itemsize),
        "projections": _times(blocks, _linear(tokens, width, 4 * width, itemsize)),
        "attention": Cost(flops=blocks * 4 * width * tokens * (tokens + 1) / 2),
        "cache": Cost(written_bytes=blocks * 2 * tokens * width * itemsize),
        "router": _times(blocks, _linear(tokens, width, config.num_experts, itemsize)),
        "experts": Cost(flops=blocks * 2 * tokens * workload.top_k * expert, read_bytes=distinct * expert * itemsize),
        "head": _linear(1, width, config.embedding_size, itemsize),
    }


def decode(config: MolmoConfig, workload: Workload, itemsize: int) -> dict[str, Cost]:
    """All decode steps: one fewer than output tokens, each over a context one longer."""
    width, blocks, steps = config.d_model, workload.active_blocks, workload.num_output_tokens - 1
    # The step that feeds the i-th output token sees the prompt and i tokens.
    context = steps * workload.num_input_tokens + steps * (steps + 1) // 2
    expert = 3 * width * config.expert_width
    runs = steps * blocks
    return {
        "embedding": Cost(read_bytes=steps * width * itemsize),
        "projections": _times(runs, _linear(1, width, 4 * width, itemsize)),
        "attention": Cost(flops=blocks * 4 * width * context),
        "cache": Cost(
            read_bytes=blocks * 2 * (context - steps) * width * itemsize, written_bytes=runs * 2 * width * itemsize
        ),
        "router": _times(runs, _linear(1, width, config.num_experts, itemsize)),
        "experts": _times(runs * workload.top_k, Cost(flops=2 * expert, read_bytes=expert * itemsize)),
        "head": _times(steps, _linear(1, width, config.embedding_size, itemsize)),
    }


def expected_experts(experts: int, top_k: int, tokens: int) -> float:
    """Distinct experts that some tokens use in one block, where each chooses its own evenly."""
    return experts * (1 - (1 - top_k / experts) ** tokens)


def binding(floor: Floor, measured_ms: float, issue_ms: float | None) -> str | None:
    """What a measured stage is bound by: 'launch', 'compute', 'memory', or 'neither' of the ceilings.

    It is bound by launching where the host took most of its time to issue it, and by a ceiling where it is `NEAR` that,
    so takes at most twice what it allows: beyond that its kernels use neither to the full. Where it is not known how
    long the host took, and the stage is far above its floor, nothing can be said: None.
    """
    if issue_ms is not None and issue_ms >= LAUNCH_SHARE * measured_ms:
        return "launch"
    if floor.ms >= NEAR * measured_ms:
        return floor.binds
    return None if issue_ms is None else NEITHER


def _linear(rows: int, inputs: int, outputs: int, itemsize: int) -> Cost:
    """A matrix product with a weight of its own, which is read once."""
    return Cost(flops=2 * rows * inputs * outputs, read_bytes=inputs * outputs * itemsize)


def _times(number: int, cost: Cost) -> Cost:
    return Cost(number * cost.flops, number * cost.read_bytes, number * cost.written_bytes)
