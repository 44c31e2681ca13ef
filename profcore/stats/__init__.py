"""Arrays of latencies in; summaries, intervals and cautions out. Pure: derived from raw samples each time."""

from profcore.stats.cautions import Caution, cautions
from profcore.stats.intervals import (
    Correlation,
    Ratio,
    Slope,
    correlation,
    points_slope,
    pooled_ratio,
    ratio_at_equal_x,
    ratio_of_medians,
    slope,
)
from profcore.stats.summary import (
    METRIC_LABELS,
    METRICS,
    SMALLEST_FOR_P95,
    SMALLEST_FOR_P99,
    STAGE_COLUMNS,
    Median,
    add_derived,
    label_outliers,
    median_interval,
    median_ranks,
    percentile,
    summarise,
)

__all__ = [
    "METRICS",
    "METRIC_LABELS",
    "SMALLEST_FOR_P95",
    "SMALLEST_FOR_P99",
    "STAGE_COLUMNS",
    "Caution",
    "Correlation",
    "Median",
    "Ratio",
    "Slope",
    "add_derived",
    "cautions",
    "correlation",
    "label_outliers",
    "median_interval",
    "median_ranks",
    "percentile",
    "points_slope",
    "pooled_ratio",
    "ratio_at_equal_x",
    "ratio_of_medians",
    "slope",
    "summarise",
]
