"""The chart of a roofline: what lies within its edges."""

from dataclasses import replace

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


def test_of_one_kind_of_card_the_highest_roof_is_drawn():
    points = roofline_points(
        pd.DataFrame(
            [
                {
                    "setting": 0,
                    "metric": "llm_prefill_ms",
                    "median": 1.0,
                    "flops": 1e12,
                    "bytes": 1e9,
                    "binds": None,
                    "x": 0,
                    "title": "one",
                }
            ]
        ),
        CEILINGS,
    )
    higher = replace(CEILINGS, matmul_tflop_s=810.0, read_gb_s=3950.0)
    both = pd.concat([points.assign(run="a"), points.assign(run="b")], ignore_index=True)
    for order in ({"a": higher, "b": CEILINGS}, {"a": CEILINGS, "b": higher}):
        said = str(charts.roofline(both, order).to_dict()["datasets"])
        assert "810 TFLOP/s" in said and "800 TFLOP/s" not in said
        assert "4,000 GB/s" in said or "4000 GB/s" in said
