"""The stages of a vision-language model one by one, each with what it was given in a whole inference."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache

from profcore.engines.greedy_loop import GreedyLoop
from profcore.models.molmoe import CACHE_ARGUMENT
from profcore.spec.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from profcore.models.families.adapter import VisionLanguageModel
    from profcore.models.families.inputs import FamilyInputs
    from profcore.spec.settings import Setting


class Seen:
    """What passed between the stages of an inference.

    Attributes:
        features: Arguments of `get_image_features`, and what it gave.
        projected: Arguments of the projector, and what it gave.
        placeholders: What `get_placeholder_mask` gave, call by call: which places are the picture's.
    """

    def __init__(self) -> None:
        self.features: tuple[tuple[Any, ...], dict[str, Any], Any] | None = None
        self.projected: tuple[tuple[Any, ...], dict[str, Any], Any] | None = None
        self.placeholders: list[Any] = []


@contextmanager
def watched(model: VisionLanguageModel, seen: Seen) -> Iterator[None]:
    """Inside, what passes between the stages is kept."""
    features, projector = model.base.get_image_features, model.projector

    @wraps(features)
    def keep(*arguments: Any, **keywords: Any) -> Any:
        found = features(*arguments, **keywords)
        seen.features = (arguments, keywords, found)
        return found

    def keep_projected(module: Any, arguments: Any, keywords: Any, found: Any) -> None:
        seen.projected = (arguments, keywords, found)

    model.base.get_image_features = keep
    masks = getattr(model.base, "get_placeholder_mask", None)

    def keep_mask(*arguments: Any, **keywords: Any) -> Any:
        assert masks
        seen.placeholders.append(masks(*arguments, **keywords))
        return seen.placeholders[-1]

    if masks:
        model.base.get_placeholder_mask = keep_mask
    hook = projector.register_forward_hook(keep_projected, with_kwargs=True)
    try:
        yield
    finally:
        del model.base.get_image_features
        if masks:
            del model.base.get_placeholder_mask
        hook.remove()


class _ReachedError(Exception):
    """The projector is about to run."""


@contextmanager
def up_to_projector(model: VisionLanguageModel) -> Iterator[list[tuple[tuple[Any, ...], dict[str, Any]]]]:
    """Inside, a call of the model ends where its projector would begin; what that would be given is kept."""
    found: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def reached(_: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        found.append((arguments, keywords))
        raise _ReachedError

    hook = model.projector.register_forward_pre_hook(reached, with_kwargs=True)
    try:
        yield found
    except _ReachedError:
        pass
    finally:
        hook.remove()


@contextmanager
def given(owner: Any, name: str, *values: Any) -> Iterator[None]:
    """Inside, a function of a module gives what it gave before, call by call, and computes nothing."""
    left = iter(values)
    setattr(owner, name, lambda *arguments, **keywords: next(left))
    try:
        yield
    finally:
        delattr(owner, name)


class FamilyStages:
    """What each stage hands on is kept from one whole inference, so that any of them can be repeated."""

    def __init__(self, model: VisionLanguageModel, inputs: FamilyInputs, setting: Setting) -> None:
        self._model, self._setting, self._seen = model, setting, Seen()
        loop = GreedyLoop(model, setting.output_tokens, keep_calls=True)
        with model.turned(setting), watched(model, self._seen):
            loop.run(inputs)
        self._calls = loop.calls
        self._cache: Any = None

    def works(self) -> dict[Stage, Callable[[], None]]:
        """The stages in their order; without decode where one token is asked for."""
        works = {
            Stage.VISION_ENCODER: self._encode,
            Stage.PROJECTOR: self._project,
            Stage.LLM_PREFILL: self._prefill,
            Stage.LLM_DECODE: self._decode,
        }
        if len(self._calls) == 1:
            del works[Stage.LLM_DECODE]
        return {stage: self._turned(work) for stage, work in works.items()}

    def _turned(self, work: Callable[[], None]) -> Callable[[], None]:
        def turned_work() -> None:
            with torch.no_grad(), self._model.turned(self._setting):
                work()

        return turned_work

    def _new_cache(self) -> Any:
        """A cache as `generate` makes it, with nothing in it."""
        return DynamicCache(config=self._model.hf.config.get_text_config(decoder=True))

    def _encode(self) -> None:
        assert self._seen.features
        arguments, keywords, _ = self._seen.features
        with up_to_projector(self._model):
            self._model.base.get_image_features(*arguments, **keywords)

    def _project(self) -> None:
        assert self._seen.projected
        arguments, keywords, _ = self._seen.projected
        self._model.projector(*arguments, **keywords)

    def _prefill(self) -> None:
        assert self._seen.features
        self._cache = self._new_cache()
        with given(self._model.base, "get_image_features", self._seen.features[2]):
            outputs = self._model.hf(**{**self._calls[0], CACHE_ARGUMENT: self._cache}, return_dict=True)
        outputs.logits[:, -1].argmax(dim=-1)

    def _decode(self) -> None:
        # A step makes new tensors of keys and values, so that those of the prefill stay as they are.
        cache = copy.copy(self._cache)
        cache.layers = [copy.copy(layer) for layer in self._cache.layers]
        with self._model.decoding():
            for call in self._calls[1:]:
                outputs = self._model.hf(**{**call, CACHE_ARGUMENT: cache}, return_dict=True)
                outputs.logits[:, -1].argmax(dim=-1)
