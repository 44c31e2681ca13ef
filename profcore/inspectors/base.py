"""What every inspection tool is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from profcore.images.pictures import load_picture
from profcore.models.inputs import ModelInputs, picture_inputs
from profcore.spec.queries import DEFAULT_PROMPT, Picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from profcore.models.load import LoadedModel
    from profcore.spec.runs import Target


@dataclass(frozen=True)
class Inspection:
    """What a tool looks at; the model is loaded already.

    Attributes:
        arguments: `picture` and `prompt`, where not the default, and what a tool takes of its own.
        tell: Told what is being done.
        stop: Whether to give up.
    """

    loaded: LoadedModel
    target: Target
    arguments: dict[str, Any] = field(default_factory=dict)
    tell: Callable[[str], None] = lambda text: None
    stop: Callable[[], bool] = lambda: False

    @property
    def picture(self) -> Picture:
        """The picture asked for."""
        given = self.arguments.get("picture")
        return Picture(**given) if given else Picture()

    @property
    def prompt(self) -> str:
        """The question asked for."""
        return self.arguments.get("prompt") or DEFAULT_PROMPT

    def image(self) -> Image.Image:
        """The picture at its own size.

        Raises:
            ImageError: It cannot be read.
        """
        return load_picture(self.picture)

    def inputs(self, image: Image.Image | None = None) -> ModelInputs:
        """Picture and prompt on the device, tiled by the model's own rule.

        Raises:
            UserError: The picture cannot be read, or the prompt is longer than the context.
        """
        crops = self.loaded.model.config.max_crops
        return picture_inputs(self.loaded, self.image() if image is None else image, crops, self.prompt)
