"""Runs beside each other, against values worked out by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from profcore import stats
from profcore.comparisons.runs import compare_all, compare_runs, verdict
from profcore.errors import UserError
from profcore.results.pictures import load_picture_result
from profcore.results.sweep import load_result
from profcore.storage.store import Store
from tests.comparisons.stored import MACHINE, import_file, pictures_sweep, published_topk, store_run
from tests.support import small_sweep


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (0.99, 1.01, "same"),
        (1.001, 1.015, "same"),
        (0.5, 0.6, "faster"),
        (0.97, 0.995, "faster"),
        (1.01, 1.5, "slower"),
        (0.9, 1.01, "undecided"),
        (0.99, 1.03, "undecided"),
        (math.nan, math.nan, "undecided"),
    ],
)
def test_a_verdict_follows_from_the_interval_and_the_margin(low, high, says):
    assert verdict(stats.Ratio(1.0, low, high, 5), 0.02) == says


@pytest.fixture(scope="module")
def shipped(sample_results):
    return sample_results


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as opened:
        yield opened


def by_engine(store, experiment, load):
    found = [load(store, run_id) for run_id in store.runs(experiment)["id"]]
    return {result.run["environment"]["engine"]: result for result in found}


def test_runs_are_compared_setting_by_setting(shipped):
    runs = by_engine(shipped, "moe_topk", load_result)
    found = compare_runs(runs["graph"], runs["compiled"])
    stages = found.stages.set_index("metric")
    assert stages.loc["llm_decode_ms", "verdict"] == "faster"
    assert stages.loc["llm_decode_ms", "settings"] == 6
    assert (found.unmatched, found.ambiguous) == (0, 0)
    rows = found.settings[found.settings["metric"] == "tpot_ms"]
    by_hand = [
        runs["compiled"].summary.query("metric == 'tpot_ms' and label == @label")["median"].iloc[0]
        / runs["graph"].summary.query("metric == 'tpot_ms' and label == @label")["median"].iloc[0]
        for label in ("1", "2", "4", "8", "16", "32")
    ]
    assert rows["ratio"].tolist() == pytest.approx(by_hand)
    assert stages.loc["tpot_ms", "ratio"] == pytest.approx(np.exp(np.mean(np.log(by_hand))))
    itself = compare_runs(runs["graph"], runs["graph"]).stages.set_index("metric")
    assert itself.loc["total_ms", "ratio"] == 1
    assert itself.loc["total_ms", "verdict"] == "same"


@pytest.mark.long
def test_settings_without_a_counterpart_are_counted_and_pictures_match_by_question(shipped):
    grids = by_engine(shipped, "vision_tokens_vs_latency", load_picture_result)
    found = compare_runs(grids["eager"], grids["compiled"])
    assert found.stages["settings"].max() == 120
    assert found.stages.set_index("metric").loc["llm_prefill_ms", "verdict"] == "faster"
    pictures = by_engine(shipped, "latency_distribution", load_picture_result)
    other = compare_runs(pictures["compiled"], grids["compiled"])
    assert other.stages.empty
    assert other.unmatched == 36 + 120
    tops = by_engine(shipped, "moe_topk", load_result)
    blocks = by_engine(shipped, "transformer_blocks_mask", load_result)
    # The one setting that both sweeps have: top-8 and all sixteen blocks.
    assert compare_runs(tops["graph"], blocks["graph"]).stages["settings"].tolist()[0] == 1


def test_several_runs_are_compared_with_the_first_under_their_conditions(store):
    sweep = small_sweep(num_samples=7)
    runs = [
        store_run(store, sweep, lambda setting: 10.0 * setting.top_k),
        store_run(store, sweep, lambda setting: 20.0 * setting.top_k, device_name="another card"),
        store_run(store, replace(sweep, prompt="Why?"), lambda setting: 10.0 * setting.top_k),
    ]
    found = compare_all([load_result(store, run_id) for run_id in runs], names=dict(zip(runs, "abc", strict=True)))
    assert found.reference == runs[0]
    assert list(found.runs) == runs[1:]
    twice = found.runs[runs[1]].stages.set_index("metric").loc["llm_prefill_ms"]
    assert (twice["ratio"], twice["verdict"]) == (pytest.approx(2), "slower")
    same = found.runs[runs[2]].stages.set_index("metric").loc["llm_prefill_ms"]
    assert (same["ratio"], same["verdict"]) == (pytest.approx(1), "same")
    assert found.differences == [
        "GPU: a card (a and c); another card (b)",
        "prompt: “Describe this image.” (a and b); “Why?” (c)",
    ]
    rows = found.table("settings")
    row = rows[(rows["run"] == "b") & (rows["metric"] == "llm_prefill_ms")].iloc[0]
    assert (row["reference_ms"], row["median_ms"], row["ratio"]) == pytest.approx((10.0, 20.0, 2.0))
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    first = next(each for each in plain["runs"][runs[1]]["settings"] if each["metric"] == "llm_prefill_ms")
    assert (first["reference_ms"], first["median_ms"], first["verdict"]) == (10.0, 20.0, "slower")
    assert plain["differences"] == found.differences


def test_a_sweeps_one_picture_is_read_once_and_compared_with_no_other(store):
    sweep = small_sweep(num_samples=7)
    runs = [load_result(store, store_run(store, sweep, lambda setting: 10.0)) for _ in range(2)]
    once = [replace(run, samples=run.samples.assign(picture_reading_ms=[5.0, *[math.nan] * 13])) for run in runs]
    assert stats.READING not in set(compare_runs(*once).stages["metric"])
    each = [replace(run, samples=run.samples.assign(picture_reading_ms=5.0)) for run in runs]
    assert stats.READING in set(compare_runs(*each).stages["metric"])


def test_one_run_or_one_without_samples_is_no_comparison(store):
    run = load_result(store, store_run(store, small_sweep(), lambda setting: 10.0))
    empty = load_result(store, store_run(store, small_sweep(), lambda setting: 10.0, only=0))
    with pytest.raises(UserError, match="needs two runs"):
        compare_all([run, run])
    with pytest.raises(UserError, match="has no samples to compare"):
        compare_all([run, empty])


def test_two_files_with_one_name_are_two_runs(store):
    own = store_run(store, small_sweep(num_samples=6), lambda setting: 10.0)
    files = [import_file(store, published_topk(lambda top_k, cost=cost: cost), "r.json") for cost in (5.0, 20.0)]
    names = {own: "own"} | dict.fromkeys(files, "r.json")
    found = compare_all([load_result(store, run_id) for run_id in (own, *files)], names=names)
    assert found.names == {own: "own", **{run_id: f"r.json, {run_id}" for run_id in files}}
    ratios = [found.runs[run_id].stages.set_index("metric").loc["llm_prefill_ms", "ratio"] for run_id in files]
    assert ratios == pytest.approx([0.5, 2.0])
    assert len([text for text in found.differences if "cannot be told" in text]) == 2


def test_rows_that_lack_a_knob_are_matched_by_the_knobs_that_both_rows_know(store):
    """A published file knows top-k alone: its rows are those of a full sweep, and what is unknown is said."""
    own = store_run(store, small_sweep(num_samples=6), lambda setting: 10.0 * setting.top_k)
    file = import_file(store, published_topk(lambda top_k: 30.0 * top_k))
    found = compare_runs(load_result(store, own), load_result(store, file))
    prefill = found.stages.set_index("metric").loc["llm_prefill_ms"]
    assert (prefill["ratio"], prefill["settings"]) == (pytest.approx(3), 2)
    assert (found.unmatched, found.ambiguous) == (0, 0)


def test_each_row_is_matched_by_what_it_knows_itself(store):
    """Half of one file's rows say their grid, all of the other's do: the pictures tell the others."""
    rows = [
        {"image_id": str(number), "T_total": 20.0, **({"grid": "1x1"} if number < 3 else {})} for number in range(6)
    ]
    mine = import_file(store, {"results": rows}, "a.json")
    theirs = [{**row, "T_total": 40.0, "grid": "1x1", "max_new_tokens": 5} for row in rows]
    other = import_file(store, {"results": theirs}, "b.json")
    found = compare_runs(load_picture_result(store, mine), load_picture_result(store, other))
    assert found.settings["ratio"].tolist() == pytest.approx([2.0] * 6)


def test_masks_of_equally_many_blocks_are_settings_of_their_own(store):
    first, last = "1" * 4 + "0" * 12, "0" * 12 + "1" * 4
    cost = {first: 10.0, last: 30.0}
    sweep = small_sweep("transformer_blocks_mask", (first, last), num_samples=6)
    runs = [
        load_result(store, store_run(store, sweep, lambda setting, times=times: times * cost[setting.mask_label]))
        for times in (1.0, 2.0)
    ]
    found = compare_runs(*runs)
    rows = found.settings[found.settings["metric"] == "llm_prefill_ms"]
    assert rows["reference_ms"].tolist() == pytest.approx([10.0, 30.0])
    assert rows["median_ms"].tolist() == pytest.approx([20.0, 60.0])
    # A run that says how many blocks, and not which, fits both: neither is taken.
    silent = replace(runs[1], settings=runs[1].settings.assign(block_mask=None).head(1))
    found = compare_runs(runs[0], silent)
    assert found.stages.empty
    assert found.ambiguous == 3


def test_pictures_of_two_data_sets_are_not_one_because_of_their_number(store):
    """Both call a picture 1; its size or its question tells that they are two."""
    sweep = pictures_sweep("latency_distribution", data_set="one")
    queries = sweep.plan.queries
    others = replace(
        queries, name="two", queries=tuple(replace(each, question=f"Else {each.question}") for each in queries.queries)
    )
    other = replace(sweep, plan=replace(sweep.plan, queries=others))
    runs = [load_picture_result(store, store_run(store, each, lambda setting: 10.0)) for each in (sweep, other, sweep)]
    assert compare_runs(runs[0], runs[1]).stages.empty
    assert compare_runs(runs[0], runs[2]).stages["settings"].max() == 6


def test_a_sweeps_own_picture_is_none_of_a_data_sets(store):
    knobs = small_sweep("output_tokens", (2, 10), num_samples=6)
    whole = replace(knobs, settings=tuple(replace(each, block_mask=(True,) * 16) for each in knobs.settings))
    sweep = load_result(store, store_run(store, whole, lambda setting: 10.0))
    pictures = pictures_sweep("latency_distribution", number=1, top_k=whole.settings[0].top_k, num_samples=6)
    run = load_picture_result(store, store_run(store, pictures, lambda setting: 10.0))
    assert compare_runs(sweep, run).stages.empty


def test_an_environment_in_a_file_is_compared_as_one_that_was_measured(store):
    own = store_run(store, small_sweep(num_samples=6), lambda setting: 10.0)
    metadata = {"environment": {**MACHINE, "device_name": "H200"}}
    file = import_file(store, published_topk(lambda top_k: 10.0, metadata=metadata))
    found = compare_all([load_result(store, own), load_result(store, file)], names={own: "own", file: "file"})
    assert "GPU: a card (own); H200 (file)" in found.differences
    assert not [text for text in found.differences if "what it was measured on" in text]
