"""FLOPs of measured inferences, from the model's shape and what each had to do; pure.

Counted as in `profcore.roofline.cost`: 2 per multiply-add, attention included, routed experts only; of the vision
encoder all blocks, as the published code runs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore.models.recorded import run_shape
from profcore.roofline import cost
from profcore.spec.stages import MODEL_STAGES

if TYPE_CHECKING:
    from profcore.models.config import MolmoConfig

COLUMNS = (*(f"flops_{stage}" for stage in MODEL_STAGES), "flops_total")
_COUNTS = ["num_crops", "num_input_tokens", "num_output_tokens", "top_k", "active_blocks"]


def sample_flops(samples: pd.DataFrame, config: MolmoConfig) -> pd.DataFrame:
    """What each inference computes, by stage; NaN where the samples do not say what it had to do.

    Args:
        samples: As `Store.samples`. Where top-k or active blocks are missing, they are the model's own.
        config: The model's shape.

    Returns:
        `COLUMNS`, a row for each sample, on the samples' index.
    """
    counts = samples[_COUNTS].astype(float).fillna({"top_k": config.top_k, "active_blocks": config.n_layers})
    kinds = counts.drop_duplicates()
    kinds = kinds.assign(**dict(zip(COLUMNS, _flops_of_each(kinds, config).T, strict=True)))
    return counts.merge(kinds, on=_COUNTS, how="left")[list(COLUMNS)].set_axis(samples.index)


def _flops_of_each(kinds: pd.DataFrame, config: MolmoConfig) -> np.ndarray:
    rows = []
    for crops, tokens, answer, top_k, blocks in kinds.to_numpy():
        if np.isnan([crops, tokens, answer]).any():
            rows.append([np.nan] * len(COLUMNS))
            continue
        workload = cost.Workload(int(crops), int(tokens), int(answer), int(top_k), int(blocks))
        # The size of an item changes bytes alone.
        parts = cost.stage_costs(config, workload, itemsize=2, unread=True)
        flops = [cost.total(parts[stage]).flops for stage in MODEL_STAGES]
        rows.append([*flops, sum(flops)])
    return np.array(rows, dtype=float).reshape(-1, len(COLUMNS))


def with_flops(samples: pd.DataFrame, environment: dict[str, Any]) -> pd.DataFrame:
    """The samples with `flops.COLUMNS`: counted from the model's shape where it is known, else the file's own."""
    shape = run_shape(environment)
    if shape is None:
        missing = {column: np.nan for column in COLUMNS if column not in samples}
        return samples.assign(**missing)
    kept = samples.drop(columns=[column for column in COLUMNS if column in samples])
    return kept.join(sample_flops(kept, shape))
