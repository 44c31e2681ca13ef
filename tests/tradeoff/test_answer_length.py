"""Decode per token and per step: n tokens take n-1 steps."""

import pandas as pd
import pytest

from profcore.storage.store import Store
from profcore.tradeoff.answer_length import PER_STEP, PER_TOKEN, length_sentence, over_length
from tests.results.stored_joint import made_up_sweep, store_joint


def test_the_published_growth_is_that_of_the_divisor():
    # Steps of 47 ms: 2 tokens take one, 22 take 21.
    lengths = [2] * 7 + [5] * 7 + [22] * 7 + [1] * 3
    samples = pd.DataFrame({"num_output_tokens": lengths, "llm_decode_ms": [47.0 * (n - 1) for n in lengths]})
    rows = over_length(samples)
    medians = rows.set_index(["tokens", "name"])["median"]
    assert medians[2, PER_TOKEN] == pytest.approx(23.5)
    assert medians[22, PER_TOKEN] == pytest.approx(47 * 21 / 22)
    assert rows[rows["name"] == PER_STEP]["median"].tolist() == pytest.approx([47, 47, 47])
    said = length_sentence(rows)
    assert "(+91%)" in said
    assert "(+0%)" in said
    assert said.endswith("not by the length of the answer.")


def test_steps_that_were_timed_count_as_many_as_they_are(tmp_path):
    samples = pd.DataFrame({"num_output_tokens": [4.0] * 6, "llm_decode_ms": [60.0] * 6, "steps": [2.0] * 6})
    assert over_length(samples)["median"].tolist() == [15, 30]
    with Store(tmp_path / "joint.duckdb") as store:
        answers = store.answers(store_joint(store, made_up_sweep(output_tokens=(2, 9), top_ks=(1,), blocks=(8,))))
    assert set(zip(answers["num_output_tokens"], answers["steps"], strict=True)) == {(2, 1), (9, 8)}
    rows = over_length(answers)
    assert rows[rows["name"] == PER_STEP]["median"].tolist() == pytest.approx([0.4, 0.4])
    assert "n tokens take n-1 steps" in length_sentence(rows)


def test_a_decode_that_was_not_measured_says_nothing():
    samples = pd.DataFrame({"num_output_tokens": [4, 4], "llm_decode_ms": [0.0, None]}, dtype=float)
    assert over_length(samples).empty
    assert length_sentence(over_length(samples)) == ""
