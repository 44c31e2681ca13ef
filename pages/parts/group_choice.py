"""The choice among groups of runs that are set side by side, held in the page's address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import streamlit as st

from pages.parts import address
from pages.parts.text import plain
from profcore.spec.text import brief

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Group(Protocol):
    """Runs by what tells them apart."""

    @property
    def title(self) -> str:
        """What they share."""

    @property
    def runs(self) -> Mapping[str, str]:
        """Their ids."""


Chosen = TypeVar("Chosen", bound=Group)


def choose(label: str, groups: Sequence[Chosen]) -> Chosen:
    """Draw the choice, with the link to it.

    Args:
        label: The choice's; its key follows from it.
        groups: At least one; the first unless another is chosen.
    """
    key, titles = label.lower().replace(" ", "-"), [group.title for group in groups]
    # A group is known by any of its runs; its title may change as others are measured.
    asked = st.query_params.get("group")
    found = next((each for each in groups if asked in each.runs.values()), None)
    if asked is not None and found is None:
        st.warning(f"There are no such runs here as the link names ({plain(brief(asked))}): others are shown.")
    given = found or groups[0]
    address.settle("group", key, given.title)
    if st.session_state[key] not in titles:
        st.session_state[key] = titles[0]
    choosing, linking = st.columns([5, 1], vertical_alignment="bottom")
    group = groups[titles.index(choosing.selectbox(label, titles, key=key))]
    first = next(iter(group.runs.values()))
    address.keep(group=None if group is groups[0] else first)
    with linking:
        address.offer_link(group=first)
    return group
