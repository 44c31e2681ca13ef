"""Decode per token and per step over the length of the answer: n tokens take n-1 steps, not n."""

from __future__ import annotations

import numpy as np
import pandas as pd

from profcore.stats import median_interval
from profcore.stats.digits import written

PER_TOKEN, PER_STEP = "per token (÷ n)", "per step (÷ n-1)"
"""What decode is divided by, as a chart's legend has it."""

_FEWEST = 2
_ALIKE = 0.05


def over_length(samples: pd.DataFrame) -> pd.DataFrame:
    """Decode divided by tokens, as published results have it, and by steps, at each length of answer.

    The first token comes from the prefill, and takes no step of the decode.

    Args:
        samples: `num_output_tokens` and `llm_decode_ms`, and `steps` where it is known how many were timed; a decode of
            0, which files of others write for one that they did not measure, is left out, and so are answers of one
            token.

    Returns:
        A row for each length and way of dividing: `tokens`, `name`, `median`, `low`, `high` (95 %), `n`.
    """
    tokens, decode = (samples[name].to_numpy(dtype=float) for name in ("num_output_tokens", "llm_decode_ms"))
    steps = samples["steps"].to_numpy(dtype=float) if "steps" in samples else tokens - 1
    known = (tokens > 1) & (decode > 0) & (steps > 0)
    tokens, decode, steps = tokens[known], decode[known], steps[known]
    rows = []
    for length in np.unique(tokens):
        own = tokens == length
        for name, divisor in ((PER_TOKEN, tokens[own]), (PER_STEP, steps[own])):
            middle = median_interval(decode[own] / divisor)
            rows.append([int(length), name, middle.value, middle.low, middle.high, middle.n])
    return pd.DataFrame(rows, columns=["tokens", "name", "median", "low", "high", "n"])


def length_sentence(rows: pd.DataFrame) -> str:
    """What dividing by tokens makes of a decode, from the shortest answer to the longest; empty of one length.

    Args:
        rows: As `over_length`.
    """
    found = {name: rows[rows["name"] == name].sort_values("tokens")["median"] for name in (PER_TOKEN, PER_STEP)}
    if len(found[PER_TOKEN]) < _FEWEST:
        return ""
    shortest, longest = rows["tokens"].min(), rows["tokens"].max()
    grown = {name: float(values.iloc[-1] / values.iloc[0] - 1) for name, values in found.items()}
    token, step = found[PER_TOKEN], found[PER_STEP]
    said = (
        f"From {shortest} to {longest} tokens, decode divided by tokens goes from {written(token.iloc[0])} to "
        f"{written(token.iloc[-1])} ms ({grown[PER_TOKEN]:+.0%}), and divided by steps from {written(step.iloc[0])} to "
        f"{written(step.iloc[-1])} ms ({grown[PER_STEP]:+.0%}): the first token comes from prefill, so n tokens take "
        "n-1 steps."
    )
    if abs(grown[PER_STEP]) <= _ALIKE < abs(grown[PER_TOKEN]):
        return f"{said} Milliseconds per token grow by how they are counted, not by the length of the answer."
    return said
