"""Joules of two runs beside each other."""

import json

import pytest

from profcore.comparisons.energy import display_energy_comparison
from profcore.comparisons.runs import compare_all
from profcore.results.sweep import load_result
from profcore.storage.store import Store
from tests.comparisons.stored import store_run
from tests.support import small_sweep


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    sweep = small_sweep("moe_topk", (1, 2), num_samples=6)
    with Store(tmp_path_factory.mktemp("energies") / "data.duckdb") as store:
        ids = [store_run(store, sweep, lambda setting: 1.0, joules=joules) for joules in (
            lambda setting: 10.0 * setting.top_k, lambda setting: 20.0 * setting.top_k, None)]  # fmt: skip
        yield [load_result(store, run_id) for run_id in ids]


def test_a_ratio_with_what_the_steps_of_both_meters_leave_open(runs):
    rows = compare_all(runs[:2]).table("energy")
    decode = rows[(rows["part"] == "llm_decode") & (rows["number"] == 1)].iloc[0]
    assert (decode["reference_j"], decode["this_j"], decode["ratio"]) == (20, 40, 2)
    assert (decode["low"], decode["high"]) == pytest.approx((39.9 / 20.1, 40.1 / 19.9))
    shown = display_energy_comparison(rows, ["run"])
    assert "40.00 ± 0.10" in shown["this run (J)"].tolist()
    assert shown["of"].unique().tolist() == ["Vision encoder", "Projector", "LLM prefill", "LLM decode", "Inference"]


def test_nothing_is_compared_where_one_run_measured_none(runs):
    found = compare_all([runs[0], runs[2]])
    assert found.table("energy").empty
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["runs"][runs[2].run["id"]]["energy"] == []
