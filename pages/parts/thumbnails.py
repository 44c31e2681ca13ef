"""Small pictures on pages: of files that a page may open, made once and kept in memory for a while."""

from __future__ import annotations

import streamlit as st

from pages.parts.state import service
from pages.parts.text import plain
from profcore.errors import UserError
from profcore.images.pictures import load_picture
from profcore.service.questions import check_picture
from profcore.spec.queries import Picture
from profcore.spec.text import brief

_SIDE = 320
"""Pixels of a thumbnail's longer side at the most."""


def draw(picture: Picture, width: int | str = "stretch") -> None:
    """Draw a thumbnail; where there is none, say why in its place."""
    try:
        # Looked at each time: what may be opened is not the cache's to say.
        check_picture(picture, service().roots)
        small = _thumbnail(picture.kind, picture.value)
    except (UserError, OSError) as error:
        st.caption(f":material/hide_image: {plain(brief(str(error)))}")
        return
    st.image(small, width=width, alt="A picture, made small")  # type: ignore[arg-type]


@st.cache_data(max_entries=500, ttl=3600, show_spinner=False)
def _thumbnail(kind: str, value: str) -> bytes:
    import io

    small = load_picture(Picture(kind, value))
    small.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return file.getvalue()
