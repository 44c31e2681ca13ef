"""Whether a run is slower than a baseline, where versions alone may differ; pure.

How many latencies that are asked about at once are kept from alarming by chance stands in `profcore.stats.regression`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from profcore import stats
from profcore.comparisons.conditions import result_conditions
from profcore.comparisons.matching import match_settings
from profcore.comparisons.runs import processes_said, spreads_for
from profcore.comparisons.versions import place_notes, version_differences
from profcore.errors import UserError
from profcore.stats.regression import PASSED, UNDECIDED, Question, answer_all, together, verdict_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from profcore.comparisons.between import Spreads
    from profcore.results.base import MeasuredRun

LATENCIES = {
    "vision-encoder": "vision_encoder_ms",
    "projector": "projector_ms",
    "prefill": "llm_prefill_ms",
    "decode": "llm_decode_ms",
    "ttft": "ttft_ms",
    "tpot": "tpot_ms",
    "total": "total_ms",
}
"""What may be asked about, by the words that the command line has for it."""

USUAL = ("vision-encoder", "projector", "prefill", "decode", "total")
"""What is asked about unless told: the others follow from these, and would only ask twice."""

OVER_ALL = "over all settings"


@dataclass(frozen=True)
class Check:
    """One latency at one setting, or over all of them.

    Attributes:
        metric: Of `stats.METRICS`.
        setting: The baseline's number of it; None for all of them.
        title: What the setting is called.
        reference_ms: The baseline's median; None over all settings.
        median_ms: The run's.
        samples: How many the run has there; the fewest over all.
        ratio: The run's median over the baseline's; None where there is no interval, as for the ends.
        low: The lower end of its 95 % interval.
        high: The upper end.
        sure_low: The lower end at which all questions' hold together in 95 %.
        verdict: 'slower', 'same or faster' or 'undecided'.
        needed: Samples that the run has to have there to be decided.
        both: The same, with as many more of the baseline, in proportion.
    """

    metric: str
    setting: int | None
    title: str
    reference_ms: float | None
    median_ms: float | None
    samples: int
    ratio: float | None
    low: float | None
    high: float | None
    sure_low: float | None
    verdict: str
    needed: int | None = None
    both: int | None = None


@dataclass(frozen=True)
class Regression:
    """A run against a baseline.

    Attributes:
        reference: The baseline's id.
        run: The run's.
        margin: The smallest slowing that counts, as a share.
        verdict: 'slower', 'same or faster' or 'undecided'.
        checks: Each latency over all settings, then at each setting.
        confidence: At which each lower end is taken so that all hold together.
        versions: What changed in versions.
        notes: What else to know.
        lacking: The baseline's settings that the run has no samples of, by their titles.
        itself: Whether run and baseline are one.
    """

    reference: str
    run: str
    margin: float
    verdict: str
    checks: tuple[Check, ...]
    confidence: float
    versions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    itself: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def of(self, verdict: str) -> list[Check]:
        """The checks with a verdict."""
        return [each for each in self.checks if each.verdict == verdict]


def regress(
    reference: MeasuredRun,
    run: MeasuredRun,
    margin: float,
    latencies: Sequence[str] = USUAL,
    spreads: Spreads | None = None,
) -> Regression:
    """Whether a run is slower than a baseline.

    Args:
        reference: The baseline.
        run: The run.
        margin: The smallest slowing that counts, as a share.
        latencies: Keys of `LATENCIES`.
        spreads: How far processes differ, where that was measured; intervals hold it then.

    Raises:
        UserError: They are no two runs of one experiment that differ in versions alone, or have nothing in common.
    """
    _check(reference, run)
    ids = reference.run["id"], run.run["id"]
    versions = version_differences(result_conditions(reference), result_conditions(run))
    pairs = match_settings(reference, run).pairs
    before, after = (dict(iter(stats.add_derived(each.samples).groupby("setting"))) for each in (reference, run))
    shared = [pair for pair in pairs if pair[0] in before and pair[1] in after]
    if not shared:
        raise UserError(f"{ids[1]} and {ids[0]} have no setting in common: measure the settings that the baseline has.")
    lacking = _lacking(reference, before, {one for one, *_ in shared})
    itself = ids[0] == ids[1]
    known = {each.run["id"]: spreads_for(each, spreads) for each in (reference, run)}
    checks: list[Check] = []
    questions: list[Question] = []
    for name in latencies:
        metric = LATENCIES[name]
        spread = known[ids[0]].get(metric), known[ids[1]].get(metric)
        asked = _questions(metric, shared, before, after, spread)
        checks += [check for check, _ in asked]
        questions += [question for _, question in asked]
    if not questions:
        raise UserError(f"{ids[1]} and {ids[0]} have no latency in common of {', '.join(latencies)}.")
    if itself:
        return Regression(
            *ids, margin, PASSED, tuple(_same(each) for each in checks), together(len(checks)), itself=True
        )
    answers = answer_all(questions, margin)
    verdict = verdict_of(questions, answers)
    return Regression(
        *ids,
        margin,
        # What was not measured again did not pass.
        UNDECIDED if lacking and verdict == PASSED else verdict,
        tuple(_answered(check, answer) for check, answer in zip(checks, answers, strict=True)),
        together(len(questions)),
        tuple(versions),
        (
            *place_notes(reference.run["environment"], run.run["environment"]),
            *processes_said(known, {i: i for i in ids}),
        ),
        tuple(lacking),
    )


def _check(reference: MeasuredRun, run: MeasuredRun) -> None:
    """Whether two runs can be asked about.

    Raises:
        UserError: They cannot.
    """
    for each in (reference, run):
        if not each.state.ended:
            raise UserError(f"{each.run['id']} has not ended: ask again when it has.")
        if each.samples.empty:
            raise UserError(f"{each.run['id']} has no samples to compare.")
    names = reference.run["experiment"], run.run["experiment"]
    if names[0] != names[1]:
        raise UserError(
            f"{run.run['id']} is of {names[1]}, {reference.run['id']} of {names[0]}: name two runs of one experiment."
        )


def _lacking(reference: MeasuredRun, before: dict[Any, pd.DataFrame], shared: set[int]) -> list[str]:
    """The titles of the baseline's settings that the run has no samples of."""
    settings = reference.settings
    missing = settings["setting"].isin(list(before)) & ~settings["setting"].isin(list(shared))
    return [str(title) for title in settings.loc[missing, "title"]]


def _questions(
    metric: str,
    shared: Sequence[tuple[int, int, str]],
    before: dict[Any, pd.DataFrame],
    after: dict[Any, pd.DataFrame],
    spread: tuple[Any, Any],
) -> list[tuple[Check, Question]]:
    """What is asked of one latency: over all settings where there are several, then of each."""
    known = []
    for one, two, title in shared:
        first, second = _values(before[one], metric), _values(after[two], metric)
        if min(first.size, second.size) and min(np.median(first), np.median(second)) > 0:
            known.append((one, title, first, second))
    spreads = (spread[0], spread[1]) if spread[0] and spread[1] else None
    asked = [
        (
            Check(metric, one, title, float(np.median(first)), float(np.median(second)), second.size, *_NOT_YET),
            Question([(first, second)], spreads),
        )
        for one, title, first, second in known
    ]
    if len(known) < 2:
        return asked
    fewest = min(second.size for *_, second in known)
    pooled = Question([(first, second) for *_, first, second in known], spreads, decides=False)
    return [(Check(metric, None, OVER_ALL, None, None, fewest, *_NOT_YET), pooled), *asked]


_NOT_YET: tuple[None, None, None, None, str] = (None, None, None, None, UNDECIDED)


def _values(frame: pd.DataFrame, metric: str) -> np.ndarray:
    """A setting's latencies in their order in time, missing ones left out; none where it is not known at all."""
    if metric not in frame:
        return np.empty(0)
    values = frame[metric].to_numpy(dtype=float)
    return values[~np.isnan(values)]


def _answered(check: Check, answer: Any) -> Check:
    """A check with what the samples say of it."""
    ends = {name: _or_none(getattr(answer, name)) for name in ("ratio", "low", "high", "sure_low")}
    return Check(**{**asdict(check), **ends, "verdict": answer.verdict, "needed": answer.needed, "both": answer.both})


def _same(check: Check) -> Check:
    """A check of a run against itself: both sides are the same samples, so that nothing is left to chance."""
    return Check(**{**asdict(check), "ratio": 1.0, "low": 1.0, "high": 1.0, "sure_low": 1.0, "verdict": PASSED})


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value
