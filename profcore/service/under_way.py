"""The runs that wait or are measured, as every page says them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profcore.experiments.motivation import experiment_title
from profcore.results.base import is_open_ended, planned_samples, time_left_s
from profcore.service.words import about
from profcore.spec.stages import State

if TYPE_CHECKING:
    from profcore.storage.read import Reader


@dataclass(frozen=True)
class UnderWay:
    """A run that waits or is measured.

    Attributes:
        id: Its id.
        experiment: Of what it is.
        title: What that is called.
        state: Queued or running.
        phase: What is being done for it now, in words; empty where that is nothing yet.
        done: The samples taken.
        planned: The samples it will have.
        at_most: Whether they may be fewer, since settings are sampled until they are precise.
        remaining_s: Seconds it still needs, where that can be said.
    """

    id: str
    experiment: str
    title: str
    state: State
    phase: str
    done: int
    planned: int
    at_most: bool
    remaining_s: float | None

    @property
    def count(self) -> str:
        """How far it is, such as '77 of 300' or '77 of at most 300'."""
        return f"{self.done:,} of {'at most ' if self.at_most else ''}{self.planned:,}"

    @property
    def time_left(self) -> str:
        """About how long it still needs; empty where that cannot be said."""
        return "" if self.remaining_s is None else f"{about(self.remaining_s)} left"


def runs_under_way(store: Reader) -> list[UnderWay]:
    """Every run that waits or is measured: those measured first, then in the order they were asked for."""
    found = [_under_way(store, run_id) for run_id in reversed(store.ids((State.RUNNING, State.QUEUED)))]
    return sorted((run for run in found if run), key=lambda run: run.state is not State.RUNNING)


def _under_way(store: Reader, run_id: str) -> UnderWay | None:
    """One of them; None where it was deleted meanwhile."""
    run = store.run(run_id)
    if run is None:
        return None
    # Counted by the database: what is asked each second, of every page, is not to read every sample.
    settings, taken = store.settings(run_id), store.taken(run_id)
    return UnderWay(
        run_id,
        run["experiment"],
        experiment_title(run["experiment"]),
        State(run["state"]),
        run["phase"] or "",
        int(taken["size"].sum()),
        planned_samples(run, settings, taken),
        is_open_ended(run, settings),
        time_left_s(run, settings, taken),
    )
