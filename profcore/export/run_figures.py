"""The figures of a run by their file names, those of profiling experiments as the published scripts name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore import charts
from profcore.comparisons import flops_scaling
from profcore.results.energy import has_energy
from profcore.results.joint import JointResult
from profcore.results.joint_cells import heat_cells, joint_knobs, measures_of
from profcore.results.points import THIS_RUN, result_points
from profcore.results.sweep import Result
from profcore.spec.records import Ceilings
from profcore.spec.stages import MODEL_STAGES, TTFT_STAGES, Knob, Stage

if TYPE_CHECKING:
    import altair as alt

    from profcore.results.pictures import PictureResult


SWEEP_FIGURES = {
    "context_scaling": "exp1_vision_tokens_vs_latency_breakdown",
    "moe_topk": "exp2_moe_topk_vs_latency_breakdown",
    "transformer_blocks_mask": "exp3_transformer_blocks_mask_vs_latency_breakdown",
    "output_tokens": "exp4_output_tokens_vs_latency_breakdown",
}
"""What the published scripts call the figure of each profiling experiment."""

ROOFLINE = "roofline"
"""What the figure of a run's stages under its card's roofline is called."""

SCALING_ANALYSIS = "flops_scaling_analysis"
"""What the published scripts call the figure of how latency and arithmetic grow with top-k."""

ENERGY, ORDER = "energy_by_stage", "samples_in_order"
"""What the figures of a run's joules, and of its samples in their order, are called."""


def run_figures(result: Result | JointResult | PictureResult) -> dict[str, list[alt.LayerChart]]:
    """A run's figures by their names without ending; each is one chart or several side by side."""
    if isinstance(result, JointResult):
        found = _joint_figures(result)
    else:
        found = _sweep_figures(result) if isinstance(result, Result) else _picture_figures(result)
    if isinstance(result, Result) and found and has_energy(result):
        found[ENERGY] = [charts.energy(result)]
    if found and not result.samples.empty and (order := charts.in_order(result.samples, result.settings)):
        found[ORDER] = order
    return found


HEAT_MAP = "heat_map"
"""What the names of figures of two knobs against each other begin with."""


def _joint_figures(result: JointResult) -> dict[str, list[alt.LayerChart]]:
    """The first two knobs that vary against each other, the others at their last value: each latency, accuracy."""
    knobs = {name: knob for name, knob in joint_knobs(result.points).items() if knob.varies}
    if len(knobs) < 2 or result.samples.empty:
        return {}
    (across, x), (up, y), *others = knobs.items()
    held = {name: knob.order[-1] for name, knob in others}
    words = ", ".join(f"{knob.title.lower()} {knob.order[-1]}" for _, knob in others)
    found = {}
    for measure, title in measures_of(result).items():
        cells = heat_cells(result, across, up, measure, held)
        titles = (f"{x.title} ({words})" if words else x.title, y.title, title)
        found[f"{HEAT_MAP}_{measure}"] = charts.heat_maps({"": cells}, titles, (x.order, y.order))
    return found


def _sweep_figures(result: Result) -> dict[str, list[alt.LayerChart]]:
    if result.summary.empty:
        return {}
    return {**_latencies(result), **_roofline(result)}


def _latencies(result: Result) -> dict[str, list[alt.LayerChart]]:
    experiment, summary = result.experiment, result.summary
    name = "flops_scaling_latency" if result.run["details"].get("scaling") else SWEEP_FIGURES[experiment.name]
    if experiment.knob is Knob.VISION_TOKENS:
        return {name: [charts.breakdown(summary, experiment, TTFT_STAGES, "ttft_ms")]}
    if experiment.knob is Knob.OUTPUT_TOKENS:
        return {name: [charts.breakdown(summary, experiment, MODEL_STAGES, "total_ms")]}
    panels = [Stage.LLM_PREFILL.column, Stage.LLM_DECODE.column]
    # A file may describe the total alone.
    present = [metric for metric in panels if metric in set(summary["metric"])] or ["total_ms"]
    figures = {name: [charts.panel(summary, experiment, metric) for metric in present]}
    if experiment.knob is Knob.TOP_K and not result.samples.empty:
        rows = flops_scaling.run_scaling(result)
        shown = [metric for metric in panels if metric in set(rows["metric"])]
        if shown:
            figures[SCALING_ANALYSIS] = [charts.scaling(rows, metric) for metric in shown]
    return figures


def _roofline(result: Result) -> dict[str, list[alt.LayerChart]]:
    """Nothing where the card's ceilings or the model's shape are not known."""
    points = result_points(result)
    return {} if points.empty else {ROOFLINE: [charts.roofline(points, {THIS_RUN: Ceilings(**result.ceilings)})]}


def _picture_figures(result: PictureResult) -> dict[str, list[alt.LayerChart]]:
    experiment, points = result.experiment, result.points
    if points.empty:
        return {}
    name = experiment.file.removesuffix(".json")
    if experiment.name == "latency_distribution":
        values = result.samples["total_ms"].to_numpy(dtype=float)
        what = "Latency of an answer (ms)"
        return {name: [charts.histogram(values, what), charts.cumulative(values, what)]}
    if experiment.name == "component_profiling":
        shown = [charts.component_bars(points)]
        if result.parameters:
            shown.insert(0, charts.parameter_bars(result.parameters))
        return {name: shown}
    if experiment.name == "vision_tokens_vs_latency":
        metrics = [*(stage.column for stage in TTFT_STAGES), "ttft_ms"]
        return {name: [charts.over_tokens(points, "num_vision_tokens", metrics)]}
    if experiment.name == "language_tokens_vs_latency":
        ending = "_with_eos" if result.stops_at_eos else "_no_eos"
        metrics = [Stage.LLM_DECODE.column, "total_ms"]
        return {name + ending: [charts.over_tokens(points, "num_output_tokens", metrics, log=True)]}
    return {name: [charts.flops_points(points)]}
