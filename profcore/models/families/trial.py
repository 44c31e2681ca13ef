"""Whether a model that could be built can be run: one token of its smallest picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from PIL import Image

from profcore.models.families.inputs import family_inputs, fit_to_units
from profcore.models.families.loading import sentences

if TYPE_CHECKING:
    from profcore.models.load import LoadedModel


def try_once(loaded: LoadedModel) -> None:
    """Run one forward, so that a configuration whose parts do not fit each other is refused before a run begins.

    Raises:
        ModelError: The model's own code fails, with what it says.
    """
    shape = loaded.model.config
    grid = (1, shape.row_grids()[0])
    with sentences(shape, "run"), torch.inference_mode():
        picture = fit_to_units(shape, Image.new("RGB", (336, 336)), grid)
        inputs = family_inputs(loaded, picture, "?", grid)
        loaded.model.hf(**inputs.tensors)
