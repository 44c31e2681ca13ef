"""What a setting costs in quality: how far its next-token distribution is from the full model's, and its accuracy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from profcore.engines import eager
from profcore.engines.base import StopRequestedError
from profcore.images.pictures import load_picture
from profcore.measure.vqa_accuracy import vqa_accuracy
from profcore.models.inputs import ModelInputs, picture_inputs
from profcore.models.knobs import turned
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
    """

    kl: float
    accuracy: float | None
    queries: int


class QualityMeter:
    """Compares settings with the full model on some queries, whose own results are made once."""

    def __init__(self, loaded: LoadedModel, queries: Sequence[Query], stop: Callable[[], bool] = lambda: False) -> None:
        self._loaded, self._queries, self._stop = loaded, tuple(queries), stop
        config = loaded.model.config
        self._full = Setting((1, 1), config.top_k, (True,) * config.n_layers, 1)
        self._reference: dict[int, Tensor] = {}

    def of(self, setting: Setting) -> Quality:
        """A setting's quality; only its top-k and block mask matter.

        Raises:
            UserError: A picture cannot be read.
            StopRequestedError: It was asked to stop.
        """
        divergences, scores = [], []
        with_answers = any(query.answers for query in self._queries)
        for index, query in enumerate(self._queries):
            if self._stop():
                raise StopRequestedError
            inputs = self.inputs(query)
            if index not in self._reference:
                self._reference[index] = self._distribution(inputs, self._full)
            divergences.append(kl_divergence(self._reference[index], self._distribution(inputs, setting)))
            if query.answers:
                scores.append(vqa_accuracy(self.answer(inputs, setting), query.answers))
        accuracy = sum(scores) / len(scores) if with_answers else None
        return Quality(sum(divergences) / len(divergences), accuracy, len(self._queries))

    def inputs(self, query: Query) -> ModelInputs:
        """A question's picture and prompt on the device."""
        crops = self._loaded.model.config.max_crops
        return picture_inputs(self._loaded, load_picture(query.picture), crops, query.question)

    def _distribution(self, inputs: ModelInputs, setting: Setting) -> Tensor:
        """Log probabilities of the first token, in float64."""
        with turned(self._loaded.model, setting):
            _, logits = eager.infer(self._loaded.model, inputs, 1, keep_logits=True)
        return torch.log_softmax(logits[0].double(), dim=-1)

    def answer(self, inputs: ModelInputs, setting: Setting) -> str:
        """What the model answers at a setting, as text."""
        config = self._loaded.model.config
        # The last token that is generated is not fed back, and takes no position.
        length = min(ANSWER_TOKENS, config.max_positions - inputs.num_input_tokens + 1)
        asked = replace(setting, output_tokens=length)
        with turned(self._loaded.model, asked):
            tokens, _ = eager.infer(self._loaded.model, inputs, length, stop=self._stop)
        ids = tokens.tolist()
        if config.eos_token_id in ids:
            ids = ids[: ids.index(config.eos_token_id)]
        return self._loaded.tokenizer.decode(ids).strip()


def kl_divergence(full: Tensor, other: Tensor) -> float:
    """KL divergence of one distribution from another, both as log probabilities, in nats."""
    return float((full.exp() * (full - other)).sum())
