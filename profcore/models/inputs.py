"""Model inputs on the device: a picture at a grid, with its prompt."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from profcore.errors import UserError
from profcore.images.pictures import fit_to_grid
from profcore.images.processing import image_tokens, padding_masks, select_tiling
from profcore.models.families.shape import FamilyShape
from profcore.models.pixels import picture_pixels
from profcore.models.prompt import build_prompt

if TYPE_CHECKING:
    from torch import Tensor

    from profcore.models.load import LoadedModel


@dataclass(frozen=True)
class ModelInputs:
    """One picture and question as tensors on the model's device.

    Attributes:
        host_preprocessing_ms: From the picture in memory to all of these on the device, waited for; reading and
            decoding its file is not in it.

    Shapes:
        pixels: (crops, 3, 336, 336); masks: (crops, 576); input_ids: (1, tokens).
        sources, positions: (kept,), see `MolmoE.embed`.
    """

    pixels: Tensor
    masks: Tensor
    input_ids: Tensor
    sources: Tensor
    positions: Tensor
    host_preprocessing_ms: float = 0.0

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.input_ids.device

    @property
    def num_crops(self) -> int:
        """Crops the vision encoder sees, the global view included."""
        return self.pixels.shape[0]

    @property
    def num_vision_tokens(self) -> int:
        """Tokens that carry image features."""
        return self.positions.shape[0]

    @property
    def num_input_tokens(self) -> int:
        """Length of the prompt, image tokens included."""
        return self.input_ids.shape[1]


def grid_inputs(loaded: LoadedModel, image: Image.Image, grid: tuple[int, int], prompt: str) -> Any:
    """Inputs for a picture cropped and resized to an image grid: `ModelInputs`, or a family's `FamilyInputs`.

    Raises:
        UserError: The prompt is longer than the model's context, or the model cannot be given that grid.
    """
    # The rule of MolmoE gives exactly that grid; models of families are told it.
    tiling = grid if isinstance(loaded.model.config, FamilyShape) else None
    return picture_inputs(loaded, fitted(loaded, image, grid), grid[0] * grid[1], prompt, tiling)


def fitted(loaded: LoadedModel, image: Image.Image, grid: tuple[int, int]) -> Image.Image:
    """A picture cropped around its middle and resized to the size of an image grid.

    Raises:
        UserError: The model cannot be given that grid.
    """
    shape = loaded.model.config
    if isinstance(shape, FamilyShape):
        from profcore.models.families.inputs import fit_to_units

        return fit_to_units(shape, image, grid)
    return fit_to_grid(image, *grid)


def picture_inputs(
    loaded: LoadedModel, image: Image.Image, max_crops: int, prompt: str, tiling: tuple[int, int] | None = None
) -> Any:
    """Inputs for a picture as it is, tiled by the model's own rule: `ModelInputs`, or a family's `FamilyInputs`.

    Args:
        loaded: The model.
        image: The picture.
        max_crops: The most crops of its grid; models of families bound them by their own rule.
        prompt: The question put to it.
        tiling: Rows and columns of crops in place of the rule's; the picture keeps its aspect within them.

    Raises:
        UserError: As `grid_inputs`.
    """
    if isinstance(loaded.model.config, FamilyShape):
        from profcore.models.families.inputs import family_inputs

        return family_inputs(loaded, image, prompt, tiling)
    _warm(loaded.model.device)
    # An inference that nobody has waited for, as a setting's last warm-up, is no part of it.
    _wait(loaded.model.device)
    begin = time.perf_counter()
    made = _made(loaded, image, tiling or select_tiling(image.height, image.width, max_crops), prompt)
    _wait(loaded.model.device)
    made = replace(made, host_preprocessing_ms=(time.perf_counter() - begin) * 1e3)
    longest = loaded.model.config.max_positions
    if made.num_input_tokens > longest:
        raise UserError(f"The prompt takes {made.num_input_tokens} tokens, but the model's context holds {longest}.")
    return made


def _made(loaded: LoadedModel, image: Image.Image, tiling: tuple[int, int], prompt: str) -> ModelInputs:
    config, device = loaded.model.config, loaded.model.device
    width, height = image.size
    rows, columns = tiling
    # First what the device works on while the host goes on with the tokens.
    pixels = picture_pixels(image, rows, columns, device).to(loaded.model.dtype)
    tokens = image_tokens(rows, columns, config.image_token_ids)
    input_ids, sources, positions = build_prompt(tokens, prompt, loaded.tokenizer, config)
    return ModelInputs(
        pixels=pixels,
        masks=torch.from_numpy(padding_masks(height, width, rows, columns)).to(device),
        input_ids=torch.from_numpy(input_ids)[None].to(device),
        sources=torch.from_numpy(sources).to(device),
        positions=torch.from_numpy(positions).to(device),
    )


@cache
def _warm(device: torch.device) -> None:
    """Have a card load its kernels for pictures, once, so that the first picture does not pay for it."""
    picture_pixels(Image.new("RGB", (400, 300)), 1, 1, device)
    _wait(device)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
