"""Key figures of very many runs: worked out once for each run and number of its samples in figures."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from profcore.storage.read import Reader

_COLUMNS = ("ttft_ms", "tpot_ms", "totals_ms")


class KeyFigures:
    """What `Reader.figures` says of runs, kept as long as a run has no further samples, and none is left out."""

    def __init__(self, store: Reader) -> None:
        self._store = store
        self._working = threading.Lock()
        self._known = pd.DataFrame(columns=["pooled", *_COLUMNS], index=pd.Index([], name="id"))

    def add_to(self, runs: pd.DataFrame) -> pd.DataFrame:
        """Runs of `Reader.run_list` with their figures, and `duration_s`: from start to end, once there was one."""
        rows = runs.set_index("id")
        counts = rows["num_samples"] - rows["num_set_aside"]
        with self._working:
            there = self._known["pooled"].reindex(counts.index)
            changed = counts[(counts > 0) & (there.isna() | (there != counts))].index
            if len(changed):
                found = self._store.figures(changed).set_index("id")
                found = found.assign(pooled=counts.reindex(found.index))
                kept = self._known[self._known.index.isin(counts.index.difference(changed))]
                self._known = found if kept.empty else pd.concat([kept, found])
            figures = self._known.reindex(counts.index)
        columns = {name: figures[name].to_numpy() for name in _COLUMNS}
        return runs.assign(**columns, duration_s=(runs["ended_at"] - runs["started_at"]).dt.total_seconds())
