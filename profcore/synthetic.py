"""Made-up runs for measuring the store's own speed; never shown as results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.experiments import CATALOGUE, base_setting, build_settings
from profcore.models.config import PRESETS
from profcore.spec import RunSpec, Sweep, Target

if TYPE_CHECKING:
    from profcore.store import Store


def fill(store: Store, runs: int, samples: int) -> list[str]:
    """Put runs with random samples of seven settings into an empty store of a benchmark; returns their ids.

    Rows are made inside the database: writing a million spool lines is not what is measured.
    """
    experiment = CATALOGUE["output_tokens"]
    settings = build_settings(experiment, experiment.values, base_setting(experiment, PRESETS["tiny"]))
    per_run = samples // runs
    ids = []
    for _ in range(runs):
        spec = RunSpec.new(Target(), Sweep(experiment.name, settings, num_samples=per_run // len(settings)))
        store.add_synthetic(spec, per_run)
        ids.append(spec.id)
    return ids
