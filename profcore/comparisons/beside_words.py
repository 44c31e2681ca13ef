"""A sweep beside pictures, in words with numbers; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from profcore.stats import METRIC_LABELS
from profcore.stats.digits import decimals, in_unit, written

if TYPE_CHECKING:
    import pandas as pd

_SAME_CROPS = 0.02
_ROUNDED_AWAY = 0.05


def comparison_sentences(
    own: pd.DataFrame, theirs: pd.DataFrame, ratios: pd.DataFrame, per: str, ends: tuple[float, float]
) -> list[str]:
    """The comparison of each latency.

    Args:
        own: The sweep's slopes, by metric.
        theirs: The pictures' slopes, by metric.
        ratios: The pictures over the sweep, by metric.
        per: What a slope is per.
        ends: The least and the most tokens of the sweep.
    """
    found = []
    for metric in own.index:
        if metric not in theirs.index or np.isnan(own.loc[metric, "slope"]):
            continue
        factor, unit = slope_unit(own.loc[metric, "slope"])
        text = f"{METRIC_LABELS[metric]}: the sweep's slope is {_slope_words(own.loc[metric], factor)} {unit} {per}"
        if not np.isnan(theirs.loc[metric, "slope"]):
            text += f", the pictures' {_slope_words(theirs.loc[metric], factor)}"
        ratio = ratios.loc[metric]
        if ratio["n"] and not np.isnan(ratio["ratio"]):
            text += f"; at equal tokens {_ratio_words(ratio)}"
        if ratio["outside"]:
            every, (least, most) = ratio["outside"] + ratio["n"], ends
            text += f" ({ratio['outside']:,} of {every:,} lie beyond the sweep's {least:,.0f} to {most:,.0f} tokens)"
        found.append(f"{text}.")
    return found


def slope_unit(slope: float) -> tuple[float, str]:
    """As `in_unit`, of milliseconds a token: what a hundred tokens take decides, or hardly any slope were in ms."""
    return in_unit(100 * slope)


def fixed_digits(value: float, places: int) -> str:
    """A figure with so many decimals; a zero that comes of rounding has no sign."""
    return written(round(value, places) + 0.0, places)


def _slope_words(row: pd.Series, factor: float) -> str:
    """A slope and its interval with the same decimals, as many as tell the ends apart."""
    value, low, high = (factor * float(row[name]) for name in ("slope", "low", "high"))
    places = decimals(value, low, high)
    if np.isnan(low):
        return fixed_digits(value, places)
    return f"{fixed_digits(value, places)} [{fixed_digits(low, places)}, {fixed_digits(high, places)}]"


def _ratio_words(ratio: pd.Series) -> str:
    """How much slower or faster pictures are at equal tokens, in per cent with the interval."""
    differs = not ratio["low"] <= 1 <= ratio["high"]
    off = [100 * (ratio[key] - 1) for key in ("ratio", "low", "high")]
    places = percent_places(*off[1:])
    # Of what rounds to nothing no minus is shown.
    value, low, high = (round(each, places) + 0.0 for each in off)
    if np.isnan(low):
        return f"the pictures' median lies {value:+.1f} % from the sweep's, too few to tell whether they differ"
    if not differs:
        return f"no difference can be told ({value:+.{places}f} % [{low:+.{places}f}, {high:+.{places}f}])"
    if ratio["ratio"] < 1:
        return f"the pictures are {0.0 - value:.{places}f} % faster [{0.0 - high:.{places}f}, {0.0 - low:.{places}f}]"
    return f"the pictures are {value:.{places}f} % slower [{low:.{places}f}, {high:.{places}f}]"


def percent_places(low: float, high: float) -> int:
    """Decimals of a difference in per cent with this interval.

    Two where with one an end would read as no difference that is some: whether the interval holds it could not be seen.
    """
    return 2 if any(0 < abs(end) < _ROUNDED_AWAY for end in (low, high)) else 1


def crops_sentences(sweep: pd.DataFrame, pictures: pd.DataFrame) -> list[str]:
    """Whether pictures of as many tokens have other numbers of crops, for which the vision encoder pays."""
    known = sweep.dropna(subset=["num_crops", "num_vision_tokens"])
    points = pictures.dropna(subset=["num_crops", "num_vision_tokens"])
    if known.empty or points.empty:
        return []
    line = known.groupby("num_vision_tokens")["num_crops"].median()
    places = line.index.to_numpy(dtype=float)
    points = points[points["num_vision_tokens"].between(places[0], places[-1])]
    if points.empty:
        return []
    here = points["num_crops"].to_numpy(dtype=float)
    expected = np.interp(points["num_vision_tokens"].to_numpy(dtype=float), places, line.to_numpy(dtype=float))
    more = float(here.mean() / expected.mean())
    if abs(more - 1) <= _SAME_CROPS:
        return []
    return [
        f"At equal vision tokens the pictures have {here.mean():.1f} crops in the mean where the sweep has "
        f"{expected.mean():.1f}: grids of several rows overlap more than a single row, and the vision encoder sees "
        "every crop."
    ]


def tokens_sentences(sweep: pd.DataFrame, pictures: pd.DataFrame) -> list[str]:
    """Whether pictures have longer prompts than the sweep held, for which every decode step pays, and the total."""
    own, theirs = (frame["num_input_tokens"].dropna() for frame in (sweep, pictures))
    if own.empty or theirs.empty or abs(theirs.mean() / own.mean() - 1) <= _SAME_CROPS:
        return []
    return [
        f"The pictures' prompts have {theirs.mean():,.0f} tokens in the mean where the sweep's have {own.mean():,.0f}, "
        "image tokens included: what is decoded attends to all of them, and the total holds their vision encoder and "
        "prefill."
    ]
