"""What stands under the view of an inference with the host's work before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts.text import plain
from profcore.results.reading import reading_line
from profcore.stats import PREPROCESSING

if TYPE_CHECKING:
    from profcore.results.sweep import Result


def explain(result: Result) -> None:
    """Say what the host does before an inference, or that this run did not measure it."""
    if PREPROCESSING not in set(result.summary["metric"]):
        return
    st.caption(
        "Host preprocessing: from the picture in memory and the question to tensors on the device, made anew before "
        "each sample and no part of the total. End to end is the total with it; like launching, it belongs to the host "
        f"that measured. {plain(reading_line(result.samples))}"
    )
