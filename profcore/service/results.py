"""Runs as pages show them, and what follows from them: worked out once for each run and what is stored of it."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from profcore.results.joint import JointResult, load_joint
from profcore.results.pictures import PictureResult, load_picture_result
from profcore.results.sweep import Result, load_result
from profcore.service.shared import Shared

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    import pandas as pd

    from profcore.storage.read import Reader

Value = TypeVar("Value")

MOST_SAMPLES = 300_000
"""Of all runs that are kept together; a sample takes about half a kilobyte."""

MOST_BYTES = 200_000_000
"""Of all tables that are kept together."""


class Results:
    """Runs of a store; what is given is every session's, so that none of it may be changed."""

    def __init__(self, store: Reader, runs: Callable[[], pd.DataFrame]) -> None:
        """Begin with nothing known.

        Args:
            store: Where runs are.
            runs: As `Service.runs`.
        """
        self._store, self._runs = store, runs
        self._loaded = Shared(self._changes, weigh=_samples, most=MOST_SAMPLES)
        self._derived = Shared(self._changes, weigh=lambda value: getattr(value, "nbytes", 0), most=MOST_BYTES)

    def close(self) -> None:
        """Let go of all that is known."""
        self._loaded.close()
        self._derived.close()

    def sweep(self, run_id: str, lasts_s: float = 0.0) -> Result | None:
        """As `load_result`, and what was loaded before as long as nothing of the run has changed.

        Args:
            run_id: The run.
            lasts_s: For how long what was loaded of a run under way may be given though it has changed since.
        """
        return self._load("sweep", run_id, load_result, lasts_s)

    def pictures(self, run_id: str, lasts_s: float = 0.0) -> PictureResult | None:
        """As `load_picture_result`, kept as `sweep` is."""
        return self._load("pictures", run_id, load_picture_result, lasts_s)

    def joint(self, run_id: str, lasts_s: float = 0.0) -> JointResult | None:
        """As `load_joint`, kept as `sweep` is."""
        return self._load("joint", run_id, load_joint, lasts_s)

    def any(self, run_id: str) -> Result | JointResult | PictureResult | None:
        """A run of any kind."""
        return self.sweep(run_id) or self.joint(run_id) or self.pictures(run_id)

    def state(self, run_id: str) -> Hashable | None:
        """What is another once anything of a run has changed; None of one under way, and where there is none."""
        return self._states([run_id])

    def follows(self, what: Hashable, run_ids: Iterable[str], make: Callable[[], Value]) -> Value:
        """What follows from some runs alone, worked out again once anything of them has changed.

        Of one under way it is worked out each time: it changes with every sample.

        Args:
            what: Which of it.
            run_ids: All that it follows from.
            make: Works it out.
        """
        states = self._states(run_ids)
        return make() if states is None else self._derived.get((what, states), make, math.inf)

    def among(
        self, what: Hashable, experiments: Iterable[str], make: Callable[[], Value], run_ids: Iterable[str] = ()
    ) -> Value:
        """What follows from which runs of some experiments there are and how far each is, kept as `follows` does.

        Args:
            what: Which of it.
            experiments: Whose runs.
            make: Works it out.
            run_ids: Runs of other experiments that it follows from.
        """
        states = self._states(run_ids)
        if states is None:
            return make()
        runs = self._runs()
        runs = runs[runs["experiment"].isin(list(experiments))]
        there = tuple(runs[list(_RANKED_BY)].itertuples(index=False, name=None))
        return self._derived.get((what, states, there), make, math.inf)

    def _load(self, kind: str, run_id: str, load: Callable[[Reader, str], Value], lasts_s: float) -> Value:
        states = self._states([run_id])
        if states is None:
            return self._loaded.get((kind, run_id), lambda: load(self._store, run_id), lasts_s)
        return self._loaded.get((kind, states), lambda: load(self._store, run_id), math.inf)

    def _states(self, run_ids: Iterable[str]) -> Hashable | None:
        """What is another once anything of some runs has changed; None where one is under way, or gone."""
        found = [self._derived.get(("state", run_id), partial(self._store.fingerprint, run_id)) for run_id in run_ids]
        if any(state is None or not state[1] for state in found):
            return None
        return tuple(state[0] for state in found if state)

    def _changes(self) -> int:
        return self._store.connection.changes


_RANKED_BY = ("id", "state", "source", "archived", "num_samples")
"""What of runs says which of them stands for its experiment (see `Reader.ranked`)."""


def _samples(result: Any) -> int:
    return 0 if result is None or not hasattr(result, "samples") else len(result.samples)
