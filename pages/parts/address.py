"""What a page shows, held in its address: a link, a reload and Back show the same.

Streamlit itself keeps widgets that are bound to the address, and replaces the entry in the browser's history as they
change. What is written here, such as the run that is shown, is an entry of its own, so that Back leads to what was
shown before it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import streamlit as st

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEEN = "address seen"
_OFFERED = "link offered"
_BETWEEN = ","


def moved(name: str) -> bool:
    """Whether the address says another than was seen there last: on a first look, by a link, or by Back and Forward.

    Then what it says is shown; else what a widget holds.
    """
    seen = st.session_state.setdefault(_SEEN, {})
    now = st.query_params.get(name)
    before, seen[name] = seen.get(name), now
    return now != before


def settle(name: str, key: str, value: Any) -> None:
    """Have a widget that is drawn next show what the address says, where it has moved or nothing was chosen yet.

    Args:
        name: What of the address says it.
        key: The widget's.
        value: What the address says, as the widget holds it; its default where it says nothing.
    """
    if moved(name) or key not in st.session_state:
        st.session_state[key] = value


def keep(**shown: str | None) -> None:
    """Write what is shown into the address, as one new entry of the browser's history if it is another.

    What is None is taken out of it.
    """
    for name in [name for name, value in shown.items() if value is None and name in st.query_params]:
        st.query_params.pop(name)
    new = {name: value for name, value in shown.items() if value is not None and st.query_params.get(name) != value}
    if new:
        st.query_params.update(new)
    st.session_state.setdefault(_SEEN, {}).update(shown)


def several(name: str) -> list[str]:
    """The ids that the address holds under a name, each once."""
    return list(dict.fromkeys(part for part in st.query_params.get(name, "").split(_BETWEEN) if part))


def joined(ids: list[str]) -> str | None:
    """Ids as the address holds them, for `keep`."""
    return _BETWEEN.join(ids) or None


def with_all(**more: str) -> dict[str, str | list[str]]:
    """The whole query of the page with something more, for a page that is led to from here.

    Streamlit writes that query into this page's address too, before it changes the page: Back leads to that.
    """
    return {**{name: st.query_params.get_all(name) for name in st.query_params}, **more}


def offer_link(**shown: str | None) -> None:
    """Have the page's address be offered to copy at this place; it is drawn when all the page has been.

    Args:
        shown: What is shown though the address does not say it, as the latest run.
    """
    st.session_state[_OFFERED] = (st.container(), {})
    add_to_link(**shown)


def add_to_link(**shown: str | None) -> None:
    """Say what else is shown though the address does not say it."""
    _, known = st.session_state.get(_OFFERED, (None, {}))
    known.update({name: value for name, value in shown.items() if value is not None})


@contextmanager
def link_drawn() -> Iterator[None]:
    """Within it a page is drawn; after it the link that it offered, with all that it has written into its address.

    What a page left that was never drawn to its end, as when it was asked for another before, is forgotten: a place of
    that page is none in this one, and a browser that is told to draw there loses the whole page.
    """
    st.session_state.pop(_OFFERED, None)
    yield
    place, shown = st.session_state.pop(_OFFERED, (None, {}))
    if place is None:
        return
    with place, st.popover("Copy link", icon=":material/link:", type="tertiary", key="copy-link"):
        st.caption("By this address others who can open this dashboard see the same. The sign at its end copies it.")
        st.code(_link(shown), language=None, wrap_lines=True)


def _link(shown: dict[str, str]) -> str:
    query = with_all(**shown)
    # Ids need no signs for a comma between them.
    return f"{st.context.url or ''}?{urlencode(query, doseq=True, safe=_BETWEEN)}".removesuffix("?")
