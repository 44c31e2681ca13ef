"""Block importance on the live model: what each block adds, or what is lost without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from profcore.data_sets import DataSet, read_data_set
from profcore.engines import eager
from profcore.engines.base import StopRequestedError
from profcore.errors import UserError
from profcore.experiments.block_choice import METHODS
from profcore.images.pictures import load_picture
from profcore.measure.quality import QualityMeter
from profcore.models.inputs import picture_inputs
from profcore.spec.settings import Setting

if TYPE_CHECKING:
    from profcore.inspectors.base import Inspection
    from profcore.spec.queries import QuerySet


def inspect(asked: Inspection) -> dict[str, Any]:
    """A score for each block, the higher the more important.

    Transformers' modules are looked at, whichever engine is chosen.

    Args:
        asked: Its arguments are `method` (one of `importance.METHODS`) and `data_set` (the fields of `DataSet`).

    Raises:
        UserError: There is no such method, the data set cannot be used, or accuracy is asked for without answers.
        StopRequestedError: It was asked to stop.
    """
    method = str(asked.arguments.get("method", "influence"))
    if method not in METHODS:
        raise UserError(f"There is no method {method!r}: choose from {', '.join(METHODS)}.")
    queries = read_data_set(DataSet(**asked.arguments.get("data_set", {})))
    if method in ("influence", "norm"):
        scores, full = _activations(asked, queries, method), None
    else:
        scores, full = _skipping(asked, queries, method)
    return {
        "method": method,
        "data_set": queries.name,
        "queries": len(queries.queries),
        "skipped": [[each.name, each.reason] for each in queries.skipped],
        "weights": asked.loaded.weights,
        "full_accuracy": full,
        "scores": {str(block): score for block, score in enumerate(scores)},
    }


def _activations(asked: Inspection, queries: QuerySet, method: str) -> list[float]:
    """Mean over queries of what hooks see of each block in prefill."""
    loaded, model = asked.loaded, asked.loaded.model
    sums = torch.zeros(model.config.n_layers, dtype=torch.float64)

    def note(block: int) -> Any:
        def hook(module: torch.nn.Module, given: tuple[Any, ...], result: Any) -> None:
            before, after = given[0], result[0] if isinstance(result, tuple) else result
            sums[block] += block_score(before, after, method)

        return hook

    layers = model.layers if hasattr(model, "turned") else model.llm.model.layers
    hooks = [layer.register_forward_hook(note(block)) for block, layer in enumerate(layers)]
    try:
        for number, query in enumerate(queries.queries, start=1):
            if asked.stop():
                raise StopRequestedError
            asked.tell(f"Question {number} of {len(queries.queries)}")
            crops = model.config.max_crops
            eager.infer(model, picture_inputs(loaded, load_picture(query.picture), crops, query.question), 1)
    finally:
        for hook in hooks:
            hook.remove()
    return (sums / len(queries.queries)).tolist()


def block_score(before: torch.Tensor, after: torch.Tensor, method: str) -> float:
    """One block's influence or activation norm on one prompt, mean over its tokens.

    Shapes:
        before, after: (1, tokens, width), what the block takes and gives.
    """
    before, after = before.float(), after.float()
    if method == "norm":
        return float((after - before).norm(dim=-1).mean())
    return float(1 - torch.nn.functional.cosine_similarity(before, after, dim=-1).mean())


def _skipping(asked: Inspection, queries: QuerySet, method: str) -> tuple[list[float], float | None]:
    """What is lost without each block, and the full model's accuracy where that is the measure."""
    config = asked.loaded.model.config
    if method == "accuracy" and not any(query.answers for query in queries.queries):
        raise UserError(f"{queries.name} has no answers, which accuracy is measured against: choose another method.")
    meter = QualityMeter(asked.loaded, queries.queries, asked.stop)
    everything = (True,) * config.n_layers
    full = meter.of(Setting((1, 1), config.top_k, everything, 1)).accuracy if method == "accuracy" else None
    scores = []
    for block in range(config.n_layers):
        asked.tell(f"Without block {block}: {block + 1} of {config.n_layers}")
        mask = tuple(index != block for index in range(config.n_layers))
        if not any(mask):
            raise UserError("A model of a single block has none that could be skipped.")
        found = meter.of(Setting((1, 1), config.top_k, mask, 1))
        scores.append(found.kl if method == "kl" else (full or 0.0) - (found.accuracy or 0.0))
    return scores, full
