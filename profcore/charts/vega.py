"""Charts as Vega-Lite with their tables apart, so that one drawing serves many readers."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd
import pyarrow as pa

from profcore.charts.base import INK

# A host's own colours of these are too faint to be read by everybody.
_TEXTS = {"labelColor": INK, "titleColor": INK}
_CONFIG = {"axis": _TEXTS, "legend": {**_TEXTS, "symbolBaseFillColor": INK}, "text": {"color": INK}}
_PARTS = ("layer", "hconcat", "vconcat", "concat")


def vega_lite(chart: alt.LayerChart) -> dict[str, Any]:
    """A chart as Vega-Lite, with its tables under `datasets`, as Arrow's where they can be.

    Altair would write every cell of a table as JSON and look at each part once more, which takes longer than all else.
    """
    tables: dict[int, tuple[str, pd.DataFrame]] = {}
    spec = _named(chart, tables).to_dict(validate=False)
    config = {name: {**spec.get("config", {}).get(name, {}), **own} for name, own in _CONFIG.items()}
    spec["config"] = {**spec.get("config", {}), **config}
    return {**spec, "datasets": {name: _arrow(table) for name, table in tables.values()}}


def _named(chart: Any, tables: dict[int, tuple[str, pd.DataFrame]]) -> Any:
    """A copy whose tables are named, each once; they are kept in `tables` by what they are."""
    copy = chart.copy(deep=False)
    if isinstance(data := copy.data, pd.DataFrame):
        name, _ = tables.setdefault(id(data), (f"table-{len(tables)}", data))
        copy.data = alt.NamedData(name)
    for parts in _PARTS:
        if isinstance(of_copy := getattr(copy, parts, alt.Undefined), list):
            setattr(copy, parts, [_named(part, tables) for part in of_copy])
    return copy


def _arrow(table: pd.DataFrame) -> pa.Table | pd.DataFrame:
    try:
        return pa.Table.from_pandas(table, preserve_index=False)
    except pa.ArrowException:
        # Cells of several types in one column; whoever draws it knows a way.
        return table
