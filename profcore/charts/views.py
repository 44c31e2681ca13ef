"""What can be drawn of a knob's sweep, by the names that pages, links and notebooks call it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import altair as alt

from profcore.charts.blocks import masks, quality
from profcore.charts.energy import energy
from profcore.charts.order import in_order
from profcore.charts.roofline import roofline
from profcore.charts.scaling import scaling
from profcore.charts.sweep import breakdown, decode_steps, panel, stage_lines
from profcore.comparisons import flops_scaling
from profcore.results.energy import has_energy
from profcore.results.points import THIS_RUN, result_points
from profcore.spec.records import Ceilings
from profcore.spec.stages import MODEL_STAGES, TTFT_STAGES, Knob, Stage
from profcore.stats import END_TO_END, PREPROCESSING

if TYPE_CHECKING:
    import pandas as pd

    from profcore.results.sweep import Result

Steps = Callable[[], "pd.DataFrame"]
View = Callable[["Result", Steps], list[alt.LayerChart]]
"""Draws charts that stand side by side, from a run and what gives its decode steps (see `Reader.decode_steps`)."""

QUALITY, SCALING, ROOFLINE, END_TO_END_VIEW = "Quality", "FLOPs scaling", "Roofline", "End to end"
ORDER, ENERGY = "Samples in order", "Energy"


def sweep_views(knob: Knob) -> dict[str, View]:
    """The views of a knob's sweep, the one that a page opens on first."""
    return {**_VIEWS[knob], ENERGY: _energy, ORDER: _order}


def _ttft(result: Result, steps: Steps) -> list[alt.LayerChart]:
    return [breakdown(result.summary, result.experiment, TTFT_STAGES, "ttft_ms", result.settings)]


def _all_stages(result: Result, steps: Steps) -> list[alt.LayerChart]:
    return [breakdown(result.summary, result.experiment, list(Stage), "total_ms", result.settings)]


def _linear(result: Result, steps: Steps) -> list[alt.LayerChart]:
    return [breakdown(result.summary, result.experiment, MODEL_STAGES, "total_ms", result.settings)]


def _log(result: Result, steps: Steps) -> list[alt.LayerChart]:
    return [stage_lines(result.summary, result.experiment, MODEL_STAGES, "total_ms", result.settings)]


@dataclass(frozen=True)
class _Panels:
    """A chart for each metric."""

    metrics: tuple[str, ...]

    def __call__(self, result: Result, steps: Steps) -> list[alt.LayerChart]:
        return [panel(result.summary, result.experiment, each, result.settings) for each in self.metrics]


def _panels(*metrics: str) -> View:
    return _Panels(metrics)


def _steps(result: Result, steps: Steps) -> list[alt.LayerChart]:
    """Nothing where the run has no decode steps."""
    found = steps()
    return [] if found.empty else [decode_steps(found, result.settings, result.experiment)]


def _which_blocks(result: Result, steps: Steps) -> list[alt.LayerChart]:
    """Nothing where a file does not say which blocks a setting ran."""
    given = result.settings["block_mask"].dropna().tolist()
    return [masks(given)] if given else []


def _quality(result: Result, steps: Steps) -> list[alt.LayerChart]:
    """Over KL divergence, and over accuracy where there is one; nothing where quality was not recorded."""
    measures = [measure for measure in ("kl", "accuracy") if result.settings[measure].notna().any()]
    return [quality(result.summary, result.settings, measure) for measure in measures]


def _scaling(result: Result, steps: Steps) -> list[alt.LayerChart]:
    """Of prefill and decode; nothing where there are no two values of top-k with samples."""
    rows = flops_scaling.run_scaling(result)
    metrics = [Stage.LLM_PREFILL.column, Stage.LLM_DECODE.column]
    return [scaling(rows, metric) for metric in metrics if metric in set(rows["metric"])]


def _roofline(result: Result, steps: Steps) -> list[alt.LayerChart]:
    """Nothing where the card's ceilings or the model's shape are not known."""
    points = result_points(result)
    return [] if points.empty else [roofline(points, {THIS_RUN: Ceilings(**result.ceilings)})]


def _end_to_end(result: Result, steps: Steps) -> list[alt.LayerChart]:
    """The host's preprocessing, and the total with it; nothing where it was not measured."""
    known = set(result.summary["metric"])
    return [panel(result.summary, result.experiment, each, result.settings) for each in _BESIDE if each in known]


_BESIDE = (PREPROCESSING, END_TO_END)


def _energy(result: Result, steps: Steps) -> list[alt.LayerChart]:
    """Nothing where energy was not measured."""
    return [energy(result)] if has_energy(result) else []


def _order(result: Result, steps: Steps) -> list[alt.LayerChart]:
    return in_order(result.samples, result.settings)


_WHOLE: dict[View, tuple[str, ...]] = {
    _ttft: ("ttft_ms",),
    _all_stages: ("total_ms",),
    _linear: ("total_ms",),
    _log: ("total_ms",),
    _end_to_end: _BESIDE,
}


_LACKING: dict[View, str] = {
    _steps: "no token follows the first, so there are no decode steps: ask for two output tokens or more",
    _which_blocks: "the file that it came from holds how many blocks ran, not which",
    _quality: "it recorded no quality: open Quality on the left before the next, or give --quality to run",
    _scaling: "it takes two values of top-k with samples, other knobs that stand still, and work that is known",
    _roofline: "the card's ceilings or the model's work are not known",
    _end_to_end: "host preprocessing was not measured",
    _energy: "it measured no energy: open Energy on the left before the next, or give --energy to run (NVIDIA GPUs)",
}


def why_empty(view: View) -> str:
    """What a run lacks that has samples and yet nothing for a view, in a clause."""
    return _LACKING.get(view, "no sample of it has these latencies")


def metrics_of(view: View) -> tuple[str, ...]:
    """The latency that each chart of a view is about, over the knob's settings; none for other views."""
    return view.metrics if isinstance(view, _Panels) else _WHOLE.get(view, ())


_LANGUAGE_MODEL: dict[str, View] = {
    "Prefill and decode": _panels(Stage.LLM_PREFILL.column, Stage.LLM_DECODE.column),
    "All stages": _all_stages,
    "Decode step by position": _steps,
    END_TO_END_VIEW: _end_to_end,
}
_VIEWS: dict[Knob, dict[str, View]] = {
    Knob.VISION_TOKENS: {
        "Time to first token": _ttft,
        "Stage by stage": _panels(Stage.VISION_ENCODER.column, Stage.LLM_PREFILL.column),
        END_TO_END_VIEW: _end_to_end,
        ROOFLINE: _roofline,
    },
    Knob.TOP_K: {**_LANGUAGE_MODEL, SCALING: _scaling, QUALITY: _quality, ROOFLINE: _roofline},
    Knob.ACTIVE_BLOCKS: {**_LANGUAGE_MODEL, "Which blocks": _which_blocks, QUALITY: _quality, ROOFLINE: _roofline},
    Knob.OUTPUT_TOKENS: {
        "Linear scale": _linear,
        "Log scale": _log,
        "Time per output token": _panels("tpot_ms"),
        "Decode step by position": _steps,
        END_TO_END_VIEW: _end_to_end,
        ROOFLINE: _roofline,
    },
}
