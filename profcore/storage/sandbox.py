"""The process that answers one query over a copy of the results, shut in before it reads the query.

`python -m profcore.storage.sandbox` reads one request in JSON from its input and writes one answer in JSON. DuckDB is
told to touch nothing but the copy; should it not keep to that, the system refuses this process any further file or
connection, more memory than it was given, and more time.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import duckdb

from profcore.errors import UserError
from profcore.storage.sql_rules import LONGEST_QUERY, QueryError, check_tree, one_sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEGABYTE = 2**20
# Seconds in which it has to be ready for the query, which count for none of the query's: a busy machine takes some.
START_S = 60
# What Python, DuckDB and their libraries take of the address space before any query.
_OWN_MEGABYTES = 1024
# The last one forbids to change any of them, itself included.
_SETTINGS = {
    "threads": "1",
    "async_threads": "1",
    "max_temp_directory_size": "0B",
    "temp_directory": "",
    "home_directory": "/nonexistent",
    "TimeZone": "UTC",
    "show_behavior": "table",
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_extension_repositories": "forbidden",
    "enable_external_access": "false",
    "disabled_filesystems": "LocalFileSystem",
    "lock_configuration": "true",
}
# How a column is told: DuckDB's types, and what a table for people has for them. Everything else is told as text.
_KINDS = {
    "truth": {"BOOLEAN"},
    "whole": {
        *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
        *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
    },
    "number": {"FLOAT", "DOUBLE"},
}


def main() -> None:
    """Answer the request on standard input."""
    os.environ.clear()
    request = json.loads(sys.stdin.buffer.readline())
    limits = request["limits"]
    _limit_process(limits)
    try:
        connection = _open_shut_in(request["database"], limits)
        signal.alarm(int(limits["seconds"]))
        answer = _answer(connection, request["query"], limits)
    except UserError as error:
        answer = {"error": str(error)}
    except (duckdb.OutOfMemoryException, MemoryError):
        answer = {"error": _too_much(limits)}
    except duckdb.Error as error:
        answer = {"error": f"The query cannot be answered: {one_sentence(str(error))}"}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    # Nothing that DuckDB still does in threads of its own is waited for.
    os._exit(0)


def _limit_process(limits: dict[str, Any]) -> None:
    """Bound what the process may take, whatever DuckDB does; a machine that knows a bound not does without it."""
    seconds, megabytes = int(limits["seconds"]), int(limits["megabytes"]) + _OWN_MEGABYTES
    # Ends this process, also one whose parent is gone.
    signal.alarm(START_S)
    bounds = {"RLIMIT_CPU": START_S + seconds, "RLIMIT_AS": megabytes * _MEGABYTE, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0}
    for name, bound in bounds.items():
        with suppress(ValueError, OSError, AttributeError):
            resource.setrlimit(getattr(resource, name), (bound, bound))
    with suppress(OSError):
        # What measures comes first.
        os.nice(19)


def _open_shut_in(database: str, limits: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """The copy, opened for reading by a DuckDB that may do nothing else, in a process that can open nothing else."""
    connection = duckdb.connect(database, read_only=True)
    for name, value in {"memory_limit": f"{int(limits['megabytes'])}MB", **_SETTINGS}.items():
        connection.execute(f"SET {name} = '{value}'")
    next_descriptor = os.dup(0)
    os.close(next_descriptor)
    # Every number below is taken, so that neither a file nor a socket gets one.
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_descriptor, next_descriptor))
    return connection


def _answer(connection: duckdb.DuckDBPyConnection, query: str, limits: dict[str, Any]) -> dict[str, Any]:
    """The columns and rows that a query gives."""
    if len(query) > LONGEST_QUERY:
        raise QueryError(f"A query of {len(query):,} letters is too long: at most {LONGEST_QUERY:,}.")
    _check(connection, query)
    relation = connection.sql(_without_end(query))
    if relation is None:
        raise QueryError("The query is empty: write a SELECT.")
    if len(relation.columns) > limits["columns"]:
        raise QueryError(f"The answer has {len(relation.columns):,} columns: ask for at most {limits['columns']}.")
    kinds = [_kind(str(each)) for each in relation.types]
    told = ", ".join(_told(place, kind) for place, kind in enumerate(kinds, 1))
    rows = _rows(connection.execute(relation.limit(limits["rows"] + 1).project(told).sql_query()), limits)
    columns = [{"name": name, "kind": kind} for name, kind in zip(relation.columns, kinds, strict=True)]
    return {"columns": columns, "rows": rows[: limits["rows"]], "more": len(rows) > limits["rows"]}


def _check(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    rows = connection.execute("SELECT view_name FROM duckdb_views() WHERE internal").fetchall()
    ((tree,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()
    check_tree(json.loads(tree), {name for (name,) in rows})


def _without_end(query: str) -> str:
    """A statement without the semicolons and comments behind it, so that it can stand within another."""
    text = query.encode()
    end = len(text)
    # Tokens are counted in bytes.
    for start, kind in reversed(duckdb.tokenize(query)):
        if kind != duckdb.token_type.comment and text[start : start + 1] != b";":
            break
        end = start
    return text[:end].decode()


def _kind(type_name: str) -> str:
    if type_name.startswith("DECIMAL"):
        return "number"
    return next((kind for kind, names in _KINDS.items() if type_name in names), "text")


def _told(place: int, kind: str) -> str:
    """How a column is asked for, by its place: two may have one name."""
    cast = {"text": "::VARCHAR", "number": "::DOUBLE"}.get(kind, "")
    return f"#{place}{cast} AS c{place}"


def _rows(cursor: duckdb.DuckDBPyConnection, limits: dict[str, Any]) -> list[list[Any]]:
    """The rows, as long as they are no more than an answer may hold."""
    rows, left = [], limits["answer_megabytes"] * _MEGABYTE
    for row in _each(cursor):
        left -= sum(len(value) if isinstance(value, str) else 8 for value in row)
        if left < 0:
            raise QueryError(
                f"The answer is larger than {limits['answer_megabytes']} MB: ask for fewer rows or columns."
            )
        rows.append(list(row))
    return rows


def _each(cursor: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while batch := cursor.fetchmany(256):
        yield from batch


def _too_much(limits: dict[str, Any]) -> str:
    return f"The query needs more than {limits['megabytes']} MB: ask for less at once, as with a WHERE or a LIMIT."


if __name__ == "__main__":
    main()
