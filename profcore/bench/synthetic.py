"""Made-up runs for measuring the store's and the pages' own speed; never shown as results."""

from __future__ import annotations

import json
from itertools import cycle, islice
from typing import TYPE_CHECKING

from profcore.data_sets import DataSet, read_data_set
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings, default_values
from profcore.experiments.motivation import FLOPS_SOURCES, MOTIVATION, plan
from profcore.models.config import PRESETS
from profcore.spec.runs import RunSpec, Sweep, Target
from profcore.storage.insert import insert_run
from profcore.storage.spool import run_record

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
        _add(store, spec, samples // runs)
        ids.append(spec.id)
    return ids


def multiply(store: Store, runs: int) -> None:
    """Put copies of a store's runs beside them, a second apart, until there are at least so many."""
    with store.connection.transaction() as cursor:
        (known,) = cursor.execute("SELECT count(*) FROM runs").fetchall()[0]
        cursor.execute(
            "CREATE TEMP TABLE copied AS SELECT id AS old, id || '-' || n AS new, n FROM runs, range(1, ?) AS t(n)",
            [-(-runs // known)],
        )
        for table in ("settings", "samples"):
            cursor.execute(
                f"INSERT INTO {table} BY NAME SELECT {table}.* REPLACE (new AS run_id) "
                f"FROM {table} JOIN copied ON old = run_id"
            )
        cursor.execute(
            "INSERT INTO runs BY NAME SELECT runs.* REPLACE (new AS id, created_at + to_seconds(n) AS created_at) "
            "FROM runs JOIN copied ON old = id"
        )
        cursor.execute("DROP TABLE copied")


def _add(store: Store, spec: RunSpec, samples: int) -> None:
    """Add a run with random samples."""
    environment = {"device_name": "made up", "model": spec.target.model, "weights": "random", "dtype": "float32"}
    environment |= {"engine": spec.target.engine, "clock": str(spec.sweep.clock)}
    with store.connection.transaction() as cursor:
        insert_run(cursor, spec.id, run_record(spec), "synthetic", store.connection.schema("settings"))
        cursor.execute(
            "UPDATE runs SET state = 'done', environment = ? WHERE id = ?", [json.dumps(environment), spec.id]
        )
        cursor.execute(
            """
            INSERT INTO samples BY NAME
            SELECT ? AS run_id, i AS sample_id, setting, i // ? AS round, i * 0.05 AS elapsed_s,
                14 + random() AS vision_encoder_ms, 1 + random() AS projector_ms, 30 + random() AS llm_prefill_ms,
                30 * (output_tokens - 1) + random() AS llm_decode_ms, random() AS other_ms,
                46 + 30 * (output_tokens - 1) + random() AS total_ms, 2 + setting % 12 AS num_crops,
                288 + 96 * (setting % 12) AS num_vision_tokens, 355 + 96 * (setting % 12) AS num_input_tokens,
                output_tokens AS num_output_tokens
            FROM range(?) AS rows(i) JOIN settings ON setting = i % ? AND run_id = ?
            """,
            [spec.id, len(spec.sweep.settings), samples, len(spec.sweep.settings), spec.id],
        )


def _sweeps() -> Iterator[Sweep]:
    config = PRESETS["tiny"]
    for experiment in CATALOGUE.values():
        settings = build_settings(experiment, default_values(experiment, config), base_setting(experiment, config))
        yield Sweep(experiment.name, settings)
    queries = read_data_set(DataSet())
    for name in ("latency_distribution", "component_profiling", *FLOPS_SOURCES):
        yield plan(MOTIVATION[name], queries, config)
