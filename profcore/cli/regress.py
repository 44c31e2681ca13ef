"""`baseline` and `regress`: has a new version made something slower."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.lists import print_list
from profcore.cli.options import add_database, add_run
from profcore.cli.reading import load_named_run, reading
from profcore.cli.values import share, shortened
from profcore.comparisons.regression import LATENCIES, USUAL
from profcore.errors import UserError
from profcore.results.named import find_run
from profcore.stats.regression import PASSED, SLOWER, UNDECIDED

if TYPE_CHECKING:
    from profcore.comparisons.regression import Regression
    from profcore.storage.store import Store

_CODES = {PASSED: 0, SLOWER: 1, UNDECIDED: 3}
_FORMATS = ("text", "markdown", "junit", "json")
_ACTIONS = ("set", "list", "remove")


def register(commands: Commands) -> None:
    """Add `baseline` and `regress`."""
    keeping = add_command(
        commands,
        "baseline",
        "runs that others are held against, by name",
        "set RUN --name main",
        "list",
        "remove main",
    )
    keeping.add_argument("action", choices=_ACTIONS, help=", ".join(_ACTIONS))
    keeping.add_argument("what", nargs="?", metavar="RUN|NAME", help="set: a run; remove: a baseline's name")
    keeping.add_argument("--name", help="set: the baseline's name (the run's experiment)")
    add_database(keeping)
    keeping.set_defaults(command=baseline)
    asking = add_command(
        commands,
        "regress",
        "whether a run is slower than a baseline: exits 0 same or faster, 1 slower, 3 undecided",
        "RUN --against main --margin 2%%",
        "RUN --against RUN --format junit",
    )
    add_run(asking)
    asking.add_argument("--against", required=True, metavar="NAME|RUN", help="a baseline's name, or a run")
    asking.add_argument("--margin", type=share, default=0.02, help="the smallest slowing that counts (2%%)")
    asking.add_argument("--format", choices=_FORMATS, default="text", help="of what is printed (text)")
    text = f"which are asked about ({' '.join(USUAL)})"
    asking.add_argument("--latency", nargs="+", choices=list(LATENCIES), default=USUAL, metavar="NAME", help=text)
    add_database(asking)
    asking.set_defaults(command=regress)


def baseline(options: argparse.Namespace) -> int:
    """Set, list or remove baselines."""
    if options.name is not None and options.action != "set":
        raise UserError(f"--name names a baseline that is set: `baseline {options.action}` takes none.")
    if options.action == "list":
        if options.what is not None:
            raise UserError("`baseline list` lists them all: leave the name out.")
        return _list(options)
    if options.what is None:
        raise UserError(f"Name {'a run' if options.action == 'set' else 'a baseline'} to {options.action}.")
    from profcore.cli.change import owning

    with owning(options) as store:
        if options.action == "remove":
            store.remove_baseline(options.what)
            print(f"{options.what} is no baseline any more; its run stays.")
            return 0
        run = load_named_run(store, options.what)
        run_id = run.run["id"]
        if not run.state.ended or run.samples.empty:
            raise UserError(
                f"{run_id} {'has no samples' if run.state.ended else 'has not ended'}: name one to hold to."
            )
        name = options.name if options.name is not None else run.run["experiment"]
        store.set_baseline(name, run_id)
    print(f"{' '.join(name.split())} is {run_id} now.")
    return 0


def _list(options: argparse.Namespace) -> int:
    with reading(options) as store:
        found = store.baselines()
    if found.empty:
        print("There is no baseline: `profcore baseline set RUN` makes one.")
        return 0
    rows = [
        {
            "name": row["name"],
            "run": row["run_id"],
            "experiment": row["experiment"] if isinstance(row["experiment"], str) else "the run is gone",
            "set (UTC)": f"{row['set_at']:%Y-%m-%d %H:%M}",
        }
        for row in found.to_dict("records")
    ]
    print_list(rows, tuple(rows[0]), tuple(rows[0]))
    return 0


def regress(options: argparse.Namespace) -> int:
    """Print whether a run is slower than a baseline; exits 0 same or faster, 1 slower, 3 undecided."""
    from profcore.comparisons import regression
    from profcore.comparisons.between import load_series, spreads_of

    with reading(options) as store:
        reference = load_named_run(store, against(store, options.against))
        run = load_named_run(store, options.run)
        latencies = list(dict.fromkeys(options.latency))
        spreads = spreads_of(load_series(store))
    found = regression.regress(reference, run, options.margin, latencies, spreads)
    _print(found, options.format)
    return _CODES[found.verdict]


def against(store: Store, text: str) -> str:
    """The id of the run that a baseline's name, or a run's, means.

    Raises:
        UserError: There is neither.
    """
    baselines = store.baselines()
    named = baselines.loc[baselines["name"] == text, "run_id"].tolist()
    if named:
        return find_run(store, named[0])
    try:
        return find_run(store, text)
    except UserError as error:
        if "begins several" in str(error):
            raise
        known = f"the baselines are {', '.join(baselines['name'])}" if len(baselines) else "no baseline is set yet"
        raise UserError(f"There is no baseline or run {shortened(text)!r}: {known}.") from None


def _print(found: Regression, form: str) -> None:
    from profcore.comparisons import regression_words as words

    if form == "json":
        print(json.dumps(found.to_dict(), indent=2, ensure_ascii=False, allow_nan=False))
    elif form == "junit":
        print(words.as_junit(found), end="")
    elif form == "markdown":
        print(words.as_markdown(found), end="")
    else:
        print("\n".join([words.headline(found), *words.sentences(found)]))
        checks = words.telling(found)
        rows = words.table(checks)
        print_list(rows, list(rows[0]), list(rows[0]))
        if more := words.left_out(found, checks):
            print(more)
