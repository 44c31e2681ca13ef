"""The store: DuckDB behind one owner, and the only place that opens it.

Every sample of every run is kept as it was measured. A spool is taken in from the byte it was last read to, and
the samples and that byte offset are committed in one transaction, so that nothing is lost or doubled when a
process is killed. Timestamps are UTC.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import duckdb
import pandas as pd
import pyarrow as pa

from profcore.errors import FormatError, StoreError, StoreHeldError
from profcore.experiments.motivation import check_experiment
from profcore.paths import SHIPPED
from profcore.spec.runs import RunSpec, sweep_settings
from profcore.spec.stages import State
from profcore.storage.spool import Record, read_from, run_record

if TYPE_CHECKING:
    from collections.abc import Iterator

# One script a version; a database is brought from its version to the last.
MIGRATIONS = (
    """
    CREATE TABLE runs (
        id VARCHAR PRIMARY KEY,
        experiment VARCHAR NOT NULL,
        source VARCHAR NOT NULL,
        name VARCHAR,
        state VARCHAR NOT NULL,
        reason VARCHAR,
        phase VARCHAR,
        created_at TIMESTAMP NOT NULL,
        started_at TIMESTAMP,
        ended_at TIMESTAMP,
        planned_samples INTEGER,
        spec VARCHAR,
        environment VARCHAR
    );
    CREATE TABLE settings (
        run_id VARCHAR NOT NULL,
        setting INTEGER NOT NULL,
        grid_rows INTEGER,
        grid_columns INTEGER,
        top_k INTEGER,
        active_blocks INTEGER,
        block_mask VARCHAR,
        output_tokens INTEGER,
        failed VARCHAR
    );
    CREATE TABLE samples (
        run_id VARCHAR NOT NULL,
        sample_id INTEGER NOT NULL,
        setting INTEGER NOT NULL,
        round INTEGER,
        elapsed_s DOUBLE,
        vision_encoder_ms DOUBLE,
        projector_ms DOUBLE,
        llm_prefill_ms DOUBLE,
        llm_decode_ms DOUBLE,
        other_ms DOUBLE,
        total_ms DOUBLE,
        decode_steps_ms DOUBLE[],
        num_crops INTEGER,
        num_vision_tokens INTEGER,
        num_input_tokens INTEGER,
        num_output_tokens INTEGER,
        peak_memory_bytes BIGINT,
        sm_clock_mhz DOUBLE,
        temperature_c DOUBLE,
        power_w DOUBLE,
        throttle_reasons BIGINT
    );
    CREATE TABLE summaries (
        run_id VARCHAR NOT NULL,
        setting INTEGER NOT NULL,
        metric VARCHAR NOT NULL,
        p50 DOUBLE, p95 DOUBLE, p99 DOUBLE, mean DOUBLE, std DOUBLE, min DOUBLE, max DOUBLE
    );
    CREATE TABLE spools (run_id VARCHAR PRIMARY KEY, byte_offset BIGINT NOT NULL);
    """,
    """
    ALTER TABLE runs ADD COLUMN ceilings VARCHAR;
    ALTER TABLE settings ADD COLUMN prefill_experts INTEGER[];
    ALTER TABLE samples ADD COLUMN issue_ms DOUBLE[];
    """,
    """
    ALTER TABLE runs ADD COLUMN details VARCHAR;
    ALTER TABLE settings ADD COLUMN image_id VARCHAR;
    ALTER TABLE settings ADD COLUMN query_id VARCHAR;
    ALTER TABLE settings ADD COLUMN image_width INTEGER;
    ALTER TABLE settings ADD COLUMN image_height INTEGER;
    ALTER TABLE samples ADD COLUMN processing_ms DOUBLE;
    ALTER TABLE samples ADD COLUMN vision_total_ms DOUBLE;
    ALTER TABLE samples ADD COLUMN system_total_ms DOUBLE;
    ALTER TABLE samples ADD COLUMN flops_vision_encoder DOUBLE;
    ALTER TABLE samples ADD COLUMN flops_projector DOUBLE;
    ALTER TABLE samples ADD COLUMN flops_llm_prefill DOUBLE;
    ALTER TABLE samples ADD COLUMN flops_llm_decode DOUBLE;
    ALTER TABLE samples ADD COLUMN flops_total DOUBLE;
    CREATE TABLE removed (run_id VARCHAR PRIMARY KEY);
    """,
    """
    ALTER TABLE settings ADD COLUMN kl DOUBLE;
    ALTER TABLE settings ADD COLUMN accuracy DOUBLE;
    ALTER TABLE settings ADD COLUMN quality_queries INTEGER;
    """,
)

_SETTING_TYPES = pa.schema(
    [
        ("run_id", pa.string()),
        ("setting", pa.int32()),
        ("grid_rows", pa.int32()),
        ("grid_columns", pa.int32()),
        ("top_k", pa.int32()),
        ("active_blocks", pa.int32()),
        ("block_mask", pa.string()),
        ("output_tokens", pa.int32()),
        ("image_id", pa.string()),
        ("query_id", pa.string()),
        ("image_width", pa.int32()),
        ("image_height", pa.int32()),
    ]
)
_FLOPS = ("flops_vision_encoder", "flops_projector", "flops_llm_prefill", "flops_llm_decode", "flops_total")

_SAMPLE_TYPES = pa.schema(
    [
        ("run_id", pa.string()),
        ("sample_id", pa.int32()),
        ("setting", pa.int32()),
        ("round", pa.int32()),
        ("elapsed_s", pa.float64()),
        ("vision_encoder_ms", pa.float64()),
        ("projector_ms", pa.float64()),
        ("llm_prefill_ms", pa.float64()),
        ("llm_decode_ms", pa.float64()),
        ("other_ms", pa.float64()),
        ("total_ms", pa.float64()),
        ("decode_steps_ms", pa.list_(pa.float64())),
        ("num_crops", pa.int32()),
        ("num_vision_tokens", pa.int32()),
        ("num_input_tokens", pa.int32()),
        ("num_output_tokens", pa.int32()),
        ("peak_memory_bytes", pa.int64()),
        ("sm_clock_mhz", pa.float64()),
        ("temperature_c", pa.float64()),
        ("power_w", pa.float64()),
        ("throttle_reasons", pa.int64()),
        ("issue_ms", pa.list_(pa.float64())),
        ("processing_ms", pa.float64()),
        ("vision_total_ms", pa.float64()),
        ("system_total_ms", pa.float64()),
        *((name, pa.float64()) for name in _FLOPS),
    ]
)
_SELDOM = (
    *("processing_ms", "vision_total_ms", "system_total_ms", *_FLOPS),
    *("image_id", "query_id", "image_width", "image_height"),
)
# What a setting says of itself alone, and not of each of its samples.
_NOT_OF_SAMPLES = "run_id, setting, failed, prefill_experts, kl, accuracy, quality_queries"
_TELEMETRY_FIELDS = ("sm_clock_mhz", "temperature_c", "power_w", "throttle_reasons")

_RUNS = """
    SELECT runs.*, coalesce(counts.num_samples, 0) AS num_samples
    FROM runs LEFT JOIN (
        SELECT run_id, count(*) AS num_samples FROM samples {samples} GROUP BY run_id
    ) AS counts ON counts.run_id = runs.id
    {runs}
    ORDER BY runs.created_at DESC, runs.id DESC
"""


class Store:
    """The database and the spool directory beside it.

    One connection, and one cursor of it per thread: a connection shared between threads returns wrong rows.
    """

    def __init__(self, path: Path | str) -> None:
        """Open or create a database.

        Raises:
            StoreHeldError: Another process holds it.
            StoreError: It is no database of this project.
        """
        self.path = Path(path)
        self.spools = spool_directory(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = duckdb.connect(str(self.path))
        except duckdb.IOException as error:
            if "lock" in str(error).lower():
                raise StoreHeldError(f"{self.path} is held by another process, which takes spools in itself.") from None
            raise StoreError(
                f"{self.path} is no DuckDB database: give the path of one, or of a file yet to be made."
            ) from None
        except (duckdb.Error, OSError) as error:
            raise StoreError(f"{self.path} cannot be opened as a database ({str(error).splitlines()[0]}).") from None
        self._local = threading.local()
        self._writing = threading.Lock()
        try:
            self._migrate()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the database and let go of its lock."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    @property
    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if not hasattr(self._local, "cursor"):
            self._local.cursor = self._connection.cursor()
        return self._local.cursor

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One writer at a time: two transactions that touch a row would conflict."""
        with self._writing:
            cursor = self._cursor
            cursor.begin()
            try:
                yield cursor
            except BaseException:
                cursor.rollback()
                raise
            cursor.commit()

    def _migrate(self) -> None:
        with self._transaction() as cursor:
            tables = {row[0] for row in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
            if "profcore_version" not in tables:
                if tables:
                    raise StoreError(f"{self.path} is a database of another program: give another path.")
                cursor.execute("CREATE TABLE profcore_version (version INTEGER NOT NULL)")
                cursor.execute("INSERT INTO profcore_version VALUES (0)")
            version = cursor.execute("SELECT version FROM profcore_version").fetchall()[0][0]
            if version > len(MIGRATIONS):
                raise StoreError(f"{self.path} was made by a newer profcore (schema {version}): update this one.")
            for script in MIGRATIONS[version:]:
                cursor.execute(script)
            cursor.execute("UPDATE profcore_version SET version = ?", [len(MIGRATIONS)])

    # Taking in

    def take_in(self, path: Path, source: str = "measured") -> int:
        """Take in what a spool has beyond what was taken in before; returns the number of new samples.

        Raises:
            FormatError: The file is no spool; nothing of it is stored.
        """
        run_id = path.stem
        offset = self._offset(self._cursor, run_id) or 0
        if path.stat().st_size <= offset:
            return 0
        with self._transaction() as cursor:
            # Read again inside: another thread may have taken the same lines in meanwhile.
            known = self._offset(cursor, run_id)
            chunk = read_from(path, known or 0)
            if not chunk.records:
                return 0
            try:
                if known is None:
                    self._insert_run(cursor, run_id, chunk.records[0], source)
                new = self._insert_records(cursor, run_id, chunk.records)
            except (
                KeyError,
                TypeError,
                ValueError,
                AttributeError,
                pa.ArrowException,
                duckdb.DataError,
            ) as error:
                raise FormatError(f"{path.name} is not a spool this version reads ({error!r}).") from None
            cursor.execute("INSERT OR REPLACE INTO spools VALUES (?, ?)", [run_id, chunk.offset])
        return new

    def take_in_all(self) -> int:
        """Take in every spool beside the database; returns the number of new samples.

        A file that is no spool is passed over, so that it does not keep the others out.
        """
        new = 0
        for path in sorted(self.spools.glob("*.jsonl")):
            try:
                new += self.take_in(path)
            except FormatError:
                continue
        return new

    def take_in_shipped(self, directory: Path = SHIPPED) -> None:
        """Take in the sample results that come with the project."""
        removed = self.removed()
        for path in sorted(directory.glob("*.jsonl")):
            if path.stem not in removed:
                self.take_in(path, source="shipped")

    @staticmethod
    def _offset(cursor: duckdb.DuckDBPyConnection, run_id: str) -> int | None:
        """How far a run's spool was taken in; None where it is new."""
        # Fetched to the end: a cursor with a result left over refuses other work.
        rows = cursor.execute("SELECT byte_offset FROM spools WHERE run_id = ?", [run_id]).fetchall()
        return rows[0][0] if rows else None

    def _insert_run(self, cursor: duckdb.DuckDBPyConnection, run_id: str, first: Record, source: str) -> None:
        if first["type"] == "run":
            spec = RunSpec.from_dict(first)
            if spec.id != run_id:
                raise ValueError(f"it holds run {spec.id}")
            text = json.dumps({key: value for key, value in first.items() if key != "type"})
            name, created, experiment = None, spec.created_at, spec.sweep.experiment
            planned: int | None = spec.sweep.num_inferences
            state = State.QUEUED
            settings = sweep_settings(spec.sweep)
            details: dict[str, Any] = {}
        elif first["type"] == "import":
            source, text, planned, state = "imported", None, None, State.DONE
            name, created, experiment = first["name"], first["created_at"], first["experiment"]
            settings, details = first["settings"], first.get("details") or {}
        else:
            raise ValueError("its first line holds no run")
        check_experiment(experiment)
        cursor.execute(
            "INSERT INTO runs (id, experiment, source, name, state, created_at, planned_samples, spec, details) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [run_id, experiment, source, name, str(state), _utc(created), planned, text, json.dumps(details)],
        )
        rows = [{**setting, "run_id": run_id, "setting": index} for index, setting in enumerate(settings)]
        _insert(cursor, "settings", pa.Table.from_pylist(rows, schema=_SETTING_TYPES))

    def _insert_records(self, cursor: duckdb.DuckDBPyConnection, run_id: str, records: list[Record]) -> int:
        samples = [record for record in records if record["type"] == "sample"]
        if samples:
            _insert(cursor, "samples", _sample_columns(run_id, samples))
        summaries = [record for record in records if record["type"] == "summary"]
        if summaries:
            keys = ("P50", "P95", "P99", "mean", "std", "min", "max")
            cursor.executemany(
                "INSERT INTO summaries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [[run_id, r["setting"], r["metric"], *(r.get(key) for key in keys)] for r in summaries],
            )
        for record in records:
            kind = record["type"]
            if kind == "state":
                state = State(record["state"])
                column = "ended_at" if state.ended else "started_at"
                cursor.execute(
                    f"UPDATE runs SET state = ?, reason = ?, {column} = ?, phase = NULL WHERE id = ?",
                    [str(state), record.get("reason"), _utc(record["at"]), run_id],
                )
            elif kind == "phase":
                cursor.execute("UPDATE runs SET phase = ? WHERE id = ?", [record["text"], run_id])
            elif kind == "environment":
                text = json.dumps({key: value for key, value in record.items() if key != "type"})
                cursor.execute("UPDATE runs SET environment = ? WHERE id = ?", [text, run_id])
            elif kind == "ceilings":
                text = json.dumps({key: value for key, value in record.items() if key != "type"})
                cursor.execute("UPDATE runs SET ceilings = ? WHERE id = ?", [text, run_id])
            elif kind == "routing":
                cursor.execute(
                    "UPDATE settings SET prefill_experts = ? WHERE run_id = ? AND setting = ?",
                    [record["prefill_experts"], run_id, record["setting"]],
                )
            elif kind == "quality":
                cursor.execute(
                    "UPDATE settings SET kl = ?, accuracy = ?, quality_queries = ? WHERE run_id = ? AND setting = ?",
                    [record["kl"], record["accuracy"], record["queries"], run_id, record["setting"]],
                )
            elif kind == "setting_failed":
                cursor.execute(
                    "UPDATE settings SET failed = ? WHERE run_id = ? AND setting = ?",
                    [record["reason"], run_id, record["setting"]],
                )
        return len(samples)

    # Changing

    def rename(self, run_id: str, name: str | None) -> None:
        """Give a run a name; None for the one that follows from what it was measured on."""
        with self._transaction() as cursor:
            cursor.execute("UPDATE runs SET name = ? WHERE id = ?", [name, run_id])

    def remove(self, run_id: str) -> None:
        """Take a run out, with its spool beside the database; sample results are only kept from coming back."""
        with self._transaction() as cursor:
            shipped = cursor.execute("SELECT source = 'shipped' FROM runs WHERE id = ?", [run_id]).fetchall()
            for table in ("samples", "settings", "summaries", "spools"):
                cursor.execute(f"DELETE FROM {table} WHERE run_id = ?", [run_id])
            cursor.execute("DELETE FROM runs WHERE id = ?", [run_id])
            if shipped and shipped[0][0]:
                cursor.execute("INSERT OR REPLACE INTO removed VALUES (?)", [run_id])
            # Inside, so that no other thread takes it in again between.
            (self.spools / f"{run_id}.jsonl").unlink(missing_ok=True)

    def removed(self) -> set[str]:
        """Sample results that were removed."""
        return {row[0] for row in self._cursor.execute("SELECT run_id FROM removed").fetchall()}

    def restore_shipped(self, directory: Path = SHIPPED) -> None:
        """Take removed sample results in again."""
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM removed")
        self.take_in_shipped(directory)

    def snapshot(self, path: Path) -> None:
        """Copy the whole database into a new file, while it is in use.

        The live file itself is never opened or copied: that would drop its lock.
        """
        with self._writing:
            cursor = self._cursor
            (name,) = cursor.execute("SELECT current_database()").fetchall()[0]
            place = str(path).replace("'", "''")
            cursor.execute(f"ATTACH '{place}' AS profcore_snapshot")
            try:
                cursor.execute(f'COPY FROM DATABASE "{name}" TO profcore_snapshot').fetchall()
            finally:
                cursor.execute("DETACH profcore_snapshot")

    def add_synthetic(self, spec: RunSpec, samples: int) -> None:
        """Add a run with random samples, for benchmarks (see `profcore.bench.synthetic`)."""
        environment = {"device_name": "made up", "model": spec.target.model, "weights": "random", "dtype": "float32"}
        environment |= {"engine": spec.target.engine, "clock": str(spec.sweep.clock)}
        with self._transaction() as cursor:
            self._insert_run(cursor, spec.id, run_record(spec), "synthetic")
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

    # Asking

    def runs(self, experiment: str | None = None) -> pd.DataFrame:
        """All runs, or one experiment's, newest first, with `num_samples`; spec and environment are JSON text."""
        where = "WHERE runs.experiment = ?" if experiment else ""
        query = _RUNS.format(samples="", runs=where)
        return self._cursor.execute(query, [experiment] if experiment else []).df()

    def latest(self, experiment: str) -> str | None:
        """The id of the experiment's newest run that has something to show or is under way, else of its newest.

        Sample results come after whatever was measured or taken in here. Of them the compiled engine's come first,
        since there the knobs show and not the launching of kernels.
        """
        rows = self._cursor.execute(
            """
            SELECT id FROM runs WHERE experiment = ?
            ORDER BY state NOT IN ('queued', 'running') AND source <> 'imported'
                AND NOT EXISTS (FROM samples WHERE samples.run_id = runs.id),
                source = 'shipped', source = 'shipped' AND environment ->> 'engine' <> 'compiled',
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
        cursor = self._cursor.execute(query, [run_id, run_id])
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
        return self._cursor.execute(
            "SELECT * EXCLUDE run_id FROM settings WHERE run_id = ? ORDER BY setting", [run_id]
        ).df()

    def samples(self, run_id: str) -> pd.DataFrame:
        """A run's samples with their settings' knobs, in the order measured; without the decode steps."""
        return self._cursor.execute(
            f"""
            SELECT samples.* EXCLUDE (run_id, decode_steps_ms, issue_ms),
                settings.* EXCLUDE ({_NOT_OF_SAMPLES})
            FROM samples JOIN settings USING (run_id, setting)
            WHERE run_id = ? ORDER BY sample_id
            """,
            [run_id],
        ).df()

    def issue(self, run_id: str) -> pd.DataFrame:
        """How long the host took to issue each stage: `setting`, `metric` (a stage's column), `issue_ms` (median)."""
        return self._cursor.execute(
            """
            WITH issued AS (
                SELECT setting, unnest(issue_ms) AS issue_ms, generate_subscripts(issue_ms, 1) AS place
                FROM samples WHERE run_id = ?
            )
            SELECT setting, ['vision_encoder_ms', 'projector_ms', 'llm_prefill_ms', 'llm_decode_ms'][place] AS metric,
                median(issue_ms) AS issue_ms
            FROM issued GROUP BY ALL ORDER BY setting, metric
            """,
            [run_id],
        ).df()

    def ceilings(self, device_name: str | None, dtype: str | None) -> dict[str, Any]:
        """The ceilings that some run last measured on such a device, or an empty dict."""
        rows = self._cursor.execute(
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
        return self._cursor.execute(
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
        table = self._cursor.sql(
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
        return self._cursor.execute(
            "SELECT * EXCLUDE run_id FROM summaries WHERE run_id = ? ORDER BY setting, metric", [run_id]
        ).df()


def spool_directory(database: Path) -> Path:
    """Where the spools of a database lie: `spool/` beside it."""
    return database.parent / "spool"


def _sample_columns(run_id: str, records: list[Record]) -> pa.Table:
    """Samples as a table; made column by column, which is several times as fast as row by row."""
    telemetry = [record.get("telemetry") or {} for record in records]
    given = {name for record in records for name in record}
    columns = []
    for field in _SAMPLE_TYPES:
        if field.name == "run_id":
            values: list[Any] = [run_id] * len(records)
        elif field.name not in given and field.name not in _TELEMETRY_FIELDS:
            columns.append(pa.nulls(len(records), field.type))
            continue
        elif field.name in _TELEMETRY_FIELDS:
            values = [each.get(field.name) for each in telemetry]
        else:
            values = [record.get(field.name) for record in records]
        columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=_SAMPLE_TYPES)


def _insert(cursor: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    cursor.register("new_rows", table)
    cursor.execute(f"INSERT INTO {name} BY NAME SELECT * FROM new_rows")
    cursor.unregister("new_rows")


def _utc(text: str) -> datetime:
    """A moment in UTC, without a zone, as the database keeps it."""
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
