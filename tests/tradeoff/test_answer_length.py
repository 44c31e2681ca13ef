"""Decode per token and per step: n tokens take n-1 steps."""

import pandas as pd
import pytest

from profcore.tradeoff.answer_length import PER_STEP, PER_TOKEN, length_sentence, over_length


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


def test_a_decode_that_was_not_measured_says_nothing():
    samples = pd.DataFrame({"num_output_tokens": [4, 4], "llm_decode_ms": [0.0, None]}, dtype=float)
    assert over_length(samples).empty
    assert length_sentence(over_length(samples)) == ""
