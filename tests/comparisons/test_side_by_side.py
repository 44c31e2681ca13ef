"""Which runs stand side by side by their engines, and what is said of them."""

import json
from dataclasses import replace

import pytest

from profcore import charts
from profcore.comparisons.side_by_side import find_groups, load_side_by_side
from profcore.experiments.knobs import CATALOGUE
from profcore.results.sweep import load_result
from profcore.spec.queries import Picture
from profcore.spec.stages import State
from profcore.storage.store import Store
from tests.comparisons.stored import MACHINE, import_file, published_topk, store_run
from tests.support import sample_spool, small_sweep

CONTEXT_SCALING = ("20261129-201600-9b5321e6", "20261129-201318-e4aa202e", "20261129-202920-879d7b0c")
"""The sample results of it under `eager`, `graph` and `compiled`."""


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as opened:
        yield opened


def flat(setting):
    return 10.0


def changed(sweep, **knobs):
    return replace(sweep, settings=tuple(replace(setting, **knobs) for setting in sweep.settings))


def test_the_floor_beside_engines_is_from_experts_that_were_counted(store, tmp_path):
    """Where one run did not count them: with an even router the floor would be above what was measured."""
    eager, *others = (sample_spool(run_id, tmp_path) for run_id in CONTEXT_SCALING)
    eager.write_text("".join(line for line in eager.open() if '"routing"' not in line))
    for spool in (eager, *others):
        store.take_in(spool, source="shipped")
    (group,) = find_groups(store, "context_scaling")
    assert list(group.runs) == ["eager", "graph", "compiled"]
    assert not load_result(store, group.runs["eager"]).routing_counted
    rows = load_side_by_side(store, "context_scaling", group).rows
    prefill = rows[rows["metric"] == "llm_prefill_ms"].pivot(index="x", columns="engine", values="median").dropna()
    assert len(prefill) > 5
    assert (prefill["floor"] < 0.7 * prefill["compiled"]).all()


def test_runs_that_differ_in_more_than_the_engine_are_named(store):
    store_run(store, small_sweep(), flat, torch="2.11")
    store_run(store, small_sweep(warmup=1), flat, torch="2.13", engine="compiled", experts="fused kernels")
    (group,) = find_groups(store, "moe_topk")
    found = load_side_by_side(store, "moe_topk", group)
    assert found.differences == [
        "torch: 2.11 (eager); 2.13 (compiled)",
        "warm-up: 0 before each setting (eager); 1 before each setting (compiled)",
    ]
    assert not found.published
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert {row["engine"] for row in plain["medians"]} == {"eager", "compiled"}


def test_a_peer_stands_beside_the_engines_by_what_it_knows(store):
    for engine in ("generate", "eager"):
        store_run(store, small_sweep(), flat, engine=engine)
    (group,) = find_groups(store, "moe_topk")
    assert list(group.runs) == ["eager", "generate"]
    found = load_side_by_side(store, "moe_topk", group)
    known = found.sensitivities.groupby("engine")["metric"].agg(list).to_dict()
    assert known == {"eager": ["llm_prefill_ms", "tpot_ms"], "generate": ["tpot_ms"]}
    assert set(found.rows[found.rows["engine"] == "generate"]["metric"]) == {"tpot_ms"}
    drawn = charts.engines(found.rows, CATALOGUE["moe_topk"], "tpot_ms", True).to_dict()
    assert "generate" in json.dumps(drawn)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda sweep: changed(sweep, grid=(1, 2)), "image grid"),
        (lambda sweep: changed(sweep, output_tokens=5), "output tokens"),
        (lambda sweep: changed(sweep, block_mask=(True,) * 4 + (False,) * 12), "blocks"),
        (lambda sweep: changed(sweep, block_mask=(False,) * 14 + (True,) * 2), "blocks"),
        (lambda sweep: replace(sweep, picture=Picture("solid", "#808080")), "picture"),
        (lambda sweep: replace(sweep, prompt="Why?"), "prompt"),
        (lambda sweep: replace(sweep, stop_at_eos=True), "end of text"),
    ],
)
def test_runs_that_hold_something_elsewhere_are_another_comparison(store, change, says):
    """Neither joins the other, and their titles say what tells them apart."""
    store_run(store, small_sweep(), flat)
    store_run(store, change(small_sweep()), flat, engine="compiled")
    first, second = find_groups(store, "moe_topk")
    assert {tuple(first.runs), tuple(second.runs)} == {("eager",), ("compiled",)}
    assert first.title != second.title
    assert all(f"; {says}: " in group.title for group in (first, second))


def test_another_clock_is_another_comparison(store):
    store_run(store, small_sweep(), flat)
    store_run(store, small_sweep(), flat, engine="compiled", clock="published")
    assert [len(group.runs) for group in find_groups(store, "moe_topk")] == [1, 1]


def test_a_stopped_run_of_one_sample_displaces_no_full_sweep(store):
    full = store_run(store, small_sweep(values=(1, 2, 4)), flat)
    store_run(store, small_sweep(values=(1, 2, 4)), flat, state=State.STOPPED, only=1, hour=1)
    assert [group.runs for group in find_groups(store, "moe_topk")] == [{"eager": full}]


def test_own_then_done_then_fullest_then_newest(store):
    """Each run is worse than the one before by one rule alone, and better by every rule that comes after."""
    few, many = small_sweep(values=(1, 2)), small_sweep(values=(1, 2, 4))
    newest = store_run(store, many, flat, hour=1)
    older = store_run(store, many, flat, hour=0)
    fewer = store_run(store, few, flat, hour=2)
    running = store_run(store, many, flat, state=State.RUNNING, hour=3)
    stopped = store_run(store, many, flat, state=State.STOPPED, hour=4)
    shipped = store_run(store, many, flat, hour=5, source="shipped")
    store_run(store, many, flat, hour=6, only=0)
    import_file(store, published_topk(lambda top_k: 10.0, metadata={"environment": MACHINE}))
    ranked = [newest, older, fewer, running, stopped, shipped]
    assert store.ranked("moe_topk") == ranked
    # Those that were asked for alike stand for each other, the first for all.
    assert store.ranked_apart("moe_topk") == [newest, fewer, shipped]
    for place, run_id in enumerate(ranked[:-1]):
        assert find_groups(store, "moe_topk")[0].runs == {"eager": run_id}
        store.remove(run_id)
        assert store.ranked("moe_topk") == ranked[place + 1 :]


def test_an_import_is_in_no_group(store):
    import_file(store, published_topk(lambda top_k: 10.0, metadata={"environment": MACHINE}))
    assert find_groups(store, "moe_topk") == []


def test_what_was_measured_here_comes_before_sample_results(store):
    store.take_in_shipped()
    store_run(store, small_sweep(), flat)
    assert len(find_groups(store, "moe_topk")[0].runs) == 3
    store_run(store, small_sweep(), flat, engine="compiled")
    assert "a card" in find_groups(store, "moe_topk")[0].title


def test_the_published_code_stands_beside_what_it_measured_alone(store):
    """It ran every block at top-8 on a 1×1 grid."""
    whole = changed(small_sweep(), block_mask=(True,) * 16, output_tokens=10)
    store_run(store, whole, flat, model="molmoe-1b")
    store_run(store, changed(whole, grid=(1, 4)), flat, model="molmoe-1b")
    shown = {}
    for group in find_groups(store, "moe_topk"):
        found = load_side_by_side(store, "moe_topk", group)
        shown[found.published] = found
    assert "published code" in set(shown[True].rows["engine"])
    assert "published code" not in set(shown[False].rows["engine"])
    assert shown[False].notes == ["The published code is not shown: image grid is 1×1 there and 1×4 in these runs."]


def test_masks_of_equally_many_blocks_are_points_of_their_own_on_the_chart(store):
    first, last = "1" * 4 + "0" * 12, "0" * 12 + "1" * 4
    cost = {first: 10.0, last: 30.0, "1" * 8 + "0" * 8: 20.0}
    sweep = small_sweep("transformer_blocks_mask", tuple(cost), num_samples=6)
    store_run(store, sweep, lambda setting: cost[setting.mask_label])
    (group,) = find_groups(store, "transformer_blocks_mask")
    found = load_side_by_side(store, "transformer_blocks_mask", group)
    rows = found.rows[(found.rows["metric"] == "llm_prefill_ms") & (found.rows["engine"] == "eager")]
    assert rows.set_index("mask")["median"].to_dict() == pytest.approx(cost)
    assert "Several masks run 4 blocks (eager)." in found.notes[0]
    assert found.sensitivities["slope"].isna().all()
    chart = charts.engines(found.rows, CATALOGUE["transformer_blocks_mask"], "llm_prefill_ms", log=False).to_dict()
    line = chart["layer"][0]["encoding"]
    assert line["detail"]["field"] == "line"
    assert "mask" in [each["field"] for each in line["tooltip"]]
