"""What every run has, whatever experiment it is of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from profcore import stats
from profcore.formats.metadata import written_settings
from profcore.spec.stages import State

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class MeasuredRun:
    """What every run has, whatever experiment it is of.

    Attributes:
        run: As `Store.run` gives it.
        settings: As `Store.settings`, with names.
        samples: As `Store.samples`, with `outlier`.
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

    @property
    def planned(self) -> int:
        """Samples the run will have: of a setting that failed, those that it gave before."""
        per_setting = self.run["spec"].get("sweep", {}).get("num_samples", 0)
        failed = self.settings.loc[self.settings["failed"].notna(), "setting"]
        given = 0 if self.samples.empty else int(self.samples["setting"].isin(failed).sum())
        return int(per_setting * (len(self.settings) - len(failed))) + given

    @property
    def remaining_s(self) -> float | None:
        """About how many seconds the run still needs, from what each setting took so far; None before a sample."""
        if self.samples.empty or self.state is not State.RUNNING:
            return None
        sweep = self.run["spec"]["sweep"]
        alive = self.settings.loc[self.settings["failed"].isna(), "setting"]
        per_setting = self.samples.groupby("setting")["total_ms"].agg(["median", "size"])
        # A setting not yet visited is taken to be like the others, with its warm-up on top.
        median = per_setting["median"].reindex(alive).fillna(per_setting["median"].mean())
        taken = per_setting["size"].reindex(alive).fillna(0)
        left = (sweep["num_samples"] - taken).clip(lower=0) + sweep["warmup"] * (taken == 0)
        return float((median * left).sum() / 1000)

    @property
    def metadata(self) -> dict[str, Any]:
        """Where the figures come from, for downloads."""
        keys = ("id", "name", "source", "state", "reason")
        run = {key: self.run[key] for key in keys} | {"created_at": f"{self.run['created_at'].isoformat()}Z"}
        return {
            "run": run,
            "spec": self.run["spec"],
            "environment": self.run["environment"],
            "ceilings": self.run["ceilings"],
            "details": self.run["details"],
            "settings": written_settings(self.settings),
        }


def tell_apart(names: Mapping[str, str], moments: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Names of runs that are shown together, each another: those that are alike get their moment, else their id.

    Args:
        names: What each run is called, by its id.
        moments: When each was asked for, by its id, as far as that is known.
    """
    told = dict(names)
    for run_id, moment in (moments or {}).items():
        if list(names.values()).count(names[run_id]) > 1:
            told[run_id] = f"{names[run_id]}, {pd.Timestamp(moment).strftime('%d %b %H:%M:%S')}"
    shown = list(told.values())
    return {run_id: name if shown.count(name) == 1 else f"{name}, {run_id}" for run_id, name in told.items()}


def run_titles(runs: pd.DataFrame) -> pd.Series:
    """What each of `Store.runs` was measured on, in a few words: its name, or its device, model and weights.

    Runs of one experiment that are alike in this and in the second they were asked for, as files imported together may
    be, also have their id.
    """

    def title(run: pd.Series) -> str:
        if isinstance(run["name"], str):
            return run["name"]
        environment = json.loads(run["environment"]) if isinstance(run["environment"], str) else {}
        spec = json.loads(run["spec"]) if isinstance(run["spec"], str) else {}
        target = spec.get("target", {})
        device = environment.get("device_name") or target.get("device")
        weights = f", {environment['weights']} weights" if environment.get("weights") else ""
        engine = environment.get("engine") or target.get("engine")
        by = f", {engine}" if engine else ""
        return f"{environment.get('model') or target.get('model')}{by}{weights} on {device}"

    if runs.empty:
        return pd.Series(dtype=str)
    titles = runs.apply(title, axis=1)
    shown = pd.DataFrame({"title": titles, "at": runs["created_at"].dt.floor("s"), "of": runs["experiment"]})
    return titles.where(~shown.duplicated(keep=False), titles + ", " + runs["id"])
