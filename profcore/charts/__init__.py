"""Frames to charts: the only place that knows colours and what is written on axes."""

from profcore.charts.base import CLICK, STAGE_COLOURS, Stack, is_clickable
from profcore.charts.beside import beside
from profcore.charts.blocks import importance, masks, quality
from profcore.charts.energy import energy
from profcore.charts.engines import engines
from profcore.charts.heat_map import heat_maps
from profcore.charts.history import history
from profcore.charts.inspection import pooling, routing
from profcore.charts.models import MOST_MODELS, model_stages, models_over, short_names
from profcore.charts.order import in_order
from profcore.charts.pictures import (
    component_bars,
    cumulative,
    flops_points,
    histogram,
    over_tokens,
    parameter_bars,
)
from profcore.charts.profile import parts
from profcore.charts.roofline import MOST_RUNS, roofline
from profcore.charts.runs_beside import medians_over, ratios_over
from profcore.charts.scaling import scaling
from profcore.charts.size import size_to_latency
from profcore.charts.small import small
from profcore.charts.sweep import breakdown, decode_steps, panel, stage_lines
from profcore.charts.tiling import PAGE_WIDTH, bounds, tiling
from profcore.charts.tradeoff import (
    answer_length,
    errors_over_settings,
    frontier,
    predicted,
    residuals,
    setting_bar,
)
from profcore.charts.vega import vega_lite
from profcore.charts.words import chart_words

__all__ = [
    "CLICK",
    "MOST_MODELS",
    "MOST_RUNS",
    "PAGE_WIDTH",
    "STAGE_COLOURS",
    "Stack",
    "answer_length",
    "beside",
    "bounds",
    "breakdown",
    "chart_words",
    "component_bars",
    "cumulative",
    "decode_steps",
    "energy",
    "engines",
    "errors_over_settings",
    "flops_points",
    "frontier",
    "heat_maps",
    "histogram",
    "history",
    "importance",
    "in_order",
    "is_clickable",
    "masks",
    "medians_over",
    "model_stages",
    "models_over",
    "over_tokens",
    "panel",
    "parameter_bars",
    "parts",
    "pooling",
    "predicted",
    "quality",
    "ratios_over",
    "residuals",
    "roofline",
    "routing",
    "scaling",
    "setting_bar",
    "short_names",
    "size_to_latency",
    "small",
    "stage_lines",
    "tiling",
    "vega_lite",
]
