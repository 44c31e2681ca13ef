"""The work of a family's model at a setting, counted on one inference of its own, outside of any sample."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from profcore.engines.family_stages import FamilyStages
from profcore.measure.work import count_stages, whole_work

if TYPE_CHECKING:
    from collections.abc import Hashable

    from profcore.models.families.adapter import VisionLanguageModel
    from profcore.models.families.inputs import FamilyInputs
    from profcore.spec.records import StageWork
    from profcore.spec.settings import Setting


class FamilyWorks:
    """Counts once what settings have alike: picture, prompt, top-k and blocks; longer answers follow from it."""

    def __init__(self, model: VisionLanguageModel) -> None:
        self._model = model
        self._known: dict[Any, Any] = {}

    def of(self, key: Hashable, inputs: Any, setting: Setting) -> tuple[StageWork, ...]:
        """The work of one inference, by stage.

        Args:
            key: What the inputs follow from.
            inputs: Picture and prompt.
            setting: The knobs.
        """
        alike = (key, setting.top_k, setting.block_mask)
        if alike not in self._known:
            self._known[alike] = self._counted(inputs, replace(setting, output_tokens=2))
        pixels = sum(
            float(each.numel() * each.element_size()) for each in inputs.tensors.values() if each.is_floating_point()
        )
        return tuple(whole_work(self._known[alike], pixels, inputs.num_input_tokens, setting.output_tokens))

    def _counted(self, inputs: FamilyInputs, setting: Setting) -> Any:
        """What the stages come to with one decode step."""
        model = self._model
        return count_stages(model.hf, FamilyStages(model, inputs, setting).works(), model.projector)
