"""Comparing a model with a file of expected outputs, and engines with `eager` (`python -m profcore check`)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import DynamicCache

from profcore.engines import make_engine
from profcore.errors import FormatError, UserError
from profcore.images.geometry import CROP, CROP_PATCHES, PATCH
from profcore.images.pictures import load_picture
from profcore.models.inputs import ModelInputs, grid_inputs
from profcore.models.molmoe import MolmoE
from profcore.spec.queries import DEFAULT_PROMPT, Picture
from profcore.spec.settings import Setting, parse_mask
from profcore.spec.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from profcore.engines.base import Engine
    from profcore.models.load import LoadedModel
    from profcore.models.shape import Shape

TOLERANCE = 1e-3
"""Largest absolute difference from expected outputs that passes."""

_LOGIT_TOLERANCE = {torch.float32: 1e-4, torch.float16: 0.01, torch.bfloat16: 0.04}
"""What two engines' logits may differ by, as a share of the largest; sums are taken in another order and rounded."""


@dataclass(frozen=True)
class Difference:
    """How far one tensor is from what was expected."""

    name: str
    largest: float
    tolerance: float = TOLERANCE

    @property
    def passed(self) -> bool:
        """Whether it is within the tolerance; NaN is not."""
        return self.largest <= self.tolerance


def compare(model: MolmoE, engine: Engine, path: Path) -> list[Difference]:
    """The largest absolute difference of each expected tensor.

    Stages are those of the model's modules; the greedy steps are the engine's.

    The file holds the inputs as `in.*`; `out.vision_encoder`, `out.projector`, `out.prefill_logits`, and greedy
    steps as `out.topkK.logits`/`.tokens` and `out.maskM.logits`/`.tokens`, where M has a 0 for each block skipped.

    Raises:
        FormatError: The file is no such file.
        UserError: A top-k or mask in it is not one of the model's.
    """
    if hasattr(model, "turned"):
        raise UserError("A file of expected outputs is MolmoE's alone, stage by stage: leave --expected out.")
    try:
        expected = load_file(path)
        inputs = _inputs(model, expected)
    except FileNotFoundError:
        raise FormatError(f"There is no expected file {str(path)!r}.") from None
    except (SafetensorError, OSError) as error:
        raise FormatError(f"{path} is no safetensors file ({error}).") from None
    except KeyError as error:
        raise FormatError(f"{path} lacks the input {error}: it is not a file of expected outputs.") from None

    found: dict[str, Tensor] = {}
    with torch.inference_mode():
        features = model.encode(inputs.pixels)
        image_tokens = model.project(features, inputs.masks)
        states = model.embed(inputs.input_ids, image_tokens, inputs.sources, inputs.positions)
        logits = model.logits(
            model.run_blocks(states, torch.arange(states.shape[1], device=states.device)[None], DynamicCache())
        )
    found["out.vision_encoder"] = features[None]
    found["out.projector"] = image_tokens[None]
    found["out.prefill_logits"] = logits[0]
    everything = (True,) * model.config.n_layers
    for name in sorted({name.rsplit(".", 1)[0] for name in expected if name.endswith(".tokens")}):
        match = re.fullmatch(r"out\.(?:topk(\d+)|mask([01]+))", name)
        if not match:
            continue
        top_k = int(match[1]) if match[1] else model.config.top_k
        mask = parse_mask(match[2]) if match[2] else everything
        setting = Setting((1, 1), top_k, mask, len(expected[f"{name}.tokens"]))
        tokens, steps = engine.infer(inputs, setting, keep_logits=True)
        found[f"{name}.tokens"], found[f"{name}.logits"] = tokens, torch.stack(steps)

    differences = []
    for name, tensor in sorted(expected.items()):
        if name.startswith("in."):
            continue
        ours = found.get(name)
        if ours is None or ours.shape != tensor.shape:
            shape = None if ours is None else list(ours.shape)
            raise FormatError(f"{path}: {name} of shape {list(tensor.shape)} cannot be compared with {shape}.")
        largest = (ours.double().cpu() - tensor.double()).abs().max().item()
        differences.append(Difference(name, largest))
    return differences


def every_knob(config: Shape) -> list[Setting]:
    """Settings that turn each knob of a model away from where it stands."""
    blocks, experts = config.n_layers, config.num_experts
    everything = (True,) * blocks
    own = Setting((1, 1), config.top_k, everything, 6)
    rows = config.row_grids()
    wide: Sequence[int] = [each for each in (3, 6) if each in rows] or rows[-1:]
    wide = () if config.vision_reason else wide
    chosen = [] if config.top_k_reason else [1, max(experts // 2, 1), experts]
    return [
        own,
        *(replace(own, grid=(1, each), output_tokens=1 if each == 6 else 6) for each in wide),
        *(replace(own, top_k=each) for each in chosen),
        replace(own, block_mask=(True,) + (False,) * (blocks - 1)),
        replace(own, block_mask=tuple(index % 2 == 0 for index in range(blocks))),
        replace(own, output_tokens=150),
    ]


def against_eager(loaded: LoadedModel, engine: Engine, setting: Setting) -> Difference:
    """How far an engine's logits are from eager's on the model's default picture.

    Compared up to the first token that differs. That one may differ where eager's own two logits are no further apart
    than the tolerance; else the difference is infinite.
    """
    inputs = grid_inputs(loaded, load_picture(Picture()), setting.grid, DEFAULT_PROMPT)
    tokens, logits = make_engine("eager", loaded.model).infer(inputs, setting, keep_logits=True)
    others, other_logits = engine.infer(inputs, setting, keep_logits=True)
    tolerance = _LOGIT_TOLERANCE[loaded.model.dtype] * max(step.abs().max().item() for step in logits)
    largest = 0.0
    for token, other, step, other_step in zip(tokens, others, logits, other_logits, strict=True):
        largest = max(largest, (step.float() - other_step.float()).abs().max().item())
        if token != other:
            if (step[token] - step[other]).item() > 2 * tolerance:
                largest = math.inf
            break
    knobs = f"top-{setting.top_k}, {counted(setting.active_blocks, 'block')}, {counted(setting.output_tokens, 'token')}"
    return Difference(f"grid {setting.grid_label}, {knobs}", largest, tolerance)


def _inputs(model: MolmoE, expected: dict[str, Tensor]) -> ModelInputs:
    patches = expected["in.images"][0]
    side, pixels = CROP_PATCHES, PATCH
    images = patches.view(-1, side, side, pixels, pixels, 3).permute(0, 5, 1, 3, 2, 4)
    index = expected["in.image_input_idx"].reshape(-1)
    sources = torch.nonzero(index >= 0)[:, 0]
    return ModelInputs(
        pixels=images.reshape(-1, 3, CROP, CROP).to(model.device, model.dtype),
        masks=expected["in.image_masks"][0].to(model.device),
        input_ids=expected["in.input_ids"].to(model.device),
        sources=sources.to(model.device),
        positions=index[sources].to(model.device),
    )
