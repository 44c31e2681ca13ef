"""Sensitivities against slopes worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from profcore.comparisons import engines, published
from profcore.experiments.knobs import CATALOGUE
from profcore.stats import slope


def test_slope_of_a_line_that_is_known():
    x = np.repeat([1.0, 2.0, 4.0], 5)
    found = slope(x, 3 + 2 * x)
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))


def test_slope_goes_through_medians_and_not_through_outliers():
    x = np.repeat([0.0, 1.0], 5)
    y = np.array([1, 1, 1, 1, 900.0, 2, 2, 2, 2, 2])
    assert slope(x, y).value == pytest.approx(1)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(7)
    x = np.repeat(np.arange(6.0), 20)
    hits = 0
    for _ in range(60):
        found = slope(x, 5 + 0.3 * x + generator.normal(scale=0.5, size=x.size))
        hits += found.low <= 0.3 <= found.high
    assert 50 <= hits <= 60


def test_slopes_that_cannot_be_known():
    assert math.isnan(slope(np.array([1.0, 1.0]), np.array([2.0, 3.0])).value)
    two = slope(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    assert two.value == pytest.approx(2)
    assert math.isnan(two.low)
    missing = slope(np.array([1.0, 2.0, 2.0]), np.array([1.0, np.nan, 3.0]))
    assert missing.value == pytest.approx(2)


def test_sensitivities_of_a_run():
    rows = [
        {
            "top_k": top_k,
            "num_output_tokens": 11,
            "vision_encoder_ms": 1.0,
            "projector_ms": 1.0,
            "llm_prefill_ms": 10.0 + top_k,
            "llm_decode_ms": 100.0 + 20.0 * top_k,
        }
        for top_k in (1, 2, 4)
        for _ in range(6)
    ]
    found = engines.sensitivities(CATALOGUE["moe_topk"], pd.DataFrame(rows)).set_index("metric")
    assert found.loc["llm_prefill_ms", "slope"] == pytest.approx(1)
    # 20 ms over ten decode steps.
    assert found.loc["tpot_ms", "slope"] == pytest.approx(2)
    assert (found.loc["tpot_ms", "least"], found.loc["tpot_ms", "most"]) == pytest.approx((12, 18))


@pytest.mark.parametrize("experiment", CATALOGUE.values(), ids=str)
def test_the_published_code_has_a_sensitivity_for_every_knob(experiment):
    found = engines.published_sensitivities(experiment)
    assert found["metric"].tolist() == list(engines.compared_metrics(experiment))
    assert set(found["engine"]) == {published.PUBLISHED}
    assert found["slope"].notna().any()


def test_published_figures_are_those_of_the_published_files(shared):
    import json

    document = json.loads((shared / "motivation" / "exp2_moe_topk_results.json").read_text())
    medians = published.published_samples(CATALOGUE["moe_topk"]).groupby("top_k")["llm_decode_ms"].median()
    for entry in document["summary"]:
        assert medians[entry["top_k"]] == pytest.approx(entry["decode"]["P50"], rel=1e-6)


def masked(*masks, experiment="transformer_blocks_mask"):
    """Six samples under each mask, whose decode step takes as many milliseconds as the place of its first block."""
    rows = [
        {
            "active_blocks": mask.count("1"),
            "block_mask": mask,
            "num_output_tokens": 11,
            "vision_encoder_ms": 1.0,
            "projector_ms": 1.0,
            "llm_prefill_ms": 10.0 * mask.count("1"),
            "llm_decode_ms": 10.0 * (1 + mask.index("1")),
        }
        for mask in masks
        for _ in range(6)
    ]
    return CATALOGUE[experiment], pd.DataFrame(rows)


def test_masks_of_equally_many_blocks_are_settings_of_their_own():
    experiment, samples = masked("1000", "1100", "0110", "0011", "1111")
    rows = engines.medians(experiment, samples)
    rows = rows[rows["metric"] == "tpot_ms"].sort_values(["x", "line"])
    assert rows["mask"].tolist() == ["1000", "1100", "0011", "0110", "1111"]
    assert rows["x"].tolist() == [1, 2, 2, 2, 4]
    # The first N blocks are joined by one line, and of the others no two that have as many.
    assert rows["line"].tolist() == [0, 0, 1, 2, 0]
    assert rows["median"].tolist() == [1, 1, 3, 2, 1]
    assert rows["n"].tolist() == [6] * 5
    assert engines.equal_counts(experiment, samples) == [2]


def test_there_is_no_slope_through_masks_of_equally_many_blocks():
    found = engines.sensitivities(*masked("1100", "0011", "1111")).set_index("metric")
    assert found["slope"].isna().all()
    assert math.isnan(found.loc["tpot_ms", "least"])
    assert found.loc["tpot_ms", "most"] == 1
    alone = engines.sensitivities(*masked("0011", "1111")).set_index("metric")
    assert alone.loc["llm_prefill_ms", "slope"] == pytest.approx(10)
    assert alone.loc["tpot_ms", ["least", "most"]].tolist() == [3, 1]


def test_one_latency_has_one_unit_and_digits_in_common():
    nan = float("nan")
    rows = pd.DataFrame(
        [
            ["tpot_ms", "eager", 0.442, 0.4412, 0.4431, 5.1, 20.34],
            ["tpot_ms", "compiled", 0.0392, 0.0385, 0.0401, 0.981, 2.5],
            ["tpot_ms", "graph", nan, nan, nan, nan, nan],
            ["ttft_ms", "eager", 2.5, 2.4, 2.6, 10.0, 20.0],
        ],
        columns=["metric", "engine", "slope", "low", "high", "least", "most"],
    )
    medians = pd.DataFrame(
        [
            ["tpot_ms", "eager", 8, 20.34],
            ["tpot_ms", "compiled", 8, 2.5],
            ["ttft_ms", "eager", 8, 20.0],
        ],
        columns=["metric", "engine", "x", "median"],
    )
    table = engines.display_sensitivities(rows, medians)
    assert table["per step"].tolist() == ["442.0 µs", "39.2 µs", "—", "2.50 ms"]
    assert table["95 % interval"].tolist() == ["441.2 to 443.1 µs", "38.5 to 40.1 µs", "—", "2.40 to 2.60 ms"]
    assert table["at the most (ms)"].tolist() == ["20.34", "2.50", "—", "20.0"]
    assert table["× eager"].tolist() == ["1.000", "0.123", "—", "1.00"]
    assert table["at"].tolist() == ["8", "8", "—", "8"]


def test_engines_are_set_against_each_other_at_the_largest_value_that_both_have():
    """Published answers of 64 tokens are not held against eager's of 200, nor against a floor of another card."""
    lines = {"eager": {64: 1054.0, 200: 3330.0}, "compiled": {64: 54.0, 200: 170.0}, "floor": {64: 33.0, 200: 105.0}}
    lines["published code"] = {8: 1300.0, 64: 11515.0}
    medians = pd.DataFrame(
        [["llm_decode_ms", engine, x, value] for engine, line in lines.items() for x, value in line.items()],
        columns=["metric", "engine", "x", "median"],
    )
    rows = pd.DataFrame({"metric": "llm_decode_ms", "engine": ["eager", "compiled", "published code"]})
    rows = rows.assign(slope=1.0, low=0.9, high=1.1, least=1.0, most=2.0)
    table = engines.display_sensitivities(rows, medians).set_index("engine")
    assert table["at"].tolist() == ["200", "200", "64"]
    assert float(table.loc["published code", "× eager"]) == pytest.approx(11515 / 1054, rel=1e-3)
    assert table.loc["published code", "× floor"] == "—"
    assert float(table.loc["compiled", "× floor"]) == pytest.approx(170 / 105, rel=1e-2)
