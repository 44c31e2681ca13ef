"""Sensitivities against slopes worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from profcore.comparisons import engines, published
from profcore.comparisons.side_by_side import find_groups, load_side_by_side
from profcore.experiments.knobs import CATALOGUE
from profcore.results.sweep import load_result
from profcore.spec.records import Sample
from profcore.spec.runs import RunSpec, Target
from profcore.stats import slope
from profcore.storage import spool
from profcore.storage.store import Store
from tests.support import small_sweep


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


def test_the_floor_beside_engines_is_from_experts_that_were_counted(tmp_path):
    """Of the sample results only some counted them; with an even router the floor would be above what was measured."""
    with Store(tmp_path / "data.duckdb") as store:
        store.take_in_shipped()
        (group,) = find_groups(store, "context_scaling")
        assert list(group.runs) == ["eager", "graph", "compiled"]
        assert not load_result(store, group.runs["eager"]).routing_counted
        rows = load_side_by_side(store, "context_scaling", group).rows
    prefill = rows[rows["metric"] == "llm_prefill_ms"].pivot(index="x", columns="engine", values="median").dropna()
    assert len(prefill) > 5
    assert (prefill["floor"] < 0.7 * prefill["compiled"]).all()


def test_runs_that_differ_in_more_than_the_engine_are_named(tmp_path):
    with Store(tmp_path / "data.duckdb") as store:
        for number, (engine, torch_version) in enumerate((("eager", "2.11"), ("compiled", "2.13"))):
            spec = RunSpec.new(Target(engine=engine), small_sweep())
            path = spool.spool_path(store.spools, spec.id)
            environment = {"device_name": "a card", "model": "tiny", "weights": "random", "dtype": "float32"}
            with spool.SpoolWriter(path) as writer:
                writer.run(spec)
                writer.write({"type": "environment", **environment, "engine": engine, "torch": torch_version})
                writer.sample(Sample(number, 0, 0, 1.0, 10, 1, 39, 49, 1, 100, (24.5, 24.5), 2, 288, 355, 3))
            store.take_in(path)
        (group,) = find_groups(store, "moe_topk")
        found = load_side_by_side(store, "moe_topk", group)
    assert found.differences == ["torch: 2.11 (eager); 2.13 (compiled)"]
    assert not found.published
