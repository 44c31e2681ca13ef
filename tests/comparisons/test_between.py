"""How far runs of one series differ, on what that is known, and what a comparison makes of it."""

import math

import pytest

from profcore.comparisons.between import alike, display_between, load_series, quoted, spreads_of
from profcore.comparisons.runs import compare_all
from profcore.results.sweep import load_result
from profcore.storage.store import Store
from tests.comparisons.stored import store_run
from tests.support import small_sweep

SWEEP = small_sweep(values=(1, 2), num_samples=8)


def cost(factor):
    return lambda setting: factor * 100.0 * setting.top_k


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A series of three processes under eager that differ by 1 %, two runs beside it, and one under another engine."""
    with Store(tmp_path_factory.mktemp("between") / "data.duckdb") as store:
        series = [
            store_run(store, SWEEP, cost(factor), hour=hour, series="s1")
            for hour, factor in enumerate((0.99, 1.0, 1.01))
        ]
        alone = [store_run(store, SWEEP, cost(factor), hour=5) for factor in (1.0, 1.01)]
        other = store_run(store, SWEEP, cost(0.5), hour=6, engine="graph")
        # One alone of a series says nothing yet.
        store_run(store, SWEEP, cost(0.5), hour=7, series="s2", engine="graph")
        yield store, series, alone, other


def test_a_series_is_found_and_differs_by_what_its_runs_do(stored):
    store, series, *_ = stored
    (found,) = load_series(store)
    assert (found.experiment, found.run_ids) == ("moe_topk", tuple(series))
    # Logarithms of 0.99, 1 and 1.01 have a standard deviation of 1 %; other stages do not differ.
    prefill = found.found.stages["llm_prefill_ms"]
    assert prefill.between == pytest.approx(0.01, rel=0.01)
    assert (prefill.processes, prefill.freedom) == (3, 2)
    assert found.found.stages["projector_ms"].between == 0
    assert found.found.settings[1, "llm_prefill_ms"].between == pytest.approx(0.01, rel=0.01)
    table = display_between(found.found)
    assert set(table["setting"]) == {"top-k 1", "top-k 2"}
    row = table[(table["setting"] == "top-k 2") & (table["latency"] == "LLM prefill")].iloc[0]
    assert (row["processes"], row["between (%)"]) == ("3", "0.999")
    assert row["for ±1 %"].endswith("× 6 samples")
    assert len(display_between(found.found, "stages")) == len(found.found.stages)


def test_it_is_quoted_for_what_it_was_measured_on(stored):
    store, _, alone, other = stored
    spreads = spreads_of(load_series(store))
    known, unknown = (alike(store.run(run_id)["environment"]) for run_id in (alone[0], other))
    assert unknown not in spreads
    assert "(3 processes)" in quoted(spreads[known])
    assert quoted({}) == ""
    assert alike({}) is None


def test_a_comparison_holds_it_where_it_is_known_of_both_and_says_so(stored):
    store, _, (first, second), other = stored
    spreads = spreads_of(load_series(store))
    runs = [load_result(store, run_id) for run_id in (first, second)]

    def prefill(found, run_id):
        return found.runs[run_id].stages.set_index("metric").loc["llm_prefill_ms"]

    narrow, wide = compare_all(runs, 0.001), compare_all(runs, 0.001, spreads=spreads)
    # Two processes that differ as processes do are not told apart.
    assert prefill(narrow, second)["verdict"] == "slower"
    assert prefill(wide, second)["verdict"] == "undecided"
    assert prefill(wide, second)["ratio"] == prefill(narrow, second)["ratio"]
    reach = math.log(prefill(wide, second)["high"] / prefill(wide, second)["ratio"])
    # Student's t of 2 degrees of freedom is 4.303.
    assert reach == pytest.approx(4.303 * 0.01 * math.sqrt(2), rel=0.02)
    settings = wide.runs[second].settings
    assert (settings[settings["metric"] == "llm_prefill_ms"]["verdict"] == "undecided").all()
    assert "hold how far processes differ as well. Between processes" in wide.processes[0]
    assert "know one process" in narrow.processes[0]
    unknown = compare_all([runs[0], load_result(store, other)], 0.001, spreads=spreads)
    assert f"is not known of {other}" in unknown.processes[0]
    three = compare_all([*runs, load_result(store, other)], 0.001, spreads=spreads)
    assert three.processes[0] == wide.processes[0]
    assert three.processes[1].startswith(f"Those with {other} do not")
    assert unknown.to_dict()["processes"] == unknown.processes
