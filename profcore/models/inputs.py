"""Model inputs on the device: a picture at a grid, with its prompt."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from profcore.errors import UserError
from profcore.images.pictures import fit_to_grid
from profcore.images.processing import process_image
from profcore.models.prompt import build_prompt

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from profcore.models.load import LoadedModel


@dataclass(frozen=True)
class ModelInputs:
    """One picture and question as tensors on the model's device.

    Attributes:
        processing_ms: How long the host took to make crops and tokens, without reading the picture from its file.

    Shapes:
        pixels: (crops, 3, 336, 336); masks: (crops, 576); input_ids: (1, tokens).
        sources, positions: (kept,), see `MolmoE.embed`.
    """

    pixels: Tensor
    masks: Tensor
    input_ids: Tensor
    sources: Tensor
    positions: Tensor
    processing_ms: float = 0.0

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


def grid_inputs(loaded: LoadedModel, image: Image.Image, grid: tuple[int, int], prompt: str) -> ModelInputs:
    """Inputs for a picture cropped and resized to an image grid.

    Raises:
        UserError: The prompt is longer than the model's context.
    """
    return picture_inputs(loaded, fit_to_grid(image, *grid), grid[0] * grid[1], prompt)


def picture_inputs(loaded: LoadedModel, image: Image.Image, max_crops: int, prompt: str) -> ModelInputs:
    """Inputs for a picture as it is, tiled by the model's own rule.

    Raises:
        UserError: As `grid_inputs`.
    """
    config = loaded.model.config
    begin = time.perf_counter()
    processed = process_image(image, max_crops, config.image_token_ids)
    input_ids, sources, positions = build_prompt(processed.tokens, prompt, loaded.tokenizer, config)
    processing_ms = (time.perf_counter() - begin) * 1e3
    if input_ids.size > config.max_positions:
        raise UserError(
            f"The prompt takes {input_ids.size} tokens, but the model's context holds {config.max_positions}."
        )
    device, dtype = loaded.model.device, loaded.model.dtype
    return ModelInputs(
        pixels=torch.from_numpy(processed.pixels).to(device, dtype),
        masks=torch.from_numpy(processed.masks).to(device),
        input_ids=torch.from_numpy(input_ids)[None].to(device),
        sources=torch.from_numpy(sources).to(device),
        positions=torch.from_numpy(positions).to(device),
        processing_ms=processing_ms,
    )
