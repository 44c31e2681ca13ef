"""How a picture tiles: its crops, their overlap, and the tokens under each bound."""

from __future__ import annotations

import io

import streamlit as st

from pages.parts import figure_view
from pages.parts.text import say_error
from profcore import charts
from profcore.errors import UserError
from profcore.images.pictures import PHOTOS, load_picture, open_picture
from profcore.images.tiling import MOST_CROPS, tile, tokens_by_bound
from profcore.spec.queries import Picture
from profcore.spec.settings import MAX_CROPS

_OWN = "your own"


def show() -> None:
    """Draw the choice of a picture and how it tiles."""
    left, right = st.columns([1, 2.6], gap="large")
    with left:
        name = st.selectbox("Picture", [*PHOTOS, _OWN], index=1, key="tiled", bind="query-params")
        uploaded = st.file_uploader("Picture file", key="tiled-file") if name == _OWN else None
        most = st.slider("Crops allowed (max_crops)", 1, MOST_CROPS, MAX_CROPS, key="crops", bind="query-params")
    with right:
        if name == _OWN and uploaded is None:
            st.info("Upload a picture on the left.")
            return
        try:
            if uploaded is not None:
                picture = open_picture(io.BytesIO(uploaded.getvalue()), uploaded.name)
            else:
                picture = load_picture(Picture("photo", name))
            tiles = tile(*picture.size, most)
        except UserError as error:
            say_error(error)
            return
        first, second, third, fourth = st.columns(4)
        first.metric("Grid", f"{tiles.grid[0]}×{tiles.grid[1]}")
        second.metric("Vision tokens", f"{tiles.num_vision_tokens:,}")
        third.metric("Crops", tiles.num_crops, help="With the global view.")
        fourth.metric("Redundant patches", f"{tiles.redundant / tiles.patches:.0%}")
        drawn = charts.tiling(picture, tiles, charts.PAGE_WIDTH)
        figure_view.draw(drawn, "exp6_tiling", "tiling", saved=charts.tiling(picture, tiles))
        st.caption(
            f"{tiles.width}×{tiles.height} pixels. Yellow: crops of 336 pixels after resizing; blue: overlap. The "
            f"vision encoder sees {tiles.patches:,} patches, the global view's among them; the tokens of "
            f"{tiles.redundant:,} are dropped, since another crop has the same patch, and {tiles.padded:,} are padding."
        )
        figure_view.draw(charts.bounds(tokens_by_bound(*picture.size), most), "exp6_tokens_by_max_crops", "bounds")
        if most > MAX_CROPS:
            st.caption(f":material/info: MolmoE-1B was trained with at most {MAX_CROPS} crops.")
