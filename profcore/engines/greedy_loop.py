"""The loop that `generate` is given in place of its own: the same calls, and a clock that is told of each boundary.

`generate` makes everything ready (caches, positions, token types), then hands over. What is left out of its own loop is
the question after each token whether to stop, for which the host waits for the device: an answer has its setting's
length, unless it is asked to end with a token. What the model's forward is called with may be kept, so that its stages
can be repeated one by one.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import torch

from profcore.engines.base import StopRequestedError
from profcore.spec.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from profcore.engines.base import StageClock
    from profcore.models.families.adapter import VisionLanguageModel
    from profcore.models.families.inputs import FamilyInputs


class GreedyLoop:
    """One inference of so many greedy tokens.

    Attributes:
        logits: Those that each token was chosen from, where they are kept.
        calls: What the model's forward was called with, prefill first, where that is kept.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        output_tokens: int,
        clock: StageClock | None = None,
        stop: Callable[[], bool] | None = None,
        keep_logits: bool = False,
        keep_calls: bool = False,
        end: int | None = None,
    ) -> None:
        """Of at most so many tokens; with an `end`, after which no other is made, the host waits for each."""
        self._model, self._number, self._clock, self._stop, self._end = model, output_tokens, clock, stop, end
        self._keep_logits, self._keep_calls = keep_logits, keep_calls
        self.logits: list[Tensor] = []
        self.calls: list[dict[str, Any]] = []

    def run(self, inputs: FamilyInputs, **options: Any) -> Tensor:
        """The tokens, (output_tokens,), by `generate` around this loop.

        Args:
            inputs: Picture and prompt.
            options: Further arguments of `generate`, such as a cache.
        """

        def loop(hf: Any, input_ids: Tensor, **keywords: Any) -> Tensor:
            for name in ("logits_processor", "stopping_criteria", "generation_config", "synced_gpus", "streamer"):
                keywords.pop(name, None)
            return self._loop(hf, input_ids, keywords)

        return self._model.hf.generate(
            **inputs.tensors, max_new_tokens=self._number, do_sample=False, custom_generate=loop, **options
        )

    @torch.no_grad()
    def _loop(self, hf: Any, input_ids: Tensor, keywords: dict[str, Any]) -> Tensor:
        clock, tokens = self._clock, []
        if clock:
            clock.start()
        with boundaries(self._model, clock):
            outputs = self._forward(
                hf, hf.prepare_inputs_for_generation(input_ids, is_first_iteration=True, **keywords)
            )
        tokens.append(self._chosen(outputs))
        if clock:
            clock.mark(Stage.LLM_PREFILL)
        with self._model.decoding():
            for _ in range(self._number - 1):
                if self._stop and self._stop():
                    raise StopRequestedError
                if self._end is not None and int(tokens[-1]) == self._end:
                    break
                input_ids = torch.cat([input_ids, tokens[-1][:, None]], dim=-1)
                keywords = hf._update_model_kwargs_for_generation(outputs, keywords)
                given = hf.prepare_inputs_for_generation(input_ids, next_sequence_length=1, **keywords)
                outputs = self._forward(hf, given)
                tokens.append(self._chosen(outputs))
                if clock:
                    clock.step()
        if clock:
            clock.finish()
        return torch.cat(tokens)

    def _forward(self, hf: Any, given: dict[str, Any]) -> Any:
        if self._keep_calls:
            self.calls.append(given)
        return hf(**given, return_dict=True)

    def _chosen(self, outputs: Any) -> Tensor:
        logits = outputs.logits[:, -1]
        if self._keep_logits:
            self.logits.append(logits[0].clone())
        return logits.argmax(dim=-1)


@contextmanager
def boundaries(model: VisionLanguageModel, clock: StageClock | None) -> Iterator[None]:
    """Inside, a clock is told where the vision encoder and the projector end.

    The projector's beginning closes the encoder; the later of its end and that of `get_image_features` closes it.
    """
    if clock is None:
        yield
        return
    base, begun, ended = model.base, [False], [False]
    features = base.get_image_features

    def enter(*_: Any) -> None:
        if not begun[0]:
            begun[0] = True
            clock.mark(Stage.VISION_ENCODER)

    def leave(*_: Any) -> None:
        if ended[0]:
            clock.mark(Stage.PROJECTOR)

    @wraps(features)
    def watched(*arguments: Any, **keywords: Any) -> Any:
        found = features(*arguments, **keywords)
        ended[0] = True
        if begun[0]:
            clock.mark(Stage.PROJECTOR)
        return found

    base.get_image_features = watched
    hooks = [model.projector.register_forward_pre_hook(enter), model.projector.register_forward_hook(leave)]
    try:
        yield
    finally:
        del base.get_image_features
        for hook in hooks:
            hook.remove()
