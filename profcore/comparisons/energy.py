"""Joules of two runs beside each other, where both measured them; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from profcore.results.energy import PART_LABELS, written_energy
from profcore.spec.records import ENERGY_PARTS
from profcore.stats.digits import written, written_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.results.base import MeasuredRun

COLUMNS = ["number", "title", "part", "reference_j", "reference_resolution_j", "this_j", "this_resolution_j"]
RATIO_COLUMNS = ["ratio", "low", "high"]


def compare_energy(reference: MeasuredRun, other: MeasuredRun, pairs: Sequence[tuple[int, int, str]]) -> pd.DataFrame:
    """The joules of matched settings; a part that either run did not measure is left out.

    `ratio` is the run's over the reference's; `low` and `high` are what the steps of both meters leave open. They say
    nothing of how much a repeat would differ.

    Args:
        reference: What is compared with.
        other: The run.
        pairs: A setting of each, and what it is called.
    """
    before, after = (
        dict(zip(each.settings["setting"], each.settings.to_dict("records"), strict=True))
        for each in (reference, other)
    )
    rows = []
    for one, two, title in pairs:
        for part in ENERGY_PARTS:
            names = (f"{part}_j", f"{part}_resolution_j")
            values = [float(each.get(name) or 0) for each in (before[one], after[two]) for name in names]
            base, base_open, value, value_open = values
            if not (base > base_open >= 0 and value > 0):
                continue
            ends = (value - value_open) / (base + base_open), (value + value_open) / (base - base_open)
            rows.append([one, title, part, *values, value / base, *ends])
    return pd.DataFrame(rows, columns=[*COLUMNS, *RATIO_COLUMNS])


def display_energy_comparison(rows: pd.DataFrame, names: Sequence[str] = ()) -> pd.DataFrame:
    """The same as a table for people; with `run` where several runs are compared."""
    frame = pd.DataFrame({name: rows[name] for name in names if name in rows})
    frame["setting"], frame["of"] = rows["title"], rows["part"].map(PART_LABELS)
    for side, title in (("reference", "reference (J)"), ("this", "this run (J)")):
        pairs = zip(rows[f"{side}_j"], rows[f"{side}_resolution_j"], strict=True)
        frame[title] = [written_energy(*pair) for pair in pairs]
    frame["ratio"] = [written(ratio, 3) for ratio in rows["ratio"]]
    ends = zip(rows["low"], rows["high"], strict=True)
    frame["by the meters' steps"] = [written_interval(*pair, 3) for pair in ends]
    return frame.reset_index(drop=True)
