"""The best setting within a budget of milliseconds, how sure it is, and what more of them would buy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore.errors import UserError
from profcore.spec.text import counted
from profcore.stats.digits import written
from profcore.tradeoff.candidates import not_measured
from profcore.tradeoff.draws import TAIL
from profcore.tradeoff.frontier import check_percentile, fixed, quality_draws
from profcore.tradeoff.latencies import METRICS
from profcore.tradeoff.points import KNOBS, WORK_KEPT, check_quality

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profcore.tradeoff.latency_model import LatencyModel
    from profcore.tradeoff.points import JointPoints

LIMITED = ("ttft_ms", "total_ms", "tpot_ms")
"""What a budget may be of."""

_SURE = 0.975


@dataclass(frozen=True)
class Choice:
    """The setting that a budget allows, and what lies around it.

    Attributes:
        limits: Milliseconds by metric.
        percentile: At which each must be met.
        quality: What was maximised; of `points.QUALITIES`.
        best: The setting: knobs, `label`, `value` (its quality), `measured`, the metrics at the percentile, and
            `exceeds`, the share of its inferences that break the budget, with `exceeds_low` and `exceeds_high` (95 %);
            of a predicted setting these are not known.
        cheaper: The setting on the frontier next below it; None where it is the cheapest.
        dearer: The setting that is next to be had for more; None where nothing is better that has these latencies.
        more_ms: How many milliseconds more of the tightest limit that takes.
        allowed: How many of the settings meet the budget.
        settings: Of how many, predicted ones included.
        whole: As `JointPoints.whole`.
        unknown: How many better settings have not all of these latencies.
        established: Whether the best was measured, and its samples bound what exceeds each limit by what the percentile
            leaves open.
        alike: The fastest setting whose accuracy the questions cannot tell from the best's; None where none is faster.
        num_alike: How many such settings are faster than the best.
    """

    limits: Mapping[str, float]
    percentile: float
    quality: str
    best: dict[str, Any]
    cheaper: dict[str, Any] | None
    dearer: dict[str, Any] | None
    more_ms: float | None
    allowed: int
    settings: int
    whole: str
    unknown: int
    established: bool
    alike: dict[str, Any] | None
    num_alike: int


def choose_setting(
    points: JointPoints,
    limits: Mapping[str, float],
    percentile: float = 50,
    quality: str | None = None,
    model: LatencyModel | None = None,
    rows: pd.DataFrame | None = None,
) -> Choice:
    """The best setting by quality, or by work kept, that meets each limit at a percentile; of equals the fastest.

    Args:
        points: As `joint_points`.
        limits: Milliseconds by metric of `LIMITED`.
        percentile: Between 0 and 100.
        quality: Of `points.QUALITIES`; the most telling that was recorded unless given.
        model: Predicts settings on the grid that were not measured, which then compete too, where quality is work kept:
            nobody knows the quality of what was not measured.
        rows: As `competing` gives them for the same, where they are kept.

    Raises:
        UserError: No limit is given, one is none, or every setting takes longer.
    """
    _check(limits, percentile)
    quality = check_quality(points, quality or points.qualities[0])
    rows = competing(points, percentile, quality, model) if rows is None else rows
    meets = np.all([rows[metric].to_numpy() <= limit for metric, limit in limits.items()], axis=0)
    if not meets.any():
        raise UserError(_least_possible(rows, limits, percentile))
    value, over = _value(rows, quality), _over(rows, limits)
    # The best first; of equals those measured, then those farthest within the budget.
    order = np.lexsort((over, ~rows["measured"].to_numpy(), -value)).tolist()
    first = next(place for place in order if meets[place])
    # What has not this latency, as answers of one token have no decode step, is no neighbour.
    better, known = value > value[first], np.isfinite(over)
    unknown, better = int((better & ~known).sum()), better & known
    dearer = int(np.nanargmin(np.where(better, over, np.inf))) if better.any() else None
    # Of as good a quality only the fastest is of interest, and that is the best itself.
    below = (value < value[first]) & (over < over[first])
    cheaper = next((place for place in order if below[place]), None)
    alike = [place for place in _as_good(points, rows, quality, first) if over[place] < over[first]]
    fastest = min(alike, key=over.__getitem__, default=None)
    return Choice(
        limits,
        percentile,
        quality,
        _described(points, rows.iloc[first], limits),
        None if cheaper is None else _described(points, rows.iloc[cheaper], limits),
        None if dearer is None else _described(points, rows.iloc[dearer], limits),
        None if dearer is None else float(max(over[dearer], 0.0)),
        int(meets.sum()),
        len(rows),
        points.whole,
        unknown,
        _established(points, rows.iloc[first], limits, percentile),
        None if fastest is None else _described(points, rows.iloc[fastest], limits),
        len(alike),
    )


def _as_good(points: JointPoints, rows: pd.DataFrame, quality: str, first: int) -> list[int]:
    """The settings whose accuracy questions drawn anew, the same for all, do not tell from one's."""
    if quality != "accuracy":
        return []
    places = rows["place"].to_numpy()
    draws = quality_draws(points, quality, np.random.default_rng(0))[1][:, places]
    behind = np.quantile(draws[:, [first]] - draws, TAIL, axis=0, method="lower")
    return [place for place in np.flatnonzero(behind <= 0).tolist() if place != first]


def at_length(points: JointPoints, limits: Mapping[str, float], tokens: int | None = None) -> JointPoints:
    """The points with answers of one length, where a total is limited: shorter answers would win by being shorter.

    Args:
        points: As `joint_points`.
        limits: As `choose_setting`.
        tokens: The length; for a total the longest that was measured unless given, for others any.

    Raises:
        UserError: No answer has that length.
    """
    if tokens is None:
        lengths = points.table["output_tokens"]
        if "total_ms" not in limits or lengths.nunique(dropna=True) < 2:
            return points
        tokens = int(lengths.max())
    return fixed(points, "output_tokens", tokens)


def competing(points: JointPoints, percentile: float, quality: str, model: LatencyModel | None) -> pd.DataFrame:
    """The settings that a budget chooses from, with their metrics at a percentile, `value`, `measured` and `place`.

    A predicted setting's P95 is its median times what P95 is over the median in the settings measured.
    """
    at = {metric: points.latencies.percentiles(metric, percentile) for metric in LIMITED}
    rows = points.table.assign(**at, measured=True, place=np.arange(len(points.table)))
    if model is not None and quality == WORK_KEPT:
        guessed = not_measured(points, model)
        if len(guessed):
            for metric in LIMITED:
                with np.errstate(invalid="ignore"):
                    ratio = np.nanmedian(at[metric] / points.latencies.percentiles(metric, 50))
                guessed[metric] = guessed[metric] * (1.0 if np.isnan(ratio) else ratio)
                guessed[_reach_of(metric)] = model.reaches.get(metric, np.inf)
            rows = pd.concat([rows, guessed.assign(measured=False, place=-1)], ignore_index=True)
    rows = rows.assign(value=rows[quality].astype(float))
    return rows[rows["value"].notna()].reset_index(drop=True)


def exceeding(points: JointPoints, place: int, limits: Mapping[str, float]) -> tuple[float, float, float]:
    """The share of a point's inferences that break a budget, with its 95 % interval (Clopper & Pearson 1934)."""
    from scipy.special import betaincinv

    own = points.latencies.codes == place
    broken = np.zeros(int(own.sum()), dtype=bool)
    known = np.ones(broken.size, dtype=bool)
    for metric, limit in limits.items():
        values = points.latencies.values(metric)[own]
        broken |= values > limit
        known &= ~np.isnan(values)
    number, over = int(known.sum()), int((broken & known).sum())
    if not number:
        return np.nan, np.nan, np.nan
    low = float(betaincinv(over, number - over + 1, 1 - _SURE)) if over else 0.0
    high = float(betaincinv(over + 1, number - over, _SURE)) if over < number else 1.0
    return over / number, low, high


def choice_sentences(choice: Choice) -> list[str]:
    """The answer in words: which setting, how sure it is, and what lies around it."""
    best, named = choice.best, _limit_words(choice.limits, choice.percentile)
    value = quality_words(choice.quality, best["value"])
    at = ", ".join(f"{METRICS[metric]} {written(best[metric])} ms" for metric in choice.limits)
    begin = "Within" if best["measured"] else "Predicted to be within"
    sure = "" if choice.established or not best["measured"] else _not_established(choice.percentile)
    said = [f"{begin} {named}: {best['label']}, with {value} ({at}){sure}."]
    if choice.quality == WORK_KEPT:
        said.append(
            f"No quality was weighed: work kept is a share of {choice.whole or 'the largest setting'}, and says how "
            "much was left out, not what an answer loses by it."
        )
    if best["measured"]:
        said.append(
            f"{best['exceeds']:.1%} of its inferences exceeded the budget (95 %: {best['exceeds_low']:.1%} to "
            f"{best['exceeds_high']:.1%}, {best['samples']:g} samples)."
        )
    else:
        within = [best.get(_reach_of(metric), np.inf) for metric in choice.limits]
        how = f", its median to within {max(within):.1%} in 95 of 100 cases" if np.isfinite(within).all() else ""
        said.append(
            f"It was not measured: its latency is predicted{how}, and how often it exceeds the budget is not known."
        )
    if choice.alike:
        number = "that of a faster one" if choice.num_alike == 1 else f"those of {choice.num_alike} faster ones"
        which = "it" if choice.num_alike == 1 else "the fastest of them"
        said.append(
            f"These questions cannot tell its accuracy from {number}: {which} is {_neighbour(choice, choice.alike)}."
        )
    if choice.cheaper:
        said.append(f"Next below it: {_neighbour(choice, choice.cheaper)}.")
    if choice.dearer is None or choice.more_ms is None:
        named = " and ".join(METRICS[metric] for metric in choice.limits)
        better = f"what is better ({counted(choice.unknown, 'setting')}) has no {named}"
        said.append(f"More milliseconds buy nothing: {better if choice.unknown else 'no setting is better'}.")
    elif choice.more_ms <= 1:
        said.append(f"The next millisecond buys {_neighbour(choice, choice.dearer)}.")
    else:
        said.append(
            f"The next millisecond buys nothing: what is better takes {written(choice.more_ms)} ms more, "
            f"{_neighbour(choice, choice.dearer)}."
        )
    return said


def choice_dict(choice: Choice) -> dict[str, Any]:
    """A choice in plain values; `quality` is null where none was weighed."""
    return {
        "limits_ms": dict(choice.limits),
        "percentile": choice.percentile,
        "ranked_by": choice.quality,
        "quality": None if choice.quality == WORK_KEPT else {"kind": choice.quality, "value": choice.best["value"]},
        "setting": _plain(choice.best),
        "established": choice.established,
        "fastest_alike": choice.alike and {**_plain(choice.alike), "settings_alike": choice.num_alike},
        "next_below": choice.cheaper and _plain(choice.cheaper),
        "next_above": choice.dearer and {**_plain(choice.dearer), "more_ms": choice.more_ms},
        "settings_within": choice.allowed,
        "settings": choice.settings,
    }


def quality_words(quality: str, value: float) -> str:
    """A quality as a sentence has it."""
    if quality == "kl":
        return f"a KL divergence of {written(value)} nats"
    return f"{value:.1%} {'accuracy' if quality == 'accuracy' else 'of the work kept'}"


def _check(limits: Mapping[str, float], percentile: float) -> None:
    check_percentile(percentile)
    if not limits:
        raise UserError("A budget needs a limit: give --ttft-ms, --total-ms or --tpot-ms in milliseconds.")
    for metric, limit in limits.items():
        if metric not in LIMITED:
            raise UserError(f"A budget is of {', '.join(METRICS[each] for each in LIMITED)}, not of {metric!r}.")
        if not (np.isfinite(limit) and limit > 0):
            raise UserError(f"A budget of {limit:g} ms for {METRICS[metric]} is none: give more than 0 ms.")


def _value(rows: pd.DataFrame, quality: str) -> np.ndarray:
    return rows["value"].to_numpy() * (-1.0 if quality == "kl" else 1.0)


def _reach_of(metric: str) -> str:
    """The column that says how far the 95 % of a metric's predictions reach, as a share of them."""
    return f"{metric}_predicted_within"


def _over(rows: pd.DataFrame, limits: Mapping[str, float]) -> np.ndarray:
    """By how many milliseconds each setting exceeds the limit that it exceeds most; below 0 within all of them."""
    return np.max([rows[metric].to_numpy(dtype=float) - limit for metric, limit in limits.items()], axis=0)


def _described(points: JointPoints, row: pd.Series, limits: Mapping[str, float]) -> dict[str, Any]:
    names = ["label", *KNOBS, "grid", "block_mask", "value", "measured", "samples", *LIMITED]
    if not row["measured"]:
        names += [_reach_of(metric) for metric in limits]
    found = {name: row[name] for name in names if name in row}
    share, low, high = exceeding(points, int(row["place"]), limits) if row["measured"] else (np.nan,) * 3
    return {**found, "exceeds": share, "exceeds_low": low, "exceeds_high": high}


def _established(points: JointPoints, row: pd.Series, limits: Mapping[str, float], percentile: float) -> bool:
    """Whether samples show of each limit that no more of them exceed it than a percentile leaves open."""
    if not row["measured"]:
        return False
    highest = [exceeding(points, int(row["place"]), {metric: limit})[2] for metric, limit in limits.items()]
    return max(highest) <= 1 - percentile / 100


def _not_established(percentile: float) -> str:
    return f", which these samples do not establish: more than {100 - percentile:g}% of its inferences may exceed it"


def _neighbour(choice: Choice, row: dict[str, Any]) -> str:
    at = " and ".join(f"{written(row[metric])} ms" for metric in choice.limits)
    marked = "" if row["measured"] else ", predicted"
    return f"{row['label']} with {quality_words(choice.quality, row['value'])} ({at}{marked})"


def _limit_words(limits: Mapping[str, float], percentile: float) -> str:
    return " and ".join(f"{limit:g} ms of {METRICS[metric]}" for metric, limit in limits.items()) + (
        f" at P{percentile:g}"
    )


def _least_possible(rows: pd.DataFrame, limits: Mapping[str, float], percentile: float) -> str:
    """Why nothing meets a budget, and the least that one does."""
    if len(limits) == 1:
        ((metric, limit),) = limits.items()
        if rows[metric].isna().all():
            return f"No setting of this run has a {METRICS[metric]}: set a budget for another latency."
        least = rows.iloc[int(np.nanargmin(rows[metric].to_numpy()))]
        return (
            f"No setting meets {limit:g} ms of {METRICS[metric]} at P{percentile:g}: the least possible is "
            f"{written(least[metric])} ms, with {least['label']}."
        )
    factors = np.max([rows[metric].to_numpy() / limit for metric, limit in limits.items()], axis=0)
    if np.isnan(factors).all():
        return "No setting of this run has all of these latencies: set a budget for others."
    least = rows.iloc[int(np.nanargmin(factors))]
    at = " and ".join(f"{written(least[metric])} ms of {METRICS[metric]}" for metric in limits)
    return f"No setting meets {_limit_words(limits, percentile)}: the nearest takes {at}, with {least['label']}."


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A setting in values that JSON has."""

    def value(each: Any) -> Any:
        if each is None or (isinstance(each, float) and not np.isfinite(each)):
            return None
        return each.item() if isinstance(each, np.generic) else each

    return {name: value(each) for name, each in row.items()}
