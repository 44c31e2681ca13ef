"""What a store holds as Parquet files, a table each, which others query while a dashboard goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.storage.read import CONDITIONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from profcore.storage.read import Reader

_STATISTICS = ("p50", "p95", "p99", "mean", "std", "min", "max")

TABLES = {
    "runs": f"""
        SELECT * RENAME (created_at AS created_at_utc, started_at AS started_at_utc, ended_at AS ended_at_utc),
            {CONDITIONS}
        FROM runs WHERE {{ids}} ORDER BY created_at, id
    """,
    "settings": "SELECT * RENAME (kl AS kl_nats) FROM settings WHERE {ids} ORDER BY run_id, setting",
    "samples": "SELECT * FROM samples WHERE {ids} ORDER BY run_id, sample_id",
    "environments": "SELECT * FROM environments WHERE {ids} ORDER BY run_id, environment_number",
    "summaries": f"""
        SELECT * RENAME ({", ".join(f"{name} AS {name}_ms" for name in _STATISTICS)})
        FROM summaries WHERE {{ids}} ORDER BY run_id, setting, metric
    """,
}
"""The tables by the names of their files, each column that has a unit called by it."""


def write_parquet(store: Reader, folder: Path, run_ids: Sequence[str] | None = None) -> list[Path]:
    """Write a file a table into a folder, each in place of one that was there, and give their paths.

    Args:
        store: What is written.
        folder: Where to.
        run_ids: Which runs; all unless given.

    Raises:
        StoreError: A file cannot be written.
        OSError: The same, of its folder.
    """
    written = []
    for name, query in TABLES.items():
        path, part = folder / f"{name}.parquet", folder / f".{name}.parquet.part"
        try:
            # Whoever reads the old file meanwhile reads it to its end.
            store.connection.write_parquet(query.format(ids=_chosen(name, run_ids)), part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        written.append(path)
    return written


def _chosen(table: str, run_ids: Sequence[str] | None) -> str:
    """The condition that a table's rows are of these runs."""
    if run_ids is None:
        return "true"
    texts = ", ".join("'{}'".format(each.replace("'", "''")) for each in run_ids)
    return f"{'id' if table == 'runs' else 'run_id'} IN ({texts})"
