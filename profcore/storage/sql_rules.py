"""What a query over the results may hold: it reads the tables of results, and asks nothing of its machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profcore.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = ("runs", "settings", "samples", "summaries", "environments")
"""The tables that a query may name."""

LONGEST_QUERY = 20_000
"""Letters of a query; a longer one is no question that a person wrote."""

# DuckDB turns a PIVOT without IN into statements that make a type first.
_ONLY_SELECT = "Only a SELECT is answered: no EXPLAIN, no PIVOT without IN, and nothing that changes, writes or sets."
_INFORMATION = "information_schema"
# A list of what may be called as a table, since what reads files grows with every version.
_TABLE_FUNCTIONS = {"range", "generate_series", "unnest", "json_each", "json_tree"}
# What tells or changes settings, variables, sequences or logs of the database that answers.
_REFUSED_FUNCTIONS = {
    *("current_setting", "getvariable", "getenv", "set_config", "setseed", "nextval", "currval", "setval"),
    *("write_log", "query", "query_table", "json_execute_serialized_sql", "version", "pg_conf_load_time"),
    *("pg_postmaster_start_time", "inet_client_addr", "inet_client_port", "inet_server_addr", "inet_server_port"),
}
_SHOWN = {"tables", "__show_tables_expanded", *TABLES}
_READS = ("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE")


class QueryError(UserError):
    """A query over the results cannot be answered as given."""


def check_tree(tree: dict[str, Any], system_tables: set[str]) -> None:
    """Whether a query reads results alone.

    Args:
        tree: As DuckDB's `json_serialize_sql` gives it.
        system_tables: The names of the views that every database has of its own.

    Raises:
        QueryError: It holds something else, which is named.
    """
    if tree.get("error"):
        if tree.get("error_type") == "not implemented":
            raise QueryError(_ONLY_SELECT)
        raise QueryError(f"The query was not understood: {one_sentence(str(tree.get('error_message', '')))}")
    if len(tree["statements"]) != 1:
        raise QueryError(f"{len(tree['statements'])} queries were given: give one.")
    nodes = list(_nodes(tree))
    defined = {entry["key"] for node in nodes for entry in node.get("cte_map", {}).get("map", ())} - system_tables
    for node in nodes:
        kind = str(node.get("type", ""))
        if kind.endswith("_NODE") and kind not in _READS:
            raise QueryError(_ONLY_SELECT)
        if kind == "BASE_TABLE":
            _check_table(node, {name.lower() for name in defined})
        elif kind == "SHOW_REF" and node["table_name"].strip('"') and node["table_name"].strip('"') not in _SHOWN:
            raise QueryError(f"{_quoted(node['table_name'])} is not shown here: SHOW TABLES lists what there is.")
        elif kind == "TABLE_FUNCTION":
            _check_table_function(node["function"])
        elif kind == "FUNCTION" and str(node["function_name"]).lower() in _REFUSED_FUNCTIONS:
            raise QueryError(f"The function {_quoted(node['function_name'])} is not answered here.")


def one_sentence(text: str) -> str:
    """The first line of what DuckDB says, and what it suggests, without its kind of error."""
    lines = [line.strip() for line in text.splitlines()]
    kept = [lines[0].partition(" Error: ")[2] or lines[0]] if lines else [""]
    kept += [line for line in lines[1:] if line.startswith(("Did you mean", "Candidate bindings"))][:1]
    said = " ".join(kept).partition(' Use "SET ')[0]
    said = said if len(said) <= 200 else f"{said[:200]}…"
    return said if said.endswith((".", "!", "?", "…")) else f"{said}."


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of a tree; without recursion, since a query may be nested deeply."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _check_table(node: dict[str, Any], defined: set[str]) -> None:
    catalog, schema, name = (str(node[part]).lower() for part in ("catalog_name", "schema_name", "table_name"))
    own = not catalog and (
        (schema in ("", "main") and name in TABLES) or (not schema and name in defined) or schema == _INFORMATION
    )
    if not own:
        written = ".".join(part for part in (node["catalog_name"], node["schema_name"], node["table_name"]) if part)
        raise QueryError(f"There is no table {_quoted(written)}: choose from {', '.join(TABLES)}.")


def _check_table_function(function: dict[str, Any]) -> None:
    name = str(function["function_name"])
    if name.lower() not in _TABLE_FUNCTIONS:
        raise QueryError(f"The function {_quoted(name)} is not answered here: read from {', '.join(TABLES)}.")


def _quoted(name: Any) -> str:
    text = str(name).strip('"')
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
