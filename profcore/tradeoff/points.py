"""The points of a joint run as this room needs them: knobs, quality, and latencies of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore.errors import UserError
from profcore.experiments.knobs import JOINT
from profcore.models.recorded import is_small_trained
from profcore.models.shapes.shape import WHAT
from profcore.results.joint import load_points
from profcore.results.quality import RANDOM_QUALITY
from profcore.spec.text import counted
from profcore.stats import flag_sentences, with_flags
from profcore.tradeoff.latencies import NEEDED, Latencies

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from profcore.storage.read import Reader

KNOBS = {
    "tier": "Tier of crops",
    "most_crops": "Crops at most",
    "num_crops": "Crops, global view included",
    "top_k": "Top-k",
    "active_blocks": "Active blocks",
    "output_tokens": "Output tokens",
}
"""The knobs of a point, and what a page calls them."""

_FLAGGED_BY = ("throttle_reasons", "other_processes", "host_probe_us", "environment_number")
_CROPS = ("tier", "most_crops", "num_crops")

WORK_KEPT = "work_kept"
QUALITIES = {
    "accuracy": "Accuracy",
    "kl": "KL divergence (nats, less is better)",
    WORK_KEPT: "Work kept (no quality)",
}
"""What latency is weighed against."""

CONDITIONS = {
    "device_name": "card",
    "engine": "engine",
    "dtype": "dtype",
    "model": "model",
    "weights": "weights",
    "clock": "clock",
}
"""What must not differ between runs that are put together, and what a sentence calls it."""

NO_QUALITY = (
    "This run recorded no quality: measure it again with a trained checkpoint, as the model shapes is one, and quality "
    "asked for (--quality), or weigh latency against work kept, which is no quality."
)


@dataclass(frozen=True)
class JointPoints:
    """What was measured at each point of a joint grid.

    Attributes:
        table: A row a point, as `JointResult.points`, those that failed or have no sample left out; RangeIndex.
        latencies: Of the same points, in the same order.
        environment: What it was measured on.
        run_id: The run's.
        asked: How many points the run was asked for.
        whole: The knobs of what counts as all of the work, in words: the largest that were measured.
    """

    table: pd.DataFrame
    latencies: Latencies
    environment: Mapping[str, Any]
    run_id: str
    asked: int
    whole: str = ""

    @property
    def missing(self) -> str:
        """What to know of a run that has not measured all that was asked for, a sentence; empty where it has."""
        if len(self.table) >= self.asked:
            return ""
        return (
            f"This run has samples of {len(self.table)} of {counted(self.asked, 'setting')}: what the others would do "
            "is not known, so resume it for them."
        )

    @property
    def qualities(self) -> list[str]:
        """What latency can be weighed against here, the most telling first; work kept is always there."""
        return [name for name in ("accuracy", "kl") if self.table[name].notna().any()] + [WORK_KEPT]

    @property
    def varied(self) -> list[str]:
        """The knobs that take more than one value."""
        # Of one picture in several grids the crops are the knob, else what bounds them, by its name where it has one.
        crops = next(knob for knob in _CROPS if knob == "num_crops" or self.table[knob].notna().any())
        known = [knob for knob in KNOBS if knob == crops or knob not in _CROPS]
        return [knob for knob in known if self.table[knob].nunique(dropna=True) > 1]

    def where(self, chosen: np.ndarray) -> JointPoints:
        """Some of the points, numbered anew.

        Args:
            chosen: Which; booleans, [points].
        """
        places = np.flatnonzero(chosen)
        number = np.full(self.latencies.number, -1)
        number[places] = np.arange(places.size)
        codes = number[self.latencies.codes]
        kept = codes >= 0
        columns = {name: values[kept] for name, values in self.latencies.columns.items()}
        table = self.table[np.asarray(chosen)].reset_index(drop=True)
        latencies = Latencies(codes[kept], columns, places.size)
        return JointPoints(table, latencies, self.environment, self.run_id, places.size, self.whole)


def joint_points(
    points: pd.DataFrame, columns: Mapping[str, np.ndarray], environment: Mapping[str, Any], run_id: str
) -> JointPoints:
    """The points of a run that have samples, with `work_kept`.

    Args:
        points: As `JointResult.points`.
        columns: `point` and `latencies.NEEDED` of every sample; [samples] each.
        environment: What it was measured on.
        run_id: The run's.

    Raises:
        UserError: No point has a sample.
    """
    codes = np.asarray(columns["point"], dtype=np.int64)
    known = {
        name: np.asarray(columns[name], dtype=float) if name in columns else np.full(codes.size, np.nan)
        for name in NEEDED
    }
    failed = points["failed"].notna() if "failed" in points else pd.Series(False, points.index)
    there = (np.bincount(codes, minlength=len(points)) > 0) & ~failed.to_numpy()
    if not there.any():
        raise UserError(
            "This run has no sample yet, so there is nothing to weigh: wait for its first, or resume it with "
            "`profcore run --resume`."
        )
    whole = JointPoints(points, Latencies(codes, known, len(points)), environment, run_id, len(points))
    # Taking some of a million samples copies them all.
    found = whole if there.all() else whole.where(there)
    table = found.table.assign(**{WORK_KEPT: work_kept(found.table)})
    return JointPoints(table, found.latencies, environment, run_id, len(points), whole_work(table))


def pooled(several: Sequence[JointPoints]) -> JointPoints:
    """The points of several runs as one, each run's by themselves.

    Raises:
        UserError: They were measured under different conditions.
    """
    first = several[0]
    for other in several[1:]:
        for name, said in CONDITIONS.items():
            values = [each.environment.get(name) for each in (first, other)]
            if values[0] != values[1]:
                raise UserError(
                    f"{first.run_id} and {other.run_id} were measured under different conditions ({said}: "
                    f"{values[0]} and {values[1]}), so they cannot be put together: compare them instead."
                )
    starts = np.cumsum([0, *(each.latencies.number for each in several)])
    codes = np.concatenate([each.latencies.codes + start for each, start in zip(several, starts, strict=False)])
    columns = {name: np.concatenate([each.latencies.columns[name] for each in several]) for name in NEEDED}
    table = pd.concat([each.table for each in several], ignore_index=True)
    table = table.assign(**{WORK_KEPT: work_kept(table)})
    run_id = "+".join(each.run_id for each in several)
    latencies = Latencies(codes, columns, int(starts[-1]))
    asked = sum(each.asked for each in several)
    return JointPoints(table, latencies, first.environment, run_id, asked, whole_work(table))


def load_joint_points(store: Reader, run_id: str) -> JointPoints:
    """The points of a joint run that is stored.

    Raises:
        UserError: It is of another experiment, or as `joint_points`.
    """
    run = store.run(run_id)
    if run is None or run["experiment"] != JOINT.name:
        raise UserError(
            f"{run_id} is no joint run, which turns several knobs: measure one with `profcore run joint`, or name "
            "another."
        )
    settings, points = load_points(store, run_id)
    columns = store.columns(run_id, NEEDED)
    of_setting = settings.set_index("setting")["point"]
    number = np.zeros(int(settings["setting"].max(skipna=True)) + 1 if len(settings) else 0, dtype=np.int64)
    number[of_setting.index] = of_setting.to_numpy()
    return joint_points(points, {**columns, "point": number[columns["setting"]]}, run["environment"], run_id)


def work_kept(points: pd.DataFrame, largest: pd.DataFrame | None = None) -> np.ndarray:
    """For each point which share of the largest setting's work its knobs keep: crops × top-k × blocks.

    It is no quality: it says how much was left out, not what leaving it out does to an answer. Knobs that are not known
    are taken to be the same everywhere.

    Args:
        points: As `JointResult.points`.
        largest: Points whose largest values count as the whole; these themselves unless given.
    """
    kept = np.ones(len(points))
    for knob in ("num_crops", "top_k", "active_blocks"):
        values = points[knob].to_numpy(dtype=float)
        most = np.nanmax((points if largest is None else largest)[knob].to_numpy(dtype=float), initial=0.0)
        if most > 0:
            kept *= np.where(np.isnan(values), 1.0, values / most)
    return kept


def whole_work(points: pd.DataFrame) -> str:
    """What `work_kept` takes for all of the work, as '1×12 · top-32 · 16 blocks'; knobs that are not known left out."""
    found = []
    crops = points["num_crops"].astype(float)
    if crops.notna().any():
        grid = points["grid"].tolist()[int(np.nanargmax(crops.to_numpy()))]
        found.append(grid if isinstance(grid, str) else f"{crops.max():g} crops")
    for knob, words in (("top_k", "top-{:g}"), ("active_blocks", "{:g} blocks")):
        if points[knob].notna().any():
            found.append(words.format(float(points[knob].max())))
    return " · ".join(found)


def quality_title(points: JointPoints, quality: str) -> str:
    """What an axis calls a quality; of work it says what all of it is."""
    if quality == WORK_KEPT and points.whole:
        return f"Work, share of {points.whole} (no quality)"
    return QUALITIES[quality]


def check_quality(points: JointPoints, quality: str) -> str:
    """The quality that was asked for, where this run has it.

    Raises:
        UserError: It was not recorded.
    """
    if quality not in QUALITIES:
        raise UserError(f"There is no quality {quality!r}: choose from {', '.join(QUALITIES)}.")
    if quality not in points.qualities:
        raise UserError(NO_QUALITY if points.qualities == [WORK_KEPT] else f"This run recorded no {quality}.")
    return quality


def quality_note(points: JointPoints, quality: str) -> str:
    """What to know of a quality before it is believed, a sentence; empty where there is nothing.

    Args:
        points: As `joint_points`.
        quality: Of `QUALITIES`.
    """
    if quality != WORK_KEPT and points.environment.get("weights") == "random":
        return RANDOM_QUALITY
    return WHAT if is_small_trained(points.environment) else ""


def flag_notes(store: Reader, run_id: str) -> list[str]:
    """How many of a run's samples are flagged and why, a sentence a flag (see `stats.flag_sentences`)."""
    known = pd.DataFrame(store.columns(run_id, _FLAGGED_BY))
    # Nothing is flagged where nothing was known, and a million rows of it would still be looked at.
    return flag_sentences(with_flags(known)) if len(known.columns) > 1 else []


def matched(first: JointPoints, second: JointPoints) -> Iterator[tuple[int, int]]:
    """The points of two runs that have the same value of every knob, as pairs of their numbers.

    Which blocks ran is compared where both say it, else how many; what several points of one run could be is left out.
    """
    masks = all(each.table["block_mask"].notna().all() for each in (first, second))
    one, other = _by_knobs(first.table, masks), _by_knobs(second.table, masks)
    for key, places in one.items():
        if len(places) == 1 and len(other.get(key, ())) == 1:
            yield places[0], other[key][0]


_APART = 1000
"""What keeps a number of crops apart from a bound of them."""


def _by_knobs(table: pd.DataFrame, masks: bool) -> dict[tuple[object, ...], list[int]]:
    """The numbers of the points at each combination of knobs, in a form that another run's compare with."""
    # Where crops are only bounded each picture has its own, and their median says nothing of the knob.
    crops = table["most_crops"].fillna(table["num_crops"] + _APART)
    columns = [table["tier"], crops, table["top_k"], table["block_mask" if masks else "active_blocks"]]
    found: dict[tuple[object, ...], list[int]] = {}
    for place, row in enumerate(zip(*(column.tolist() for column in [*columns, table["output_tokens"]]), strict=True)):
        found.setdefault(tuple(None if pd.isna(value) else value for value in row), []).append(place)
    return found
