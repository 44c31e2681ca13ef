"""What the runs at hand say in a few figures: those measured here where there are such, else the sample results."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from profcore.comparisons.alike_pictures import alike_pictures
from profcore.comparisons.beside_words import percent_places
from profcore.comparisons.matching import match_settings
from profcore.comparisons.side_by_side import Group, find_groups
from profcore.comparisons.sweep_and_pictures import compare_with_pictures
from profcore.results.pictures import PictureResult, load_picture_result
from profcore.results.sweep import Result, load_result
from profcore.spec.stages import Stage, State
from profcore.spec.text import counted
from profcore.spec.throttling import reason_words
from profcore.stats.digits import written

if TYPE_CHECKING:
    import pandas as pd

    from profcore.storage.store import Store

_DECODE, _PREFILL = Stage.LLM_DECODE.column, Stage.LLM_PREFILL.column
# Where a decode is looked for: the longest answers say most of a token, a sweep of top-k has the usual setting.
_LONGEST_FIRST = ("output_tokens", "moe_topk", "transformer_blocks_mask")
_USUAL_FIRST = ("moe_topk", "transformer_blocks_mask", "output_tokens")
# What two runs of one comparison may differ in without anybody having asked for it.
_SOFTWARE = ("torch", "transformers", "driver", "cuda")


@dataclass(frozen=True)
class Finding:
    """One figure of runs.

    Attributes:
        kind: Which: 'engines', 'launching', 'pictures' or 'floor'.
        title: What is found, in a few words.
        value: The figure with its unit.
        detail: What it is made of.
        source: The runs that it comes from, in words.
        experiment: Whose sweep it is of.
        run: The run to look at.
        setting: The setting to look at, where it is of one.
        differs: Whether the runs differ in more than what is compared, or it cannot be told.
    """

    kind: str
    title: str
    value: str
    detail: str
    source: str
    experiment: str
    run: str
    setting: int | None = None
    differs: bool = False


def find_findings(
    store: Store,
    sweep: Callable[[str], Result | None] | None = None,
    pictures: Callable[[str], PictureResult | None] | None = None,
) -> list[Finding]:
    """Every finding that the runs which have ended give; one that lacks its runs is left out.

    Args:
        store: Where they are.
        sweep: Gives a knob's sweep, where somebody keeps those that were loaded; `load_result` unless given.
        pictures: The same of real pictures; `load_picture_result` unless given.
    """
    ended = _Ended(
        store,
        sweep or (lambda run_id: load_result(store, run_id)),
        pictures or (lambda run_id: load_picture_result(store, run_id)),
    )
    makers: tuple[Callable[[_Ended], Finding | None], ...] = (_engines, _launching, _pictures, _floor)
    return [found for make in makers if (found := make(ended)) is not None]


class _Ended:
    """Runs that will have no further samples, each loaded once; figures of one under way would move with each."""

    def __init__(
        self,
        store: Store,
        sweep: Callable[[str], Result | None],
        pictures: Callable[[str], PictureResult | None],
    ) -> None:
        self.store, self.pictures = store, pictures
        self._load = sweep
        self._groups: dict[str, list[Group]] = {}
        self._sweeps: dict[str, Result | None] = {}

    def groups(self, experiment: str) -> list[Group]:
        """As `find_groups`."""
        if experiment not in self._groups:
            self._groups[experiment] = find_groups(self.store, experiment)
        return self._groups[experiment]

    def sweep(self, run_id: str | None) -> Result | None:
        """A knob's sweep that has ended."""
        if run_id is None:
            return None
        if run_id not in self._sweeps:
            run = self.store.run(run_id)
            has_ended = run is not None and State(run["state"]).ended
            self._sweeps[run_id] = self._load(run_id) if has_ended else None
        return self._sweeps[run_id]

    def engines(self, experiment: str, *engines: str) -> list[Result]:
        """Runs that were measured alike under each of some engines, the first such; empty where there are none."""
        for group in self.groups(experiment):
            found = [each for engine in engines if (each := self.sweep(group.runs.get(engine))) is not None]
            if len(found) == len(engines):
                return found
        return []


def _engines(ended: _Ended) -> Finding | None:
    """A token's decode under eager and under compiled, at the last setting that both measured."""
    for experiment in _LONGEST_FIRST:
        found = ended.engines(experiment, "eager", "compiled")
        if not found:
            continue
        eager, compiled = found
        before, after = (_medians(result, "tpot_ms") for result in found)
        known = [
            (before[one], after[two], title)
            for one, two, title in match_settings(eager, compiled).pairs
            if one in before and two in after
        ]
        if not known:
            continue
        slow, fast, title = known[-1]
        return Finding(
            kind="engines",
            title="Decode, compiled against eager",
            value=f"{written(slow / fast)} ×",
            detail=f"faster: {written(slow)} ms a token under eager, {written(fast)} ms compiled",
            source=_source(title, eager, compiled),
            experiment=experiment,
            run=compiled.run["id"],
            differs=_differ(eager, compiled),
        )
    return None


def _launching(ended: _Ended) -> Finding | None:
    """How much of eager's decode the host spends on issuing kernels, beside compiled's where there is one."""
    for experiment in _USUAL_FIRST:
        for group in ended.groups(experiment):
            eager, compiled = (ended.sweep(group.runs.get(engine)) for engine in ("eager", "compiled"))
            share, other = (_issued_share(ended.store, result) for result in (eager, compiled))
            if eager is None or math.isnan(share):
                continue
            beside = "" if math.isnan(other) else f"; {_percent(other)} of compiled's"
            return Finding(
                kind="launching",
                title="Launch-bound share of decode",
                value=_percent(share),
                detail=f"of eager's decode is the host launching kernels{beside}",
                # Compiled's share is a part of the tile only where it is told.
                source=_source(eager.experiment.title, eager, *([compiled] if beside and compiled else [])),
                experiment=experiment,
                run=eager.run["id"],
                setting=_usual_setting(eager),
            )
    return None


def _issued_share(store: Store, result: Result | None) -> float:
    """The host's time to issue a decode over the decode's own, all settings together; NaN where it is not known."""
    if result is None:
        return math.nan
    rows = store.issue(result.run["id"])
    issued = {row["setting"]: row["issue_ms"] for row in rows.to_dict("records") if row["metric"] == _DECODE}
    taken = {setting: ms for setting, ms in _medians(result, _DECODE).items() if setting in issued}
    if not taken:
        return math.nan
    # Two medians of the same samples, of which the host's can be the longer by a hair.
    return min(sum(issued[setting] for setting in taken) / sum(taken.values()), 1.0)


def _usual_setting(result: Result) -> int | None:
    """The setting that runs the model as it is made, where the run has it."""
    top_k = (result.run["environment"].get("shape") or {}).get("top_k")
    rows = result.settings[result.settings["top_k"] == top_k]
    return int(rows["setting"].iloc[-1]) if len(rows) else None


def _pictures(ended: _Ended) -> Finding | None:
    """How far real pictures lie from what a sweep of vision tokens says of them, until the first token."""
    for run_id in ended.store.ranked_apart("context_scaling"):
        sweep = ended.sweep(run_id)
        if sweep is None:
            continue
        for other in alike_pictures(ended.store, sweep):
            pictures = ended.pictures(other)
            if pictures is None or not pictures.state.ended:
                continue
            beside = compare_with_pictures(sweep, [pictures], ["ttft_ms"])
            if beside.ratios.empty or math.isnan(beside.ratios["ratio"].iloc[0]):
                continue
            row = beside.ratios.iloc[0]
            off, low, high = (100 * (float(row[name]) - 1) for name in ("ratio", "low", "high"))
            places = percent_places(low, high)
            known = "" if math.isnan(low) else f" (95 %: {_signed(low, places)} to {_signed(high, places)})"
            return Finding(
                kind="pictures",
                title="Pictures against the sweep",
                value=f"{_signed(off, places)} %",
                detail=f"{_direction(off, low, high)} in TTFT at equal vision tokens{known}",
                source=_source(f"{int(row['n']):,} pictures and the sweep", sweep, pictures),
                experiment="context_scaling",
                run=run_id,
                differs=bool(beside.differences),
            )
    return None


def _floor(ended: _Ended) -> Finding | None:
    """How far the prefill is above its floor over the grids of a picture, under the fastest engine there is."""
    for group in ended.groups("context_scaling"):
        for engine in reversed(group.runs):
            result = ended.sweep(group.runs[engine])
            # With experts that were not counted the floor is that of an even router, which may be too high.
            if result is None or not result.routing_counted:
                continue
            rows = _rows(result, _PREFILL).dropna(subset="over_floor").sort_values("x")
            if rows.empty:
                continue
            return Finding(
                kind="floor",
                title="Prefill over its floor",
                value=f"{_ends(rows['over_floor'])} ×",
                detail=f"the least the card could take, under {engine}: {_course(rows)}",
                source=_source(f"{_range(rows['x'], 0)} vision tokens", result),
                experiment="context_scaling",
                run=result.run["id"],
            )
    return None


def _rows(result: Result, metric: str) -> pd.DataFrame:
    """One latency's rows of a summary, of settings that have any of it."""
    summary = result.summary
    return summary[(summary["metric"] == metric) & (summary["median"] > 0)]


def _medians(result: Result, metric: str) -> dict[int, float]:
    """One latency's medians by setting."""
    rows = _rows(result, metric)
    return dict(zip(rows["setting"].tolist(), rows["median"].tolist(), strict=True))


def _differ(one: Result, other: Result) -> bool:
    """Whether two runs were measured by different software or drivers."""
    return any(one.run["environment"].get(name) != other.run["environment"].get(name) for name in _SOFTWARE)


def _source(what: str, *results: Result | PictureResult) -> str:
    """Where figures come from: what, which model and card, whose the runs are, and how many samples were held back."""
    run = results[0].run
    models = list(dict.fromkeys(str(each.run["environment"].get("model") or "a model") for each in results))
    shipped = all(result.run["source"] == "shipped" for result in results)
    device = run["environment"].get("device_name") or "a device that is not named"
    whose = "sample result" if shipped else f"measured {run['created_at']:%d %b %H:%M}"
    told = [words for result in results if (words := held_back(result.samples))]
    return "; ".join([f"{what[0].upper()}{what[1:]}, {' and '.join(models)} on {device}, {whose}", *told])


def held_back(samples: pd.DataFrame) -> str:
    """How many samples their card held back and why, as '547 of 600 samples held back (power cap)'; empty for none.

    Args:
        samples: As `Result.samples`.
    """
    if "throttled" not in samples or not samples["throttled"].any():
        return ""
    own = samples[samples["throttled"]]
    bits = int(np.bitwise_or.reduce(own["throttle_reasons"].astype("int64").to_numpy()))
    return f"{len(own):,} of {counted(len(samples), 'sample')} held back ({', '.join(reason_words(bits))})"


def _signed(value: float, places: int) -> str:
    """A difference with its sign, and no minus of what is rounded away."""
    return f"{round(value, places) + 0.0:+.{places}f}".replace("-", "−")


def _direction(off: float, low: float, high: float) -> str:
    """What a difference of latency is, in a word or two; nothing is claimed where its interval holds none."""
    if math.isnan(low) or low <= 0 <= high:
        return "no difference can be told"
    return "faster" if off < 0 else "slower"


def _ends(values: pd.Series) -> str:
    """The first and the last of some values, in their order."""
    first, last = (f"{value:.1f}" for value in (values.iloc[0], values.iloc[-1]))
    return first if len(values) == 1 else f"{first} → {last}"


def _course(rows: pd.DataFrame) -> str:
    """What stands over the floor at the fewest and the most vision tokens, and the worst where it lies between."""
    worst = int(rows["over_floor"].to_numpy().argmax())
    places = sorted({0, len(rows) - 1, worst})
    said = [f"{rows['over_floor'].iloc[place]:.1f} × at {rows['x'].iloc[place]:,.0f}" for place in places]
    said[0] += " vision tokens"
    if len(places) > 2:
        said[1] += " (the worst)"
    return ", ".join(said)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _range(values: pd.Series, places: int = 1) -> str:
    low, high = (f"{value:,.{places}f}" for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"
