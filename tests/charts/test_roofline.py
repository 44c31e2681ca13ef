"""The chart of a roofline: what lies within its edges."""

import pandas as pd
import pytest

from profcore import charts
from profcore.roofline.points import roofline_points
from profcore.spec.records import Ceilings

CEILINGS = Ceilings("a card", "bfloat16", 4000.0, 3900.0, 800.0, "2", "now")


@pytest.mark.parametrize("flops", [1e8, 4e11])
def test_the_memorys_line_begins_within_the_chart_wherever_the_points_lie(flops):
    point = {"setting": 0, "metric": "llm_prefill_ms", "median": 1.0, "flops": flops, "bytes": 1e9, "binds": None}
    points = roofline_points(pd.DataFrame([{**point, "x": 0, "title": "one"}]), CEILINGS)
    spec = charts.roofline(points.assign(run="a run"), {"a run": CEILINGS}).to_dict()
    line = spec["layer"][0]
    (left, _), (bottom, top) = (line["encoding"][axis]["scale"]["domain"] for axis in "xy")
    places = [row for row in spec["datasets"][line["data"]["name"]] if row["intensity"] == left]
    assert [bottom < row["achieved"] < top for row in places] == [True]
    # Ticks at several powers of ten.
    assert sum(bottom < value < top for value in line["encoding"]["y"]["axis"]["values"]) >= 2
