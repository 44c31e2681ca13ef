"""The sweep beside pictures, against values worked out by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from profcore import stats
from profcore.comparisons import conditions
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
from profcore.stats import intervals
from profcore.storage.store import Store
from tests.comparisons.stored import pictures_sweep, store_run
from tests.support import small_sweep


def test_the_slope_of_points_is_the_least_squares_line():
    # Mean of x 2, of y 4: ((-1)(-2) + 0(-1) + 1*3) / 2 = 2.5.
    found = stats.points_slope(np.array([1.0, 2, 3]), np.array([2.0, 3, 7]))
    assert found.value == pytest.approx(2.5)
    assert found.through == (2.0, 4.0)
    assert found.at(3) == pytest.approx(6.5)


def test_the_interval_of_a_slope_draws_pictures_and_not_points():
    x = np.tile([1.0, 2, 3], 4)
    pictures = np.repeat(["a", "b", "c", "d"], 3)
    offsets = np.repeat([0.0, 10, 20, 30], 3)
    # Every picture lies on a line of slope 2, each higher than the last: drawing pictures always gives 2.
    found = stats.points_slope(x, 2 * x + offsets, pictures)
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))
    loose = stats.points_slope(x, 2 * x + offsets)
    assert loose.low < 1 < 3 < loose.high


def test_many_pictures_have_the_robust_normal_interval():
    draw = np.random.default_rng(0)
    x = draw.uniform(0, 10, 5000)
    y = 3 * x + draw.normal(0, 1, 5000)
    found = stats.points_slope(x, y)
    # The textbook's standard error: 1 / sqrt(sum of squares around the mean).
    reach = 1.96 / math.sqrt(((x - x.mean()) ** 2).sum())
    assert found.low < 3 < found.high
    assert (found.high - found.low) / 2 == pytest.approx(reach, rel=0.1)


@pytest.mark.parametrize("x", [[1.0], [2.0, 2.0], []])
def test_no_slope_without_two_places(x):
    x = np.array(x)
    assert math.isnan(stats.points_slope(x, x).value)
    assert math.isnan(stats.correlation(x, x).r)


def test_correlation_and_r_squared():
    # Deviations (-1, 0, 1) and (-1, 1, 0): 1 / sqrt(2 * 2) = 0.5.
    found = stats.correlation(np.array([1.0, 2, 3]), np.array([1.0, 3, 2]))
    assert (found.r, found.r_squared, found.n) == (pytest.approx(0.5), pytest.approx(0.25), 3)
    line = stats.correlation(np.arange(10.0), 5 - 2 * np.arange(10.0))
    assert (line.r, line.low, line.high, line.r_squared) == pytest.approx((-1, -1, -1, 1))


def test_the_ratio_at_equal_tokens_is_the_median_over_the_line_between_medians():
    sweep_x, sweep_y = np.repeat([100.0, 200.0], 3), np.array([9.0, 10, 11, 19, 20, 21])
    # The line gives 10, 15 and 20; the ratios are 1.1, 1.2 and 0.9; a fourth point lies outside.
    found = stats.ratio_at_equal_x(sweep_x, sweep_y, np.array([100.0, 150, 200, 300]), np.array([11.0, 18, 18, 99]))
    assert (found.value, found.n) == (pytest.approx(1.1), 3)
    assert found.low <= 1.1 <= found.high
    few = stats.ratio_at_equal_x(sweep_x, sweep_y, np.array([100.0]), np.array([11.0]))
    assert few.value == pytest.approx(1.1)
    assert math.isnan(few.low)
    assert stats.ratio_at_equal_x(sweep_x, sweep_y, np.array([500.0]), np.array([1.0])).n == 0


def test_the_pooled_ratio_is_the_geometric_mean_over_settings():
    pairs = [(np.full(5, 10.0), np.full(5, 20.0)), (np.full(5, 10.0), np.full(5, 5.0))]
    found = stats.pooled_ratio(pairs)
    assert (found.value, found.low, found.high, found.n) == pytest.approx((1.0, 1.0, 1.0, 2))
    assert stats.ratio_of_medians(np.array([2.0, 4, 9]), np.array([2.0, 2, 8])).value == pytest.approx(0.5)
    assert stats.pooled_ratio([(np.zeros(3), np.ones(3)), (np.array([math.nan]), np.ones(3))]).n == 0


def sweep(slope=0.02, at_zero=10.0):
    """Samples of a sweep over vision tokens whose stages are known lines, with a spread of 1 % around them."""
    rows = []
    for setting, tokens in enumerate((288, 384, 480)):
        for spread in (0.99, 1.0, 1.01):
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
    assert "the sweep's slope is 0.02 [" in prefill
    assert "ms per vision token, the pictures' 0.021" in prefill
    assert "at equal tokens the pictures are 5.0 % slower [" in prefill
    assert found.differences == []
    assert found.refusals.empty
    lines = found.lines[(found.lines["run"] == "pictures") & (found.lines["metric"] == "llm_prefill_ms")]
    assert lines["y"].tolist() == pytest.approx([1.05 * (10 + 0.02 * 288), 1.05 * (10 + 0.02 * 480)])
    table = display_slopes(found)
    assert table["run"].tolist() == ["sweep", "pictures"] * 4


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
    said = found.sentences["pictures"]
    assert f"LLM prefill, TTFT: not compared, since they ran under other knobs ({reason})." in said
    assert not [text for text in said if text.startswith(("LLM prefill:", "TTFT:"))]


def test_masks_of_equally_many_blocks_are_not_one_setting():
    own = series("sweep", sweep(), active_blocks={Value((8,), "1" * 8 + "0" * 8)})
    found = beside(series("pictures", ran(points(1.0), mask="0" * 8 + "1" * 8)), own=own)
    assert set(found.ratios["metric"]) == {"vision_encoder_ms", "projector_ms"}


def test_pictures_of_several_settings_are_split_and_what_ran_alike_is_compared():
    frame = pd.concat([ran(points(1.05)), ran(points(2.0), top_k=1)], ignore_index=True)
    found = beside(series("pictures", frame))
    ratio = found.ratios.set_index("metric").loc["llm_prefill_ms"]
    assert (ratio["ratio"], ratio["n"]) == (pytest.approx(1.05), 6)
    said = [text for text in found.sentences["pictures"] if "left out" in text]
    assert said == [
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
    sweep = small_sweep("output_tokens", (2, 4, 8), num_samples=3)
    sweep = replace(sweep, settings=tuple(replace(setting, top_k=1) for setting in sweep.settings))
    own = store_run(store, sweep, lambda setting: 10.0)
    other = store_run(
        store, pictures_sweep("language_tokens_vs_latency", output_tokens=(2, 4, 8)), lambda setting: 40.0
    )
    found = compare_with_pictures(load_result(store, own), [load_picture_result(store, other)])
    assert found.ratios.empty
    assert found.points.empty
    (said,) = found.sentences[other]
    assert said.startswith("LLM decode, Total: not compared, since they ran under other knobs (")
    assert "top-k: 1 (" in " ".join(found.differences)
    assert "blocks: the first 2 of 16" in " ".join(found.differences)


def test_stored_pictures_that_ran_as_the_sweep_did_are_compared(store):
    blocks = (True,) * 16
    sweep = small_sweep("output_tokens", (2, 4, 8), num_samples=3)
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


@pytest.mark.parametrize("n", [3, 4, 11, 12])
def test_medians_of_samples_drawn_anew_are_distributed_as_those_of_whole_draws(n):
    values = np.random.default_rng(n).normal(size=n)
    quick = intervals._drawn_medians(values, 100_000, np.random.default_rng(1))
    whole = np.median(np.random.default_rng(2).choice(values, (100_000, n)), axis=1)
    shares = [5, 25, 50, 75, 95]
    # Draws are discrete, so most percentiles are the very same value; the mean tells a slight shift, within what two
    # means of so many draws differ by.
    assert np.percentile(quick, shares) == pytest.approx(np.percentile(whole, shares), abs=0.05)
    assert abs(quick.mean() - whole.mean()) < 4 * whole.std() * math.sqrt(2 / whole.size)


def test_weighted_medians_are_those_of_values_taken_so_often():
    draw = np.random.default_rng(0)
    values, counts = draw.normal(size=(50, 9)), draw.integers(0, 4, (50, 9))
    counts[:, 0] += 1
    expected = [np.median(np.repeat(row, number)) for row, number in zip(values, counts, strict=True)]
    assert intervals._weighted_medians(values, counts).tolist() == pytest.approx(expected)
