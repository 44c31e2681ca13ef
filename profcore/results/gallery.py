"""The pictures of a run with their questions and what each cost, as a gallery shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profcore.spec.queries import Query
from profcore.stats.digits import MISSING, decimals, written

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from profcore.results.pictures import PictureResult


@dataclass(frozen=True)
class Shown:
    """One question on one picture.

    Attributes:
        query: The picture, the question, and what people answered where the data set says it.
        lines: What it cost in words, a line each; empty where it was not measured.
        answers: What the model answered, each answer once; empty where its weights are random or nothing was kept.
    """

    query: Query
    lines: tuple[str, ...]
    answers: tuple[str, ...] = ()


def gallery(result: PictureResult) -> list[Shown]:
    """The run's questions in the order asked; empty where it does not say them, as a file of others."""
    sweep = result.run["spec"].get("sweep", {})
    queries = [Query.from_dict(each) for each in sweep.get("queries", {}).get("queries", ())]
    of_setting = sweep.get("query_of", ())
    points = result.points[result.points["setting"] < len(of_setting)]
    measured = dict(list(points.groupby(points["setting"].map(lambda setting: of_setting[setting]))))
    answered = _answers(result.settings, of_setting)
    return [
        Shown(query, _lines(measured[place]) if place in measured else (), tuple(answered.get(place, ())))
        for place, query in enumerate(queries)
    ]


def _answers(settings: pd.DataFrame, of_setting: Sequence[int]) -> dict[int, list[str]]:
    """What was answered to each query, each answer once, in the order of the settings."""
    found: dict[int, list[str]] = {}
    if "answer" not in settings:
        return found
    for setting, text in settings.dropna(subset="answer").sort_values("setting")[["setting", "answer"]].to_numpy():
        if setting < len(of_setting):
            answers = found.setdefault(of_setting[setting], [])
            answers += [] if text in answers else [text]
    return found


def _lines(points: pd.DataFrame) -> tuple[str, ...]:
    """A question's tokens and latencies, over its settings where it was measured at several."""
    return (
        f"{_span(points['num_vision_tokens'], 0)} vision tokens, {_tokens(points['num_output_tokens'])}",
        f"TTFT {_span(points['ttft_ms'])} ms, total {_span(points['total_ms'])} ms",
    )


def _tokens(numbers: pd.Series) -> str:
    known = set(numbers.dropna())
    return "1 output token" if known == {1} else f"{_span(numbers, 0)} output tokens"


def _span(values: pd.Series, places: int | None = None) -> str:
    """The least and the most of some figures."""
    known = values.dropna()
    if known.empty:
        return MISSING
    least, most = float(known.min()), float(known.max())
    shared = max(decimals(least), decimals(most)) if places is None else places
    ends = list(dict.fromkeys([written(least, shared), written(most, shared)]))
    return " to ".join(ends)
