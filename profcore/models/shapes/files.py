"""The files of the small model: its checkpoint in the published layout, the report beside it, a training's state."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from profcore.errors import UserError
from profcore.models.checkpoint import published_tensors
from profcore.models.shapes.shape import config_fields
from profcore.models.shapes.vocabulary import make_tokenizer

if TYPE_CHECKING:
    from torch import Tensor, nn

    from profcore.models.molmoe import MolmoE

STATE = "training-state.safetensors"
"""What a training goes on from; gone once it is done."""
WEIGHTS = "model.safetensors"
REPORT = "training.json"
"""How a checkpoint was trained, and what it answers rightly."""
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Progress:
    """How far a training is: steps made, seconds taken, and the seed and the course it began with, this as JSON."""

    step: int = 0
    seconds: float = 0.0
    seed: int = 0
    course: str = ""


def write_checkpoint(model: MolmoE, directory: Path) -> int:
    """A checkpoint in the published layout, bfloat16; the bytes of its weights."""
    weights = directory / WEIGHTS
    _replace(weights, lambda path: save_file(published_tensors(model, torch.bfloat16), path))
    write_json(directory / "config.json", config_fields(model.config))
    _replace(directory / "tokenizer.json", lambda path: make_tokenizer().save(str(path)))
    # Written for the writer's eyes alone, and meant for everybody's.
    weights.chmod(0o644)
    return weights.stat().st_size


def write_json(path: Path, document: dict[str, Any]) -> None:
    """A JSON file, replaced as a whole."""
    text = json.dumps(document, indent=2) + "\n"
    _replace(path, lambda new: new.write_text(text, encoding="utf-8"))


def write_state(directory: Path, trained: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
    """What a training goes on from: every parameter with its moments."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in trained.named_parameters():
        tensors[name] = parameter.detach()
        # A parameter that no step has reached yet has none.
        tensors |= {f"{each}/{name}": tensor for each, tensor in optimiser.state.get(parameter, {}).items()}
    told = {name: str(value) for name, value in vars(progress).items()}
    kept = {name: tensor.contiguous() for name, tensor in tensors.items()}
    _replace(directory / STATE, lambda path: save_file(kept, path, told))


def read_state(directory: Path, trained: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
    """Put a training where it was.

    Raises:
        UserError: There is no state, or one of another shape.
    """
    path = directory / STATE
    if not path.is_file():
        raise UserError(f"{directory} holds no training to go on with: leave out --resume.")
    try:
        with safe_open(path, framework="pt") as file, torch.no_grad():
            told, names = file.metadata(), set(file.keys())
            progress = Progress(int(told["step"]), float(told["seconds"]), int(told["seed"]), told.get("course", ""))
            for name, parameter in trained.named_parameters():
                parameter.copy_(file.get_tensor(name))
                held = {each: f"{each}/{name}" for each in _MOMENTS if f"{each}/{name}" in names}
                state = {each: file.get_tensor(key).to(parameter.device) for each, key in held.items()}
                if state and not optimiser.defaults.get("fused"):
                    state["step"] = state["step"].cpu()
                if state:
                    optimiser.state[parameter] = state
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError):
        raise UserError(f"{path} is no state of this training: begin anew in another folder.") from None
    return progress


def _replace(path: Path, write: Any) -> None:
    new = path.with_name(f".{path.name}.new")
    write(new)
    os.replace(new, path)  # noqa: PTH105  as one step
