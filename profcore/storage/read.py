"""What is asked of the database: runs, settings, samples, and what follows from many samples at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from profcore.roofline.flops import COLUMNS as FLOPS
from profcore.spec.records import ENERGY_COLUMNS, WORK_COLUMNS
from profcore.spec.runs import QUERY_COLUMNS, TIER_COLUMNS
from profcore.spec.stages import MODEL_STAGES, State
from profcore.storage.trouble import damaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from profcore.storage.connection import Connection

# The stages in the order of a sample's `issue_ms`.
_ISSUED = [stage.column for stage in MODEL_STAGES]
# As many say what a card's median is, and more would take longer each time that a growing run is looked at.
_MOST_COMPARED = 200
# Launches of graphs that a device was seen to take before the host has to wait for it (H100, driver 580).
_TAKEN_IN_ADVANCE = 512
# Columns of samples that only pictures, or files of others, have.
_SELDOM = (
    "environment_number",
    *("host_preprocessing_ms", "picture_reading_ms", "vision_total_ms", "system_total_ms", "first_token_ms"),
    *(*FLOPS, *QUERY_COLUMNS, *TIER_COLUMNS),
)
# What a setting says of itself alone, and not of each of its samples.
_NOT_OF_SAMPLES = ", ".join(
    (
        *("run_id", "setting", "failed", "prefill_experts", "kl", "accuracy", "quality_queries", "quality_failed"),
        "quality_scores",
        *ENERGY_COLUMNS.values(),
        *WORK_COLUMNS,
        *("energy_failed", "stopped_by", "answer"),
    )
)
_NOT_MEASURED = ("run_id", "decode_steps_ms", "issue_ms", "step_issue_ms")

# Conditions of a run that lists name, as its environment says them, else its spec, which is there before any
# measurement. A text that is no JSON, as a file of others may have left, says nothing and spoils no list.
CONDITIONS = """
    coalesce(TRY(environment ->> 'model'), TRY(spec ->> '$.target.model')) AS model,
    coalesce(TRY(environment ->> 'engine'), TRY(spec ->> '$.target.engine')) AS engine,
    coalesce(TRY(environment ->> 'device_name'), TRY(spec ->> '$.target.device')) AS device,
    TRY(environment ->> 'weights') AS weights,
    TRY(environment ->> 'dtype') AS dtype,
    TRY(environment ->> 'clock') AS clock
"""

_RUNS = """
    SELECT {columns}, coalesce(counts.num_samples, 0) AS num_samples,
        coalesce(aside.num_set_aside, 0) AS num_set_aside
    FROM runs LEFT JOIN (
        SELECT run_id, count(*) AS num_samples FROM samples {samples} GROUP BY run_id
    ) AS counts ON counts.run_id = runs.id
    LEFT JOIN (
        SELECT run_id, count(*) AS num_set_aside FROM samples SEMI JOIN (
            SELECT run_id, environment_number FROM environments WHERE coalesce(refused, set_aside) IS NOT NULL
        ) USING (run_id, environment_number) GROUP BY run_id
    ) AS aside ON aside.run_id = runs.id
    {runs}
    ORDER BY runs.created_at DESC, runs.id DESC
"""

_RANKED = """
    SELECT runs.*, row_number() OVER (
        ORDER BY source = 'shipped',
            CASE WHEN state = 'done' THEN 0 WHEN state IN ('queued', 'running') THEN 1 ELSE 2 END,
            measured DESC, created_at DESC, id DESC
    ) AS place
    FROM runs JOIN (
        SELECT run_id, count(DISTINCT setting) AS measured FROM samples
        WHERE run_id IN (SELECT id FROM runs WHERE experiment = $1) GROUP BY run_id
    ) AS counts ON counts.run_id = runs.id
    WHERE experiment = $1 AND source <> 'imported' AND NOT archived
"""


# As many bars as a cell of a table shows.
_MOST_CHARTED, _QUANTILES = 40, 20
_FIGURES = """
    WITH latencies AS (
        SELECT run_id, setting, total_ms,
            coalesce(coalesce(vision_encoder_ms + projector_ms, vision_total_ms) + llm_prefill_ms, first_token_ms)
                AS ttft_ms,
            CASE WHEN num_output_tokens > 1 THEN llm_decode_ms / (num_output_tokens - 1) END AS tpot_ms
        FROM pooled WHERE run_id IN (SELECT unnest($1))
    ), settings AS (
        SELECT run_id, setting, median(ttft_ms) AS ttft_ms, median(tpot_ms) AS tpot_ms, median(total_ms) AS total_ms
        FROM latencies GROUP BY run_id, setting
    )
    SELECT run_id AS id, median(ttft_ms) AS ttft_ms, median(tpot_ms) AS tpot_ms,
        CASE WHEN count(*) <= $2 THEN list(total_ms ORDER BY setting) FILTER (total_ms IS NOT NULL)
            ELSE quantile_cont(total_ms, $3::DOUBLE[]) END AS totals_ms
    FROM settings GROUP BY run_id
"""


# Runs of a device, model, engine and, where it is given, a dtype; as their environment says them, else their spec.
_ALIKE = f"""
    SELECT id FROM (SELECT id, environment, {CONDITIONS.strip()} FROM runs)
    WHERE device = $1 AND model = $2 AND engine = $3 AND ($4 IS NULL OR dtype = $4)
"""


# Settings of a run that more than one environment has.
_SEVERAL = """
    SELECT setting FROM samples WHERE run_id = $1
    GROUP BY setting HAVING count(DISTINCT coalesce(environment_number, 0)) > 1
"""


class PlaceConditions(NamedTuple):
    """How a card was where a part of a run was measured; None where it is not known.

    Attributes:
        sm_clock_mhz: The median of what was read beside the samples.
        temperature_c: The same.
        started_s: When the part was started, in seconds since 1970.
    """

    sm_clock_mhz: float | None
    temperature_c: float | None
    started_s: float | None


class Reader:
    """Asks a database; times are UTC, latencies milliseconds."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def runs(self, experiment: str | None = None) -> pd.DataFrame:
        """All runs, or one experiment's, newest first, with `num_samples`; spec and environment are JSON text.

        `num_set_aside` is how many of the samples are in no figure, since their environment is left out.
        """
        return self._list("runs.*", experiment)

    def run_list(self, experiment: str | None = None) -> pd.DataFrame:
        """As `runs`, for lists of many: without the long texts, with what they say of a run's conditions.

        Those are `model`, `engine`, `device`, `weights`, `dtype` and `clock`; `has_spec` says whether there is one, and
        `open_ended` whether it asks for as many samples as it takes.
        """
        columns = "runs.* EXCLUDE (spec, environment, ceilings, details), spec IS NOT NULL AS has_spec"
        columns += ", TRY(spec ->> '$.sweep.until') IS NOT NULL AS open_ended"
        return self._list(f"{columns}, {CONDITIONS}", experiment)

    def _list(self, columns: str, experiment: str | None) -> pd.DataFrame:
        where = "WHERE runs.experiment = ?" if experiment else ""
        query = _RUNS.format(columns=columns, samples="", runs=where)
        return self.connection.cursor.execute(query, [experiment] if experiment else []).df()

    def figures(self, run_ids: Iterable[str]) -> pd.DataFrame:
        """Key figures of runs with samples, by `id`, in milliseconds.

        Of each run `ttft_ms` and `tpot_ms`, the medians over its settings of each setting's median, and `totals_ms`:
        the median total of each setting in their order, or, of more than 40 settings, as real pictures have, quantiles
        of these in ascending order.
        """
        ids, shares = list(run_ids), [(place + 0.5) / _QUANTILES for place in range(_QUANTILES)]
        return self.connection.cursor.execute(_FIGURES, [ids, _MOST_CHARTED, shares]).df()

    def series(self) -> pd.DataFrame:
        """The runs that are done and belong to a series: `id`, `experiment` and `series`, oldest first."""
        query = """
            SELECT id, experiment, TRY(spec ->> '$.series') AS series FROM runs
            WHERE series IS NOT NULL AND state = 'done' ORDER BY created_at, id
        """
        return self.connection.cursor.execute(query).df()

    def ids(self, states: Iterable[str]) -> list[str]:
        """The ids of the runs in one of some states, newest first."""
        query = "SELECT id FROM runs WHERE state IN (SELECT unnest(?)) ORDER BY created_at DESC, id DESC"
        return [row[0] for row in self.connection.cursor.execute(query, [list(states)]).fetchall()]

    def empty_runs(self) -> list[str]:
        """The ids of runs that have ended without a sample, and without a summary in its place; newest first."""
        rows = self.connection.cursor.execute(
            """
            SELECT id FROM runs
            WHERE state IN (SELECT unnest(?)) AND id NOT IN (SELECT run_id FROM samples)
                AND id NOT IN (SELECT run_id FROM summaries)
            ORDER BY created_at DESC, id DESC
            """,
            [[str(state) for state in State if state.ended]],
        ).fetchall()
        return [row[0] for row in rows]

    def latest(self, experiment: str) -> str | None:
        """The id of the run that a page of this experiment shows unless told otherwise.

        One that was measured here before a sample result; one under way before one that is done, and that before one
        that was stopped or failed; then the one with the most settings measured, then the newest. What was imported is
        never shown unless it is asked for, since nobody measured it here, and neither is what was archived. Of the
        sample results the compiled engine's come first, since there the knobs show and not the launching of kernels,
        and of these the ones with quality beside latency.
        """
        rows = self.connection.cursor.execute(
            """
            SELECT id FROM runs LEFT JOIN (
                SELECT run_id, count(DISTINCT setting) AS measured FROM samples
                WHERE run_id IN (SELECT id FROM runs WHERE experiment = $1) GROUP BY run_id
            ) AS counts ON counts.run_id = runs.id
            WHERE experiment = $1 AND source <> 'imported' AND NOT archived
            ORDER BY state NOT IN ('queued', 'running') AND measured IS NULL,
                source = 'shipped', source = 'shipped' AND TRY(environment ->> 'engine') <> 'compiled',
                source = 'shipped' AND NOT EXISTS (FROM settings WHERE run_id = id AND accuracy IS NOT NULL),
                CASE WHEN state IN ('queued', 'running') THEN 0 WHEN state = 'done' THEN 1 ELSE 2 END,
                CASE WHEN state IN ('queued', 'running') THEN 0 ELSE measured END DESC NULLS LAST,
                created_at DESC, id DESC
            LIMIT 1
            """,
            [experiment],
        ).fetchall()
        return rows[0][0] if rows else None

    def ranked(self, experiment: str) -> list[str]:
        """The ids of an experiment's runs with samples, those that a figure rests on first.

        Measured here before a sample result, done before under way before stopped or failed, then the one with the
        most settings measured, then the newest. What was imported, as nobody measured it here, or archived is left out.
        """
        rows = self.connection.cursor.execute(f"SELECT id FROM ({_RANKED}) ORDER BY place", [experiment]).fetchall()
        return [row[0] for row in rows]

    def ranked_apart(self, experiment: str) -> list[str]:
        """As `ranked`, but of runs that were asked for and measured in one way only the first."""
        return [run_id for run_id, _ in self._ranked_apart(experiment)]

    def ranked_environments(self, experiment: str) -> dict[str, dict[str, Any]]:
        """The environments of the runs of `ranked_apart`, by their ids, in its order."""
        ranked = self._ranked_apart(experiment)
        return {run_id: self._object(text, f"environment of run {run_id}") for run_id, text in ranked}

    def _ranked_apart(self, experiment: str) -> list[tuple[str, str]]:
        """The ids of `ranked_apart`, with their environments as they are stored."""
        return self.connection.cursor.execute(
            f"""
            SELECT arg_min(id, place), environment FROM ({_RANKED})
            GROUP BY source, environment, details, coalesce(TRY(spec ->> '$.sweep'), id) ORDER BY min(place)
            """,
            [experiment],
        ).fetchall()

    def run(self, run_id: str) -> dict[str, Any] | None:
        """One run with `num_samples`, `num_set_aside` (as `runs`) and `left_out` (see `bad_lines`), or None.

        `spec`, `environment`, `ceilings` and `details` are dicts, empty where unknown.

        `details` holds what a result file said beyond its rows, and how many zeros in it were missing values;
        `environments` is as `environments`, and `parts` as `parts`.
        """
        query = _RUNS.format(columns="runs.*", samples="WHERE run_id = ?", runs="WHERE runs.id = ?")
        cursor = self.connection.cursor.execute(query, [run_id, run_id])
        names, rows = cursor.columns, cursor.fetchall()
        if not rows:
            return None
        run = dict(zip(names, rows[0], strict=True))
        for name in ("spec", "environment", "ceilings", "details"):
            run[name] = self._object(run[name], f"{name} of run {run_id}")
        # To count them takes a while of a run that grows, and is another number a moment later.
        places = self.environments(run_id, counted=State(run["state"]).ended)
        more = {"environments": places, "parts": self.parts(run_id)}
        return {**run, **more, "left_out": self.bad_lines(run_id)}

    def measured_on(self, run_id: str) -> dict[str, Any] | None:
        """What one run was measured under, or None where there is none: in a third of the time that all of it takes.

        `id`, `experiment`, `source`, `created_at`, `spec`, `environment`, `details` and `environments` (uncounted), as
        of `run`.
        """
        names = ("id", "experiment", "source", "created_at", "spec", "environment", "details")
        query = f"SELECT {', '.join(names)} FROM runs WHERE id = ?"
        rows = self.connection.cursor.execute(query, [run_id]).fetchall()
        if not rows:
            return None
        run = dict(zip(names, rows[0], strict=True))
        for name in ("spec", "environment", "details"):
            run[name] = self._object(run[name], f"{name} of run {run_id}")
        return {**run, "environments": self.environments(run_id, counted=False)}

    def environments(self, run_id: str, counted: bool = True) -> list[dict[str, Any]]:
        """The environments of a run that has several, by their numbers; none of any other run.

        Each with `number`, `shard` (of a shard), `from_sample` (the first of its spool's own), `host`, `card`,
        `device`, `samples` (how many), and `refused` or `set_aside`, which say why none of these is in any figure.
        """
        known = self.connection.cursor.execute(
            """
            SELECT environment_number, any_value(shard), any_value(from_sample), any_value(host), any_value(card),
                any_value(device), any_value(refused), any_value(set_aside)
            FROM environments WHERE run_id = ? GROUP BY environment_number ORDER BY environment_number
            """,
            [run_id],
        ).fetchall()
        if len(known) < 2:
            return []
        names = ("number", "shard", "from_sample", "host", "card", "device", "refused", "set_aside")
        found = [dict(zip(names, row, strict=True)) for row in known]
        if not counted:
            return found
        counts = dict(
            self.connection.cursor.execute(
                "SELECT coalesce(environment_number, 0), count(*) FROM samples WHERE run_id = ? GROUP BY ALL", [run_id]
            ).fetchall()
        )
        return [{**each, "samples": counts.get(each["number"], 0)} for each in found]

    def parts(self, run_id: str) -> list[dict[str, Any]]:
        """The shards of a run that are here, by their numbers; none of a run that was not split.

        Each with `spool`, `shard`, `count` (how many there are to be), `own` and `anchors` (settings), `state`,
        `reason` and `phase`, and when it was last `started_at` and `ended_at`, in UTC.
        """
        names = ("spool", "shard", "count", "own", "anchors", "state", "reason", "phase", "started_at", "ended_at")
        rows = self.connection.cursor.execute(
            f"SELECT {', '.join(names)} FROM shards WHERE run_id = ? ORDER BY shard", [run_id]
        ).fetchall()
        return [dict(zip(names, row, strict=True)) for row in rows]

    def spools_of(self, run_id: str) -> list[str]:
        """The names of a run's spools: its own, or those of its shards."""
        return [each["spool"] for each in self.parts(run_id)] or [run_id]

    def run_of(self, spool: str) -> str:
        """The run that a spool was taken in as: of a shard the whole run."""
        rows = self.connection.cursor.execute("SELECT run_id FROM shards WHERE spool = ?", [spool]).fetchall()
        return rows[0][0] if rows else spool

    def of_places(self, run_id: str, columns: Sequence[str]) -> pd.DataFrame:
        """Samples of a run at the settings that more than one environment has, those set aside as well.

        Of each setting and environment the first rounds: `environment`, `setting` and columns of latencies, in order.
        """
        return self.connection.cursor.execute(
            f"""
            WITH several AS ({_SEVERAL})
            SELECT coalesce(environment_number, 0) AS environment, setting, {", ".join(columns)} FROM samples
            WHERE run_id = $1 AND setting IN (SELECT setting FROM several)
            QUALIFY row_number() OVER (PARTITION BY environment_number, setting ORDER BY sample_id) <= {_MOST_COMPARED}
            ORDER BY sample_id
            """,
            [run_id],
        ).df()

    def conditions_of_places(self, run_id: str) -> dict[int, PlaceConditions]:
        """How the card was in each environment of a run, by its number, as read beside the settings of `of_places`."""
        rows = self.connection.cursor.execute(
            f"""
            WITH several AS ({_SEVERAL}), seen AS (
                SELECT coalesce(environment_number, 0) AS number, median(sm_clock_mhz) AS clock,
                    median(temperature_c) AS heat
                FROM samples WHERE run_id = $1 AND setting IN (SELECT setting FROM several) GROUP BY ALL
            )
            SELECT environment_number, any_value(clock), any_value(heat),
                epoch(coalesce(min(environments.started_at), max(shards.started_at)))
            FROM environments LEFT JOIN seen ON number = environment_number
                LEFT JOIN shards ON shards.spool = environments.spool
            WHERE environments.run_id = $1 GROUP BY environment_number
            """,
            [run_id],
        ).fetchall()
        return {number: PlaceConditions(*known) for number, *known in rows}

    def fingerprint(self, run_id: str) -> tuple[Any, bool] | None:
        """What is another once anything of a run has changed, and whether it has ended; None where there is no run.

        A run without ceilings of its own is judged by another's, so that any change may be one of it.
        """
        rows = self.connection.cursor.execute(
            """
            WITH of_it AS (SELECT spool FROM shards WHERE run_id = $1)
            SELECT hash(runs), state, ceilings IS NOT NULL,
                (SELECT sum(byte_offset) FROM spools WHERE run_id = $1 OR run_id IN (FROM of_it)),
                (SELECT sum(bad_lines) FROM spools WHERE run_id = $1 OR run_id IN (FROM of_it)),
                (SELECT hash(string_agg(coalesce(refused, set_aside, ''), ',' ORDER BY environment_number))
                    FROM environments WHERE run_id = $1)
            FROM runs WHERE id = $1
            """,
            [run_id],
        ).fetchall()
        if not rows:
            return None
        hashed, state, has_ceilings, *taken_in = rows[0]
        others = None if has_ceilings else self.connection.changes
        return (run_id, hashed, *taken_in, others), State(state).ended

    def _object(self, text: str | None, what: str) -> dict[str, Any]:
        """A JSON object that the database holds; an empty one where it holds nothing."""
        try:
            found = json.loads(text or "{}")
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise damaged(self.connection.path, f"is damaged ({what} is no JSON object)")
        return found

    def settings(self, run_id: str) -> pd.DataFrame:
        """A run's settings, in the order charts show them."""
        return self.connection.cursor.execute(
            "SELECT * EXCLUDE run_id FROM settings WHERE run_id = ? ORDER BY setting", [run_id]
        ).df()

    def knobs(self, run_id: str) -> pd.DataFrame:
        """Where the knobs stand in a run's settings: several times as fast as all that is known of these."""
        return self.connection.cursor.execute(
            "SELECT setting, grid_rows, grid_columns, top_k, active_blocks, block_mask, output_tokens "
            "FROM settings WHERE run_id = ? ORDER BY setting",
            [run_id],
        ).df()

    def samples(self, run_id: str) -> pd.DataFrame:
        """A run's samples with their settings' knobs, in the order measured; without the decode steps."""
        return self.connection.cursor.execute(
            f"""
            SELECT samples.* EXCLUDE (run_id, decode_steps_ms, issue_ms, step_issue_ms),
                settings.* EXCLUDE ({_NOT_OF_SAMPLES})
            FROM pooled AS samples JOIN settings USING (run_id, setting)
            WHERE run_id = ? ORDER BY sample_id
            """,
            [run_id],
        ).df()

    def measured(self, run_id: str) -> pd.DataFrame:
        """As `samples`, without their settings' knobs: several times as fast where a run has a million of them.

        What no sample has is NaN; to fetch as many missing values takes longer than all that there is.
        """
        names = [name for name in self.connection.schema("samples").names if name not in _NOT_MEASURED]
        counts = self.connection.cursor.execute(
            f"SELECT {', '.join(f'count({name})' for name in names)} FROM pooled WHERE run_id = ?", [run_id]
        ).fetchall()[0]
        known = [name for name, count in zip(names, counts, strict=True) if count] or ["sample_id", "setting"]
        found = self.connection.cursor.execute(
            f"SELECT {', '.join(known)} FROM pooled WHERE run_id = ? ORDER BY sample_id", [run_id]
        ).df()
        return found.reindex(columns=names)

    def steps(self, run_id: str) -> pd.DataFrame:
        """The decode steps of each of a run's samples: `sample_id`, `decode_steps_ms` (an array)."""
        return self.connection.cursor.execute(
            "SELECT sample_id, decode_steps_ms FROM pooled WHERE run_id = ? ORDER BY sample_id", [run_id]
        ).df()

    def columns(self, run_id: str, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Columns of numbers of a run's samples, by name and with `setting`, in no order; NaN where missing.

        What no sample has is left out. For a million samples at once, which as a frame of all that is known of them
        would take seconds.
        """
        counted = ", ".join(f"count({name}) AS {name}" for name in names)
        counts = self.connection.cursor.execute(f"SELECT {counted} FROM pooled WHERE run_id = ?", [run_id]).fetchall()[
            0
        ]
        known = [name for name, count in zip(names, counts, strict=True) if count]
        numbers = [f"CAST({name} AS DOUBLE) AS {name}" for name in known]
        query = f"SELECT {', '.join(['setting', *numbers])} FROM pooled WHERE run_id = ?"
        table = self.connection.cursor.arrow(query, [run_id])
        return {name: table[name].to_numpy() for name in table.column_names}

    def answers(self, run_id: str) -> pd.DataFrame:
        """Of each of a run's samples `setting`, `num_output_tokens`, `steps` and `llm_decode_ms`.

        Those are the decode's steps and their sum where each was timed, else one fewer than tokens, and the decode.
        """
        return self.connection.cursor.execute(
            """
            SELECT setting, num_output_tokens,
                CASE WHEN len(decode_steps_ms) > 0 THEN len(decode_steps_ms) ELSE num_output_tokens - 1 END AS steps,
                coalesce(llm_decode_ms, list_sum(decode_steps_ms)) AS llm_decode_ms
            FROM pooled WHERE run_id = ?
            """,
            [run_id],
        ).df()

    def counts(self, run_id: str) -> pd.DataFrame:
        """Of each setting with samples how many, as `samples`, and medians of what they had to do.

        Those are `num_crops`, `num_vision_tokens` and `num_input_tokens`.
        """
        names = ("num_crops", "num_vision_tokens", "num_input_tokens")
        # A median takes several times as long as an end, and of one picture all samples are alike.
        ends = ", ".join(
            f"min({name}) AS {name}, max({name}) IS DISTINCT FROM min({name}) AS {name}_vary" for name in names
        )
        medians = ", ".join(f"median({name}) AS {name}" for name in names)
        query = "SELECT setting, count(*) AS samples, {} FROM pooled WHERE run_id = ? GROUP BY setting ORDER BY setting"
        found = self.connection.cursor.execute(query.format(ends), [run_id]).df()
        vary = [f"{name}_vary" for name in names]
        if found[vary].to_numpy().any():
            return self.connection.cursor.execute(query.format(medians), [run_id]).df()
        return found.drop(columns=vary)

    def taken(self, run_id: str) -> pd.DataFrame:
        """What a run has of each setting, by `setting`: `size`, its samples; of their totals in ms `median`, `iqr`."""
        query = """
            SELECT setting, count(*) AS size, median(total_ms) AS median,
                quantile_cont(total_ms, 0.75) - quantile_cont(total_ms, 0.25) AS iqr
            FROM samples WHERE run_id = ? GROUP BY setting ORDER BY setting
        """
        return self.connection.cursor.execute(query, [run_id]).df().set_index("setting")

    def issue(self, run_id: str) -> pd.DataFrame:
        """How long the host took to issue each stage: `setting`, `metric` (a stage's column), `issue_ms` (median).

        A decode's is its steps times the least of them, where that was taken. Where it was not, a decode of more steps
        than a device takes in advance is left out: its host had waited, and what it took says nothing of launching.
        """
        return self.connection.cursor.execute(
            f"""
            WITH issued AS (
                SELECT setting, num_output_tokens - 1 AS steps, step_issue_ms,
                    unnest(issue_ms) AS issue_ms, generate_subscripts(issue_ms, 1) AS place
                FROM pooled WHERE run_id = ?
            ), named AS (
                SELECT setting, {_ISSUED}[place] AS metric,
                    CASE WHEN place < {len(_ISSUED)} THEN issue_ms
                        WHEN step_issue_ms IS NOT NULL THEN steps * step_issue_ms
                        WHEN steps < {_TAKEN_IN_ADVANCE} THEN issue_ms END AS issue_ms
                FROM issued
            )
            SELECT setting, metric, median(issue_ms) AS issue_ms
            FROM named WHERE issue_ms IS NOT NULL GROUP BY ALL ORDER BY setting, metric
            """,
            [run_id],
        ).df()

    def knows_shipped(self) -> bool:
        """Whether sample results are here, or were removed by somebody."""
        there = "SELECT 1 FROM runs WHERE source = 'shipped' UNION ALL SELECT 1 FROM removed LIMIT 1"
        return bool(self.connection.cursor.execute(there).fetchall())

    def runs_with_energy(self) -> set[str]:
        """The ids of the runs of which some setting's joules were measured."""
        measured = "SELECT DISTINCT run_id FROM settings WHERE total_j IS NOT NULL"
        return {row[0] for row in self.connection.cursor.execute(measured).fetchall()}

    def ceilings(self, device_name: str | None, dtype: str | None) -> dict[str, Any]:
        """The ceilings that some run last measured on such a device, or an empty dict."""
        rows = self.connection.cursor.execute(
            """
            SELECT ceilings FROM runs
            WHERE TRY(ceilings ->> 'device_name') = ? AND TRY(ceilings ->> 'dtype') = ?
            ORDER BY created_at DESC LIMIT 1
            """,
            [device_name, dtype],
        ).fetchall()
        return self._object(rows[0][0], "ceilings of a run") if rows else {}

    def decode_steps(self, run_id: str) -> pd.DataFrame:
        """Decode latency by position: `setting`, `position` (from 2, the first decoded token), `n`, `median`, `low`
        and `high` (the quartiles), in milliseconds.
        """  # noqa: D205
        return self.connection.cursor.execute(
            """
            WITH steps AS (
                SELECT setting, unnest(decode_steps_ms) AS step_ms, generate_subscripts(decode_steps_ms, 1) AS step
                FROM pooled WHERE run_id = ?
            )
            SELECT setting, step + 1 AS position, count(*) AS n, median(step_ms) AS median,
                quantile_cont(step_ms, 0.25) AS low, quantile_cont(step_ms, 0.75) AS high
            FROM steps GROUP BY ALL ORDER BY setting, position
            """,
            [run_id],
        ).df()

    def timings(self, device: str, model: str, engine: str, dtype: str | None = None) -> pd.DataFrame:
        """How long settings took in all runs on a device, with a model and an engine, without those on data sets.

        Returns:
            A row for each setting of a run: `crops`, `top_k`, `active_blocks`, `output_tokens`, `total_ms`, the
            median of what a sample took with its preprocessing, and its `iqr` from 6 samples on.
        """
        return self.connection.cursor.execute(
            f"""
            SELECT any_value(grid_rows * grid_columns) AS crops, any_value(top_k) AS top_k,
                any_value(active_blocks) AS active_blocks, any_value(output_tokens) AS output_tokens,
                median(total_ms + coalesce(host_preprocessing_ms, 0)) AS total_ms,
                CASE WHEN count(*) >= 6 THEN quantile_cont(total_ms, 0.75) - quantile_cont(total_ms, 0.25) END AS iqr
            FROM pooled AS samples JOIN settings USING (run_id, setting)
            WHERE run_id IN ({_ALIKE}) AND image_id IS NULL
            GROUP BY run_id, setting
            HAVING crops > 0 AND top_k > 0 AND active_blocks > 0 AND output_tokens > 0 AND total_ms > 0
            """,
            [device, model, engine, dtype],
        ).df()

    def overheads(self, device: str, model: str, engine: str, dtype: str | None = None) -> pd.DataFrame:
        """What runs as of `timings` took that are done: `wall_s` in all, `inferences_s` of it, and `settings`."""
        return self.connection.cursor.execute(
            f"""
            SELECT epoch(any_value(ended_at) - any_value(started_at)) AS wall_s, count(DISTINCT setting) AS settings,
                (sum(total_ms) + sum(coalesce(host_preprocessing_ms, 0))
                    + coalesce(any_value(TRY(CAST(spec ->> '$.sweep.warmup' AS INTEGER))), 0)
                    * count(DISTINCT setting) * avg(total_ms)) / 1000 AS inferences_s
            FROM samples JOIN runs ON runs.id = run_id
            WHERE run_id IN ({_ALIKE}) AND state = 'done' AND started_at IS NOT NULL AND ended_at IS NOT NULL
                AND runs.id NOT IN (SELECT run_id FROM shards)
            GROUP BY run_id
            """,
            [device, model, engine, dtype],
        ).df()

    def sample_table(self, run_id: str) -> pa.Table:
        """A run's samples with everything known of each, decode steps included, for download.

        What only pictures or files of others have is left out where no sample has it.
        """
        table = self.connection.cursor.arrow(
            f"""
            SELECT samples.*, settings.* EXCLUDE ({_NOT_OF_SAMPLES})
            FROM pooled AS samples JOIN settings USING (run_id, setting)
            WHERE run_id = ? ORDER BY sample_id
            """,
            [run_id],
        )
        empty = [name for name in _SELDOM if table[name].null_count == table.num_rows]
        return table.drop_columns(empty)

    def summaries(self, run_id: str) -> pd.DataFrame:
        """The published summary of a run that came without samples."""
        return self.connection.cursor.execute(
            "SELECT * EXCLUDE run_id FROM summaries WHERE run_id = ? ORDER BY setting, metric", [run_id]
        ).df()

    def baselines(self) -> pd.DataFrame:
        """The runs that others are held against: `name`, `run_id`, `set_at` (UTC) and `experiment`, by their names."""
        query = """
            SELECT baselines.name, run_id, set_at, experiment
            FROM baselines LEFT JOIN runs ON id = run_id ORDER BY baselines.name
        """
        return self.connection.cursor.execute(query).df()

    def removed(self) -> set[str]:
        """Sample results that were removed."""
        return {row[0] for row in self.connection.cursor.execute("SELECT run_id FROM removed").fetchall()}

    def bad_lines(self, run_id: str) -> int:
        """How many lines of a run's spool could not be read and were left out."""
        rows = self.connection.cursor.execute(
            """
            SELECT sum(bad_lines) FROM spools
            WHERE run_id = $1 OR run_id IN (SELECT spool FROM shards WHERE run_id = $1)
            """,
            [run_id],
        ).fetchall()
        return int(rows[0][0] or 0)

    def left_out(self) -> dict[str, int]:
        """The runs of whose spools lines could not be read and were left out, with how many of each."""
        rows = self.connection.cursor.execute(
            """
            SELECT coalesce(shards.run_id, spools.run_id) AS id, CAST(sum(bad_lines) AS BIGINT)
            FROM spools LEFT JOIN shards ON spool = spools.run_id WHERE bad_lines > 0 GROUP BY id ORDER BY id
            """
        ).fetchall()
        return dict(rows)
