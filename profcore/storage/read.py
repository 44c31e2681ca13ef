"""What is asked of the database: runs, settings, samples, and what follows from many samples at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from profcore.roofline.flops import COLUMNS as FLOPS
from profcore.spec.runs import QUERY_COLUMNS
from profcore.spec.stages import MODEL_STAGES

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from profcore.storage.connection import Connection

# The stages in the order of a sample's `issue_ms`.
_ISSUED = [stage.column for stage in MODEL_STAGES]
# Launches of graphs that a device was seen to take before the host has to wait for it (H100, driver 580).
_TAKEN_IN_ADVANCE = 512
# Columns of samples that only pictures, or files of others, have.
_SELDOM = ("processing_ms", "vision_total_ms", "system_total_ms", *FLOPS, *QUERY_COLUMNS)
# What a setting says of itself alone, and not of each of its samples.
_NOT_OF_SAMPLES = "run_id, setting, failed, prefill_experts, kl, accuracy, quality_queries, quality_failed"

_RUNS = """
    SELECT runs.*, coalesce(counts.num_samples, 0) AS num_samples
    FROM runs LEFT JOIN (
        SELECT run_id, count(*) AS num_samples FROM samples {samples} GROUP BY run_id
    ) AS counts ON counts.run_id = runs.id
    {runs}
    ORDER BY runs.created_at DESC, runs.id DESC
"""


class Reader:
    """Asks a database; times are UTC, latencies milliseconds."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def runs(self, experiment: str | None = None) -> pd.DataFrame:
        """All runs, or one experiment's, newest first, with `num_samples`; spec and environment are JSON text."""
        where = "WHERE runs.experiment = ?" if experiment else ""
        query = _RUNS.format(samples="", runs=where)
        return self.connection.cursor.execute(query, [experiment] if experiment else []).df()

    def latest(self, experiment: str) -> str | None:
        """The id of the run that a page of this experiment shows unless told otherwise.

        One that was measured here before a sample result; one under way before one that is done, and that before one
        that was stopped or failed; then the one with the most settings measured, then the newest. What was imported is
        never shown unless it is asked for: nobody measured it here. Of the sample results the compiled engine's come
        first, since there the knobs show and not the launching of kernels.
        """
        rows = self.connection.cursor.execute(
            """
            SELECT id FROM runs LEFT JOIN (
                SELECT run_id, count(DISTINCT setting) AS measured FROM samples
                WHERE run_id IN (SELECT id FROM runs WHERE experiment = $1) GROUP BY run_id
            ) AS counts ON counts.run_id = runs.id
            WHERE experiment = $1 AND source <> 'imported'
            ORDER BY state NOT IN ('queued', 'running') AND measured IS NULL,
                source = 'shipped', source = 'shipped' AND environment ->> 'engine' <> 'compiled',
                CASE WHEN state IN ('queued', 'running') THEN 0 WHEN state = 'done' THEN 1 ELSE 2 END,
                CASE WHEN state IN ('queued', 'running') THEN 0 ELSE measured END DESC NULLS LAST,
                created_at DESC, id DESC
            LIMIT 1
            """,
            [experiment],
        ).fetchall()
        return rows[0][0] if rows else None

    def run(self, run_id: str) -> dict[str, Any] | None:
        """One run with `num_samples`, or None.

        `spec`, `environment`, `ceilings` and `details` are dicts, empty where unknown.

        `details` holds what a result file said beyond its rows, and how many zeros in it were missing values.
        """
        query = _RUNS.format(samples="WHERE run_id = ?", runs="WHERE runs.id = ?")
        cursor = self.connection.cursor.execute(query, [run_id, run_id])
        names = [column[0] for column in cursor.description or []]
        rows = cursor.fetchall()
        if not rows:
            return None
        run = dict(zip(names, rows[0], strict=True))
        run["spec"] = json.loads(run["spec"] or "{}")
        run["environment"] = json.loads(run["environment"] or "{}")
        run["ceilings"] = json.loads(run["ceilings"] or "{}")
        run["details"] = json.loads(run["details"] or "{}")
        return run

    def settings(self, run_id: str) -> pd.DataFrame:
        """A run's settings, in the order charts show them."""
        return self.connection.cursor.execute(
            "SELECT * EXCLUDE run_id FROM settings WHERE run_id = ? ORDER BY setting", [run_id]
        ).df()

    def samples(self, run_id: str) -> pd.DataFrame:
        """A run's samples with their settings' knobs, in the order measured; without the decode steps."""
        return self.connection.cursor.execute(
            f"""
            SELECT samples.* EXCLUDE (run_id, decode_steps_ms, issue_ms, step_issue_ms),
                settings.* EXCLUDE ({_NOT_OF_SAMPLES})
            FROM samples JOIN settings USING (run_id, setting)
            WHERE run_id = ? ORDER BY sample_id
            """,
            [run_id],
        ).df()

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
                FROM samples WHERE run_id = ?
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

    def ceilings(self, device_name: str | None, dtype: str | None) -> dict[str, Any]:
        """The ceilings that some run last measured on such a device, or an empty dict."""
        rows = self.connection.cursor.execute(
            """
            SELECT ceilings FROM runs
            WHERE ceilings ->> 'device_name' = ? AND ceilings ->> 'dtype' = ?
            ORDER BY created_at DESC LIMIT 1
            """,
            [device_name, dtype],
        ).fetchall()
        return json.loads(rows[0][0]) if rows else {}

    def decode_steps(self, run_id: str) -> pd.DataFrame:
        """Decode latency by position: `setting`, `position` (from 2, the first decoded token), `n`, `median`, `low`
        and `high` (the quartiles), in milliseconds.
        """  # noqa: D205
        return self.connection.cursor.execute(
            """
            WITH steps AS (
                SELECT setting, unnest(decode_steps_ms) AS step_ms, generate_subscripts(decode_steps_ms, 1) AS step
                FROM samples WHERE run_id = ?
            )
            SELECT setting, step + 1 AS position, count(*) AS n, median(step_ms) AS median,
                quantile_cont(step_ms, 0.25) AS low, quantile_cont(step_ms, 0.75) AS high
            FROM steps GROUP BY ALL ORDER BY setting, position
            """,
            [run_id],
        ).df()

    def sample_table(self, run_id: str) -> pa.Table:
        """A run's samples with everything known of each, decode steps included, for download.

        What only pictures or files of others have is left out where no sample has it.
        """
        table = self.connection.cursor.sql(
            f"""
            SELECT samples.*, settings.* EXCLUDE ({_NOT_OF_SAMPLES})
            FROM samples JOIN settings USING (run_id, setting)
            WHERE run_id = ? ORDER BY sample_id
            """,
            params=[run_id],
        ).to_arrow_table()
        empty = [name for name in _SELDOM if table[name].null_count == table.num_rows]
        return table.drop_columns(empty)

    def summaries(self, run_id: str) -> pd.DataFrame:
        """The published summary of a run that came without samples."""
        return self.connection.cursor.execute(
            "SELECT * EXCLUDE run_id FROM summaries WHERE run_id = ? ORDER BY setting, metric", [run_id]
        ).df()

    def removed(self) -> set[str]:
        """Sample results that were removed."""
        return {row[0] for row in self.connection.cursor.execute("SELECT run_id FROM removed").fetchall()}

    def bad_lines(self, run_id: str) -> int:
        """How many lines of a run's spool could not be read and were left out."""
        rows = self.connection.cursor.execute("SELECT bad_lines FROM spools WHERE run_id = ?", [run_id]).fetchall()
        return int(rows[0][0] or 0) if rows else 0
