"""A run as a page shows it: what was asked, what was measured, and what the samples say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore import stats
from profcore.experiments.knobs import CATALOGUE, Experiment
from profcore.roofline import floors
from profcore.spec.stages import Knob, Stage, State
from profcore.stats import METRIC_LABELS

if TYPE_CHECKING:
    from profcore.storage.store import Store


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
        """Samples the run will have, without those of failed settings."""
        per_setting = self.run["spec"].get("sweep", {}).get("num_samples", 0)
        return int(per_setting * self.settings["failed"].isna().sum())

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
        }


@dataclass(frozen=True)
class Result(MeasuredRun):
    """A knob's sweep with its samples and their summary.

    Attributes:
        settings: Named by `x` (the knob's value), `label` (as axes write it; a '|' breaks the line) and `title` (as
            tooltips write it).
        summary: As `stats.summarise` and `floors.add_floors`, with the settings' `x`, `label` and `title`.
        ceilings: What the floors are computed from (`spec.Ceilings`); empty where that was never measured.
    """

    experiment: Experiment
    summary: pd.DataFrame
    ceilings: dict[str, Any]

    @property
    def routing_counted(self) -> bool:
        """Whether it was counted which experts the prompts used, as their floor depends on it."""
        return bool(self.settings["prefill_experts"].notna().any())

    @property
    def metadata(self) -> dict[str, Any]:
        """As `MeasuredRun.metadata`, with the ceilings that the floors were computed from."""
        return {**super().metadata, "ceilings": self.ceilings}


def load_result(store: Store, run_id: str) -> Result | None:
    """Everything a page shows of a knob's sweep, or None where there is no such run."""
    run = store.run(run_id)
    if run is None or run["experiment"] not in CATALOGUE:
        return None
    experiment = CATALOGUE[run["experiment"]]
    settings, samples = store.settings(run_id), store.samples(run_id)
    settings = _name_settings(experiment, settings, samples)
    environment = run["environment"]
    # A run from before its device was measured is judged by what another such device can do.
    ceilings = run["ceilings"] or store.ceilings(environment.get("device_name"), environment.get("dtype"))
    if samples.empty:
        summary = _published_summary(store.summaries(run_id))
    else:
        summary = stats.summarise(samples)
        samples = samples.assign(outlier=stats.label_outliers(samples))
    summary = floors.add_floors(summary, settings, samples, store.issue(run_id), environment, ceilings)
    summary = summary.merge(settings[["setting", "x", "label", "title"]], on="setting")
    cautions = stats.cautions(samples, summary)
    return Result(run, settings, samples, cautions, experiment, summary, ceilings)


def _published_summary(summaries: pd.DataFrame) -> pd.DataFrame:
    """A summary that came without samples: its median has no interval of its own."""
    return summaries.rename(columns={"p50": "median"}).assign(n=np.nan, low=np.nan, high=np.nan, outliers=0)


def _name_settings(experiment: Experiment, settings: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """The settings with `x`, `label` and `title` (see `Result.settings`)."""
    tokens = samples.groupby("setting")["num_vision_tokens"].first()
    named = [_name_setting(experiment, row, tokens) for row in settings.to_dict("records")]
    return settings.assign(
        x=[name[0] for name in named], label=[name[1] for name in named], title=[name[2] for name in named]
    )


def _name_setting(experiment: Experiment, row: dict[Any, Any], tokens: pd.Series) -> tuple[int, str, str]:
    if experiment.knob is Knob.VISION_TOKENS:
        grid = f"{row['grid_rows']}×{row['grid_columns']}"
        count = tokens.get(row["setting"])
        if count is None or pd.isna(count):
            return int(row["grid_columns"]), grid, f"{grid} grid"
        return int(count), f"{int(count)}|{grid}", f"{grid} grid, {int(count)} vision tokens"
    if experiment.knob is Knob.TOP_K:
        return int(row["top_k"]), str(row["top_k"]), f"top-k {row['top_k']}"
    if experiment.knob is Knob.OUTPUT_TOKENS:
        return int(row["output_tokens"]), str(row["output_tokens"]), _count(row["output_tokens"], "output token")
    blocks, mask = row["active_blocks"], row["block_mask"] or ""
    # Only a mask that is not simply the first N needs naming.
    if "01" in mask:
        return int(blocks), f"{blocks}|{mask}", f"{_count(blocks, 'active block')}, mask {mask}"
    return int(blocks), str(blocks), _count(blocks, "active block")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def run_titles(runs: pd.DataFrame) -> pd.Series:
    """What each of `Store.runs` was measured on, in a few words: its name, or its device, model and weights."""

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

    return runs.apply(title, axis=1) if len(runs) else pd.Series(dtype=str)


def display_summary(result: Result) -> pd.DataFrame:
    """The summary as a table for people: a row per setting and stage, milliseconds to a thousandth."""
    rows = result.summary.sort_values(["x", "setting"])
    shown = ["n", "median", "low", "high", "mean", "std", "min", "max", "p95", "p99", "outliers"]
    frame = pd.DataFrame({"setting": rows["title"], "metric": rows["metric"].map(METRIC_LABELS)})
    frame = frame.join(rows[[column for column in shown if column in rows]].round(3))
    frame["floor"] = rows["floor_ms"].round(4)
    frame["× floor"] = rows["over_floor"].round(2)
    frame["bound by"] = rows["binds"]
    frame["GFLOP"] = (rows["flops"] / 1e9).round(2)
    frame["MB"] = (rows["bytes"] / 1e6).round(1)
    # A percentile that no setting has samples enough for needs no column.
    return frame.dropna(axis="columns", how="all").rename(columns={"low": "95 % from", "high": "95 % to"})


def display_samples(result: Result) -> pd.DataFrame:
    """The samples as a table for people, newest first."""
    samples = result.samples.merge(result.settings[["setting", "title"]], on="setting")
    samples = samples.sort_values("sample_id", ascending=False)
    stages = {f"{metric}": f"{label} (ms)" for metric, label in METRIC_LABELS.items() if metric in samples}
    columns = {
        "sample_id": "sample",
        "title": "setting",
        "round": "round",
        **stages,
        "num_vision_tokens": "vision tokens",
        "num_input_tokens": "prompt tokens",
        "num_output_tokens": "output tokens",
        "outlier": "outlier",
        "sm_clock_mhz": "SM clock (MHz)",
        "temperature_c": "temperature (°C)",
        "power_w": "power (W)",
    }
    frame = samples[list(columns)].rename(columns=columns).dropna(axis="columns", how="all")
    return frame.round(dict.fromkeys(stages.values(), 3))


def display_quality(result: Result) -> pd.DataFrame:
    """What each setting costs in quality beside its latencies, as a table for people."""
    rows = result.settings.dropna(subset=["kl"])
    medians = result.summary.pivot_table(index="setting", columns="metric", values="median")
    frame = pd.DataFrame({"setting": rows["title"], "KL (nats)": rows["kl"].round(6)})
    frame["VQA accuracy"] = rows["accuracy"]
    for metric in ("ttft_ms", "tpot_ms", "total_ms"):
        if metric in medians:
            frame[f"{METRIC_LABELS[metric]} (ms)"] = rows["setting"].map(medians[metric]).round(3)
    return frame.dropna(axis="columns", how="all")


def display_profile_stages(profile: dict[str, Any]) -> pd.DataFrame:
    """A profile's stages as a table for people."""
    rows = [
        {
            "stage": Stage(stage["stage"]).label,
            "measured (ms)": round(stage["measured_ms"], 3),
            "busy (ms)": round(stage["busy_ms"], 3),
            "busy share": round(stage["busy_share"], 2),
            "kernels": stage["kernels"],
            "host issuing (ms)": None if stage["issue_ms"] is None else round(stage["issue_ms"], 3),
            "floor (ms)": round(stage["floor_ms"], 4),
            "× floor": round(stage["over_floor"], 2),
            "bound by": stage["binds"],
        }
        for stage in profile["stages"]
    ]
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def display_profile_kernels(profile: dict[str, Any]) -> pd.DataFrame:
    """A profile's longest kernels as a table for people."""
    rows = [
        {
            "stage": Stage(kernel["stage"]).label,
            "time (ms)": round(kernel["ms"], 3),
            "calls": kernel["count"],
            "each (µs)": round(kernel["mean_us"], 2),
            "kernel": kernel["name"],
        }
        for kernel in profile["kernels"]
    ]
    return pd.DataFrame(rows)
