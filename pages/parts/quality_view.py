"""What each setting costs in quality beside its latency, where a run recorded it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from profcore import charts
from profcore.results.tables import display_quality

if TYPE_CHECKING:
    import altair as alt

    from profcore.results.sweep import Result


def draw(result: Result) -> list[alt.LayerChart]:
    """Latency over KL divergence, and over accuracy where there is one; none where quality was not recorded."""
    measures = [measure for measure in ("kl", "accuracy") if result.settings[measure].notna().any()]
    return [charts.quality(result.summary, result.settings, measure) for measure in measures]


def explain(result: Result) -> None:
    """What was recorded, and what to think of it."""
    failed = result.settings.dropna(subset=["quality_failed"])
    if len(failed):
        reason = failed["quality_failed"].iloc[0]
        st.warning(f"No quality could be found of {len(failed)} of {len(result.settings)} settings: {reason}")
    if result.settings["kl"].isna().all():
        st.caption("This run recorded no quality: open **Quality** on the left before the next.")
        return
    st.dataframe(display_quality(result), hide_index=True)
    questions = int(result.settings["quality_queries"].max())
    st.caption(
        f"KL divergence of the next-token distribution from the full model's (every block, the model's own top-k), in "
        f"nats, mean over {questions} questions; VQA accuracy as VQA v2 defines it, where the questions have answers."
    )
    if result.run["environment"].get("weights") == "random":
        st.warning("The weights are random, so quality means nothing here: it shows how the tool works.")
