"""Charts of joint settings weighed: what they draw, as Vega-Lite."""

import json

import pandas as pd

from profcore import charts
from profcore.export.figure_files import figure
from profcore.tradeoff.frontier import find_frontier
from tests.tradeoff.made import around, made_points


def test_a_frontier_says_in_its_legend_how_sure_it_is_and_draws_no_interval_that_there_is_not():
    points = made_points([{"top_k": 4}, {"top_k": 8}], [around(5), around(9)])
    spec = charts.frontier(find_frontier(points, percentile=95)).to_dict()
    text = json.dumps(spec, ensure_ascii=False)
    assert "Share of draws on the frontier" not in text
    assert "Share of draws on the frontier" in json.dumps(charts.frontier(find_frontier(points)).to_dict())
    assert "Work, share of 2 crops · top-8 · 16 blocks (no quality)" in text
    assert "Total (ms, P95)" in text
    # Twenty-one samples do not bound a P95 from above, and work kept is counted.
    assert [len(spec["datasets"][layer["data"]["name"]]) for layer in spec["layer"]] == [2, 2, 2]
    assert charts.chart_words(spec).startswith(
        "Chart: Work, share of 2 crops · top-8 · 16 blocks (no quality) over Total (ms, P95)"
    )


def test_a_setting_is_one_bar_of_its_stages():
    spec = charts.setting_bar({"vision_encoder_ms": 2.0, "llm_prefill_ms": 3.0}, "a setting").to_dict()
    rows = next(iter(spec["datasets"].values()))
    assert [(row["start"], row["end"]) for row in rows] == [(0, 2), (2, 5)]


def test_a_point_that_no_draw_has_on_the_frontier_is_ringed_and_not_fainter_than_can_be_read():
    points = made_points([{"top_k": 8}, {"top_k": 4}], [around(5), around(9)])
    drawn = charts.frontier(find_frontier(points))
    rings, marks = drawn.to_dict()["layer"][-2:]
    assert rings["mark"]["opacity"] == 1
    assert min(marks["encoding"]["opacity"]["scale"]["range"]) >= 0.35
    # Two legends side by side are cut off in a narrow window.
    assert marks["encoding"]["opacity"]["legend"]["orient"] != marks["encoding"]["color"]["legend"]["orient"]
    text = figure(drawn, "svg").decode()
    assert "dominated by another" in text
    assert "Share of draws on the frontier" in text


def test_a_legend_shows_which_errors_are_dashed():
    rows = pd.DataFrame({"metric": "llm_prefill_ms", "settings": [4, 8], "median": [0.1, 0.05], "p95": [0.3, 0.2]})
    drawn = charts.errors_over_settings(rows)
    symbols = [symbol[:400] for symbol in figure(drawn, "svg").decode().split("role-legend-symbol")[1:]]
    dashed = [symbol for symbol in symbols if "stroke-dasharray" in symbol]
    assert len(dashed) == 2
    assert all(" stroke=" in symbol for symbol in dashed)


def test_decode_by_length_says_that_it_is_of_a_token_or_a_step():
    rows = pd.DataFrame({"tokens": [2, 4], "name": "per step", "median": 1.0, "low": 0.9, "high": 1.1, "n": 9})
    titles = {layer["encoding"]["y"]["title"] for layer in charts.answer_length(rows).to_dict()["layer"]}
    assert titles == {"Decode (ms per token or step)"}
