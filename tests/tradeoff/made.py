"""Joint points whose latencies and qualities are known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from profcore.tradeoff.points import joint_points

MACHINE = {
    "device_name": "NVIDIA H200",
    "engine": "compiled",
    "dtype": "bfloat16",
    "model": "molmoe-1b",
    "weights": "random",
    "clock": "events",
}
EMPTY = {
    "tier": None,
    "grid": None,
    "most_crops": np.nan,
    "num_vision_tokens": 288.0,
    "num_input_tokens": 355.0,
    "block_mask": None,
    "accuracy": np.nan,
    "kl": np.nan,
    "quality_queries": np.nan,
    "scores": None,
    "total_j": np.nan,
    "prefill_experts": None,
    "failed": None,
}


def made_points(rows, samples, run_id="a-run", **machine):
    """Points with given knobs and samples.

    Args:
        rows: A dict a point: `num_crops`, `top_k`, `active_blocks`, `output_tokens` and what differs from `EMPTY`.
        samples: For each point its totals in ms, or a dict of arrays by column; a total alone is all prefill.
        run_id: The run's.
        machine: What differs from `MACHINE`.
    """
    defaults = {"num_crops": 2.0, "top_k": 8, "active_blocks": 16, "output_tokens": 2}
    table = pd.DataFrame([{**EMPTY, **defaults, "label": f"setting {place}", **row} for place, row in enumerate(rows)])
    parts = []
    for place, given in enumerate(samples):
        columns = given if isinstance(given, dict) else {"total_ms": given, "llm_prefill_ms": given}
        number = len(next(iter(columns.values())))
        zero = np.zeros(number)
        steps = np.full(number, table["output_tokens"][place])
        parts.append(
            {"point": np.full(number, place), **dict.fromkeys(STAGES, zero), "num_output_tokens": steps, **columns}
        )
    table["samples"] = [len(part["point"]) for part in parts]
    columns = {name: np.concatenate([np.asarray(part[name], dtype=float) for part in parts]) for name in parts[0]}
    return joint_points(table, columns, MACHINE | machine, run_id)


STAGES = ("vision_encoder_ms", "projector_ms", "llm_prefill_ms", "llm_decode_ms", "other_ms", "total_ms")


def around(value, number=21, width=0.01):
    """So many samples evenly around a median."""
    return value * (1 + width * np.linspace(-1, 1, number))
