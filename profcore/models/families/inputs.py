"""A picture and a question as a family's model takes them: made from its configuration, without a processor."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from PIL import ImageOps
from PIL.Image import Resampling

from profcore.errors import UserError
from profcore.models.families.pixels import picture_tensors
from profcore.models.families.prompt import build_ids
from profcore.models.families.vision_tokens import grid_layout, layout, picture_of_grid

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from profcore.models.families.shape import FamilyShape
    from profcore.models.load import LoadedModel


@dataclass(frozen=True, eq=False)
class FamilyInputs:
    """One picture and question as tensors on the model's device.

    Attributes:
        tensors: The arguments of the model's `generate`.
        num_crops: Pictures that the vision encoder sees.
        num_vision_tokens: Tokens that carry image features.
        host_preprocessing_ms: As of `ModelInputs`.
    """

    tensors: dict[str, Tensor]
    num_crops: int
    num_vision_tokens: int
    host_preprocessing_ms: float = 0.0

    @property
    def num_input_tokens(self) -> int:
        """Length of the prompt, image tokens included."""
        return self.tensors["input_ids"].shape[1]

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.tensors["input_ids"].device


def fit_to_units(shape: FamilyShape, picture: Image, grid: tuple[int, int]) -> Image:
    """The picture cropped around its middle and resized to what a grid of units comes to exactly.

    Raises:
        ModelError: The model cannot be given that grid.
    """
    return ImageOps.fit(picture, picture_of_grid(shape, grid), Resampling.BICUBIC)


def family_inputs(
    loaded: LoadedModel, picture: Image, question: str, grid: tuple[int, int] | None = None
) -> FamilyInputs:
    """Inputs for a picture.

    Args:
        loaded: The model.
        picture: The picture.
        question: What is asked.
        grid: The units that it is to be cut into; by the model's own rule unless given.

    Raises:
        UserError: The model cannot be given that grid, or the prompt is longer than its context.
    """
    _wait(loaded.model.device)
    begin = time.perf_counter()
    made = _made(loaded, picture, question, grid)
    _wait(loaded.model.device)
    made = replace(made, host_preprocessing_ms=(time.perf_counter() - begin) * 1e3)
    longest = loaded.model.config.max_positions
    if made.num_input_tokens > longest:
        raise UserError(f"The prompt takes {made.num_input_tokens} tokens, but the model's context holds {longest}.")
    return made


def _made(loaded: LoadedModel, picture: Image, question: str, grid: tuple[int, int] | None) -> FamilyInputs:
    model, shape = loaded.model, loaded.model.config
    cut = grid_layout(shape, grid) if grid else layout(shape, *picture.size)
    pixels = picture_tensors(shape, picture, cut, model.device)
    tensors = {name: each.to(model.dtype) if each.is_floating_point() else each for name, each in pixels.items()}
    ids = torch.tensor([build_ids(shape, cut, loaded.tokenizer.encode(question))], device=model.device)
    types = (ids == shape.image_token_id).to(torch.int64)
    tensors |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    tensors |= dict.fromkeys(shape.kind.token_types, types)
    return FamilyInputs(tensors, cut.views, cut.tokens)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
