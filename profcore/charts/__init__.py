"""Frames to charts: the only place that knows colours and what is written on axes."""

from profcore.charts.base import CLICK, STAGE_COLOURS, is_clickable
from profcore.charts.beside import beside
from profcore.charts.blocks import importance, masks, quality
from profcore.charts.engines import engines
from profcore.charts.inspection import pooling, routing
from profcore.charts.pictures import (
    component_bars,
    cumulative,
    flops_points,
    histogram,
    over_tokens,
    parameter_bars,
)
from profcore.charts.profile import parts
from profcore.charts.scaling import scaling
from profcore.charts.sweep import breakdown, decode_steps, panel
from profcore.charts.tiling import PAGE_WIDTH, bounds, tiling

__all__ = [
    "CLICK",
    "PAGE_WIDTH",
    "STAGE_COLOURS",
    "beside",
    "bounds",
    "breakdown",
    "component_bars",
    "cumulative",
    "decode_steps",
    "engines",
    "flops_points",
    "histogram",
    "importance",
    "is_clickable",
    "masks",
    "over_tokens",
    "panel",
    "parameter_bars",
    "parts",
    "pooling",
    "quality",
    "routing",
    "scaling",
    "tiling",
]
