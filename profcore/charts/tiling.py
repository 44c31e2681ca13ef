"""A picture under its crops, and what each bound on their number comes to."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from profcore.charts.base import CROP_COLOUR, HEIGHT, OVERLAP_COLOUR, SUM_COLOUR

if TYPE_CHECKING:
    from PIL import Image

    from profcore.images.tiling import Tiling

_LONGEST_DRAWN = 640
FILE_WIDTH, PAGE_WIDTH = 360, 600
"""Width of the drawing in a file, where it is 300 DPI and so large enough, and on a page."""


def tiling(picture: Image.Image, tiles: Tiling, widest: int = FILE_WIDTH) -> alt.LayerChart:
    """The picture with the boundaries of its crops over it and their overlap shaded.

    Args:
        picture: At its own size.
        tiles: As `tiling.tile`.
        widest: Pixels that it may be wide; it may be as tall.
    """
    small = picture.copy()
    small.thumbnail((_LONGEST_DRAWN, _LONGEST_DRAWN))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    url = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    edges = tiles.crops
    left, right = min(0.0, edges["left"].min()), max(float(tiles.width), edges["right"].max())
    top, bottom = min(0.0, edges["top"].min()), max(float(tiles.height), edges["bottom"].max())
    x_scale, y_scale = alt.Scale(domain=[left, right], nice=False), alt.Scale(domain=[bottom, top], nice=False)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title="Width (pixels of the picture)", scale=x_scale, axis=alt.Axis(grid=False))

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title="Height (pixels)", scale=y_scale, axis=alt.Axis(grid=False))

    frame = pd.DataFrame({"url": [url], "left": [0], "top": [0], "right": [tiles.width], "bottom": [tiles.height]})
    image = (
        alt.Chart(frame).mark_image(aspect=False).encode(x=x("left"), x2="right", y=y("top"), y2="bottom", url="url:N")
    )
    shaded = (
        alt.Chart(tiles.overlaps)
        .mark_rect(color=OVERLAP_COLOUR, opacity=0.45)
        .encode(x=x("left"), x2="right", y=y("top"), y2="bottom")
    )
    boxes = (
        alt.Chart(tiles.crops)
        .mark_rect(filled=False, stroke=CROP_COLOUR, strokeWidth=2.5)
        .encode(
            x=x("left"),
            x2="right",
            y=y("top"),
            y2="bottom",
            tooltip=[
                alt.Tooltip("crop:Q", title="Crop"),
                alt.Tooltip("row:Q", title="Row"),
                alt.Tooltip("column:Q", title="Column"),
            ],
        )
    )
    scale = widest / max(right - left, bottom - top)
    return alt.layer(image, shaded, boxes).properties(width=(right - left) * scale, height=(bottom - top) * scale)


def bounds(rows: pd.DataFrame, max_crops: int) -> alt.LayerChart:
    """Vision tokens under each bound on the number of crops; the one in use stands out.

    Args:
        rows: As `tiling.tokens_by_bound`.
        max_crops: The bound in use.
    """
    chart = (
        alt.Chart(rows)
        .mark_bar(color=SUM_COLOUR)
        .encode(
            x=alt.X("max_crops:O", title="Crops allowed (max_crops)", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("num_vision_tokens:Q", title="Vision tokens"),
            opacity=alt.condition(alt.datum.max_crops == max_crops, alt.value(1.0), alt.value(0.5)),
            tooltip=[
                alt.Tooltip("max_crops:O", title="Crops allowed"),
                alt.Tooltip("grid:N", title="Grid"),
                alt.Tooltip("num_crops:Q", title="Crops, with the global view"),
                alt.Tooltip("num_vision_tokens:Q", title="Vision tokens"),
            ],
        )
    )
    return alt.layer(chart).properties(height=HEIGHT)
