"""What each setting costs in quality beside its latency, where a run recorded it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts.tables import figures
from pages.parts.text import plain
from profcore.results.quality import RANDOM_QUALITY, has_quality, is_random, quality_failure, quality_words
from profcore.results.tables import display_quality

if TYPE_CHECKING:
    from profcore.results.sweep import Result


def explain(result: Result) -> None:
    """What was recorded, and what to think of it."""
    if failure := quality_failure(result.settings):
        st.warning(plain(failure))
    if not has_quality(result.settings):
        return
    figures(display_quality(result), "setting")
    st.caption(plain(quality_words(result)))
    if is_random(result):
        st.warning(RANDOM_QUALITY)
