"""Settings that were not measured but lie on the grid of those that were, as a latency model predicts them."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from profcore.results.joint import blocks_label
from profcore.spec.text import counted
from profcore.tradeoff.points import WORK_KEPT, work_kept

if TYPE_CHECKING:
    from profcore.tradeoff.latency_model import LatencyModel
    from profcore.tradeoff.points import JointPoints

MOST = 20_000
_KNOBS = ("picture", "top_k", "active_blocks", "output_tokens")


def not_measured(points: JointPoints, model: LatencyModel) -> pd.DataFrame:
    """The combinations of measured knob values that no point has, with what the model predicts of each.

    Where blocks were chosen by more than how many run, or pictures by tiers, a combination names no one setting, and
    there are none.

    Args:
        points: What was measured.
        model: Fitted to it.

    Returns:
        Rows as `JointResult.points` with `work_kept` and the metrics of `latency_model.PREDICTED`.
    """
    table = points.table
    masks = table.groupby("active_blocks")["block_mask"].nunique(dropna=True)
    if table["tier"].notna().any() or (masks > 1).any():
        return table.head(0)
    # A picture is its grid, where that is known, with all that follows from it.
    table = table.assign(picture=table["grid"].where(table["grid"].notna(), table["num_crops"].astype(str)))
    of_picture = table.drop_duplicates("picture").set_index("picture")
    values = [sorted(table[knob].dropna().unique().tolist()) for knob in _KNOBS]
    if np.prod([float(len(each)) for each in values]) > MOST:
        return points.table.head(0)
    known = set(table[list(_KNOBS)].itertuples(index=False, name=None))
    rows = [row for row in product(*values) if row not in known]
    found = pd.DataFrame(rows, columns=list(_KNOBS))
    if found.empty:
        return points.table.head(0)
    for name in ("grid", "num_crops", "num_vision_tokens", "num_input_tokens"):
        found[name] = of_picture[name].reindex(found["picture"]).to_numpy()
    mask = table.drop_duplicates("active_blocks").set_index("active_blocks")["block_mask"]
    found["block_mask"] = mask.reindex(found["active_blocks"]).to_numpy()
    found["prefill_experts"] = pd.Series(counted_experts(found, table), dtype=object)
    found["label"] = [_label(row) for row in found.to_dict("records")]
    found[WORK_KEPT] = work_kept(found, points.table)
    found = found.assign(tier=None, samples=0, accuracy=np.nan, kl=np.nan, total_j=np.nan)
    return pd.concat([found.drop(columns="picture"), model.predict(found)], axis=1)


def counted_experts(found: pd.DataFrame, table: pd.DataFrame) -> list[list[float] | None]:
    """The distinct experts of a prompt in each block that runs, where another setting of it and its top-k had them.

    How many a block uses hangs on the picture and on top-k, hardly on which blocks run; so a block more is taken to use
    as many as the mean of those counted. Either table names in `picture` what is shown.
    """
    counted: dict[tuple[object, object], list[float]] = {}
    for row in table.to_dict("records"):
        routed = row.get("prefill_experts")
        if isinstance(routed, (list, np.ndarray)) and len(routed):
            counted.setdefault((row["picture"], row["top_k"]), []).append(float(np.mean(routed)))
    mean = {key: float(np.mean(each)) for key, each in counted.items()}
    return [
        [mean[row["picture"], row["top_k"]]] * int(row["active_blocks"])
        if (row["picture"], row["top_k"]) in mean
        else None
        for row in found.to_dict("records")
    ]


def _label(row: dict) -> str:
    """As a measured setting of it is called."""
    picture = row["grid"] if isinstance(row["grid"], str) else f"{row['num_crops']:g} crops"
    blocks = blocks_label(int(row["active_blocks"]), row["block_mask"])
    return f"{picture} · top-{row['top_k']:g} · {blocks} · {counted(int(row['output_tokens']), 'token')}"
