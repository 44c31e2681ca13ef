"""The time to first token at a picture's size, read off what runs measured."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from profcore import stats
from profcore.comparisons.before_quoting import before_quoting, quoting_lines, run_loader
from profcore.comparisons.size_to_latency import estimate_all, load_curve, load_curves
from profcore.comparisons.size_words import (
    caveats,
    display_estimates,
    display_parts,
    estimate_sentence,
    missing_sentence,
)
from profcore.models.config import PRESETS
from profcore.models.picture import picture_layout
from profcore.models.recorded import shape_record
from profcore.storage.store import Store
from tests.comparisons.stored import store_run
from tests.support import small_sweep

TINY = replace(PRESETS["tiny"], n_layers=2)
GRIDS = (1, 2, 3, 4, 6)


def cost(setting):
    """Milliseconds of vision encoder, projector, prefill and a decode step: in proportion to crops and tokens."""
    crops = setting.grid[1]
    return 2.0 * (crops + 1), 0.5 * (crops + 1), 0.01 * (192 + 96 * crops), 1.0


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "p.duckdb") as opened:
        yield opened


def sweep(values=GRIDS, samples=20, **changes):
    return small_sweep("context_scaling", values, samples, **changes)


def found_at(store, crops, tokens, **changes):
    layout = replace(picture_layout(TINY, 336, 336), views=crops + 1, tokens=tokens, **changes)
    return estimate_all(load_curves(store, "tiny", TINY), layout)


def test_a_size_that_was_measured_is_its_own_median(store):
    run_id = store_run(store, sweep(), cost)
    (found,) = found_at(store, 3, 480)
    assert (found.how, found.run_id, found.card, found.engine) == ("measured", run_id, "a card", "eager")
    assert found.ttft_ms == pytest.approx(2.5 * 4 + 4.8, rel=1e-3)
    assert found.low_ms <= found.ttft_ms <= found.high_ms
    assert (found.least_tokens, found.most_tokens, found.settings, found.prompt_tokens) == (288, 768, 5, 60)
    assert found.left_out < 1e-3


def test_between_settings_stages_go_by_what_they_see(store):
    store_run(store, sweep(), cost)
    # Five crops were not measured; as many tokens as five of a row have, but seven views.
    (found,) = found_at(store, 6, 672)
    assert found.how == "between"
    assert found.vision_encoder_ms == pytest.approx(14.0, rel=1e-3)
    assert found.projector_ms == pytest.approx(3.5, rel=1e-3)
    assert found.llm_prefill_ms == pytest.approx(6.72, rel=1e-3)
    assert found.low_ms < found.ttft_ms < found.high_ms


def test_beyond_it_the_interval_is_wider_and_far_beyond_nothing_is_said(store):
    store_run(store, sweep(), cost)
    (near,) = found_at(store, 8, 960)
    assert near.how == "beyond"
    assert near.ttft_ms == pytest.approx(2.5 * 9 + 9.6, rel=1e-2)
    assert found_at(store, 20, 2000) == []
    assert found_at(store, 0, 100) == []


def test_left_out_settings_widen_the_interval(store):
    store_run(store, sweep(), cost)
    (smooth,) = found_at(store, 5, 672)

    def stepped(setting):
        vision, projector, prefill, step = cost(setting)
        return vision, projector, prefill + (5.0 if setting.grid[1] == 3 else 0.0), step

    store_run(store, sweep(), stepped, engine="graph")
    rough = next(each for each in found_at(store, 5, 672) if each.engine == "graph")
    assert rough.left_out > 0.2
    assert rough.high_ms - rough.low_ms > 10 * (smooth.high_ms - smooth.low_ms)


def test_what_is_of_another_model_or_turns_another_knob_says_nothing(store):
    store_run(store, sweep(), cost, model="molmoe-1b")
    store_run(store, small_sweep("moe_topk", (1, 2), 5), cost)
    assert load_curves(store, "tiny", TINY) == []
    assert load_curves(store, "molmoe-1b", PRESETS["molmoe-1b"]) == []


def test_a_run_of_one_size_speaks_of_that_size_alone(store):
    store_run(store, small_sweep("moe_topk", (1, 8), 5), cost)
    (found,) = found_at(store, 1, 288)
    assert (found.how, found.settings) == ("measured", 1)
    assert math.isnan(found.left_out)
    assert found.to_dict()["left_out"] is None
    assert found_at(store, 2, 384) == []


def test_each_card_and_engine_speaks_once_those_measured_here_first(store):
    store_run(store, sweep(), cost, device_name="another card", source="shipped")
    store_run(store, sweep(), cost, hour=1)
    newer = store_run(store, sweep(), cost, hour=2)
    store_run(store, sweep(), cost, engine="graph", hour=3)
    store_run(store, sweep(), cost, engine="compiled", hour=4, source="imported")
    found = found_at(store, 3, 480)
    assert [(each.card, each.engine) for each in found][-1] == ("another card", "eager")
    assert {(each.card, each.engine) for each in found[:-1]} == {("a card", "eager"), ("a card", "graph")}
    assert newer in {each.run_id for each in found}


def test_joules_come_from_the_first_run_that_was_measured_alike_and_has_them(store):
    spoken = store_run(store, sweep(), cost)
    own = store_run(store, sweep((1, 6), samples=3), cost, joules=lambda setting: 0.0)
    store_run(store, sweep((1, 6), samples=2), cost, joules=lambda setting: 0.0, engine="graph")
    eager = next(each for each in found_at(store, 3, 480) if each.engine == "eager")
    assert (eager.run_id, eager.joules_run_id, eager.ttft_j) == (spoken, own, pytest.approx(10.0))
    assert json.loads(json.dumps(eager.to_dict()))["joules_run_id"] == own


def test_joules_of_one_token_are_the_whole_inferences_and_of_more_those_of_its_stages(store):
    # As made up, a whole takes ten and what its decode takes, and its stages up to the first token ten.
    store_run(store, sweep(), cost, joules=lambda setting: 2.0)
    longer = sweep().settings
    longer = replace(sweep(), settings=tuple(replace(setting, output_tokens=3) for setting in longer))
    store_run(store, longer, cost, joules=lambda setting: 2.0, engine="graph")
    found = {each.engine: each.ttft_j for each in found_at(store, 3, 480)}
    assert found == {"eager": pytest.approx(12.0), "graph": pytest.approx(10.0)}


@pytest.mark.parametrize("other", [{"attention": "eager"}, {"clock": "published"}, {"experts": "batched_mm"}])
def test_joules_of_a_run_that_was_measured_otherwise_are_not_told(store, other):
    store_run(store, sweep(), cost)
    store_run(store, sweep((1, 6), samples=3), cost, joules=lambda setting: 0.0, **other)
    (found,) = found_at(store, 3, 480)
    assert math.isnan(found.ttft_j) and found.joules_run_id is None


def test_joules_of_another_question_are_not_told(store):
    store_run(store, sweep(), cost)
    store_run(store, sweep((1, 6), samples=3, prompt="Where?"), cost, joules=lambda setting: 0.0)
    assert math.isnan(found_at(store, 3, 480)[0].ttft_j)


def test_joules_go_by_what_their_stages_see(store):
    run_id = store_run(store, sweep(), cost, joules=lambda setting: 0.0)
    curve = load_curve(store, run_id, TINY)
    points = curve.points.assign(
        vision_encoder_j=10 * curve.points["views"], projector_j=0.0, llm_prefill_j=curve.points["tokens"] / 100
    )
    curve = replace(curve, points=points.assign(joules=points[["vision_encoder_j", "llm_prefill_j"]].sum(axis=1)))
    layout = replace(picture_layout(TINY, 336, 336), views=6, tokens=400)
    assert curve.at(layout).ttft_j == pytest.approx(60 + 4)
    # Of a stage that was not measured by itself nothing can be read but the whole.
    whole = replace(curve, points=points.assign(projector_j=math.nan, joules=points["tokens"] / 10))
    assert whole.at(layout).ttft_j == pytest.approx(40)


def test_a_picture_of_more_views_than_were_measured_is_beyond_them(store):
    store_run(store, sweep(), cost)
    inside, beyond = (found_at(store, crops, 600)[0] for crops in (6, 7))
    assert (inside.how, beyond.how) == ("between", "beyond")
    assert beyond.high_ms / beyond.ttft_ms >= inside.high_ms / inside.ttft_ms


def test_the_prompt_is_as_long_as_it_was_at_that_picture(store):
    run_id = store_run(store, sweep(), cost)
    curve = load_curve(store, run_id, TINY)
    curve = replace(curve, points=curve.points.assign(prompt=curve.points["tokens"] / 10))
    layout = picture_layout(TINY, 336, 336)
    asked = [(4, 480, 48), (5, 628, 63)]
    assert [curve.at(replace(layout, views=views, tokens=tokens)).prompt_tokens for views, tokens, _ in asked] == [
        48,
        63,
    ]


def test_words(store):
    curves = load_curves(store, "tiny", TINY)
    assert "python -m profcore run context_scaling --model tiny" in missing_sentence("tiny", TINY, curves, [])
    store_run(store, sweep(), cost)
    curves = load_curves(store, "tiny", TINY)
    assert "288 to 768 vision tokens" in missing_sentence("tiny", TINY, curves, [])
    found = found_at(store, 8, 960)
    assert missing_sentence("tiny", TINY, curves, found) == ""
    assert "beyond what was measured" in estimate_sentence(found[0])
    assert found[0].run_id in estimate_sentence(found[0])
    assert list(display_estimates(found)["how"]) == ["beyond"]
    assert any("twice as wide" in text for text in caveats(found))
    assert caveats([]) == []


def test_a_figure_and_its_interval_have_equally_many_digits(store):
    store_run(store, sweep(), cost)
    (found,) = found_at(store, 3, 480)
    near = replace(found, ttft_ms=41.2837, low_ms=41.2811, high_ms=41.2862)
    wide = replace(found, ttft_ms=41.2837, low_ms=8.51234, high_ms=140.51)
    bare = replace(found, ttft_ms=41.2837, low_ms=math.nan, high_ms=math.nan)
    table = display_estimates([near, wide, bare])
    assert table["TTFT (ms)"].tolist() == ["41.28", "41.3", "41.3"]
    assert table["interval (ms)"].tolist() == ["41.28 to 41.29", "8.5 to 140.5", "—"]
    assert estimate_sentence(near).startswith("41.28 ms (41.28 to 41.29 ms) to the first token")
    assert near.to_dict()["ttft_ms"] == 41.2837
    assert list(display_parts([near])) == ["engine", "TTFT", "interval", "vision encoder", "projector", "prefill"]


def test_a_command_to_copy_holds_together(store):
    said = missing_sentence("a folder/config.json", TINY, [], [])
    assert "--model 'a folder/config.json' measures it." in said


def test_nothing_is_said_of_intervals_where_there_are_none(store):
    store_run(store, sweep(), cost)
    (found,) = found_at(store, 2, 384)
    assert any("intervals" in text for text in caveats([found]))
    bare = replace(found, low_ms=math.nan, high_ms=math.nan)
    assert caveats([bare]) == caveats([found])[1:]


@pytest.mark.long
def test_real_pictures_among_the_sample_results_are_met():
    """Real pictures of many sizes, measured in another process, beside what the sweep of one picture says of them."""
    model, shape = "molmoe-1b", PRESETS["molmoe-1b"]
    with Store(":memory:") as shipped:
        shipped.take_in_shipped()
        curves = load_curves(shipped, model, shape)
        missed = []
        for run_id in shipped.ranked("latency_distribution"):
            engine = shipped.run(run_id)["environment"]["engine"]
            medians = stats.add_derived(shipped.samples(run_id)).groupby("setting")["ttft_ms"].median()
            for row in shipped.settings(run_id).to_dict("records"):
                layout = picture_layout(shape, int(row["image_width"]), int(row["image_height"]))
                here = [each for each in estimate_all(curves, layout) if each.engine == engine]
                missed += [each.ttft_ms / medians[row["setting"]] - 1 for each in here]
    assert len(missed) >= 30
    assert abs(np.median(missed)) < 0.02
    assert max(map(abs, missed)) < 0.05


def test_a_file_that_holds_another_model_by_now_is_not_told_by_what_was_measured_of_the_one_before(store):
    before, after = TINY, replace(TINY, d_model=2 * TINY.d_model)
    shape = json.loads(json.dumps(shape_record(before)))
    store_run(store, sweep(), cost, model="mine.json", shape=shape)
    layout = picture_layout(TINY, 336, 336)
    assert len(estimate_all(load_curves(store, "mine.json", before), layout)) == 1
    assert load_curves(store, "mine.json", after) == []
    # A run that does not say its shape, as files of others, is taken at its word.
    store_run(store, sweep(), cost, model="mine.json", hour=1)
    assert len(load_curves(store, "mine.json", after)) == 1


def test_random_weights_of_a_dense_model_say_nothing_of_routing(store):
    store_run(store, sweep(), cost)
    store_run(store, sweep(), cost, engine="graph", experts="none")
    eager, graph = sorted(found_at(store, 3, 480), key=lambda each: each.engine)
    assert caveats([eager])[-1] == "The weights were random: their routing to experts is not that of trained ones."
    assert caveats([graph])[-1] == "The weights were random."


def test_flagged_samples_and_what_launching_binds_are_said_before_a_figure_is_quoted(store):
    run_id = store_run(store, sweep(samples=2), cost, held_back=(0, 3))
    other = store_run(store, sweep(samples=2), cost, engine="graph")
    load = run_loader(store)
    assert quoting_lines(load, {run_id: "a run", other: "another", "gone": "none"}) == [
        "a run: 2 of 10 samples held back."
    ]
    result = load(run_id)
    bound = replace(result, summary=result.summary.assign(binds="launch"))
    assert before_quoting(bound).endswith(
        "launching binds Vision encoder, Projector, LLM prefill, LLM decode, whose figures are its host's"
    )
