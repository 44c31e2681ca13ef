"""`show`: a run's conditions and what its samples say."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.options import add_database, add_json, add_run
from profcore.cli.reading import load_named_run, reading
from profcore.cli.tables import print_table
from profcore.formats.text_files import json_text
from profcore.spec.stages import State
from profcore.spec.text import samples_words

if TYPE_CHECKING:
    from profcore.export.archive import AnyResult


def register(commands: Commands) -> None:
    """Add `show`."""
    parser = add_command(commands, "show", "a run's conditions, medians with intervals, floors and cautions", "RUN")
    add_run(parser)
    add_json(parser)
    add_database(parser)
    parser.set_defaults(command=show)


def show(options: argparse.Namespace) -> int:
    """Print a run."""
    from profcore.comparisons.between import alike, load_series, quoted, spreads_of

    with reading(options) as store:
        result = load_named_run(store, options.run)
        spreads = spreads_of(load_series(store))
    if options.json:
        print(json_text(_plain(result), indent=2))
        return 0
    from profcore.cli.report import print_energy, print_quality
    from profcore.results.joint import JointResult
    from profcore.results.joint_tables import display_short_joint
    from profcore.results.sweep import Result
    from profcore.results.tables import display_points, display_short_summary, display_without_flagged
    from profcore.service.words import environment_line

    run = result.run
    print(f"{run['id']}: {run['experiment']}, {run['state']}, {samples_words(run)}, {run['source']}")
    if run["reason"] and result.state is not State.DONE:
        print(run["reason"])
    print(environment_line(run["environment"], result.state))
    if isinstance(result, JointResult):
        print_table(display_short_joint(result))
    else:
        print_table(display_short_summary(result) if isinstance(result, Result) else display_points(result))
    if isinstance(result, Result):
        print_energy(result)
    print_quality(result)
    for caution in result.cautions:
        print(caution.text)
    if any(caution.kind == "flags" for caution in result.cautions):
        print_table(display_without_flagged(result.samples, result.settings, all_latencies=False))
    if said := quoted(spreads.get(alike(run["environment"]) or (), {})):
        print(said)
    return 0


def _plain(result: AnyResult) -> dict[str, Any]:
    from profcore.results.sweep import Result

    rows = result.summary if isinstance(result, Result) else result.points
    return {
        **result.metadata,
        "experiment": result.run["experiment"],
        "num_samples": result.run["num_samples"],
        "num_set_aside": result.run["num_set_aside"],
        "cautions": [caution.text for caution in result.cautions],
        "summary" if isinstance(result, Result) else "points": json.loads(rows.to_json(orient="records")),
    }
