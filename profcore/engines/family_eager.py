"""The eager engine for vision-language models of transformers: their modules as they are, driven as `generate` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.engines.eager import infer
from profcore.engines.family_stages import FamilyStages

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from profcore.engines.base import StageClock
    from profcore.models.families.adapter import VisionLanguageModel
    from profcore.models.families.inputs import FamilyInputs
    from profcore.spec.settings import Setting
    from profcore.spec.stages import Stage


class FamilyEagerEngine:
    """See `profcore.engines.base.Engine`."""

    name = "eager"

    def __init__(self, model: VisionLanguageModel) -> None:
        self._model = model

    @property
    def experts(self) -> str:
        """Transformers' experts implementation of each stage."""
        return str(self._model.experts)

    def prepare(self, inputs: FamilyInputs, setting: Setting, tell: Callable[[str], None] | None = None) -> int | None:
        """Nothing: modules run as they are."""
        return None

    def infer(
        self,
        inputs: FamilyInputs,
        setting: Setting,
        clock: StageClock | None = None,
        stop: Callable[[], bool] | None = None,
        keep_logits: bool = False,
    ) -> tuple[Tensor, list[Tensor]]:
        """As `Engine.infer`. What `generate` does before the model's first forward is before the clock starts."""
        with self._model.turned(setting):
            return infer(self._model, inputs, setting.output_tokens, clock, stop, keep_logits)

    def stage_works(self, inputs: FamilyInputs, setting: Setting) -> dict[Stage, Callable[[], None]]:
        """As `Engine.stage_works`."""
        return FamilyStages(self._model, inputs, setting).works()
