"""How an experiment's latencies changed from run to run, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from profcore.comparisons.history import histories, history, settings_of, since_the_first
from profcore.results.sweep import load_result
from profcore.storage.store import Store
from tests.comparisons.stored import import_file, published_topk, store_run
from tests.support import small_sweep

SWEEP = small_sweep(num_samples=12)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as opened:
        yield opened


def run_of(store, factor, hour, sweep=SWEEP, **more):
    run_id = store_run(store, sweep, lambda setting: 10.0 * factor * setting.top_k, hour=hour, **more)
    return load_result(store, run_id)


def test_runs_are_of_one_history_where_versions_alone_differ(store):
    runs = [run_of(store, 1.0, 3, torch="2.12"), run_of(store, 1.0, 1), run_of(store, 1.0, 2, driver="590")]
    others = [
        run_of(store, 1.0, 4, device_name="another card"),
        run_of(store, 1.0, 5, sweep=replace(SWEEP, prompt="Why?")),
        run_of(store, 1.0, 6, sweep=small_sweep("output_tokens", (4, 8), 12)),
    ]
    nothing = run_of(store, 1.0, 7, only=0)
    unsaid = load_result(store, import_file(store, published_topk(lambda top_k: 1.0)))
    found = histories([*runs, *others, nothing, unsaid])
    assert [[each.run["id"] for each in group] for group in found] == [
        [runs[1].run["id"], runs[2].run["id"], runs[0].run["id"]],
        *([each.run["id"]] for each in reversed(others)),
    ]
    assert settings_of(found[0]) == ["top-k 1", "top-k 2"]


def test_a_change_is_marked_where_the_interval_says_so(store):
    """Slower by a tenth with the second version, faster again with the third; by a thousandth it is no change."""
    factors = {"2.11": 1.0, "2.12": 1.1, "2.13": 0.9, "2.14": 0.901}
    runs = [run_of(store, factor, hour, torch=torch) for hour, (torch, factor) in enumerate(factors.items())]
    rows = history(runs, "llm_prefill_ms", "top-k 2", 0.02)
    assert rows["change"].tolist() == ["", "slower", "faster", "same"]
    assert rows["value"].tolist() == pytest.approx([20.0, 22.0, 18.0, 18.02])
    assert rows["ratio"].tolist()[1:] == pytest.approx([1.1, 0.9 / 1.1, 0.901 / 0.9])
    assert (rows["ratio_low"] < rows["ratio"])[1:].all()
    assert rows["torch"].tolist() == list(factors)
    whole = history(runs, "llm_prefill_ms", None, 0.02)
    assert whole["value"].tolist() == pytest.approx([1.0, 1.1, 0.9, 0.901])
    assert whole["change"].tolist() == ["", "slower", "faster", "same"]
    # Within a margin of a fifth none of it counts.
    assert history(runs, "llm_prefill_ms", None, 0.25)["change"].tolist()[1:] == ["same"] * 3


def test_what_a_run_does_not_know_is_left_out_and_few_samples_show_no_change(store):
    short = small_sweep(values=(1,), num_samples=3)
    runs = [run_of(store, 1.0, 0), run_of(store, 2.0, 1, sweep=short), run_of(store, 1.0, 2)]
    assert len(history(runs, "total_ms", "top-k 2", 0.02)) == 2
    rows = history(runs, "total_ms", "top-k 1", 0.02)
    assert rows["change"].tolist() == ["", "undecided", "undecided"]
    assert np.isnan(rows["low"][1])
    assert history(runs, "flops", None, 0.02).empty
    assert history(runs, "total_ms", "top-k 9", 0.02).empty


def test_runs_of_one_minute_keep_their_places(store):
    rows = history([run_of(store, 1.0, 0), run_of(store, 1.0, 0), run_of(store, 1.0, 0)], "total_ms", None, 0.02)
    assert rows["label"].is_unique


def test_small_steps_that_add_up_are_seen_since_the_first(store):
    runs = [run_of(store, 1.015**hour, hour) for hour in range(5)]
    assert history(runs, "llm_prefill_ms", None, 0.02)["change"].tolist()[1:] == ["same"] * 4
    since = since_the_first(runs, "llm_prefill_ms", None, 0.02)
    assert (since.verdict, since.ratio) == ("slower", pytest.approx(1.015**4))
    assert since_the_first(runs[:2], "llm_prefill_ms", None, 0.02) is None
    assert since_the_first(runs[:3], "llm_prefill_ms", "top-k 2", 0.05).verdict == "same"
