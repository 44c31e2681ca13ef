"""`compare-engines`: the same sweep under each engine."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from profcore.cli.common import check_database, database_of, deliver, picture_of, print_table, target_of
from profcore.cli.options import add_database, add_json, add_picture, add_spool_only, add_target
from profcore.cli.progress import measure
from profcore.cli.values import make_output_directory, whole_number
from profcore.comparisons.engines import display_sensitivities, published_sensitivities, sensitivities
from profcore.engines.names import ENGINES, engines_of
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings, default_values, get_experiment
from profcore.images.pictures import load_picture
from profcore.spec.queries import DEFAULT_PROMPT
from profcore.spec.runs import RunSpec, Sweep
from profcore.spec.stages import State
from profcore.storage.frames import spool_samples
from profcore.storage.spool import SpoolWriter, spool_path

if TYPE_CHECKING:
    from pathlib import Path

    from profcore.models.config import MolmoConfig
    from profcore.worker.shelf import ModelShelf


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `compare-engines`."""
    parser = commands.add_parser("compare-engines", help="the same sweep under each engine, and its sensitivities")
    parser.add_argument("experiment", nargs="?", choices=[*CATALOGUE, "all"], default="moe_topk")
    add_target(parser, engine=False)
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), help="those that the device can run")
    parser.add_argument("--num-samples", type=whole_number, default=20, help="timed inferences per setting (20)")
    parser.add_argument("--warmup", type=whole_number, default=2, help="untimed inferences per setting (2)")
    parser.add_argument("--seed", type=whole_number, default=0, help="seed of the visiting order (0)")
    add_picture(parser)
    add_json(parser)
    add_database(parser)
    add_spool_only(parser)
    parser.set_defaults(command=compare_engines)


def compare_engines(options: argparse.Namespace) -> int:
    """Measure experiments under each engine, and print what a step of each knob costs."""
    from profcore.worker.shelf import ModelShelf

    names = list(CATALOGUE) if options.experiment == "all" else [options.experiment]
    make_output_directory(options.spool_only)
    spools = options.spool_only or check_database(database_of(options))
    target, shelf = target_of(options), ModelShelf()
    load_picture(picture_of(options.image))
    config = shelf.get(target).model.config
    targets = [replace(target, engine=engine) for engine in options.engines or engines_of(target.device)]
    for each in targets:
        # Refused before anything is measured, not after the first engine's sweep.
        shelf.engine(each)
    code, found = 0, []
    for name in names:
        sweep = _sweep(name, options, config)
        for each in targets:
            state, path = _measure(RunSpec.new(each, sweep), spools, shelf)
            deliver(options, path)
            if state is State.STOPPED:
                return 130
            code = max(code, 0 if state is State.DONE else 1)
            found.append(_sensitivities(path, name, each.engine))
        found.append(published_sensitivities(get_experiment(name)).assign(experiment=name))
    _print(pd.concat(found, ignore_index=True), names, options.json)
    return code


def _sweep(name: str, options: argparse.Namespace, config: MolmoConfig) -> Sweep:
    """An experiment's own sweep, with the picture and the numbers that the options say."""
    experiment = get_experiment(name)
    return Sweep(
        experiment=name,
        settings=build_settings(experiment, default_values(experiment, config), base_setting(experiment, config)),
        num_samples=options.num_samples,
        warmup=options.warmup,
        seed=options.seed,
        picture=picture_of(options.image),
        prompt=DEFAULT_PROMPT if options.prompt is None else options.prompt,
    )


def _measure(spec: RunSpec, spools: Path, shelf: ModelShelf) -> tuple[State, Path]:
    path = spool_path(spools, spec.id)
    with SpoolWriter(path) as writer:
        writer.run(spec)
        print(f"{spec.sweep.experiment}, {spec.target.engine}:", file=sys.stderr)
        return measure(spec, writer, shelf), path


def _sensitivities(path: Path, name: str, engine: str) -> pd.DataFrame:
    """What a step of the knob costs under an engine; nothing where no sample was taken."""
    samples = spool_samples(path)
    if samples.empty:
        return pd.DataFrame()
    return sensitivities(get_experiment(name), samples).assign(engine=engine, experiment=name)


def _print(table: pd.DataFrame, names: list[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps(json.loads(table.to_json(orient="records")), indent=2))
        return
    for name in names:
        experiment = get_experiment(name)
        print(f"{experiment.title}: ms {experiment.per}")
        print_table(display_sensitivities(table[table["experiment"] == name]))
