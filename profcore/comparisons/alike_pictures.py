"""Which runs of real pictures were measured as a sweep was, and so stand beside it without being asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.comparisons.conditions import conditions_of, result_conditions
from profcore.comparisons.sweep_and_pictures import OFFERED, can_stand_beside

if TYPE_CHECKING:
    from profcore.results.sweep import Result
    from profcore.storage.read import Reader


def alike_pictures(store: Reader, sweep: Result) -> list[str]:
    """The run of each Motivation experiment that was measured as the sweep was: own, done, fullest, newest first.

    What was imported is none of them: it stands beside the sweep when it is chosen.
    """
    own, found = result_conditions(sweep), []
    for experiment in OFFERED.get(sweep.experiment.knob, ()):
        for run_id in store.ranked_apart(experiment):
            run = store.measured_on(run_id)
            if run and can_stand_beside(own, conditions_of(run, store.knobs(run_id)), sweep.experiment):
                found.append(run_id)
                break
    return found
