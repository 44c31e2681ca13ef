"""Results as tables for people."""

from __future__ import annotations

from typing import Any

import pandas as pd

from profcore import stats
from profcore.results.pictures import PictureResult
from profcore.results.sweep import Result
from profcore.roofline.cost import NEITHER
from profcore.spec.stages import MODEL_STAGES, Knob, Stage
from profcore.spec.until import STOPPED_WORDS, StoppedBy, Until
from profcore.stats import (
    FLAGS,
    METRIC_LABELS,
    METRICS,
    SMALLEST_FOR_MEDIAN,
    SMALLEST_FOR_P95,
    SMALLEST_FOR_P99,
)
from profcore.stats.digits import MISSING, common_decimals, decimals, written, written_interval

STATISTICS = {
    "Median": "median",
    "95 % interval": "",
    "P95": "p95",
    "P99": "p99",
    "Mean": "mean",
    "Standard deviation": "std",
    "Minimum": "min",
    "Maximum": "max",
    "Outliers": "outliers",
    "Floor": "floor_ms",
    "× floor": "over_floor",
    "Bound by": "binds",
    "GFLOP": "flops",
    "GB": "bytes",
}
"""What a summary can show of each latency, and the column of `Result.summary` that holds it."""

_GIGA = 1e9
_GIB = 2**30
_CARD = {
    "sm_clock_mhz": "SM clock (MHz)",
    "memory_clock_mhz": "memory clock (MHz)",
    "temperature_c": "temperature (°C)",
    "power_w": "power (W)",
    "memory_used_bytes": "memory in use (GiB)",
    **{f"{stage}_peak_bytes": f"peak in {stage.label} (GiB)" for stage in MODEL_STAGES},
    "other_processes": "other processes",
    "others_utilisation_percent": "others' utilisation (%)",
    "host_probe_us": "host probe (µs)",
}
"""What card and host are like beside a sample, and what a table calls it."""


def display_summary(result: Result, statistic: str = "Median") -> pd.DataFrame:
    """The summary as a table for people: a row for each setting, a column for each latency, the whole's floor first.

    Args:
        result: Any run of a knob.
        statistic: One of `STATISTICS`; latencies are in milliseconds.

    Returns:
        Text, every column with as many decimals as the one that needs most of them.
    """
    whole = "ttft_ms" if result.experiment.knob is Knob.VISION_TOKENS else "total_ms"
    settings = result.settings.sort_values(["x", "setting"])
    by_metric = {metric: rows.set_index("setting") for metric, rows in result.summary.groupby("metric")}
    frame = pd.DataFrame({"setting": settings["title"]})
    index = settings["setting"]
    if whole in by_metric:
        rows = by_metric[whole].reindex(index)
        frame["n"] = [written(n, 0) for n in rows["n"]]
        if "stopped_by" in settings and settings["stopped_by"].notna().any():
            frame["stopped"] = [stopped_words(by) for by in settings["stopped_by"]]
        name = METRIC_LABELS[whole]
        frame[f"floor of {name} (ms)"] = _column(rows["floor_ms"])
        frame[f"{name} × floor"] = _column(rows["over_floor"])
    for metric in METRICS:
        if metric in by_metric:
            frame[METRIC_LABELS[metric]] = _statistic(by_metric[metric].reindex(index), statistic)
    known = [column for column in frame if column == "setting" or (frame[column] != MISSING).any()]
    return frame[known].reset_index(drop=True)


def stopped_words(by: object) -> str:
    """What ended a setting's sampling, for people; a dash where nothing has yet."""
    return STOPPED_WORDS[StoppedBy(by)] if isinstance(by, str) and by in set(StoppedBy) else MISSING


def summary_words(spec: dict[str, Any]) -> str:
    """What is said below a table of `display_summary`: units, what intervals need, and when sampling stopped.

    Args:
        spec: As `RunSpec.to_dict`; empty where it is not known.
    """
    said = (
        "Milliseconds, but for ×, GFLOP and GB. The interval is the median's at 95 % confidence and needs "
        f"{SMALLEST_FOR_MEDIAN} samples; P95 needs {SMALLEST_FOR_P95} and P99 needs {SMALLEST_FOR_P99}."
    )
    until = (spec.get("sweep") or {}).get("until")
    if not until:
        return said
    return (
        f"{said} Each setting was sampled until the interval of its median total lay within "
        f"{Until.from_dict(until).words} of it; intervals are corrected for the look after every sample, and so wider "
        "than those of a fixed number."
    )


def _statistic(rows: pd.DataFrame, statistic: str) -> list[str]:
    """One latency's cells under a statistic."""
    places = common_decimals(rows["median"], zip(rows["low"], rows["high"], strict=True))
    if statistic == "95 % interval":
        return [written_interval(low, high, places) for low, high in zip(rows["low"], rows["high"], strict=True)]
    column = STATISTICS[statistic]
    if column == "binds":
        return _bound_by(rows)
    if column == "outliers":
        return [written(count, 0) for count in rows[column]]
    if column in ("flops", "bytes"):
        return _column(rows[column] / _GIGA)
    if column in ("floor_ms", "over_floor", "std"):
        return _column(rows[column])
    return [written(value, places) for value in rows[column]]


def _bound_by(rows: pd.DataFrame) -> list[str]:
    """What binds each latency; where launching does, the figure is the host's."""
    said = {"launch": "launch (this host)", NEITHER: _NEITHER}
    return [said.get(text, text) if isinstance(text, str) else MISSING for text in rows["binds"]]


_NEITHER = "neither ceiling"


def _column(values: pd.Series) -> list[str]:
    places = common_decimals(values)
    return [written(value, places) for value in values]


def padded(values: pd.Series, places: int | None = None) -> list[str]:
    """A column of figures as text, all of one length, so that it lines up and sorts as its figures do.

    Args:
        values: The figures; a dash stands for a missing one.
        places: Their decimals; those that the one that needs most of them needs unless told otherwise.
    """
    decimals_of_all = common_decimals(values) if places is None else places
    texts = [written(value, decimals_of_all) for value in values]
    longest = max(map(len, texts), default=0)
    return [text if text == MISSING else text.rjust(longest) for text in texts]


def display_short_summary(result: Result) -> pd.DataFrame:
    """The summary as a terminal holds it: medians with intervals, in milliseconds, and how far from the floor."""
    rows = result.summary.sort_values(["x", "setting"])
    frame = pd.DataFrame({"setting": rows["title"], "latency": rows["metric"].map(METRIC_LABELS), "n": rows["n"]})
    places = [decimals(*row) for row in zip(rows["median"], rows["low"], rows["high"], strict=True)]
    frame["median (ms)"] = [written(value, each) for value, each in zip(rows["median"], places, strict=True)]
    if "stopped_by" in result.settings and result.settings["stopped_by"].notna().any():
        stopped = result.settings.set_index("setting")["stopped_by"]
        frame["stopped"] = [stopped_words(by) for by in rows["setting"].map(stopped)]
    ends = zip(rows["low"], rows["high"], places, strict=True)
    frame["95 % (ms)"] = [written_interval(low, high, each) for low, high, each in ends]
    frame["× floor"] = [written(value) for value in rows["over_floor"]]
    frame["bound by"] = _bound_by(rows)
    shown = frame[rows["median"] > 0]
    # A stage that has nothing to do, such as a decode without a second token, is no news; nor is an empty column.
    return shown[[column for column in shown if shown[column].notna().any() and (shown[column] != MISSING).any()]]


def display_samples(result: Result, newest: int | None = None) -> pd.DataFrame:
    """The samples as a table for people, newest first.

    Args:
        result: Any run of a knob.
        newest: How many of them; all unless told otherwise.
    """
    samples = result.samples.sort_values("sample_id", ascending=False).head(newest or len(result.samples))
    samples = samples.merge(result.settings[["setting", "title"]], on="setting")
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
        **{flag: words for flag, words in FLAGS.items() if samples[flag].any()},
        **_CARD,
    }
    # As floating point, where what is missing is no number: a stage that some settings lack has no peak in theirs.
    of_card = {name: pd.to_numeric(samples[name]).astype("float64") for name in _CARD}
    samples = samples.assign(**{name: of_card[name] / (_GIB if name.endswith("_bytes") else 1) for name in _CARD})
    frame = samples[list(columns)].rename(columns=columns).dropna(axis="columns", how="all")
    # A clock tells microseconds apart, and so does who looks at single samples.
    least = dict.fromkeys(stages.values(), 3) | dict.fromkeys(_CARD.values(), 0)
    for name in least.keys() & set(frame):
        frame[name] = padded(frame[name], max(common_decimals(frame[name]), least[name]))
    return frame


def display_without_flagged(samples: pd.DataFrame, settings: pd.DataFrame, all_latencies: bool = True) -> pd.DataFrame:
    """What leaving flagged samples out would do to each median, as a table for people.

    Args:
        samples: As `MeasuredRun.samples`.
        settings: As `MeasuredRun.settings`.
        all_latencies: Whether stages have rows, or the total alone.
    """
    rows = stats.without_flagged(samples).merge(settings[["setting", "title"]], on="setting")
    rows = rows if all_latencies else rows[rows["metric"] == "total_ms"]
    # A stage that a setting has not, as the decode of one output token, is no latency of 0 ms.
    rows = rows[rows["median"] != 0]
    frame = pd.DataFrame({"setting": rows["title"], "latency": rows["metric"].map(METRIC_LABELS)})
    frame["n"], frame["flagged"] = padded(rows["n"], 0), padded(rows["flagged"], 0)
    frame["median (ms)"], frame["without them (ms)"] = padded(rows["median"]), padded(rows["median_without"])
    frame["change (%)"] = [MISSING if pd.isna(each) else f"{each * 100:+.2f}" for each in rows["change"]]
    return frame.reset_index(drop=True)


def display_quality(result: Result) -> pd.DataFrame:
    """What each setting costs in quality beside its latencies, as a table for people."""
    rows = result.settings.dropna(subset=["kl"])
    medians = result.summary.pivot_table(index="setting", columns="metric", values="median")
    frame = pd.DataFrame({"setting": rows["title"], "KL (nats)": rows["kl"], "VQA accuracy": rows["accuracy"]})
    for metric in ("ttft_ms", "tpot_ms", "total_ms"):
        if metric in medians:
            frame[f"{METRIC_LABELS[metric]} (ms)"] = rows["setting"].map(medians[metric])
    known = frame.dropna(axis="columns", how="all")
    return known.assign(**{name: padded(known[name]) for name in known.columns[1:]})


def display_profile_stages(profile: dict[str, Any]) -> pd.DataFrame:
    """A profile's stages as a table for people."""
    stages = pd.DataFrame(profile["stages"])
    ran = _ran(profile)
    frame = pd.DataFrame(
        {
            "stage": _stage_labels(stages),
            "measured (ms)": padded(stages["measured_ms"]),
            "floor (ms)": padded(stages["floor_ms"]),
            "× floor": padded(stages["over_floor"]),
            "bound by": [
                (_NEITHER if each == NEITHER else each) if isinstance(each, str) else MISSING
                for each in stages["binds"]
            ],
            ran: padded(stages["kernels"], 0),
            f"in {ran} (ms)": padded(stages["busy_ms"]),
            f"in {ran} (%)": padded(stages["busy_share"] * 100),
            "host issues (ms)": padded(stages["issue_ms"].astype(float)),
        }
    )
    return frame[[name for name in frame if (frame[name] != MISSING).any()]]


def display_profile_parts(profile: dict[str, Any]) -> pd.DataFrame:
    """The parts of a profile's stages as a table for people."""
    parts = pd.DataFrame(profile["parts"])
    frame = pd.DataFrame({"stage": _stage_labels(parts), "part": parts["part"]})
    return frame.assign(**{"time (ms)": padded(parts["ms"]), _ran(profile): padded(parts["kernels"], 0)})


def display_profile_kernels(profile: dict[str, Any]) -> pd.DataFrame:
    """A profile's longest kernels, or a CPU's operators, as a table for people."""
    kernels = pd.DataFrame(profile["kernels"], columns=["stage", "ms", "count", "mean_us", "name"])
    return pd.DataFrame(
        {
            "stage": _stage_labels(kernels),
            "time (ms)": padded(kernels["ms"]),
            "calls": padded(kernels["count"], 0),
            "each (µs)": padded(kernels["mean_us"]),
            _ran(profile).removesuffix("s"): kernels["name"],
        }
    )


def _ran(profile: dict[str, Any]) -> str:
    """What it is that a device was seen to work on."""
    return "kernels" if profile["on_gpu"] else "operators"


def _stage_labels(rows: pd.DataFrame) -> list[str]:
    return [Stage(stage).label for stage in rows["stage"]]


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
        **{metric: f"{METRIC_LABELS[metric]} (ms)" for metric in stats.METRICS if metric in points},
    }
    frame = points[list(columns)].rename(columns=columns).dropna(axis="columns", how="all")
    if "stopped_by" in result.settings and result.settings["stopped_by"].notna().any():
        stopped = points["setting"].map(result.settings.set_index("setting")["stopped_by"])
        frame["stopped"] = [stopped_words(by) for by in stopped]
    return frame.assign(**{str(name): padded(frame[name]) for name in frame if "(ms)" in str(name)})
