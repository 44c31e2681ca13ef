"""What every run has, whatever experiment it is of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from profcore import stats
from profcore.formats.metadata import written_environments, written_settings
from profcore.models.config import SMALL_TRAINED
from profcore.models.recorded import is_small_trained
from profcore.models.shapes.shape import WHAT
from profcore.spec.environments import not_compared_words, set_aside_words, uncaptured_note
from profcore.spec.stages import State
from profcore.spec.text import counted
from profcore.spec.until import FEWEST
from profcore.stats.summary import SMALLEST_FOR_MEDIAN

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class MeasuredRun:
    """What every run has, whatever experiment it is of.

    Attributes:
        run: As `Store.run` gives it.
        settings: As `Store.settings`, with names.
        samples: As `Store.samples`, with `outlier` and the flags of `stats.with_flags`; of none, as they are.
        cautions: What to know before quoting a figure.
    """

    run: dict[str, Any]
    settings: pd.DataFrame
    samples: pd.DataFrame
    cautions: list[stats.Caution]

    @property
    def state(self) -> State:
        """Where the run stands."""
        return State(self.run["state"])

    @cached_property
    def planned(self) -> int:
        """Samples the run will have: of a setting that failed, those that it gave before."""
        return planned_samples(self.run, self.settings, self._taken)

    @cached_property
    def open_ended(self) -> bool:
        """Whether `planned` is only the most that there may be: some settings are sampled until they are precise."""
        return is_open_ended(self.run, self.settings)

    @cached_property
    def remaining_s(self) -> float | None:
        """About how many seconds the run still needs, from what each setting took so far; None before a sample."""
        return time_left_s(self.run, self.settings, self._taken)

    @cached_property
    def _taken(self) -> pd.DataFrame:
        """As `Reader.taken`."""
        if self.samples.empty:
            return pd.DataFrame({"size": [], "median": [], "iqr": []}, index=pd.Index([], name="setting"))
        totals = self.samples.groupby("setting")["total_ms"]
        taken = totals.agg(["size", "median"])
        return taken.assign(iqr=totals.quantile(0.75) - totals.quantile(0.25))

    @property
    def metadata(self) -> dict[str, Any]:
        """Where the figures come from, for downloads."""
        keys = ("id", "name", "source", "state", "reason")
        run = {key: self.run[key] for key in keys} | {"created_at": f"{self.run['created_at'].isoformat()}Z"}
        return {
            "run": run,
            "spec": self.run["spec"],
            "environment": self.run["environment"],
            **written_environments(self.run.get("environments") or []),
            "ceilings": self.run["ceilings"],
            "details": self.run["details"],
            "settings": written_settings(self.settings),
        }


def run_cautions(run: dict[str, Any], samples: pd.DataFrame) -> list[stats.Caution]:
    """What to know of a run as a whole.

    It may not be all there, by lines of its spool or cards that differ, stages of it may follow the host, and its model
    may be one for showing quality alone.

    Args:
        run: As `Reader.run`.
        samples: As `Reader.samples`.
    """
    environments = run.get("environments") or []
    found = [stats.Caution("set aside", text) for text in set_aside_words(environments)]
    if text := not_compared_words(environments, _not_compared(run, samples), SMALLEST_FOR_MEDIAN):
        found.append(stats.Caution("not compared", text))
    if note := uncaptured_note(run.get("environment") or {}):
        found.append(stats.Caution("uncaptured", note))
    if is_small_trained(run.get("environment") or {}):
        found.append(stats.Caution("small model", WHAT))
    lines = run.get("left_out", 0)
    if not lines:
        return found
    were = "was" if lines == 1 else "were"
    text = f"{counted(lines, 'line')} of this run's spool could not be read and {were} left out."
    return [stats.Caution("left out", text), *found]


def _not_compared(run: dict[str, Any], samples: pd.DataFrame) -> set[int]:
    """The environments in a run's figures, by number, that share no setting with another by which to be compared."""
    if len(run.get("environments") or []) < 2 or not State(run["state"]).ended or "environment_number" not in samples:
        return set()
    taken = samples.groupby([samples["environment_number"].fillna(0).astype(int), "setting"]).size()
    known = taken[taken >= SMALLEST_FOR_MEDIAN].reset_index()
    compared = known[known["setting"].duplicated(keep=False)]["environment_number"]
    every = set(taken.index.get_level_values(0))
    return every - set(compared) if len(every) > 1 else set()


def tell_apart(names: Mapping[str, str], moments: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Names of runs that are shown together, each another: those that are alike get their moment, else their id.

    Args:
        names: What each run is called, by its id.
        moments: When each was asked for, by its id, as far as that is known.
    """
    told, alike = dict(names), Counter(names.values())
    for run_id, moment in (moments or {}).items():
        if alike[names[run_id]] > 1:
            told[run_id] = f"{names[run_id]}, {pd.Timestamp(moment).strftime('%d %b %H:%M:%S')}"
    shown = Counter(told.values())
    return {run_id: name if shown[name] == 1 else f"{name}, {run_id}" for run_id, name in told.items()}


def run_titles(runs: pd.DataFrame) -> pd.Series:
    """What each of `Reader.run_list` was measured on, in a few words: its name, or its device, model and weights.

    Runs of one experiment that are alike in this and in the second they were asked for, as files imported together may
    be, also have their id.
    """
    if runs.empty:
        return pd.Series(dtype=str)
    columns = (runs[name].astype(object).tolist() for name in ("name", "model", "engine", "weights", "device"))
    titles = pd.Series([_title(*run) for run in zip(*columns, strict=True)], index=runs.index)
    shown = pd.DataFrame({"title": titles, "at": runs["created_at"].dt.floor("s"), "of": runs["experiment"]})
    return titles.where(~shown.duplicated(keep=False), titles + ", " + runs["id"])


def _title(name: Any, model: Any, engine: Any, weights: Any, device: Any) -> str:
    """What one run was measured on; a value that is missing is None or NaN."""
    if isinstance(name, str):
        return name
    known = {"model": model, "device": device}
    said = {what: value if isinstance(value, str) else None for what, value in known.items()}
    by = f", {engine}" if isinstance(engine, str) else ""
    of = f", {weights} weights" if isinstance(weights, str) else ""
    if (model, weights) == (SMALL_TRAINED, "real"):
        # Beside others its latencies would be taken for a large model's.
        of = ", a small model trained on drawn pictures,"
    return f"{said['model']}{by}{of} on {said['device']}"


def planned_samples(run: dict[str, Any], settings: pd.DataFrame, taken: pd.DataFrame) -> int:
    """The samples that a run will have, at most where settings are sampled until they are precise.

    Of a setting that failed, or that has enough, they are those that it gave before.

    Args:
        run: As `Reader.run`.
        settings: As `Reader.settings`.
        taken: As `Reader.taken`.
    """
    per_setting = run["spec"].get("sweep", {}).get("num_samples", 0)
    over = settings.loc[_is_over(settings), "setting"]
    given = taken.loc[taken.index.isin(over), "size"].sum()
    again = repeated_settings(run)
    repeats = sum(again.get(setting, 0) for setting in settings["setting"] if setting not in set(over))
    return int(per_setting * (len(settings) - len(over) + repeats) + given)


def repeated_settings(run: dict[str, Any]) -> dict[int, int]:
    """How often more than once a run that was split measures a setting in full: the anchors, on each other shard."""
    parts = run.get("parts") or []
    return dict.fromkeys(parts[0]["anchors"], parts[0]["count"] - 1) if parts else {}


def _is_over(settings: pd.DataFrame) -> pd.Series:
    """For each setting whether it gives no further sample, since it failed or has enough."""
    failed = settings["failed"].notna()
    return failed | settings["stopped_by"].notna() if "stopped_by" in settings else failed


def most_looks(spec: dict[str, Any]) -> int | None:
    """The most samples of a setting where sampling went on until it was precise; None where it had a fixed number.

    Args:
        spec: As `RunSpec.to_dict`; empty where it is not known.
    """
    sweep = spec.get("sweep") or {}
    return int(sweep["num_samples"]) if sweep.get("until") else None


def is_open_ended(run: dict[str, Any], settings: pd.DataFrame) -> bool:
    """Whether nobody knows yet how many samples a run will have.

    Args:
        run: As `Reader.run`.
        settings: As `Reader.settings`.
    """
    return most_looks(run["spec"]) is not None and not bool(_is_over(settings).all())


def time_left_s(run: dict[str, Any], settings: pd.DataFrame, taken: pd.DataFrame) -> float | None:
    """About how many seconds a run still needs; None before a sample and where it does not run.

    Args:
        run: As `Reader.run`.
        settings: As `Reader.settings`.
        taken: As `Reader.taken`.
    """
    if taken.empty or run["state"] != State.RUNNING:
        return None
    sweep = run["spec"]["sweep"]
    alive = settings.loc[~_is_over(settings), "setting"]
    # A setting not yet visited is taken to be like the others, with its warm-up on top.
    median = taken["median"].reindex(alive).fillna(taken["median"].mean())
    size = taken["size"].reindex(alive).fillna(0)
    wanted: pd.Series | int = sweep["num_samples"]
    if until := sweep.get("until"):
        iqr = taken["iqr"].reindex(alive).fillna((taken["iqr"] / taken["median"]).mean() * median)
        wanted = _wanted(median, iqr, int(sweep["num_samples"]), until)
    wanted = wanted * (1 + pd.Series(repeated_settings(run), dtype=float).reindex(alive).fillna(0))
    left = (wanted - size).clip(lower=0) + sweep["warmup"] * (size == 0)
    # Shards that are measured side by side share what is left.
    at_once = sum(part["state"] == State.RUNNING for part in run.get("parts") or []) or 1
    return float((median * left).sum() / 1000 / at_once)


def _wanted(median: pd.Series, iqr: pd.Series, most: int, until: dict[str, Any]) -> pd.Series:
    """About how many samples each setting will have until it is precise, or has reached a bound."""
    each = zip(iqr, median, strict=True)
    precise = pd.Series([stats.expected_samples(*one, until["precision"], most) for one in each], median.index)
    in_time = (1000 * until["max_seconds"] / median).clip(lower=FEWEST)
    return precise.clip(upper=in_time)
