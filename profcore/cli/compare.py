"""`compare` and `beside`: runs beside runs, and a sweep beside real pictures, each under its conditions."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.options import add_database, add_json, add_run
from profcore.cli.reading import load_named_run, reading
from profcore.cli.tables import print_table
from profcore.cli.values import share
from profcore.errors import UserError
from profcore.spec.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence


def register(commands: Commands) -> None:
    """Add `compare` and `beside`."""
    comparing = add_command(
        commands, "compare", "runs against the first of them, setting by setting", "RUN RUN --margin 2%%"
    )
    add_run(comparing, "runs", "RUN", nargs="+")
    comparing.add_argument("--margin", type=share, default=0.02, help="the smallest difference that counts (2%%)")
    add_json(comparing)
    add_database(comparing)
    comparing.set_defaults(command=compare)
    setting = add_command(commands, "beside", "a sweep beside runs of real pictures, at equal tokens", "SWEEP PICTURES")
    add_run(setting, "sweep")
    add_run(setting, "pictures", "PICTURES", nargs="+")
    add_json(setting)
    add_database(setting)
    setting.set_defaults(command=beside)


def compare(options: argparse.Namespace) -> int:
    """Print how runs compare; exits 0 whatever the verdict."""
    from profcore.comparisons.between import load_series, spreads_of
    from profcore.comparisons.energy import display_energy_comparison
    from profcore.comparisons.overlay import sentences
    from profcore.comparisons.runs import compare_all, display_comparison

    with reading(options) as store:
        runs = [load_named_run(store, text) for text in options.runs]
        found = compare_all(runs, options.margin, spreads=spreads_of(load_series(store)))
    if options.json:
        print(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
        return 0
    print(f"Reference: {found.reference}")
    _print_differences(found.differences)
    if not found.table().empty:
        print("\n".join(sentences(found, options.margin, found.names)))
    print("\n".join(found.processes))
    print_table(display_comparison(found.table(), ["run"]))
    print_table(display_comparison(found.table("settings"), ["run", "title"]))
    if not (energy := found.table("energy")).empty:
        print_table(display_energy_comparison(energy, ["run"]))
    for run_id, each in found.runs.items():
        if each.unmatched:
            print(f"{run_id}: {counted(each.unmatched, 'setting')} of it or of the reference without a counterpart.")
        if each.ambiguous:
            print(f"  Of these {each.ambiguous} could be several of the other run's, which says too little of its own.")
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
        what = "of real pictures" if isinstance(sweep, PictureResult) else "a joint run"
        raise UserError(f"{sweep.run['id']} is {what}: name a sweep of one knob first.")
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
