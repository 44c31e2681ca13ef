"""A run with its charts as a page draws them: worked out once for all who look at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pages.parts import run_parts
from pages.parts.state import service
from profcore import charts
from profcore.export.captions import provenance
from profcore.results.sweep import load_result
from profcore.results.tables import STATISTICS, display_samples, display_summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    import altair as alt
    import pandas as pd

    from profcore.charts.views import View
    from profcore.export.captions import Provenance
    from profcore.results.sweep import Result
    from profcore.storage.read import Reader

_MOST_LIVE_SAMPLES = 200
_FIRST = next(iter(STATISTICS))


@dataclass(frozen=True)
class Drawing:
    """A run and its charts.

    Attributes:
        result: The run.
        charts: Of the view that was asked for.
        specs: The same as Vega-Lite.
        source: Where their figures come from.
        newest: The newest samples as a table; None of a run that has ended, whose samples are all shown.
        described: What it was measured on.
        summaries: The summary under each statistic that somebody chose.
    """

    result: Result
    charts: list[alt.LayerChart]
    specs: list[dict[str, Any]]
    source: Provenance
    newest: pa.Table | None
    described: pd.DataFrame
    summaries: dict[str, pa.Table] = field(default_factory=dict)

    def summary(self, statistic: str) -> pa.Table:
        """The summary under a statistic."""
        if statistic not in self.summaries:
            frame = display_summary(self.result, statistic)
            self.summaries[statistic] = pa.Table.from_pandas(frame, preserve_index=False)
        return self.summaries[statistic]

    def samples(self) -> pa.Table:
        """A row for each sample; the newest alone while more come, since all are sent to whoever watches each time."""
        if self.newest is not None:
            return self.newest
        return service().results.follows(
            "table of samples",
            [self.result.run["id"]],
            lambda: pa.Table.from_pandas(display_samples(self.result), preserve_index=False),
        )


def ended(result: Result, view: View, name: str, laid_over: Sequence[str] = ()) -> Drawing:
    """A run that has ended, as it was drawn before where nothing of it has changed.

    Args:
        result: The run.
        view: Draws its charts.
        name: What tells drawings of the view apart.
        laid_over: Other runs that the view draws.
    """
    store = service().store
    runs = [result.run["id"], *laid_over]
    return service().results.follows(("drawing", name), runs, lambda: _drawn(store, result, view, None))


def followed(run_id: str, view: View, name: str) -> Drawing | None:
    """A run under way; None where it was deleted."""
    store = service().store

    def make() -> Drawing | None:
        # In no session, of which nothing is known here.
        result = load_result(store, run_id)
        return None if result is None else _drawn(store, result, view, _MOST_LIVE_SAMPLES)

    return run_parts.followed((run_id, "drawing", name), make)


def _drawn(store: Reader, result: Result, view: View, most: int | None) -> Drawing:
    drawn: list[alt.LayerChart] = []
    if not result.summary.empty:
        drawn = view(result, partial(store.decode_steps, result.run["id"]))
    newest = None
    if most is not None and not result.samples.empty:
        newest = pa.Table.from_pandas(display_samples(result, most), preserve_index=False)
    specs = [charts.vega_lite(chart) for chart in drawn]
    drawing = Drawing(result, drawn, specs, provenance(result), newest, run_parts.described(result))
    if not result.summary.empty:
        drawing.summary(_FIRST)
    return drawing
