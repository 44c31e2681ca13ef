"""What each setting costs in quality beside its latency, where a run recorded it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts.tables import figures
from pages.parts.text import plain
from profcore.results.tables import display_quality
from profcore.spec.text import counted

if TYPE_CHECKING:
    from profcore.results.sweep import Result


def explain(result: Result) -> None:
    """What was recorded, and what to think of it."""
    failed = result.settings.dropna(subset=["quality_failed"])
    if len(failed):
        reason = failed["quality_failed"].iloc[0]
        st.warning(
            f"No quality could be found of {len(failed)} of {counted(len(result.settings), 'setting')}: {plain(reason)}"
        )
    if result.settings["kl"].isna().all():
        st.caption("This run recorded no quality: open **Quality** on the left before the next.")
        return
    figures(display_quality(result), "setting")
    questions = int(result.settings["quality_queries"].max())
    st.caption(
        f"KL divergence of the next-token distribution from the full model's (every block, the model's own top-k), in "
        f"nats, mean over {counted(questions, 'question')}; VQA accuracy as VQA v2 defines it, where the questions "
        "have answers."
    )
    if result.run["environment"].get("weights") == "random":
        st.warning("The weights are random, so quality means nothing here: it shows how the tool works.")
