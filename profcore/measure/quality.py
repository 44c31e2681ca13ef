"""What a setting costs in quality: how far its next-token distribution is from the full model's, and its accuracy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from profcore.engines import eager
from profcore.engines.base import StopRequestedError
from profcore.errors import UserError
from profcore.images.pictures import load_picture
from profcore.measure.answer import answer_text
from profcore.measure.vqa_accuracy import vqa_accuracy
from profcore.models.inputs import ModelInputs, picture_inputs
from profcore.models.knobs import turned
from profcore.models.prompt import ByteTokenizer
from profcore.spec.settings import Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from profcore.models.load import LoadedModel
    from profcore.spec.queries import Query

ANSWER_TOKENS = 12
"""Tokens that an answer may have where accuracy is measured; VQA's answers are a word or two."""


@dataclass(frozen=True)
class Quality:
    """What was found of one setting, means over the queries.

    Attributes:
        kl: KL divergence of the next-token distribution at the prompt's end from the full model's, in nats.
        accuracy: VQA accuracy, where the queries have answers.
        queries: How many queries it rests on.
        scores: VQA accuracy of each query that has answers, in their order; None where none has.
    """

    kl: float
    accuracy: float | None
    queries: int
    scores: tuple[float, ...] | None = None


@dataclass(frozen=True)
class _Answer:
    """What a query gave: its divergence, and the tokens of its answer, where it has answers to be compared with."""

    kl: float
    tokens: tuple[int, ...] | None


class QualityMeter:
    """Compares settings with the full model on some queries, whose own results are made once."""

    def __init__(self, loaded: LoadedModel, queries: Sequence[Query], stop: Callable[[], bool] = lambda: False) -> None:
        self._loaded, self._queries, self._stop = loaded, tuple(queries), stop
        config = loaded.model.config
        self._full = Setting((1, 1), config.top_k, (True,) * config.n_layers, 1)
        self._reference: dict[int, Tensor] = {}
        self._answers: dict[Any, _Answer] = {}

    def of(self, setting: Setting) -> Quality:
        """A setting's quality, its pictures tiled by the model's own rule; only its top-k and block mask matter.

        Raises:
            UserError: A picture cannot be read, or a checkpoint's words are not known.
            StopRequestedError: It was asked to stop.
        """
        return self._judged([self._answer(index, setting, None) for index in range(len(self._queries))], ANSWER_TOKENS)

    def of_joint(self, setting: Setting, only: int | None = None) -> Quality:
        """A setting's quality with each picture in its own grid of crops, and answers as long as it generates.

        A picture keeps its aspect in the grid, with margins around it; the full model sees it tiled by its own rule.

        Args:
            setting: Every knob matters.
            only: The place of the one query that it is of; all unless given.

        Raises:
            UserError: As `of`.
            StopRequestedError: As `of`.
        """
        places = range(len(self._queries)) if only is None else [only]
        answers = [self._answer(index, setting, setting.grid) for index in places]
        return self._judged(answers, min(ANSWER_TOKENS, setting.output_tokens), places)

    def _judged(self, answers: Sequence[_Answer], length: int, places: Sequence[int] | None = None) -> Quality:
        scores = [
            vqa_accuracy(answer_text(self._loaded, answer.tokens[:length]), self._queries[place].answers)
            for place, answer in zip(places or range(len(answers)), answers, strict=True)
            if answer.tokens is not None
        ]
        return Quality(
            kl=sum(answer.kl for answer in answers) / len(answers),
            accuracy=sum(scores) / len(scores) if scores else None,
            queries=len(answers),
            scores=tuple(scores) if scores else None,
        )

    def _answer(self, index: int, setting: Setting, grid: tuple[int, int] | None) -> _Answer:
        """What a query gives; made once for settings that differ in the length of their answers alone."""
        key = (index, grid, setting.top_k, setting.block_mask)
        if key not in self._answers:
            if self._stop():
                raise StopRequestedError
            self._answers[key] = self._answered(index, setting, grid)
        return self._answers[key]

    def _answered(self, index: int, setting: Setting, grid: tuple[int, int] | None) -> _Answer:
        query = self._queries[index]
        if query.answers:
            self._check_words()
        inputs = self.inputs(query, grid)
        if index not in self._reference:
            whole = inputs if grid is None else self.inputs(query)
            self._reference[index] = self._said(whole, self._full, 1)[1]
        tokens, first = self._said(inputs, setting, ANSWER_TOKENS if query.answers else 1)
        return _Answer(kl_divergence(self._reference[index], first), tuple(tokens) if query.answers else None)

    def _check_words(self) -> None:
        """Whether the model's answers can be told from those that people gave.

        Raises:
            UserError: The checkpoint has no tokenizer, so that its words are bytes that it was never trained on.
        """
        loaded = self._loaded
        if loaded.weights == "real" and isinstance(loaded.tokenizer, ByteTokenizer):
            raise UserError(
                "The checkpoint has no tokenizer.json, so that neither questions nor answers are in its own words: put "
                "it beside the weights."
            )

    def inputs(self, query: Query, grid: tuple[int, int] | None = None) -> ModelInputs:
        """A question's picture and prompt on the device; tiled by the model's own rule unless a grid is given."""
        crops = self._loaded.model.config.max_crops
        return picture_inputs(self._loaded, load_picture(query.picture), crops, query.question, grid)

    def answer(self, inputs: ModelInputs, setting: Setting) -> str:
        """What the model answers at a setting, as text."""
        return answer_text(self._loaded, self._said(inputs, setting, ANSWER_TOKENS)[0])

    def _said(self, inputs: ModelInputs, setting: Setting, most: int) -> tuple[list[int], Tensor]:
        """At most so many tokens, up to the end of text; log probabilities of the first, in float64."""
        model = self._loaded.model
        # The last token that is generated is not fed back, and takes no position.
        length = min(most, model.config.max_positions - inputs.num_input_tokens + 1)
        with turned(model, replace(setting, output_tokens=length)):
            tokens, logits = eager.infer(
                model, inputs, length, stop=self._stop, keep_logits=True, end=model.config.eos_token_id
            )
        return tokens.tolist(), torch.log_softmax(logits[0].double(), dim=-1)


def kl_divergence(full: Tensor, other: Tensor) -> float:
    """KL divergence of one distribution from another, both as log probabilities, in nats."""
    return float((full.exp() * (full - other)).sum())
