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

from pages.parts.text import plain
from profcore.spec.text import brief

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

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

    What was chosen is set each time. The browser is told of a value only in the run of the page that sets it: one that
    was cut short, as where the devices become known meanwhile, would leave a widget that shows nothing chosen beside
    figures of what is.

    Args:
        name: What of the address says it.
        key: The widget's.
        value: What the address says, as the widget holds it; its default where it says nothing.
    """
    fresh = moved(name) or key not in st.session_state
    st.session_state[key] = value if fresh else st.session_state[key]


def begin_anew(key: str, offered: Collection[str]) -> None:
    """Have a choice that is drawn next forget what it held where it offers nothing of that kind.

    Pages share the names of their choices, so that a view that several have stays from page to page. One that this page
    has not would stay in its address.
    """
    if st.session_state.get(key) not in offered:
        st.session_state.pop(key, None)


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


def say_unknown(name: str, known: Collection[str], instead: str) -> None:
    """Warn of runs that a link names and that are not here: else its reader takes others for those.

    What the page has written into its address itself is no link: runs of another knob, chosen before this one was.

    Args:
        name: What of the address holds their ids.
        known: Those that can be shown.
        instead: What is shown, in a few words.
    """
    if st.query_params.get(name) == st.session_state.get(_SEEN, {}).get(name):
        return
    if unknown := [each for each in several(name) if each not in known]:
        named = ", ".join(unknown)
        st.warning(f"There is no such run here as the link names ({plain(brief(named))}): {plain(instead)}.")


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
