"""Arrays of latencies in; summaries, intervals and cautions out. Pure: derived from raw samples each time."""

from profcore.stats.cautions import Caution, cautions
from profcore.stats.estimates import Correlation, Ratio, Slope
from profcore.stats.medians import (
    SMALLEST_FOR_POOLED_RATIO,
    SMALLEST_FOR_RATIO,
    SMALLEST_FOR_RATIO_AT_EQUAL_X,
    SMALLEST_FOR_SLOPE,
    pooled_ratio,
    ratio_at_equal_x,
    ratio_of_medians,
    slope,
)
from profcore.stats.points import (
    SMALLEST_FOR_CORRELATION,
    SMALLEST_FOR_POINTS_SLOPE,
    correlation,
    points_slope,
)
from profcore.stats.summary import (
    METRIC_LABELS,
    METRICS,
    SMALLEST_FOR_MEDIAN,
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
from profcore.stats.trend import SMALLEST_FOR_TREND, has_trend, trend_p_value

__all__ = [
    "METRICS",
    "METRIC_LABELS",
    "SMALLEST_FOR_CORRELATION",
    "SMALLEST_FOR_MEDIAN",
    "SMALLEST_FOR_P95",
    "SMALLEST_FOR_P99",
    "SMALLEST_FOR_POINTS_SLOPE",
    "SMALLEST_FOR_POOLED_RATIO",
    "SMALLEST_FOR_RATIO",
    "SMALLEST_FOR_RATIO_AT_EQUAL_X",
    "SMALLEST_FOR_SLOPE",
    "SMALLEST_FOR_TREND",
    "STAGE_COLUMNS",
    "Caution",
    "Correlation",
    "Median",
    "Ratio",
    "Slope",
    "add_derived",
    "cautions",
    "correlation",
    "has_trend",
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
    "trend_p_value",
]
