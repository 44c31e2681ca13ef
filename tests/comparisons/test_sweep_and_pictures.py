"""The sweep beside pictures, against values worked out by hand."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from profcore.comparisons import conditions
from profcore.comparisons.beside_words import comparison_sentences
from profcore.comparisons.conditions import Conditions, Value
from profcore.comparisons.sweep_and_pictures import (
    Series,
    can_stand_beside,
    compare_with_pictures,
    display_slopes,
    set_beside,
)
from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE
from profcore.results.pictures import load_picture_result
from profcore.results.sweep import load_result
from profcore.spec.stages import Knob
from profcore.storage.store import Store
from tests.comparisons.stored import pictures_sweep, store_run
from tests.support import small_sweep


def sweep(slope=0.02, at_zero=10.0):
    """Samples of a sweep over vision tokens whose stages are known lines, with a spread of 1 % around them."""
    rows = []
    for setting, tokens in enumerate((288, 384, 480)):
        for spread in (0.99, 0.99, 1.0, 1.0, 1.01, 1.01):
            prefill = (at_zero + slope * tokens) * spread
            row = {"setting": setting, "num_vision_tokens": tokens, "num_crops": 2 + setting, "num_output_tokens": 1}
            row |= {"vision_encoder_ms": 2.0, "projector_ms": 1.0, "llm_prefill_ms": prefill, "llm_decode_ms": 0.0}
            rows.append({**row, "total_ms": prefill + 3})
    return pd.DataFrame(rows)


def points(factor, crops=0, metrics=("vision_encoder_ms", "projector_ms", "llm_prefill_ms")):
    """Six pictures whose latencies are the sweep's times a factor."""
    rows = []
    for number, tokens in enumerate((288, 320, 352, 384, 432, 480)):
        stages = dict(zip(metrics, np.array([2.0, 1.0, 10 + 0.02 * tokens]) * factor, strict=True))
        row = {"picture": f"p{number}", "title": f"p{number}", "num_vision_tokens": tokens, "num_output_tokens": 1}
        rows.append({**row, **stages, "ttft_ms": sum(stages.values()), "num_crops": 2 + (tokens - 288) / 96 + crops})
    return pd.DataFrame(rows)


def series(run_id, frame, facts=None, **knobs):
    """A run's part, with knobs that are said; 'pictures' and 'sweep' on one machine unless told otherwise."""
    known = dict.fromkeys((*conditions.MACHINE.values(), *conditions.ASKED, conditions.ORIGIN), "one")
    values = {
        Knob.VISION_TOKENS: {Value((1, 1)), Value((1, 2)), Value((1, 3))},
        Knob.TOP_K: {Value((8,))},
        Knob.ACTIVE_BLOCKS: {Value((16,), "1" * 16)},
        Knob.OUTPUT_TOKENS: {Value((1,))},
    } | {Knob(name): value for name, value in knobs.items()}
    return Series(
        Conditions(run_id, run_id, known | (facts or {}), {k: frozenset(v) for k, v in values.items()}), frame
    )


def beside(*pictures, own=None, metrics=()):
    return set_beside(CATALOGUE["context_scaling"], own or series("sweep", sweep()), pictures, metrics)


def ran(frame, top_k=8, mask="1" * 16, output_tokens=1):
    """Points that say where their knobs stood."""
    return frame.assign(top_k=top_k, active_blocks=mask.count("1"), block_mask=mask, output_tokens=output_tokens)


def test_sentences_say_slopes_and_the_share_at_equal_tokens():
    found = beside(series("pictures", points(1.05)))
    slopes = found.slopes.set_index(["run", "metric"])["slope"]
    assert slopes["sweep", "llm_prefill_ms"] == pytest.approx(0.02)
    assert slopes["pictures", "llm_prefill_ms"] == pytest.approx(0.021)
    ratios = found.ratios.set_index("metric")
    assert ratios["ratio"].tolist() == pytest.approx([1.05] * 4)
    assert ratios["n"].tolist() == [6] * 4
    (prefill,) = [text for text in found.sentences["pictures"] if text.startswith("LLM prefill")]
    assert "the sweep's slope is 0.0200 [0.0187, 0.0213] ms per vision token" in prefill
    assert "the pictures' 0.021000 [0.021000, 0.021000]" in prefill
    assert "at equal tokens the pictures are 5.0 % slower [" in prefill
    assert found.differences == []
    assert found.refusals.empty
    lines = found.lines[(found.lines["run"] == "pictures") & (found.lines["metric"] == "llm_prefill_ms")]
    assert lines["y"].tolist() == pytest.approx([1.05 * (10 + 0.02 * 288), 1.05 * (10 + 0.02 * 480)])
    table = display_slopes(found)
    assert table["run"].tolist() == ["sweep", "pictures"] * 4
    prefill = table[table["latency"] == "LLM prefill"]
    assert [float(text) for text in prefill["per token"]] == pytest.approx([0.02, 0.021])
    assert len({len(text) for name in ("per token", "95 % from", "to") for text in prefill[name]}) == 1
    assert set(prefill["unit"]) == {"ms"}
    # A sweep has no ratio to itself.
    assert prefill["over the sweep (%)"].tolist() == ["—", "5.00"]


def test_small_slopes_are_in_microseconds_and_nothing_is_less_than_nothing():
    slow = sweep()
    slow["projector_ms"] = 1.0 + 9.597e-05 * slow["num_vision_tokens"]
    frame = points(1.0)
    frame["projector_ms"] = 0.99999 * (1.0 + 9.597e-05 * frame["num_vision_tokens"])
    found = beside(series("pictures", frame), own=series("sweep", slow), metrics=("projector_ms",))
    assert "the sweep's slope is 0.095970 [0.0959" in found.sentences["pictures"][0]
    assert "] µs per vision token" in found.sentences["pictures"][0]
    table = display_slopes(found)
    assert [float(text) for text in table["per token"]] == pytest.approx([0.09597] * 2, rel=1e-3)
    assert set(table["unit"]) == {"µs"}
    assert table["over the sweep (%)"].tolist()[1] == "0.00"
    assert "-0.0" not in " ".join([*found.sentences["pictures"], *table.to_numpy().ravel()])


def test_faster_pictures_no_difference_and_other_crops_are_said():
    def sentences(frame):
        return beside(series("pictures", frame)).sentences["pictures"]

    assert any("the pictures are 10.0 % faster [" in text for text in sentences(points(0.9)))
    same = sentences(points(1.0))
    assert any("no difference can be told (+0.0 % [" in text for text in same)
    assert not any("crops in the mean" in text for text in same)
    more = sentences(points(1.0, crops=1))
    assert any("have 3.9 crops in the mean where the sweep has 2.9" in text for text in more)


def test_too_few_pictures_are_neither_slower_nor_faster():
    found = beside(series("pictures", points(1.05).head(2)))
    (prefill,) = [text for text in found.sentences["pictures"] if text.startswith("LLM prefill")]
    assert "lies +5.0 % from the sweep's, too few to tell whether they differ" in prefill
    assert "slower" not in prefill


OTHER_KNOBS = [
    ({"top_k": 1}, "top-k: 8 in the sweep, 1 in the pictures"),
    ({"mask": "1" * 4 + "0" * 12}, "blocks: all 16 in the sweep, the first 4 of 16 in the pictures"),
]


@pytest.mark.parametrize(("knobs", "reason"), OTHER_KNOBS)
def test_pictures_under_other_knobs_are_not_compared_where_a_latency_depends_on_them(knobs, reason):
    """Fewer experts or blocks leave the vision encoder and the projector as they are, and nothing else."""
    found = beside(series("pictures", ran(points(3.997), **knobs)))
    assert set(found.ratios["metric"]) == {"vision_encoder_ms", "projector_ms"}
    assert set(found.points["metric"]) == {"vision_encoder_ms", "projector_ms"}
    assert found.refusals["metric"].tolist() == ["llm_prefill_ms", "ttft_ms"]
    assert set(found.refusals["reason"]) == {reason}
    assert found.refusals["points"].tolist() == [6, 6]
    assert found.refused["pictures"] == [
        f"LLM prefill, TTFT: not compared, since they ran under other knobs ({reason})."
    ]
    assert not [text for text in found.sentences["pictures"] if text.startswith(("LLM prefill:", "TTFT:"))]


def test_masks_of_equally_many_blocks_are_not_one_setting():
    own = series("sweep", sweep(), active_blocks={Value((8,), "1" * 8 + "0" * 8)})
    found = beside(series("pictures", ran(points(1.0), mask="0" * 8 + "1" * 8)), own=own)
    assert set(found.ratios["metric"]) == {"vision_encoder_ms", "projector_ms"}


def test_pictures_of_several_settings_are_split_and_what_ran_alike_is_compared():
    frame = pd.concat([ran(points(1.05)), ran(points(2.0), top_k=1)], ignore_index=True)
    found = beside(series("pictures", frame))
    ratio = found.ratios.set_index("metric").loc["llm_prefill_ms"]
    assert (ratio["ratio"], ratio["n"]) == (pytest.approx(1.05), 6)
    assert found.refused["pictures"] == [
        "LLM prefill, TTFT: 6 points are left out, which ran under other knobs (top-k: 8 in the sweep, 1 in the "
        "pictures)."
    ]


def test_more_output_tokens_do_not_change_what_comes_before_them():
    found = beside(series("pictures", ran(points(1.05), output_tokens=10), output_tokens={Value((10,))}))
    assert len(found.ratios) == 4
    assert found.differences == ["output tokens: 1 (sweep); 10 (pictures)"]


def test_a_sweep_that_turns_two_knobs_is_not_compared_where_both_count():
    own = series("sweep", sweep(), top_k={Value((1,)), Value((8,))})
    found = beside(series("pictures", ran(points(1.0))), own=own)
    assert set(found.ratios["metric"]) == {"vision_encoder_ms", "projector_ms"}


def test_two_runs_with_one_name_keep_their_own_sentences():
    pictures = [
        series(run_id, points(factor), {"GPU": card}) for run_id, factor, card in (("1", 0.5, "A"), ("2", 2.0, "B"))
    ]
    pictures = [replace(each, conditions=replace(each.conditions, name="results.json")) for each in pictures]
    found = beside(*pictures)
    assert found.names == {"sweep": "sweep", "1": "results.json, 1", "2": "results.json, 2"}
    assert any("50.0 % faster" in text for text in found.sentences["1"])
    assert any("100.0 % slower" in text for text in found.sentences["2"])
    assert found.slopes.groupby("run").size().to_dict() == {"sweep": 4, "1": 4, "2": 4}
    assert found.points.groupby("run").size().to_dict() == {"1": 24, "2": 24}
    assert found.differences == ["GPU: one (sweep); A (results.json, 1); B (results.json, 2)"]


def test_what_stands_beside_is_plain_json():
    found = beside(series("pictures", ran(points(1.05).head(2), top_k=1)))
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (plain["sweep"], plain["pictures"]) == ("sweep", ["pictures"])
    vision = next(row for row in plain["ratios"] if row["metric"] == "vision_encoder_ms")
    assert vision["ratio"] == pytest.approx(1.05)
    assert vision["low"] is None
    assert [row["metric"] for row in plain["refusals"]] == ["llm_prefill_ms", "ttft_ms"]


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as opened:
        yield opened


def test_stored_output_tokens_at_top_1_are_not_beside_pictures_at_top_8(store):
    """The example that was once called 299.7 % slower with nothing said."""
    sweep = small_sweep("output_tokens", (2, 4, 8), num_samples=6)
    sweep = replace(sweep, settings=tuple(replace(setting, top_k=1) for setting in sweep.settings))
    own = store_run(store, sweep, lambda setting: 10.0)
    other = store_run(
        store, pictures_sweep("language_tokens_vs_latency", output_tokens=(2, 4, 8)), lambda setting: 40.0
    )
    found = compare_with_pictures(load_result(store, own), [load_picture_result(store, other)])
    assert found.ratios.empty
    assert found.points.empty
    assert found.sentences[other] == []
    (said,) = found.refused[other]
    assert said == (
        "LLM decode, Total: not compared, since they ran under other knobs (top-k: 1 in the sweep, 8 in the pictures; "
        "blocks: the first 2 of 16 in the sweep, all 16 in the pictures)."
    )
    assert "top-k: 1 (" in " ".join(found.differences)
    assert "blocks: the first 2 of 16" in " ".join(found.differences)


def test_stored_pictures_that_ran_as_the_sweep_did_are_compared(store):
    blocks = (True,) * 16
    sweep = small_sweep("output_tokens", (2, 4, 8), num_samples=6)
    sweep = replace(sweep, settings=tuple(replace(each, block_mask=blocks) for each in sweep.settings))
    own = store_run(store, sweep, lambda setting: 10.0)
    other = store_run(
        store,
        pictures_sweep("language_tokens_vs_latency", top_k=sweep.settings[0].top_k, output_tokens=(2, 4, 8)),
        lambda setting: 40.0,
    )
    found = compare_with_pictures(load_result(store, own), [load_picture_result(store, other)])
    # The pictures' prefill, and so a step of their decode, takes four times as long.
    assert found.ratios.set_index("metric").loc["llm_decode_ms", "ratio"] == pytest.approx(4, rel=1e-2)
    assert found.refusals.empty


def test_what_cannot_stand_beside_a_sweep_is_one_sentence(store):
    top_k = load_result(store, store_run(store, small_sweep(), lambda setting: 10.0))
    pictures = load_picture_result(store, store_run(store, pictures_sweep("latency_distribution"), lambda setting: 1.0))
    with pytest.raises(UserError, match=r"turns top-k: give a sweep of vision tokens or output tokens\.$"):
        compare_with_pictures(top_k, [pictures])
    output = load_result(store, store_run(store, small_sweep("output_tokens", (2,)), lambda setting: 10.0))
    fitted = load_picture_result(store, store_run(store, pictures_sweep(), lambda setting: 1.0))
    with pytest.raises(UserError, match="is of vision_tokens_vs_latency, which does not stand beside this sweep"):
        compare_with_pictures(output, [fitted])
    none = load_picture_result(store, store_run(store, pictures_sweep("latency_distribution"), lambda _: 1.0, only=0))
    with pytest.raises(UserError, match="has no samples to compare"):
        compare_with_pictures(output, [none])


def test_what_stands_beside_a_sweep_unasked_is_known_to_be_alike():
    experiment = CATALOGUE["context_scaling"]
    own, same = series("sweep", None).conditions, series("pictures", None).conditions
    assert can_stand_beside(own, same, experiment)
    for called in ("GPU", "model", "weights", "dtype", "engine", "clock"):
        facts = {key: value for key, value in same.facts.items() if key != called}
        assert not can_stand_beside(own, replace(same, facts=facts), experiment)
        assert not can_stand_beside(own, replace(same, facts={**facts, called: "other"}), experiment)
    for knobs in ({"top_k": {Value((1,))}}, {"active_blocks": {Value((4,), "1111" + "0" * 12)}}, {"top_k": set()}):
        assert not can_stand_beside(own, series("pictures", None, **knobs).conditions, experiment)
    assert can_stand_beside(own, series("pictures", None, output_tokens={Value((10,))}).conditions, experiment)


@pytest.mark.parametrize(
    ("ratio", "low", "high", "said"),
    [
        (1.004, 0.9996, 1.0067, "no difference can be told (+0.40 % [-0.04, +0.67])"),
        (1.004, 1.0004, 1.0067, "the pictures are 0.40 % slower [0.04, 0.67]"),
        (0.996, 0.9934, 0.9996, "the pictures are 0.40 % faster [0.04, 0.66]"),
        (1.004, 0.999, 1.0067, "no difference can be told (+0.4 % [-0.1, +0.7])"),
    ],
)
def test_whether_an_interval_holds_no_difference_is_seen_in_its_ends(ratio, low, high, said):
    slopes = pd.DataFrame({"slope": [0.01], "low": [0.009], "high": [0.011]}, index=["ttft_ms"])
    ratios = pd.DataFrame({"ratio": [ratio], "low": [low], "high": [high], "n": [9], "outside": [0]}, index=["ttft_ms"])
    (sentence,) = comparison_sentences(slopes, slopes, ratios, "per vision token", (288, 1344))
    assert said in sentence
