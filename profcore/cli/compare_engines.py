"""`compare-engines`: the same sweep under each engine."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace

from profcore.cli.common import check_database, database_of, deliver, picture_of, print_table, target_of
from profcore.cli.options import add_database, add_json, add_picture, add_spool_only, add_target
from profcore.cli.progress import measure
from profcore.cli.values import whole_number
from profcore.engines.names import ENGINES, engines_of
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings, default_values, get_experiment
from profcore.spec.runs import RunSpec, Sweep
from profcore.spec.stages import State


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
    import pandas as pd

    from profcore.comparisons.engines import display_sensitivities, published_sensitivities, sensitivities
    from profcore.images.pictures import load_picture
    from profcore.spec.queries import DEFAULT_PROMPT
    from profcore.storage.frames import spool_samples
    from profcore.storage.spool import SpoolWriter, spool_path
    from profcore.worker.shelf import ModelShelf

    names = list(CATALOGUE) if options.experiment == "all" else [options.experiment]
    spools = options.spool_only or check_database(database_of(options))
    target, shelf, picture = target_of(options), ModelShelf(), picture_of(options.image)
    load_picture(picture)
    config = shelf.get(target).model.config
    engines = options.engines or engines_of(target.device)
    for engine in engines:
        # Refused before anything is measured, not after the first engine's sweep.
        shelf.engine(replace(target, engine=engine))
    code, found = 0, []
    for name in names:
        experiment = get_experiment(name)
        settings = build_settings(experiment, default_values(experiment, config), base_setting(experiment, config))
        for engine in engines:
            sweep = Sweep(
                name,
                settings,
                options.num_samples,
                options.warmup,
                options.seed,
                picture=picture,
                prompt=options.prompt or DEFAULT_PROMPT,
            )
            spec = RunSpec.new(replace(target, engine=engine), sweep)
            path = spool_path(spools, spec.id)
            with SpoolWriter(path) as writer:
                writer.run(spec)
                print(f"{name}, {engine}:", file=sys.stderr)
                state = measure(spec, writer, shelf)
            deliver(options, path)
            if state is State.STOPPED:
                return 130
            code = max(code, 0 if state is State.DONE else 1)
            samples = spool_samples(path)
            if not samples.empty:
                found.append(sensitivities(experiment, samples).assign(engine=engine, experiment=name))
        found.append(published_sensitivities(experiment).assign(experiment=name))
    table = pd.concat(found, ignore_index=True)
    if options.json:
        print(json.dumps(json.loads(table.to_json(orient="records")), indent=2))
        return code
    for name in names:
        experiment = get_experiment(name)
        print(f"{experiment.title}: ms {experiment.per}")
        print_table(display_sensitivities(table[table["experiment"] == name]))
    return code
