"""The choice of another joint run, to set beside the one that is shown."""

from __future__ import annotations

import streamlit as st

from pages.parts.state import service
from profcore.experiments.knobs import JOINT
from profcore.results.base import tell_apart


def choose(run_id: str, label: str) -> str | None:
    """Draw the choice among the other joint runs with samples; the one chosen.

    Args:
        run_id: The run that is shown.
        label: What another is chosen for.
    """
    runs = service().runs(JOINT.name)
    others = runs[(runs["id"] != run_id) & (runs["num_samples"] > 0)]
    if others.empty:
        return None
    names = tell_apart({str(row["id"]): row["title"] for row in others.to_dict("records")})
    return st.selectbox(
        label,
        list(names),
        format_func=lambda run: names[run],
        index=None,
        placeholder="Choose another run",
        key=f"{label}-{run_id}",
    )
