"""Whether a model that could be built can be run: one token of its smallest picture."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from PIL import Image

from profcore.models.families.inputs import family_inputs, fit_to_units
from profcore.models.families.loading import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profcore.models.families.adapter import VisionLanguageModel
    from profcore.models.load import LoadedModel


def try_once(loaded: LoadedModel) -> None:
    """Run one forward, so that a configuration whose parts do not fit each other is refused before a run begins.

    Raises:
        ModelError: The model's own code fails, with the part that does and what it says.
    """
    shape = loaded.model.config
    grid, began = (1, shape.row_grids()[0]), list[str]()
    with sentences(shape, "run", began), _noting(loaded.model, began), torch.inference_mode():
        picture = fit_to_units(shape, Image.new("RGB", (336, 336)), grid)
        inputs = family_inputs(loaded, picture, "?", grid)
        loaded.model.hf(**inputs.tensors)


@contextmanager
def _noting(model: VisionLanguageModel, began: list[str]) -> Iterator[None]:
    """Inside, it is noted where in the model an inference is: in one of its parts, or behind it."""
    hooks = []
    parts = {"vision encoder": model.encoder, "projector": model.projector, "language model": model.decoder}
    for name, part in parts.items():
        hooks.append(part.register_forward_pre_hook(lambda *_, name=name: began.append(f"in its {name}")))
        hooks.append(part.register_forward_hook(lambda *_, name=name: began.append(f"behind its {name}")))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
