"""Results as tables for people."""

from __future__ import annotations

from typing import Any

import pandas as pd

from profcore import stats
from profcore.results.pictures import PictureResult
from profcore.results.sweep import Result
from profcore.spec.stages import Stage
from profcore.stats import METRIC_LABELS


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


def display_short_summary(result: Result) -> pd.DataFrame:
    """The summary as a terminal holds it: medians with intervals, in milliseconds, and how far from the floor."""
    rows = result.summary.sort_values(["x", "setting"])
    frame = pd.DataFrame({"setting": rows["title"], "latency": rows["metric"].map(METRIC_LABELS), "n": rows["n"]})
    frame["median (ms)"] = rows["median"].map(lambda value: f"{value:,.4g}")
    ends = zip(rows["low"], rows["high"], strict=True)
    frame["95 %"] = ["" if pd.isna(low) else f"{low:,.4g} to {high:,.4g}" for low, high in ends]
    frame["× floor"] = rows["over_floor"].round(2)
    # A stage that has nothing to do, such as a decode without a second token, is no news.
    return frame[rows["median"] > 0].dropna(axis="columns", how="all")


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


def display_points(result: PictureResult) -> pd.DataFrame:
    """What each picture cost, as a table for people: milliseconds, the median over its samples."""
    points = result.points
    columns = {
        "title": "picture and setting",
        "num_vision_tokens": "vision tokens",
        "num_crops": "crops",
        "num_input_tokens": "prompt tokens",
        "num_output_tokens": "output tokens",
        "n": "samples",
        "processing_ms": "Data processing (ms)",
        **{metric: f"{METRIC_LABELS[metric]} (ms)" for metric in stats.METRICS if metric in points},
    }
    frame = points[list(columns)].rename(columns=columns).dropna(axis="columns", how="all")
    return frame.round(dict.fromkeys([name for name in frame if "(ms)" in str(name)], 3))
