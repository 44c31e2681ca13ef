"""Whether the joules of a setting's stages, each repeated by itself, are those of its whole inference; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.spec.records import ENERGY_PARTS
from profcore.spec.stages import MODEL_STAGES, Stage
from profcore.spec.text import counted

if TYPE_CHECKING:
    import pandas as pd

_APART = 0.1
"""The share by which stages together may miss a whole inference before it is said."""


def sum_words(settings: pd.DataFrame) -> str:
    """How far the stages' joules together are from whole inferences', in a sentence; empty where they agree.

    Args:
        settings: As `Result.settings`. One of which a stage has no joules is passed over.
    """
    if settings["total_j"].isna().all():
        return ""
    needed = [f"{part}{kind}" for part in ENERGY_PARTS for kind in ("_j", "_resolution_j")]
    found = settings[[*needed, "output_tokens"]].astype(float)
    # A single token has no decode.
    decode = [name for name in needed if name.startswith(str(Stage.LLM_DECODE))]
    single = found["output_tokens"] == 1
    found.loc[single, decode] = found.loc[single, decode].fillna(0.0)
    found = found.dropna()
    stages = found[[f"{stage}_j" for stage in MODEL_STAGES]].sum(axis=1)
    open_j = found[[name for name in needed if "resolution" in name]].sum(axis=1)
    shares = stages / found["total_j"]
    far = (shares - 1).abs() > _APART
    far &= (stages - found["total_j"]).abs() > open_j
    if not far.any():
        return ""
    of_all = f"{int(far.sum())} of {counted(len(found), 'setting')}"
    ends = " to ".join(f"{100 * end:.0f}" for end in sorted({shares[far].min(), shares[far].max()}))
    return (
        f"At {of_all} the stages' joules add up to {ends} % of the whole inference's. Each was repeated by itself, and "
        "where the host is slower or quicker then, the card draws for another time."
    )
