"""What runs say in a few figures: each follows from samples, and one without its runs is left out."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from profcore.comparisons.findings import find_findings
from profcore.spec.stages import State
from profcore.storage.store import Store
from tests.comparisons.stored import pictures_sweep, store_run
from tests.support import small_sweep


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as opened:
        yield opened


def found_in(store):
    return {finding.kind: finding for finding in find_findings(store)}


def test_the_sample_results_say_all_of_them(sample_results):
    store = sample_results
    found = found_in(store)
    assert list(found) == ["engines", "launching", "pictures", "floor"]
    assert all("H200" in each.source and ", sample result" in each.source for each in found.values())
    # Decode: the ratio of medians at the longest answer.
    samples = {
        json.loads(run["environment"])["engine"]: store.samples(run["id"])
        for run in store.runs("output_tokens").to_dict("records")
    }
    medians = {
        engine: rows[rows["num_output_tokens"] == 200]["llm_decode_ms"].median() / 199
        for engine, rows in samples.items()
    }
    assert found["engines"].value == f"{medians['eager'] / medians['compiled']:.1f} ×"
    assert f"{medians['eager']:.1f} ms a token under eager" in found["engines"].detail
    # Launching: what the host took to issue eager's decode, of what it took.
    run = found["launching"].run
    issued = store.issue(run)
    issued = issued[issued["metric"] == "llm_decode_ms"].set_index("setting")["issue_ms"]
    taken = store.samples(run).groupby("setting")["llm_decode_ms"].median()
    assert found["launching"].value == f"{100 * issued.sum() / taken.sum():.0f} %"
    assert pd.notna(found["launching"].setting)
    assert found["launching"].detail.startswith("of eager's decode is the host launching kernels; ")
    # In the order of the tokens, not of the ratios: the worst lies between both ends.
    assert found["floor"].value == "2.4 → 1.9 ×"
    assert found["floor"].detail.endswith(": 2.4 × at 288 vision tokens, 2.9 × at 480 (the worst), 1.9 × at 1,344")


def test_runs_of_ones_own_come_first_and_those_under_way_are_left_out(store):
    sweep = small_sweep("output_tokens", (2, 5))
    store_run(store, sweep, lambda setting: 40.0)
    assert found_in(store) == {}
    store_run(store, sweep, lambda setting: 25.0, engine="compiled", state=State.RUNNING)
    assert found_in(store) == {}
    compiled = store_run(store, sweep, lambda setting: 25.0, engine="compiled", hour=1)
    (finding,) = find_findings(store)
    # A decode step takes a tenth of the prefill.
    assert (finding.kind, finding.value, finding.run) == ("engines", "1.60 ×", compiled)
    assert finding.detail == "faster: 4.00 ms a token under eager, 2.50 ms compiled"
    assert finding.source == "5 output tokens, tiny on a card, measured 01 Jan 00:00"
    assert not finding.differs
    store_run(store, sweep, lambda setting: 20.0, engine="compiled", hour=2, torch="2.12")
    assert found_in(store)["engines"].value == "2.00 ×"
    assert found_in(store)["engines"].differs


def test_pictures_are_set_against_a_sweep_that_was_measured_alike(store):
    sweep = replace(small_sweep("context_scaling", (1, 2, 3), num_samples=6))
    sweep = replace(sweep, settings=tuple(replace(each, block_mask=(True,) * 16) for each in sweep.settings))
    run = store_run(store, sweep, lambda setting: 50.0)
    store_run(store, pictures_sweep(), lambda setting: 55.0, hour=1)
    finding = found_in(store)["pictures"]
    assert finding.run == run
    assert finding.value.startswith("+") and finding.value.endswith(" %")
    assert finding.detail.startswith("slower in TTFT at equal vision tokens (95 %: +")
    store_run(store, pictures_sweep(), lambda setting: 45.0, hour=2)
    finding = found_in(store)["pictures"]
    assert finding.value.startswith("−")
    assert finding.detail.startswith("faster in TTFT at equal vision tokens (95 %: −")


def test_a_tile_says_how_many_samples_a_card_held_back(store):
    sweep = small_sweep("output_tokens", (2, 5))
    store_run(store, sweep, lambda setting: 40.0, held_back=(0, 1, 3))
    store_run(store, sweep, lambda setting: 25.0, engine="compiled", hour=1)
    number = 2 * sweep.num_samples
    assert found_in(store)["engines"].source.endswith(f"; 3 of {number} samples held back (power cap)")
