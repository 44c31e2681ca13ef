"""`sql`: a query over the results, as the page *SQL* answers it."""

from __future__ import annotations

import argparse
import json
import sys

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.options import add_database, add_json
from profcore.cli.reading import reading
from profcore.cli.tables import print_table


def register(commands: Commands) -> None:
    """Add `sql`."""
    parser = add_command(
        commands,
        "sql",
        "a query in DuckDB's SQL over runs, settings, samples and summaries",
        '"SELECT id, state FROM runs" --csv',
    )
    parser.add_argument("query", metavar="QUERY", help="one SELECT; `DESCRIBE samples` lists a table's columns")
    form = parser.add_mutually_exclusive_group()
    add_json(form)
    form.add_argument("--csv", action="store_true", help="as CSV")
    add_database(parser)
    parser.set_defaults(command=sql)


def sql(options: argparse.Namespace) -> int:
    """Print what a query gives."""
    with reading(options) as store:
        from profcore.storage.ask import asking

        with asking(store) as questioner:
            answer = questioner.ask(options.query)
    if answer.more:
        print(f"Only the first {len(answer.table):,} rows are given.", file=sys.stderr)
    if options.json:
        from profcore.formats.values import plain

        rows = [{name: plain(value) for name, value in row.items()} for row in answer.table.to_dict("records")]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif options.csv:
        from profcore.formats.text_files import csv_text

        print(csv_text(answer.table), end="")
    else:
        print_table(answer.table)
    return 0
