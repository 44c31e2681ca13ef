"""One setting of the graph engine for vision-language models: its tensors of fixed places, and its stages over them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_map

from profcore.engines.base import PreparationError
from profcore.engines.family_cache import static_cache
from profcore.engines.family_stages import Seen, given, up_to_projector, watched
from profcore.engines.family_steps import (
    SPARE,
    check_static,
    over_new_output,
    read_tensors,
    stacked_steps,
    unchecked,
)
from profcore.engines.greedy_loop import GreedyLoop, boundaries
from profcore.engines.looks import looks_at_values
from profcore.models.molmoe import CACHE_ARGUMENT
from profcore.spec.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Hashable

    from torch import Tensor

    from profcore.engines.base import StageClock
    from profcore.engines.capture import Captures
    from profcore.models.families.adapter import VisionLanguageModel
    from profcore.models.families.inputs import FamilyInputs
    from profcore.spec.settings import Setting

_PICTURE = (Stage.VISION_ENCODER, Stage.PROJECTOR)


class GraphSession:
    """What a setting of some inputs needs.

    Attributes:
        logits: Those that the last token was chosen from.
        reasons: Why stages are not captured, by the stages that are not.
    """

    def __init__(self, model: VisionLanguageModel, inputs: FamilyInputs, setting: Setting, captures: Captures) -> None:
        """Record an inference over a static cache.

        Args:
            model: The model.
            inputs: Picture and prompt, whose tensors stay where they are.
            setting: The knobs.
            captures: Where captured stages are kept; they are replayed in their order alone, so that sessions may share
                the memory of what lies between.
        """
        self._model, self._inputs, self._setting, self._captures = model, inputs, setting, captures
        self._prompt, steps = inputs.num_input_tokens, setting.output_tokens
        # Work is done some times over before it is captured, each decode step a position further.
        self._cache = static_cache(model, self._prompt + steps + SPARE, setting.block_mask)
        seen, loop = Seen(), GreedyLoop(model, steps, keep_logits=True, keep_calls=True)
        with model.turned(setting), watched(model, seen):
            tokens = loop.run(inputs, **{CACHE_ARGUMENT: self._cache})
        check_static(model, inputs, setting, loop.logits)
        assert seen.features and seen.projected
        self._arguments, self._keywords, self._features = seen.features
        self._given, self._projected = seen.projected[:2], (self._features, seen.projected[2])
        self._is_apart = over_new_output(*self._projected, seen.projected[2]) is not None
        self._placeholders = seen.placeholders
        self._first, self._steps = loop.calls[0], stacked_steps(loop.calls[1:], model.config.kind.token_types)
        self._tokens, self.logits = tokens.new_zeros(steps + SPARE), torch.zeros_like(loop.logits[0])
        self._token = torch.zeros_like(tokens[:1])
        self._step = torch.zeros(1, dtype=torch.int64, device=tokens.device)
        self.reasons: dict[Stage, str] = {}

    def capture(self) -> None:
        """Find which stages can be captured, and capture them.

        Raises:
            PreparationError: A decode step cannot be captured.
        """
        decodes = self._setting.output_tokens > 1
        stages = [*_PICTURE, Stage.LLM_PREFILL, *([Stage.LLM_DECODE] if decodes else [])]
        with self._model.turned(self._setting):
            self._encode()
            for stage in stages:
                self.rewind_to_prompt()
                if reason := looks_at_values(lambda stage=stage: self._work(stage)):  # type: ignore[misc]
                    self.reasons[stage] = f"its code looks at a value: {reason}"
            if Stage.LLM_DECODE in self.reasons:
                raise PreparationError(f"a decode step's code looks at a value: {reason}")
            # One call of the model's runs both.
            for one, other in (_PICTURE, _PICTURE[::-1]):
                if one in self.reasons:
                    self.reasons.setdefault(other, self.reasons[one])
            if not self._is_apart:
                # What follows cannot be begun anew by itself, so that the two are taken apart as they run.
                for stage in _PICTURE:
                    self.reasons.setdefault(stage, "what follows its projector cannot be run by itself")
            with torch.no_grad():
                self._work(Stage.VISION_ENCODER)
                self._work(Stage.PROJECTOR)
            for stage in stages:
                if stage not in self.reasons:
                    self.rewind_to_prompt()
                    self._add(stage)

    def let_go(self) -> None:
        """Give back what is captured."""
        for stage in Stage:
            self._captures.discard(self._key(stage))

    def _key(self, stage: Stage) -> Hashable:
        return id(self), stage

    def _is_captured(self, stage: Stage) -> bool:
        return self._key(stage) in self._captures

    def _add(self, stage: Stage) -> None:
        """Capture a stage; before decode, one that the card refuses runs as it is, and the reason is kept.

        Raises:
            PreparationError: A decode step cannot be captured.
        """
        try:
            self._captures.add(self._key(stage), lambda: self._work(stage))
        except PreparationError as error:
            if stage is Stage.LLM_DECODE:
                raise
            self.reasons[stage] = str(error)
            if stage in _PICTURE:
                # One call of the model's runs both, and leaves what the prefill reads.
                self.reasons |= dict.fromkeys(_PICTURE, str(error))
                self._take(self._model.base.get_image_features(*self._arguments, **self._keywords))

    @property
    def tokens(self) -> Tensor:
        """The answer, (output_tokens,)."""
        return self._tokens[: self._setting.output_tokens]

    def stage_memory(self) -> dict[Stage, int]:
        """As `FamilyGraphEngine.stage_memory`."""
        return {stage: self._captures.peak(self._key(stage)) for stage in Stage if self._is_captured(stage)}

    def extra_memory(self) -> int | None:
        """Bytes of intermediate tensors that captured stages keep beyond what the allocator sees."""
        return max(self.stage_memory().values(), default=0) or None

    def rewind_to_prompt(self) -> None:
        """As after the prefill: what decode steps have added is forgotten."""
        self._cache.rewind(self._prompt)
        self._step.zero_()
        self._token.copy_(self.tokens[:1])

    def see(self, clock: StageClock | None) -> None:
        """Vision encoder and projector, with a clock told of where each ends."""
        if not set(_PICTURE) & self.reasons.keys():
            for stage in _PICTURE:
                self.run(stage)
                if clock:
                    clock.mark(stage)
            return
        with boundaries(self._model, clock):
            self._take(self._model.base.get_image_features(*self._arguments, **self._keywords))

    def run(self, stage: Stage) -> None:
        """One stage, or one decode step."""
        if stage in self.reasons:
            self._work(stage)
        else:
            self._captures.run(self._key(stage))

    def _work(self, stage: Stage) -> None:
        works = {
            Stage.VISION_ENCODER: self._encode,
            Stage.PROJECTOR: self._project,
            Stage.LLM_PREFILL: self._prefill,
            Stage.LLM_DECODE: self._decode,
        }
        with torch.no_grad():
            works[stage]()

    def _encode(self) -> None:
        """The vision encoder and what is made of its output, up to where the projector begins."""
        with up_to_projector(self._model) as found:
            self._model.base.get_image_features(*self._arguments, **self._keywords)
        self._given = found[0]

    def _project(self) -> None:
        """The projector by itself; what the prefill reads is its output, where it is no more than that."""
        arguments, keywords = self._given
        output = self._model.projector(*arguments, **keywords)
        # Where it is not captured an inference calls the model for both, and takes what that gives.
        if not set(_PICTURE) & self.reasons.keys():
            self._take(over_new_output(*self._projected, output))

    def _take(self, features: Any) -> None:
        """Have the prefill read what the projector gave: in the places that its capture reads, where there is one."""
        if self._is_captured(Stage.LLM_PREFILL) and set(_PICTURE) & self.reasons.keys():
            for place, new in zip(read_tensors(self._features), read_tensors(features), strict=True):
                place.copy_(new)
        else:
            self._features = features

    def _prefill(self) -> None:
        base = self._model.base
        # What an inference before has left is masked from here on.
        self._cache.rewind(0)
        self._step.zero_()
        with ExitStack() as stubs:
            stubs.enter_context(given(base, "get_image_features", self._features))
            # Which places are the picture's is known, and checks of their number would look at values.
            stubs.enter_context(unchecked())
            if self._placeholders:
                stubs.enter_context(given(base, "get_placeholder_mask", *self._placeholders))
            self._choose(self._model.hf(**self._first, return_dict=True))
        self._cache.empty = False

    def _decode(self) -> None:
        at = tree_map(lambda each: each.index_select(0, self._step)[0], self._steps.stacked)
        call = {**self._steps.same, **at, "input_ids": self._token[None]}
        with self._model.decoding():
            outputs = self._model.hf(**call, return_dict=True)
        self._step.add_(1)
        self._choose(outputs)

    def _choose(self, outputs: Any) -> None:
        logits = outputs.logits[0, -1]
        self.logits.copy_(logits)
        self._token.copy_(logits.argmax(dim=-1, keepdim=True))
        self._tokens.index_copy_(0, self._step, self._token)
