"""How long settings take by a latency model, for what nobody has measured yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from profcore.tradeoff.candidates import counted_experts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.spec.settings import Setting
    from profcore.tradeoff.latency_model import LatencyModel

_HELD = ("top_k", "active_blocks", "output_tokens")


def predicted_totals(model: LatencyModel, settings: Sequence[Setting]) -> np.ndarray:
    """What an inference at each setting takes, in milliseconds; [settings], NaN where the model says nothing of it.

    The prompt's length is that of measured pictures with as many crops, or lies between theirs.

    Args:
        model: Fitted to a joint run under the same conditions.
        settings: Any.
    """
    known = model.points[["num_crops", "num_input_tokens"]].dropna().astype(float)
    prompts = known.groupby("num_crops")["num_input_tokens"].median()
    if prompts.empty:
        return np.full(len(settings), np.nan)
    table = pd.DataFrame(
        {
            # The global view comes on top of the grid.
            "num_crops": [each.grid[0] * each.grid[1] + 1.0 for each in settings],
            "top_k": [float(each.top_k) for each in settings],
            "active_blocks": [float(each.active_blocks) for each in settings],
            "output_tokens": [float(each.output_tokens) for each in settings],
        }
    )
    crops = table["num_crops"].to_numpy()
    between = np.interp(crops, prompts.index, prompts.to_numpy(), left=np.nan, right=np.nan)
    table["num_input_tokens"] = between
    measured = model.points.assign(picture=model.points["num_crops"])
    table["prefill_experts"] = pd.Series(counted_experts(table.assign(picture=crops), measured), dtype=object)
    totals = model.predict(table)["total_ms"].to_numpy(dtype=float)
    for knob in _HELD:
        if knob in model.held:
            totals = np.where(table[knob] == float(model.held[knob]), totals, np.nan)
    return totals
