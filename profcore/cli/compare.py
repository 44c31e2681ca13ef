"""`compare` and `beside`: runs beside runs, and a sweep beside real pictures, each under its conditions."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from profcore.cli.common import print_table
from profcore.cli.options import add_database, add_json
from profcore.cli.reading import load_named_run, reading
from profcore.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

RUN_HELP = "its id, or a beginning that is one run's alone"


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `compare` and `beside`."""
    comparing = commands.add_parser("compare", help="runs against the first of them, setting by setting")
    comparing.add_argument("runs", nargs="+", metavar="RUN", help=RUN_HELP)
    comparing.add_argument("--margin", type=_share, default=0.02, help="the smallest difference that counts (2%%)")
    add_json(comparing)
    add_database(comparing)
    comparing.set_defaults(command=compare)
    setting = commands.add_parser("beside", help="a sweep beside runs of real pictures, at equal tokens")
    setting.add_argument("sweep", metavar="SWEEP", help=RUN_HELP)
    setting.add_argument("pictures", nargs="+", metavar="PICTURES", help=RUN_HELP)
    add_json(setting)
    add_database(setting)
    setting.set_defaults(command=beside)


def compare(options: argparse.Namespace) -> int:
    """Print how runs compare; exits 0 whatever the verdict."""
    from profcore.comparisons.runs import compare_all, display_comparison

    with reading(options) as store:
        found = compare_all([load_named_run(store, text) for text in options.runs], options.margin)
    if options.json:
        print(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
        return 0
    print(f"Reference: {found.reference}")
    _print_differences(found.differences)
    print_table(display_comparison(found.table(), ["run"]))
    print_table(display_comparison(found.table("settings"), ["run", "title"]))
    for run_id, each in found.runs.items():
        if each.unmatched:
            print(f"{run_id}: {each.unmatched} settings of it or of the reference have no counterpart.")
        if each.ambiguous:
            print(
                f"  Of these {each.ambiguous} fit several settings of the other run, which says too little of its own."
            )
    return 0


def beside(options: argparse.Namespace) -> int:
    """Print how real pictures compare with a sweep."""
    from profcore.comparisons.sweep_and_pictures import compare_with_pictures, display_slopes
    from profcore.results.pictures import PictureResult
    from profcore.results.sweep import Result

    with reading(options) as store:
        sweep = load_named_run(store, options.sweep)
        pictures = [load_named_run(store, text) for text in options.pictures]
    if not isinstance(sweep, Result):
        raise UserError(f"{sweep.run['id']} is of real pictures: name a sweep first.")
    of_pictures = [each for each in pictures if isinstance(each, PictureResult)]
    if len(of_pictures) < len(pictures):
        other = next(each for each in pictures if not isinstance(each, PictureResult))
        raise UserError(f"{other.run['id']} is a sweep: name runs of real pictures after the first.")
    found = compare_with_pictures(sweep, of_pictures)
    if options.json:
        print(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
        return 0
    _print_differences(found.differences)
    for run_id, sentences in found.sentences.items():
        print(f"{found.names[run_id]}:")
        for sentence in [*found.refused[run_id], *sentences]:
            print(f"  {sentence}")
    print_table(display_slopes(found))
    return 0


def _print_differences(differences: Sequence[str]) -> None:
    for difference in differences:
        print(f"  {difference}")


def _share(text: str) -> float:
    """A share, as a number or in per cent.

    Raises:
        argparse.ArgumentTypeError: It is none between 0 and 1.
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no share between 0 and 1, such as 0.02 or 2%")
    return value
