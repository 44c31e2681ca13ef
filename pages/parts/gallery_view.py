"""A run's pictures with their questions and what each cost, some at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts import thumbnails
from pages.parts.state import service
from pages.parts.text import plain
from profcore.results.gallery import Shown, gallery
from profcore.spec.text import brief, counted, some

if TYPE_CHECKING:
    from profcore.results.pictures import PictureResult

_A_PAGE, _A_ROW = 12, 4


def show(result: PictureResult) -> None:
    """Draw the gallery."""
    shown = service().results.follows("gallery", [result.run["id"]], lambda: gallery(result))
    if not shown:
        st.caption("This run does not say which pictures it measured.")
        return
    pages = -(-len(shown) // _A_PAGE)
    page = 1
    if pages > 1:
        page = int(st.number_input(f"Page, of {pages:,}", 1, pages, 1, key=f"gallery-{result.run['id']}", width=160))
    first = (page - 1) * _A_PAGE
    here = shown[first : first + _A_PAGE]
    for start in range(0, len(here), _A_ROW):
        for column, each in zip(st.columns(_A_ROW), here[start : start + _A_ROW], strict=False):
            with column:
                _draw(each)
    st.caption(
        f"{first + 1:,} to {first + len(here):,} of {counted(len(shown), 'question')}. Medians; a range where one "
        f"was measured at several settings. {plain(_lacking(result, shown))}"
    )


def _lacking(result: PictureResult, shown: list[Shown]) -> str:
    """Why there is no answer of the model's, where there is none."""
    if result.run["environment"].get("weights") == "random":
        return "The weights are random: what such a model answers means nothing and is not kept."
    return "" if any(each.answers for each in shown) else "This run did not keep what the model answered."


def _draw(shown: Shown) -> None:
    thumbnails.draw(shown.query.picture)
    st.markdown(f"**{plain(brief(shown.query.question))}**")
    if shown.query.answers:
        st.caption(f"People answered: {plain(brief(some(list(dict.fromkeys(shown.query.answers)), 3)))}")
    if shown.answers:
        st.markdown(f"The model: {plain(brief(some(list(shown.answers), 3)))}")
    for line in shown.lines or ("Not measured.",):
        st.caption(plain(line))
