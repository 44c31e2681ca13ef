"""What is noted of runs: tags, a star, a note, and whether they are put away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.parts.state import service
from profcore.errors import UserError
from profcore.spec.marks import LONGEST_NOTE, MOST_TAGS, parted

if TYPE_CHECKING:
    from collections.abc import Callable

PROBLEM = "runs-problem"


def edit(run: dict[Any, Any], known_tags: list[str]) -> None:
    """Draw what is noted of one run, to be changed.

    Args:
        run: As `Reader.run_list` has it.
        known_tags: Tags that any run has, to be chosen from.
    """
    run_id, own = run["id"], list(parted(run["tags"]))
    tags, star, archive = st.columns([3, 1, 1], vertical_alignment="bottom")
    key = f"tags-{run_id}"
    tags.multiselect(
        "Tags",
        sorted({*known_tags, *own}, key=str.casefold),
        own,
        key=key,
        accept_new_options=True,
        max_selections=MOST_TAGS,
        placeholder="choose or write one",
        on_change=_mark,
        args=(run_id, "tags", key),
    )
    for column, field, label in ((star, "starred", "Starred"), (archive, "archived", "Archived")):
        key = f"{field}-{run_id}"
        column.toggle(label, bool(run[field]), key=key, on_change=_mark, args=(run_id, field, key))
    key = f"note-{run_id}"
    st.text_area(
        "Note",
        run["note"],
        key=key,
        max_chars=LONGEST_NOTE,
        height=68,
        placeholder="what to know of this run",
        on_change=_mark,
        args=(run_id, "note", key),
    )


def edit_all(run_ids: list[str]) -> None:
    """Draw what can be noted of several runs at once."""
    with st.popover(f"Mark all {len(run_ids)}", icon=":material/sell:"):
        st.text_input("Tags to add, apart by commas", key="tags-for-all")
        st.button("Add tags", key="add-tags", on_click=_tag_all, args=(run_ids,), width="stretch")
        for label, changes in (
            ("Star", {"starred": True}),
            ("Take the star away", {"starred": False}),
            ("Archive", {"archived": True}),
            ("Bring back from the archive", {"archived": False}),
        ):
            st.button(label, key=f"all-{label}", on_click=_mark_all, args=(run_ids, changes), width="stretch")


def _mark(run_id: str, field: str, key: str) -> None:
    _said(lambda: service().mark([run_id], **{field: st.session_state[key]}))


def _mark_all(run_ids: list[str], changes: dict[str, bool]) -> None:
    _said(lambda: service().mark(run_ids, **changes))
    _forget_widgets(run_ids)


def _tag_all(run_ids: list[str]) -> None:
    _said(lambda: service().add_tags(run_ids, [st.session_state["tags-for-all"]]))
    st.session_state["tags-for-all"] = ""
    _forget_widgets(run_ids)


def _forget_widgets(run_ids: list[str]) -> None:
    """Have what is drawn of each run next say what is stored now."""
    for run_id in run_ids:
        for field in ("tags", "starred", "archived"):
            st.session_state.pop(f"{field}-{run_id}", None)


def _said(change: Callable[[], None]) -> None:
    """Change something; why it cannot be is said where the page is drawn anew."""
    try:
        change()
    except UserError as error:
        st.session_state[PROBLEM] = str(error)
