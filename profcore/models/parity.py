"""Comparing a model with a file of expected outputs (`python -m profcore check`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from profcore.engines import eager
from profcore.errors import FormatError
from profcore.models.inputs import ModelInputs
from profcore.models.knobs import turned
from profcore.models.molmoe import CROP_PIXELS, PATCH_PIXELS, PATCHES_PER_SIDE, MolmoE
from profcore.spec import Setting, parse_mask

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

TOLERANCE = 1e-3
"""Largest absolute difference that passes."""


@dataclass(frozen=True)
class Difference:
    """How far one tensor is from what was expected."""

    name: str
    largest: float

    @property
    def passed(self) -> bool:
        """Whether it is within `TOLERANCE`; NaN is not."""
        return self.largest <= TOLERANCE


def compare(model: MolmoE, path: Path) -> list[Difference]:
    """The largest absolute difference of each expected tensor.

    The file holds the inputs as `in.*`; `out.vision_encoder`, `out.projector`, `out.prefill_logits`, and greedy
    steps as `out.topkK.logits`/`.tokens` and `out.maskM.logits`/`.tokens`, where M has a 0 for each block skipped.

    Raises:
        FormatError: The file is no such file.
        UserError: A top-k or mask in it is not one of the model's.
    """
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
        logits = model.logits(model.run_blocks(states, 0, eager.DynamicCache()))
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
        with turned(model, setting):
            tokens, steps = eager.infer(model, inputs, setting.output_tokens, keep_logits=True)
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


def _inputs(model: MolmoE, expected: dict[str, Tensor]) -> ModelInputs:
    patches = expected["in.images"][0]
    side, pixels = PATCHES_PER_SIDE, PATCH_PIXELS
    images = patches.view(-1, side, side, pixels, pixels, 3).permute(0, 5, 1, 3, 2, 4)
    index = expected["in.image_input_idx"].reshape(-1)
    sources = torch.nonzero(index >= 0)[:, 0]
    return ModelInputs(
        pixels=images.reshape(-1, 3, CROP_PIXELS, CROP_PIXELS).to(model.device, model.dtype),
        masks=expected["in.image_masks"][0].to(model.device),
        input_ids=expected["in.input_ids"].to(model.device),
        sources=sources.to(model.device),
        positions=index[sources].to(model.device),
    )
