"""What a chart shows, in words, for a reader who does not see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_MOST_NAMED = 8


def chart_words(spec: dict[str, Any]) -> str:
    """What is drawn over what, and the series there are; empty where the chart's axes have no titles.

    Args:
        spec: A chart as Vega-Lite, as `vega_lite` gives it.
    """
    encodings = list(_encodings(spec))
    across, up = (next(_titles(encodings, axis), "") for axis in ("x", "y"))
    if not across and not up:
        return ""
    names = next(_series(encodings), [])
    shown = ", ".join(names[:_MOST_NAMED]) + (f" and {len(names) - _MOST_NAMED} more" if names[_MOST_NAMED:] else "")
    axes = f"{up} over {across}" if up and across else up or across
    return f"Chart: {axes}" + (f"; {shown}" if shown else "")


def _encodings(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What each mark of a chart is drawn by, layers of layers included."""
    if "encoding" in spec:
        yield spec["encoding"]
    for part in spec.get("layer", []):
        yield from _encodings(part)


def _titles(encodings: list[dict[str, Any]], axis: str) -> Iterator[str]:
    for encoding in encodings:
        title = encoding.get(axis, {}).get("title")
        if isinstance(title, str):
            yield title


def _series(encodings: list[dict[str, Any]]) -> Iterator[list[str]]:
    for encoding in encodings:
        scale = encoding.get("color", {}).get("scale") or {}
        if encoding.get("color", {}).get("type") == "quantitative" and isinstance(scale.get("domain"), list):
            least, most = scale["domain"]
            yield [f"{encoding['color'].get('title')} from {least:,.4g} to {most:,.4g}"]
        elif isinstance(scale.get("domain"), list):
            yield [str(name) for name in scale["domain"]]
