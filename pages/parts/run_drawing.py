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
from profcore.results.tables import display_samples, display_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import altair as alt
    import pandas as pd

    from profcore.charts.views import View
    from profcore.export.captions import Provenance
    from profcore.results.sweep import Result
    from profcore.storage.read import Reader

_MOST_LIVE_SAMPLES = 200


@dataclass(frozen=True)
class Drawing:
    """A run and its charts; its tables are made when somebody looks at them, for all who do.

    Attributes:
        result: The run.
        charts: Of the view that was asked for.
        specs: The same as Vega-Lite.
        source: Where their figures come from.
        tables: What was made by now, by its name.
    """

    result: Result
    charts: list[alt.LayerChart]
    specs: list[dict[str, Any]]
    source: Provenance
    tables: dict[str, Any] = field(default_factory=dict)

    def summary(self, statistic: str) -> pa.Table:
        """The summary under a statistic."""
        return self._made(f"summary {statistic}", lambda: _arrow(display_summary(self.result, statistic)))

    def samples(self) -> pa.Table:
        """A row for each sample; the newest alone while more come, since all are sent to whoever watches each time."""
        if not self.result.state.ended:
            return self._made("samples", lambda: _arrow(display_samples(self.result, _MOST_LIVE_SAMPLES)))
        own = [self.result.run["id"]]
        return service().results.follows("samples", own, lambda: _arrow(display_samples(self.result)))

    def described(self) -> pd.DataFrame:
        """What was asked for and what it was measured on."""
        return self._made("described", lambda: run_parts.described(self.result))

    def _made(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self.tables:
            self.tables[name] = make()
        return self.tables[name]


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
    return service().results.follows(("drawing", name), runs, lambda: _drawn(store, result, view))


def followed(run_id: str, view: View, name: str) -> Drawing | None:
    """A run under way as it is now; None where it was deleted."""
    store, results = service().store, service().results

    def make() -> Drawing | None:
        # In no session, of which nothing is known here.
        result = results.sweep(run_id)
        return None if result is None else _drawn(store, result, view)

    return run_parts.followed(run_id, ("drawing", name), make, lambda drawing: drawing.result)


def _drawn(store: Reader, result: Result, view: View) -> Drawing:
    drawn: list[alt.LayerChart] = []
    if not result.summary.empty:
        drawn = view(result, partial(store.decode_steps, result.run["id"]))
    return Drawing(result, drawn, [charts.vega_lite(chart) for chart in drawn], provenance(result))


def _arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)
