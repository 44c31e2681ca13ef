"""Made-up runs for measuring the store's and the pages' own speed; never shown as results."""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING

from profcore.data_sets import DataSet, read_data_set
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings, default_values
from profcore.experiments.motivation import FLOPS_SOURCES, MOTIVATION, plan
from profcore.models.config import PRESETS
from profcore.spec.runs import RunSpec, Sweep, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profcore.storage.store import Store


def fill(store: Store, runs: int, samples: int, experiment: str | None = None) -> list[str]:
    """Put runs with random samples into a store of a benchmark; returns their ids.

    Rows are made inside the database: writing a million spool lines is not what is measured.

    Args:
        store: The store.
        runs: How many.
        samples: Of all runs together.
        experiment: Of which experiment they are; of all in turn unless given.
    """
    kinds = [sweep for sweep in _sweeps() if experiment in (None, sweep.experiment)]
    ids = []
    for sweep in islice(cycle(kinds), runs):
        spec = RunSpec.new(Target(), sweep)
        store.add_synthetic(spec, samples // runs)
        ids.append(spec.id)
    return ids


def _sweeps() -> Iterator[Sweep]:
    config = PRESETS["tiny"]
    for experiment in CATALOGUE.values():
        settings = build_settings(experiment, default_values(experiment, config), base_setting(experiment, config))
        yield Sweep(experiment.name, settings)
    queries = read_data_set(DataSet())
    for name in ("latency_distribution", "component_profiling", *FLOPS_SOURCES):
        yield plan(MOTIVATION[name], queries, config)
