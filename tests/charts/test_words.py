"""What a reader who does not see a chart is told."""

import pandas as pd

from profcore import charts
from profcore.charts.vega import vega_lite
from profcore.charts.words import chart_words
from profcore.roofline.points import COLUMNS
from tests.support import CEILINGS


def test_axes_and_series_are_named():
    points = pd.DataFrame([[0, "top-k 1", 1, "LLM decode", 1e9, 1e9, 1.0, 1.0, 1e12, 2e12, 0.5, "memory-bound"]])
    points = points.set_axis(list(COLUMNS), axis="columns").assign(run="eager")
    spec = vega_lite(charts.roofline(points, {"eager": CEILINGS}))
    assert chart_words(spec) == "Chart: FLOPs per second over FLOPs per byte; LLM decode"
    histogram = vega_lite(charts.histogram(pd.Series([1.0, 2, 2, 3]).to_numpy()))
    assert chart_words(histogram) == "Chart: Samples over Latency (ms)"


def test_many_series_are_counted_and_a_chart_without_titles_says_nothing():
    domain = [str(number) for number in range(10)]
    encoding = {"x": {"title": "Time"}, "y": {"title": None}, "color": {"scale": {"domain": domain}}}
    assert chart_words({"layer": [{"encoding": encoding}]}) == "Chart: Time; 0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
    assert chart_words({"layer": []}) == ""
