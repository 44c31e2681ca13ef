"""Charts of joint settings weighed: what they draw, as Vega-Lite."""

import json

from profcore import charts
from profcore.tradeoff.frontier import find_frontier
from tests.tradeoff.made import around, made_points


def test_a_frontier_says_in_its_legend_how_sure_it_is_and_draws_no_interval_that_there_is_not():
    points = made_points([{"top_k": 4}, {"top_k": 8}], [around(5), around(9)])
    spec = charts.frontier(find_frontier(points, percentile=95)).to_dict()
    text = json.dumps(spec, ensure_ascii=False)
    assert "Share of draws on the frontier" in text
    assert "Work, share of 2 crops · top-8 · 16 blocks (no quality)" in text
    assert "Total (ms, P95)" in text
    # Twenty-one samples do not bound a P95 from above, and work kept is counted.
    assert [len(spec["datasets"][layer["data"]["name"]]) for layer in spec["layer"]] == [0, 0, 2, 2]
    assert charts.chart_words(spec).startswith(
        "Chart: Work, share of 2 crops · top-8 · 16 blocks (no quality) over Total (ms, P95)"
    )


def test_a_setting_is_one_bar_of_its_stages():
    spec = charts.setting_bar({"vision_encoder_ms": 2.0, "llm_prefill_ms": 3.0}, "a setting").to_dict()
    rows = next(iter(spec["datasets"].values()))
    assert [(row["start"], row["end"]) for row in rows] == [(0, 2), (2, 5)]
