"""The latency model: what it finds where the truth is known, and how often its predictions hold."""

import json

import numpy as np
import pytest

from profcore.errors import UserError
from profcore.tradeoff.candidates import not_measured
from profcore.tradeoff.fitting import least_squares, nearest
from profcore.tradeoff.latency_model import (
    errors_by_number,
    extrapolation_errors,
    fit_latency_model,
    model_sentences,
    recalibrated,
)
from profcore.tradeoff.left_out import Errors, reach
from profcore.tradeoff.points import pooled
from profcore.tradeoff.quantities import quantities
from profcore.tradeoff.written_model import coefficient_rows, formulas, model_dict, model_json, model_python

from .made import around, made_points

TOKENS = {2: 355, 3: 451, 4: 547, 6: 739, 9: 939}


def grid(number=40, seed=0):
    """So many settings of a grid, drawn at random."""
    generator = np.random.default_rng(seed)
    every = [
        {
            "num_crops": float(c),
            "num_input_tokens": float(TOKENS[c]),
            "top_k": k,
            "active_blocks": b,
            "output_tokens": t,
        }
        for c in TOKENS
        for k in (1, 4, 8, 16, 32)
        for b in (4, 8, 16)
        for t in (2, 10)
    ]
    return [every[place] for place in generator.permutation(len(every))[:number]]


def true_latencies(row, scale=1.0):
    """What a made-up card takes, in milliseconds: vision, prefill and a step of the decode."""
    found = quantities(
        *(row[name] for name in ("num_crops", "num_input_tokens", "top_k", "active_blocks", "output_tokens"))
    )
    vision = 0.5 + 0.4 * found["crops"] + 0.3 * found["vision rounds"]
    prefill = 0.2 + found["blocks"] * (0.05 + 2e-5 * found["choices"]) + 0.002 * found["experts read"]
    step = 0.06 + found["blocks"] * (0.02 + 0.003 * found["top-k"])
    return scale * vision, scale * prefill, scale * step


def measured(rows, noise=0.0, seed=0, scale=1.0, **machine):
    """Points that a made-up card measured."""
    generator, samples = np.random.default_rng(seed), []
    for row in rows:
        off = np.exp(noise * generator.normal(size=3))
        vision, prefill, step = (
            around(value * factor, 11) for value, factor in zip(true_latencies(row, scale), off, strict=True)
        )
        decode = step * (row["output_tokens"] - 1)
        other = np.full(11, 0.04)
        samples.append(
            {
                "vision_encoder_ms": 0.95 * vision,
                "projector_ms": 0.05 * vision,
                "llm_prefill_ms": prefill,
                "llm_decode_ms": decode,
                "other_ms": other,
                "total_ms": vision + prefill + decode + other,
            }
        )
    return made_points(rows, samples, **machine)


@pytest.fixture(scope="module")
def model():
    return fit_latency_model(measured(grid(60), 0.01))


def test_non_negative_least_squares_weighs_relative_errors():
    columns = np.array([[1.0, 0], [1, 1], [1, 10]])
    assert least_squares(columns, np.array([2.0, 5, 32])) == pytest.approx([2, 3])
    # A slope that would have to fall is none.
    assert least_squares(columns, np.array([3.0, 2.9, 1]))[1] == 0


def test_errors_are_shares_of_what_was_measured():
    errors = Errors.of(np.array([1.1, 0.8, np.nan]), np.array([1.0, 1.0, 1.0]))
    assert (errors.median, errors.n) == (pytest.approx(0.15), 2)
    assert np.isnan(Errors.of(np.array([np.nan]), np.array([1.0])).median)


def test_a_model_finds_what_the_card_takes(model):
    unseen = [row for row in grid(150) if row not in grid(60)]
    predicted = model.predict(measured(unseen).table)
    for name, place in (("vision_ms", 0), ("llm_prefill_ms", 1), ("tpot_ms", 2)):
        truth = np.array([true_latencies(row)[place] for row in unseen])
        assert Errors.of(predicted[name].to_numpy(), truth).p95 < 0.02
        assert model.errors()[name].median < 0.02
    assert "experts read" in "".join(formulas(model))
    assert any(sentence.startswith("Total: off by") for sentence in model_sentences(model))


def test_a_model_is_monotone_in_every_knob(model):
    base = {"num_crops": 4.0, "num_input_tokens": 547.0, "top_k": 8, "active_blocks": 8, "output_tokens": 10}
    for knob, more in (("top_k", 16), ("active_blocks", 16), ("output_tokens", 40), ("num_input_tokens", 900.0)):
        predicted = model.predict(measured([base, base | {knob: more}]).table)["total_ms"]
        assert predicted[1] >= predicted[0]


def test_the_function_to_take_away_says_the_same_and_needs_nothing_else(model):
    text = model_python(model)
    assert "profcore" not in text.split('"""', 2)[2]
    space = {}
    exec(compile(text, "model.py", "exec"), space)
    row = grid(1)[0]
    found = space["predict"](
        row["num_crops"], row["num_input_tokens"], row["top_k"], row["active_blocks"], row["output_tokens"]
    )
    expected = model.predict(measured([row]).table).iloc[0]
    assert {name: found[name] for name in expected.index} == pytest.approx(expected.to_dict())
    document = json.loads(model_json(model))
    assert document["conditions"]["engine"] == "compiled"
    assert document["errors_on_settings_left_out"]["total_ms"]["n"] == 60
    assert document["stages"]["tpot_ms"][0]["low_ms"] <= document["stages"]["tpot_ms"][0]["coefficient_ms"]
    assert {row["stage"] for row in coefficient_rows(model)} == {"Vision", "LLM prefill", "Decode per step", "Other"}


def test_the_function_to_take_away_does_not_say_what_was_not_measured():
    answered_in_a_token = [row | {"output_tokens": 1} for row in grid(30)]
    model, row = fit_latency_model(measured(answered_in_a_token)), grid(1)[0]
    text, space = model_python(model), {}
    assert "Output tokens was 1 in all of them: of another value it says nothing." in text
    exec(compile(text, "model.py", "exec"), space)
    for length in (1, 20):
        expected = model.predict(measured([row | {"output_tokens": length}]).table).iloc[0]
        knobs = (row[name] for name in ("num_crops", "num_input_tokens", "top_k", "active_blocks"))
        found = space["predict"](*knobs, length)
        assert {name: found[name] for name in expected.index} == pytest.approx(expected.to_dict(), nan_ok=True)
        assert np.isnan(found["total_ms"]) == (length > 1)


def test_what_lies_beyond_is_judged_by_leaving_the_largest_out(model):
    errors = extrapolation_errors(model)
    assert errors["llm_prefill_ms", "top_k"].n == sum(row["top_k"] == 32 for row in grid(60))
    assert errors["llm_prefill_ms", "top_k"].median < 0.03
    assert model_dict(model)["errors_beyond_what_was_measured"]


def test_the_error_falls_with_the_number_of_settings():
    found = errors_by_number(fit_latency_model(measured(grid(100), 0.05)))
    prefill = found[found["metric"] == "llm_prefill_ms"].set_index("settings")["median"]
    assert prefill.index.tolist() == [10, 15, 20, 30, 45, 60]
    assert prefill[60] < prefill[10]


def test_ten_settings_recalibrate_a_model_for_another_engine(model):
    other = [row for row in grid(150) if row not in grid(60)]
    anew = recalibrated(model, measured(other[:10], 0.01, scale=3.0, engine="graph"))
    predicted = anew.predict(measured(other[10:]).table)["total_ms"].to_numpy()
    truth = measured(other[10:], scale=3.0).latencies.percentiles("total_ms", 50)
    assert Errors.of(predicted, truth).median < 0.05
    assert anew.environment["engine"] == "graph"
    # Fits to ten settings alone are another model.
    assert extrapolation_errors(anew) == {}
    with pytest.raises(UserError, match="4 settings cannot recalibrate"):
        recalibrated(model, measured(other[:4]))
    with pytest.raises(UserError, match="a-run measured a model of another shape"):
        recalibrated(model, measured(other[:10], model="tiny"))


def test_known_coefficients_help_where_few_settings_say_little():
    known = np.array([1.0, 2.0])
    # All at one place: nothing tells the two terms apart, but what is known does.
    columns, latencies = np.array([[1.0, 1.0]] * 5), np.full(5, 6.0)
    assert nearest(columns, latencies, known) == pytest.approx([2, 4])


def test_predictions_hold_as_often_as_they_say():
    held, asked = 0, 0
    for seed in range(8):
        model = fit_latency_model(measured(grid(40, seed), 0.04, seed))
        unseen = [row for row in grid(150, seed) if row not in grid(40, seed)]
        predicted = model.predict(measured(unseen).table)["total_ms"].to_numpy()
        low, high = model.interval("total_ms", predicted)
        truth = measured(unseen, 0.04, seed + 1000).latencies.percentiles("total_ms", 50)
        held += int(((low <= truth) & (truth <= high)).sum())
        asked += len(unseen)
    assert 0.91 < held / asked < 0.985
    assert not np.isfinite(reach(np.ones(18), np.ones(18)))
    assert np.isfinite(reach(np.ones(19), np.ones(19)))
    # What was not measured is none of them.
    assert reach(np.ones(20), np.array([*np.ones(19), np.nan])) == 0


def test_settings_on_the_grid_that_were_not_measured_are_predicted(model):
    rows = [row for row in grid(150) if row["output_tokens"] == 10 and row["num_crops"] < 4 and row["top_k"] < 8]
    found = not_measured(measured(rows[:-1]), model)
    assert len(found) == 1
    assert found.iloc[0][["num_crops", "top_k", "active_blocks"]].tolist() == [
        rows[-1][k] for k in ("num_crops", "top_k", "active_blocks")
    ]
    assert found["total_ms"][0] == pytest.approx(
        sum(true_latencies(rows[-1])[:2]) + 9 * true_latencies(rows[-1])[2] + 0.04, rel=0.03
    )


def test_a_predicted_setting_is_called_as_a_measured_one_is(model):
    rows = [{"grid": "1×1", "num_crops": 2.0, "top_k": k, "active_blocks": 2, "output_tokens": t} for k, t in KNOBS]
    points = made_points([row | {"block_mask": "0101"} for row in rows], [around(10)] * 3)
    assert not_measured(points, model)["label"].tolist() == ["1×1 · top-2 · 2 blocks 0101 · 1 token"]
    points = made_points([row | {"block_mask": "1100"} for row in rows], [around(10)] * 3)
    assert not_measured(points, model)["label"].tolist() == ["1×1 · top-2 · 2 blocks · 1 token"]


KNOBS = ((1, 1), (1, 4), (2, 4))


def test_what_cannot_be_fitted_is_refused_in_a_sentence():
    with pytest.raises(UserError, match="7 settings with samples: measure at least 8"):
        fit_latency_model(measured(grid(7)))
    with pytest.raises(UserError, match="No knob varies"):
        fit_latency_model(measured(grid(1) * 9))
    one, other = measured(grid(8), run_id="one"), measured(grid(8), run_id="other", engine="graph")
    with pytest.raises(UserError, match=r"different conditions \(engine: compiled and graph\)"):
        pooled([one, other])
    both = pooled([one, measured(grid(16)[8:], run_id="more")])
    assert fit_latency_model(both).settings == 16


def test_a_run_that_does_not_tell_its_stages_apart_has_no_model():
    samples = [{"llm_prefill_ms": [np.nan], "first_token_ms": [7.0], "total_ms": [9.0]}] * 20
    with pytest.raises(UserError, match="does not tell vision from prefill"):
        fit_latency_model(made_points(grid(20), samples))


def test_a_knob_that_never_varies_is_named():
    rows = [row for row in grid(150) if row["active_blocks"] == 8][:20]
    assert any(
        "Active blocks never varies here (it is 8)" in each
        for each in model_sentences(fit_latency_model(measured(rows)))
    )
