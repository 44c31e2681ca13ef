"""`compare-engines`: the same sweep under each engine."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.common import check_database, database_of, deliver, picture_of, refuse_early, target_of
from profcore.cli.options import add_database, add_json, add_picture, add_spool_only, add_target, add_until, until_of
from profcore.cli.progress import measure
from profcore.cli.tables import print_table
from profcore.cli.values import make_output_directory, whole_number
from profcore.comparisons.engines import (
    display_sensitivities,
    known_of,
    medians,
    published_medians,
    published_sensitivities,
    sensitivities,
)
from profcore.engines.names import ENGINES, FAMILY_ENGINES, PEERS, check_engine, engines_of, peers_of
from profcore.experiments.knobs import (
    CATALOGUE,
    base_setting,
    build_settings,
    check_knob,
    default_values,
    get_experiment,
)
from profcore.experiments.motivation import sampled_until
from profcore.images.pictures import load_picture
from profcore.models.config import model_shape
from profcore.models.context import check_sweep
from profcore.models.families.shape import FamilyShape
from profcore.spec.environments import uncaptured_note
from profcore.spec.queries import DEFAULT_PROMPT
from profcore.spec.runs import RunSpec, Sweep
from profcore.spec.stages import State
from profcore.storage.frames import spool_environment, spool_samples
from profcore.storage.spool import SpoolWriter, spool_path

if TYPE_CHECKING:
    from pathlib import Path

    from profcore.models.shape import Shape
    from profcore.worker.shelf import ModelShelf


def register(commands: Commands) -> None:
    """Add `compare-engines`."""
    parser = add_command(
        commands,
        "compare-engines",
        "the same sweep under each engine, and its sensitivities",
        "moe_topk --num-samples 20",
        "all --engines eager compiled",
    )
    parser.add_argument("experiment", nargs="?", choices=[*CATALOGUE, "all"], default="moe_topk")
    add_target(parser, engine=False)
    parser.add_argument("--engines", nargs="+", choices=[*ENGINES, *PEERS], help="those that the device can run")
    parser.add_argument("--num-samples", type=whole_number, help="timed inferences per setting (20)")
    add_until(parser)
    parser.add_argument("--warmup", type=whole_number, default=2, help="untimed inferences per setting (2)")
    parser.add_argument("--seed", type=whole_number, default=0, help="seed of the visiting order (0)")
    add_picture(parser)
    add_json(parser)
    add_database(parser)
    add_spool_only(parser)
    parser.set_defaults(command=compare_engines)


def compare_engines(options: argparse.Namespace) -> int:
    """Measure experiments under each engine, and print what a step of each knob costs."""
    names = list(CATALOGUE) if options.experiment == "all" else [options.experiment]
    make_output_directory(options.spool_only)
    spools = options.spool_only or check_database(database_of(options))
    load_picture(picture_of(options.image))

    def check(config: Shape, model: str) -> None:
        for name in names:
            check_sweep(_sweep(name, options, config), config, model)

    refuse_early(options, check)
    from profcore.worker.shelf import ModelShelf

    target, shelf = target_of(options), ModelShelf()
    other = isinstance(model_shape(target.model), FamilyShape)
    config = shelf.get(target).model.config
    targets = [replace(target, engine=engine) for engine in _asked(options, target.device, other)]
    for each in targets:
        # Refused before anything is measured, not after the first engine's sweep.
        shelf.engine(each)
    code, found, points = 0, [], []
    for name in names:
        sweep = _sweep(name, options, config)
        for each in targets:
            state, path = _measure(RunSpec.new(each, sweep), spools, shelf)
            deliver(options, path)
            if note := uncaptured_note(spool_environment(path)):
                print(note, file=sys.stderr)
            if state is State.STOPPED:
                return 130
            code = max(code, 0 if state is State.DONE else 1)
            found.append(_sensitivities(path, name, each.engine))
            points.append(_medians(path, name, each.engine))
        if not other:
            found.append(published_sensitivities(get_experiment(name)).assign(experiment=name))
            points.append(published_medians(get_experiment(name)).assign(experiment=name))
    _print(pd.concat(found, ignore_index=True), pd.concat(points, ignore_index=True), names, options.json)
    return code


def _asked(options: argparse.Namespace, device: str, other: bool) -> list[str]:
    """The engines that are to be compared; unless they are named, all that the device can run and their peer.

    Args:
        options: They may name some.
        device: Where they are to run.
        other: Whether the model is another than MolmoE, which has fewer.

    Raises:
        UserError: One that is named cannot be run there.
    """
    there = [name for name in (*engines_of(device), *peers_of(device)) if not other or name in FAMILY_ENGINES]
    names = options.engines or there
    for name in names:
        check_engine(name, device)
    return names


def _sweep(name: str, options: argparse.Namespace, config: Shape) -> Sweep:
    """An experiment's own sweep, with the picture and the numbers that the options say."""
    experiment, enough = get_experiment(name), until_of(options)
    check_knob(experiment, config)
    sweep = Sweep(
        experiment=name,
        settings=build_settings(experiment, default_values(experiment, config), base_setting(experiment, config)),
        num_samples=20 if options.num_samples is None else options.num_samples,
        warmup=options.warmup,
        seed=options.seed,
        picture=picture_of(options.image),
        prompt=DEFAULT_PROMPT if options.prompt is None else options.prompt,
    )
    return sampled_until(sweep, *enough) if enough else sweep


def _measure(spec: RunSpec, spools: Path, shelf: ModelShelf) -> tuple[State, Path]:
    path = spool_path(spools, spec.id)
    with SpoolWriter(path) as writer:
        writer.run(spec)
        writer.owner("command")
        print(f"{spec.sweep.experiment}, {spec.target.engine}:", file=sys.stderr)
        return measure(spec, writer, shelf), path


def _sensitivities(path: Path, name: str, engine: str) -> pd.DataFrame:
    """What a step of the knob costs under an engine; nothing where no sample was taken."""
    samples = spool_samples(path)
    if samples.empty:
        return pd.DataFrame()
    return known_of(engine, sensitivities(get_experiment(name), samples)).assign(engine=engine, experiment=name)


def _medians(path: Path, name: str, engine: str) -> pd.DataFrame:
    """The medians over the knob under an engine; nothing where no sample was taken."""
    samples = spool_samples(path)
    if samples.empty:
        return pd.DataFrame()
    return known_of(engine, medians(get_experiment(name), samples)).assign(engine=engine, experiment=name)


def _print(table: pd.DataFrame, points: pd.DataFrame, names: list[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps(json.loads(table.to_json(orient="records")), indent=2))
        return
    for name in names:
        experiment = get_experiment(name)
        print(f"{experiment.title}: ms {experiment.per}")
        of_knob = (rows[rows["experiment"] == name] for rows in (table, points))
        print_table(display_sensitivities(*of_knob))
