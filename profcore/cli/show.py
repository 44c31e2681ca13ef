"""`show`: a run's conditions and what its samples say."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from profcore.cli.common import print_table
from profcore.cli.options import add_database, add_json
from profcore.cli.reading import load_named_run, reading

if TYPE_CHECKING:
    from profcore.export.archive import AnyResult


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `show`."""
    parser = commands.add_parser("show", help="a run's conditions, medians with intervals, floors and cautions")
    parser.add_argument("run", metavar="RUN", help="its id, or a beginning that is one run's alone")
    add_json(parser)
    add_database(parser)
    parser.set_defaults(command=show)


def show(options: argparse.Namespace) -> int:
    """Print a run."""
    with reading(options) as store:
        result = load_named_run(store, options.run)
    if options.json:
        print(json.dumps(_plain(result), indent=2, ensure_ascii=False, default=str))
        return 0
    from profcore.results.sweep import Result
    from profcore.results.tables import display_points, display_short_summary
    from profcore.service.words import environment_line

    run = result.run
    print(f"{run['id']}: {run['experiment']}, {run['state']}, {run['num_samples']} samples, {run['source']}")
    print(environment_line(run["environment"], result.state))
    print_table(display_short_summary(result) if isinstance(result, Result) else display_points(result))
    for caution in result.cautions:
        print(caution.text)
    return 0


def _plain(result: AnyResult) -> dict[str, Any]:
    from profcore.results.sweep import Result

    rows = result.summary if isinstance(result, Result) else result.points
    return {
        **result.metadata,
        "experiment": result.run["experiment"],
        "num_samples": result.run["num_samples"],
        "cautions": [caution.text for caution in result.cautions],
        "summary" if isinstance(result, Result) else "points": json.loads(rows.to_json(orient="records")),
    }
