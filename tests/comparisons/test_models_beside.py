"""Models side by side: which runs stand together, one picture seen by each, and what a step costs."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest

from profcore import stats
from profcore.comparisons.models_beside import (
    curves_from,
    display_pictures,
    display_slopes,
    find_model_groups,
    joules_words,
    load_models_beside,
    one_picture,
    picture_differences,
    picture_notes,
    stage_rows,
)
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings
from profcore.models.config import model_shape
from profcore.results.sweep import load_result
from profcore.roofline.parameters import count_parameters
from profcore.spec.runs import Sweep
from profcore.spec.settings import first_blocks
from profcore.stats.digits import MISSING
from profcore.storage.store import Store
from tests.comparisons.stored import store_run
from tests.families import tiny


def sweep_of(model, values=(1, 2, 3, 4, 6), samples=8):
    experiment, config = CATALOGUE["context_scaling"], model_shape(model)
    settings = build_settings(experiment, values, base_setting(experiment, config))
    return Sweep(experiment.name, settings, num_samples=samples, warmup=0)


def cost(factor):
    """Stages in proportion to crops and tokens, some times as long."""
    return lambda setting: tuple(
        factor * value for value in (2.0 * (setting.grid[1] + 1), 0.5, 0.01 * (192 + 96 * setting.grid[1]), 1.0)
    )


@pytest.fixture
def store(tmp_path):
    """Two models on one card by one engine, one of them by another engine too, and one on another card."""
    with Store(tmp_path / "p.duckdb") as opened:
        store_run(opened, sweep_of("molmoe-1b"), cost(1), model="molmoe-1b", joules=lambda setting: 0.0)
        store_run(opened, sweep_of("qwen3-vl-4b"), cost(2), model="qwen3-vl-4b", torch="2.12")
        store_run(opened, sweep_of("qwen3-vl-4b"), cost(1), model="qwen3-vl-4b", engine="graph")
        store_run(opened, sweep_of("molmoe-1b"), cost(9), model="molmoe-1b", device_name="another card")
        yield opened


def test_models_stand_together_that_were_measured_alike(store):
    groups = find_model_groups(store, "context_scaling")
    assert groups[0].title == "a card, eager, float32"
    assert set(groups[0].runs) == {"molmoe-1b", "qwen3-vl-4b"}
    assert [len(group.runs) for group in groups] == [2, 1, 1]


def test_one_picture_seen_by_each(store):
    group = find_model_groups(store, "context_scaling")[0]
    models = ["molmoe-1b", "qwen3-vl-4b", "gemma-3-4b", "none"]
    found = one_picture(curves_from(store, group.conditions), models, (336, 336))
    molmoe, qwen, gemma = found
    assert (molmoe.tokens, molmoe.views) == (288, 2)
    assert molmoe.estimate.ttft_ms == pytest.approx(4 + 0.5 + 2.88, rel=1e-2)
    assert molmoe.estimate.ttft_j == pytest.approx(10.0)
    assert (qwen.tokens, qwen.active) == (100, qwen.parameters)
    assert gemma.estimate is None
    table = display_pictures(found).set_index("model")
    assert table.loc["gemma-3-4b", "how"] == "not measured"
    assert table.loc["gemma-3-4b", "vision tokens"] == "256"
    assert table.loc["molmoe-1b", "a token uses"] == "1.58 billion"
    assert table.loc["qwen3-vl-4b", "joules"] == MISSING
    far = one_picture(curves_from(store, group.conditions), ["gemma-3-4b", "qwen3-vl-4b"], (4000, 4000))
    assert [each.how for each in far] == ["too far", "not measured"]


def test_joules_of_a_run_of_their_own_are_told_and_said(store):
    group = find_model_groups(store, "context_scaling")[0]
    # Fewer samples, so that no milliseconds rest on them; the second is of another engine, the third of another card.
    alike = sweep_of("qwen3-vl-4b", values=(1, 3, 6), samples=2)
    own = store_run(store, alike, cost(2), model="qwen3-vl-4b", joules=lambda setting: 0.0)
    store_run(store, alike, cost(2), model="qwen3-vl-4b", engine="graph", joules=lambda setting: 0.0, hour=1)
    store_run(store, alike, cost(2), model="qwen3-vl-4b", device_name="b", joules=lambda setting: 0.0, hour=2)
    curves, energy = (curves_from(store, group.conditions, energy=each) for each in (False, True))
    molmoe, qwen = one_picture(curves, ["molmoe-1b", "qwen3-vl-4b"], (800, 600), energy)
    assert molmoe.estimate.joules_run_id is None
    assert (qwen.estimate.run_id, qwen.estimate.joules_run_id) == (group.runs["qwen3-vl-4b"], own)
    assert qwen.estimate.ttft_j == pytest.approx(10.0)
    assert joules_words([molmoe]) == ""
    assert joules_words([molmoe, qwen]).endswith(f": qwen3-vl-4b's from run {own} (beyond its settings).")
    (alone,) = one_picture(curves, ["qwen3-vl-4b"], (800, 600))
    assert alone.estimate.joules_run_id is None


def test_a_model_that_takes_no_such_picture_stands_there_with_the_reason(store):
    group = find_model_groups(store, "context_scaling")[0]
    found = one_picture(curves_from(store, group.conditions), ["qwen3-vl-4b", "gemma-3-4b"], (1, 9000))
    qwen, gemma = found
    assert (qwen.how, qwen.tokens, gemma.tokens) == ("refused", None, 256)
    assert display_pictures(found).set_index("model").loc["qwen3-vl-4b", ["vision tokens", "how"]].tolist() == [
        MISSING,
        "refused",
    ]
    assert picture_notes(store, found) == [f"Not qwen3-vl-4b: {qwen.reason}"]
    assert "narrow" in qwen.reason


def test_one_picture_says_what_its_runs_differ_in(store):
    group = find_model_groups(store, "context_scaling")[0]
    found = one_picture(curves_from(store, group.conditions), ["molmoe-1b", "qwen3-vl-4b"], (640, 480))
    found.sort(key=lambda each: each.model)
    assert [each for each in picture_differences(store, found) if each.startswith("torch")] == [
        "torch: 2.11 (molmoe-1b); 2.12 (qwen3-vl-4b)"
    ]
    other = replace(sweep_of("molmoe-1b", samples=20), prompt="Another question?")
    store_run(store, other, cost(1), model="molmoe-1b", hour=3)
    found = one_picture(curves_from(store, group.conditions), list(group.runs), (640, 480))
    assert any("Another question?" in each for each in picture_differences(store, found))


def test_runs_of_another_clock_say_nothing_of_a_group(store):
    store_run(store, sweep_of("molmoe-1b"), cost(5), model="molmoe-1b", clock="published", hour=4)
    groups = find_model_groups(store, "context_scaling")
    events, published = (next(each for each in groups if each.conditions[-1] == c) for c in ("events", "published"))
    ms = [one_picture(curves_from(store, g.conditions), ["molmoe-1b"], (336, 336))[0] for g in (events, published)]
    assert ms[1].estimate.ttft_ms == pytest.approx(5 * ms[0].estimate.ttft_ms, rel=0.05)


def test_the_table_says_what_the_raw_samples_do(store):
    group = find_model_groups(store, "context_scaling")[0]
    found = one_picture(curves_from(store, group.conditions), list(group.runs), (336, 336))
    raw = stats.add_derived(store.samples(group.runs["molmoe-1b"]))
    raw = raw[raw["num_vision_tokens"] == 288]
    table = display_pictures(found, {"molmoe-1b": "short"}).set_index("model")
    row, middle = table.loc["short"], raw["ttft_ms"].median()
    assert float(row["TTFT (ms)"]) == pytest.approx(middle, rel=5e-3)
    low, high = map(float, row["interval (ms)"].split(" to "))
    assert low <= float(row["TTFT (ms)"]) <= high
    assert len(row["TTFT (ms)"].split(".")[1]) == len(row["interval (ms)"].split(".")[-1])
    assert float(row["µs per vision token"]) == pytest.approx(1e3 * middle / 288, rel=5e-3)
    assert (row["vision tokens"], float(row["joules"])) == ("288", 10.0)
    parts = count_parameters(model_shape("molmoe-1b"))
    assert row["a token uses"] == f"{sum(each.active for each in parts) / 1e9:.2f} billion"
    assert row["parameters"] == f"{sum(each.total for each in parts) / 1e9:.2f} billion"


def test_what_a_model_of_ones_own_uses_is_what_its_run_says(store, tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(tiny("qwen3_vl_moe")))
    said = {"parameters": 2_000_000, "active_parameters": 500_000}
    store_run(store, sweep_of(str(file), (1, 2)), cost(1), model=str(file), **said)
    group = find_model_groups(store, "context_scaling")[0]
    found = one_picture(curves_from(store, group.conditions), [str(file)], (336, 336))
    assert [(each.parameters, each.active) for each in found] == [(2_000_000, 500_000)]


def test_stages_per_vision_token(store):
    group = find_model_groups(store, "context_scaling")[0]
    rows = stage_rows(one_picture(curves_from(store, group.conditions), list(group.runs), (336, 336)))
    molmoe = rows[rows["model"] == "molmoe-1b"].set_index("stage")
    assert molmoe["ms"].tolist() == pytest.approx([4.0, 0.5, 2.88], rel=1e-2)
    assert molmoe.loc["Vision encoder", "us_per_token"] == pytest.approx(4000 / 288, rel=1e-6)


def test_the_same_knob_over_models_and_what_else_differs(store):
    group = find_model_groups(store, "context_scaling")[0]
    found = load_models_beside(partial(load_result, store), "context_scaling", group)
    assert set(found.rows["model"]) == set(group.runs)
    assert any(text.startswith("torch:") for text in found.differences)
    assert not any(text.startswith("model:") for text in found.differences)
    slopes = found.sensitivities.set_index(["metric", "model"])["slope"]
    assert slopes["ttft_ms", "qwen3-vl-4b"] == pytest.approx(2 * slopes["ttft_ms", "molmoe-1b"], rel=1e-2)
    table = display_slopes(found.sensitivities)
    assert list(table["model"][:2]) == list(group.runs)


def test_knobs_at_each_models_own_are_no_difference(store):
    group = find_model_groups(store, "context_scaling")[0]
    differences = load_models_beside(partial(load_result, store), "context_scaling", group).differences
    assert not any(text.startswith(("top-k:", "blocks:")) for text in differences)
    experiment, config = CATALOGUE["context_scaling"], model_shape("qwen3-vl-8b")
    fewer = replace(base_setting(experiment, config), block_mask=first_blocks(4, config.n_layers))
    sweep = Sweep(experiment.name, build_settings(experiment, (1, 2), fewer), num_samples=2)
    store_run(store, sweep, cost(1), model="qwen3-vl-8b")
    group = find_model_groups(store, "context_scaling")[0]
    differences = load_models_beside(partial(load_result, store), "context_scaling", group).differences
    assert any(text.startswith("blocks:") and "qwen3-vl-8b" in text for text in differences)
