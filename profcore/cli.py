"""The command line: `python -m profcore …`, the same code as the dashboard's for a machine without a browser."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from profcore.engines.names import ENGINES, engines_of
from profcore.errors import StoreHeldError, UserError
from profcore.experiments import (
    CATALOGUE,
    Experiment,
    base_setting,
    build_settings,
    default_values,
    get_experiment,
    parse_values,
)
from profcore.spec import Clock, Knob, Picture, RunSpec, Setting, State, Sweep, Target, parse_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from profcore.models.config import MolmoConfig

DEFAULT_OUTPUT = Path("results/profiling")
_REDRAW_S = 0.25


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command; exits 0 when done, 1 when something measured or checked failed, 2 on bad input."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # The published scripts spell options with underscores; both are taken.
    words = [word.replace("_", "-") if word.startswith("--") and "=" not in word else word for word in words]
    options = _parser().parse_args(words)
    try:
        code = options.command(options)
    except UserError as error:
        print(f"profcore: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("profcore: stopped.", file=sys.stderr)
        code = 130
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m profcore", description="Measure a MolmoE-1B under its four knobs.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="measure an experiment, or all of them")
    run.add_argument("experiment", choices=[*CATALOGUE, "all"])
    _add_target(run)
    run.add_argument("--clock", choices=[str(clock) for clock in Clock], default="events", help="how time is taken")
    run.add_argument("--num-samples", type=int, default=50, help="timed inferences per setting (50)")
    run.add_argument("--warmup", type=int, default=2, help="untimed inferences per setting (2)")
    run.add_argument("--seed", type=int, default=0, help="seed of the visiting order (0)")
    run.add_argument("--max-grid-size", type=int, help="context_scaling: grids 1×1 to 1×N (12)")
    run.add_argument("--top-k-values", nargs="+", metavar="K", help="moe_topk: values (1 2 4 8 16 32)")
    run.add_argument("--num-active-blocks", nargs="+", metavar="N", help="transformer_blocks_mask: first N, or masks")
    run.add_argument("--max-new-tokens", nargs="+", metavar="N", help="output_tokens: values (1 5 10 20 50 100 200)")
    run.add_argument("--grid", type=int, default=1, help="image grid 1×N while another knob is turned (1)")
    run.add_argument("--top-k", type=int, help="top-k while another knob is turned (the model's own)")
    run.add_argument("--block-mask", metavar="MASK", help="blocks that run while another knob is turned, such as 1011")
    run.add_argument("--image", help="a picture file, a photograph's name, or a colour as #rrggbb")
    run.add_argument("--prompt", help="the question put to the model")
    run.add_argument("--output-dir", type=Path, default=DEFAULT_OUTPUT, help="for result files (results/profiling)")
    _add_database(run)
    run.add_argument("--spool-only", type=Path, metavar="DIR", help="write spools here and open no database")
    run.set_defaults(command=_run)

    take_in = commands.add_parser("import", help="take in spools and profiling results")
    take_in.add_argument("files", nargs="+", type=Path, metavar="FILE")
    _add_database(take_in)
    take_in.set_defaults(command=_import)

    runs = commands.add_parser("runs", help="list the runs in a database")
    _add_database(runs)
    runs.add_argument("--json", action="store_true", help="as JSON")
    runs.set_defaults(command=_runs)

    check = commands.add_parser("check", help="compare a model with expected outputs, an engine with eager")
    _add_target(check)
    check.add_argument("--expected", type=Path, help="safetensors with in.* and out.*")
    check.set_defaults(command=_check)

    tokens = commands.add_parser("tokens", help="how a picture of some size becomes tokens")
    tokens.add_argument("--width", type=int, required=True)
    tokens.add_argument("--height", type=int, required=True)
    tokens.add_argument("--max-crops", type=int, default=12)
    tokens.add_argument("--json", action="store_true", help="as JSON")
    tokens.set_defaults(command=_tokens)

    ceilings = commands.add_parser("ceilings", help="measure what the device can do at most")
    ceilings.add_argument("--device", help="cpu or cuda:N (the first GPU, or the CPU)")
    ceilings.add_argument("--dtype", default="auto", help="float32, bfloat16, float16 or auto")
    ceilings.add_argument("--json", action="store_true", help="as JSON")
    ceilings.set_defaults(command=_ceilings)

    why = commands.add_parser("why", help="profile one setting: where its time goes, and what binds it")
    _add_target(why)
    why.add_argument("--grid", type=int, default=1, help="image grid 1×N (1)")
    why.add_argument("--top-k", type=int, help="top-k (the model's own)")
    why.add_argument("--block-mask", metavar="MASK", help="blocks that run, such as 1011 (all)")
    why.add_argument("--output-tokens", type=int, default=9, help="at most 9 are looked at (9)")
    why.add_argument("--image", help="a picture file, a photograph's name, or a colour as #rrggbb")
    why.add_argument("--prompt", help="the question put to the model")
    why.add_argument("--trace", type=Path, metavar="FILE", help="write a Chrome trace, gzipped")
    why.add_argument("--json", action="store_true", help="as JSON")
    why.set_defaults(command=_why)

    compare = commands.add_parser("compare-engines", help="the same sweep under each engine, and its sensitivities")
    compare.add_argument("experiment", nargs="?", choices=[*CATALOGUE, "all"], default="moe_topk")
    _add_target(compare, engine=False)
    compare.add_argument("--engines", nargs="+", choices=list(ENGINES), help="those that the device can run")
    compare.add_argument("--num-samples", type=int, default=20, help="timed inferences per setting (20)")
    compare.add_argument("--warmup", type=int, default=2, help="untimed inferences per setting (2)")
    compare.add_argument("--seed", type=int, default=0, help="seed of the visiting order (0)")
    compare.add_argument("--image", help="a picture file, a photograph's name, or a colour as #rrggbb")
    compare.add_argument("--prompt", help="the question put to the model")
    compare.add_argument("--json", action="store_true", help="as JSON")
    _add_database(compare)
    compare.add_argument("--spool-only", type=Path, metavar="DIR", help="write spools here and open no database")
    compare.set_defaults(command=_compare_engines)

    bench = commands.add_parser("bench", help="measure what the measuring itself costs")
    _add_target(bench)
    bench.add_argument("--only", nargs="+", help="benchmarks to run (all that this machine has what it takes for)")
    bench.add_argument("--json", action="store_true", help="as JSON")
    bench.set_defaults(command=_bench)
    return parser


def _add_target(parser: argparse.ArgumentParser, engine: bool = True) -> None:
    model = "tiny, molmoe-1b, a checkpoint directory or a hub name"
    parser.add_argument("--model", help=f"{model} (molmoe-1b on a GPU, tiny on a CPU)")
    parser.add_argument("--device", help="cpu or cuda:N (the first GPU, or the CPU)")
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16, float16 or auto")
    parser.add_argument("--experts", default="auto", help="eager, batched_mm, grouped_mm or auto")
    if engine:
        parser.add_argument("--engine", choices=list(ENGINES), default="eager", help="how the model is executed")


def _add_database(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--db", type=Path, help="the database (data/profcore.duckdb)")


def _database(options: argparse.Namespace) -> Path:
    from profcore.paths import default_database

    return options.db or default_database()


def _target(options: argparse.Namespace) -> Target:
    device = _default_device(options.device)
    model = options.model or ("tiny" if device == "cpu" else "molmoe-1b")
    return Target(model, device, options.dtype, getattr(options, "engine", "eager"), options.experts)


def _default_device(given: str | None) -> str:
    import torch

    if given is None:
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    return "cuda:0" if given == "cuda" else given


def _given_values(experiment: Experiment, options: argparse.Namespace, config: MolmoConfig) -> Sequence[int | str]:
    """The knob's values as the options say, or its defaults."""
    if experiment.knob is Knob.VISION_TOKENS:
        largest = options.max_grid_size
        if largest is not None and largest < 1:
            raise UserError(f"--max-grid-size {largest} is out of range: give 1 to 12.")
        return range(1, largest + 1) if largest is not None else default_values(experiment, config)
    given = {
        Knob.TOP_K: options.top_k_values,
        Knob.ACTIVE_BLOCKS: options.num_active_blocks,
        Knob.OUTPUT_TOKENS: options.max_new_tokens,
    }[experiment.knob]
    return parse_values(experiment, " ".join(given), config) if given else default_values(experiment, config)


def _base(experiment: Experiment, options: argparse.Namespace, config: MolmoConfig) -> Setting:
    own = base_setting(experiment, config)
    return Setting(
        grid=(1, options.grid),
        top_k=own.top_k if options.top_k is None else options.top_k,
        block_mask=parse_mask(options.block_mask) if options.block_mask else own.block_mask,
        output_tokens=own.output_tokens,
    )


def _picture(text: str | None) -> Picture:
    from profcore.models.pictures import PHOTOS

    if text is None:
        return Picture()
    if text.startswith("#"):
        return Picture("solid", text)
    return Picture("photo" if text in PHOTOS else "file", text)


def _run(options: argparse.Namespace) -> int:
    from profcore.models.knobs import check_setting
    from profcore.models.pictures import load_picture
    from profcore.spec import DEFAULT_PROMPT
    from profcore.spool import SpoolWriter, spool_path
    from profcore.worker import ModelShelf

    names = list(CATALOGUE) if options.experiment == "all" else [options.experiment]
    spools = options.spool_only or _check_database(_database(options))
    target, shelf = _target(options), ModelShelf()
    picture = _picture(options.image)
    load_picture(picture)
    # Loaded before anything is written, so that a checkpoint or engine that cannot be used leaves no trace.
    config = shelf.get(target).model.config
    shelf.engine(target)
    sweeps = []
    for name in names:
        experiment = get_experiment(name)
        base = _base(experiment, options, config)
        sweep = Sweep(
            experiment=name,
            settings=build_settings(experiment, _given_values(experiment, options, config), base),
            num_samples=options.num_samples,
            warmup=options.warmup,
            seed=options.seed,
            clock=Clock(options.clock),
            picture=picture,
            prompt=options.prompt or DEFAULT_PROMPT,
        )
        for setting in sweep.settings:
            check_setting(setting, config)
        sweeps.append(sweep)
    code = 0
    for sweep in sweeps:
        spec = RunSpec.new(target, sweep)
        path = spool_path(spools, spec.id)
        with SpoolWriter(path) as writer:
            writer.run(spec)
            state = _measure(spec, writer, shelf)
        code = max(code, _report(options, spec, path, state))
        if state is State.STOPPED:
            return 130
    return code


def _check_database(database: Path) -> Path:
    """The spool directory beside a database that can be used, now or by the process that holds it."""
    try:
        from profcore.store import Store, spool_directory
    except ImportError as error:
        raise UserError(f"{error.name} is not installed here: write spools with --spool-only DIR.") from None
    with suppress(StoreHeldError):
        Store(database).close()
    return spool_directory(database)


def _measure(spec: RunSpec, writer: Any, shelf: Any) -> State:
    """Execute a run under a progress bar; Ctrl-C stops it."""
    import signal

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from profcore.measure.loop import Routing, SettingFailed
    from profcore.worker import execute

    stopping: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: stopping.append(number))
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    try:
        # Drawn between inferences only: a thread that draws would take the interpreter from a launch-bound one.
        with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as progress:
            drawn = [0.0]
            task = progress.add_task(spec.sweep.experiment, total=spec.sweep.num_inferences)

            def seen(result: Any) -> None:
                if isinstance(result, Routing):
                    return
                if isinstance(result, SettingFailed):
                    progress.console.print(f"Setting {result.setting + 1} failed: {result.reason}")
                    progress.update(task, total=(progress.tasks[0].total or 0) - spec.sweep.num_samples)
                else:
                    progress.advance(task)
                if time.monotonic() - drawn[0] > _REDRAW_S:
                    drawn[0] = time.monotonic()
                    progress.refresh()

            def told(text: str) -> None:
                progress.update(task, description=f"{spec.sweep.experiment}: {text}")
                progress.refresh()

            return execute(spec, writer, shelf, lambda: bool(stopping), seen, told)
    finally:
        signal.signal(signal.SIGINT, before)


def _report(options: argparse.Namespace, spec: RunSpec, path: Path, state: State) -> int:
    """Write the result file, hand the spool to the store, and say what was done."""
    from profcore.formats import profiling_json
    from profcore.frames import spool_environment, spool_samples
    from profcore.spool import read_from

    samples = spool_samples(path)
    if samples.empty:
        last = read_from(path).records[-1]
        print(f"profcore: {spec.sweep.experiment} {state}: {last.get('reason')}", file=sys.stderr)
    else:
        experiment = get_experiment(spec.sweep.experiment)
        metadata = {"run": spec.to_dict(), "environment": spool_environment(path), "state": str(state)}
        file = options.output_dir / experiment.folder / experiment.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(profiling_json(experiment, samples, metadata), encoding="utf-8")
        print(f"{experiment.name}: {len(samples)} samples, {state}, in {file}")
    _deliver(options, path)
    return 0 if state is State.DONE else 1


def _deliver(options: argparse.Namespace, path: Path) -> None:
    """Hand a spool to the store, or say where it stays."""
    if options.spool_only:
        print(f"Spool: {path}")
    else:
        _hand_over(path, _database(options))


def _hand_over(path: Path, database: Path) -> None:
    from profcore.store import Store

    try:
        with Store(database) as store:
            store.take_in_all()
    except StoreHeldError:
        print(f"{database} is held by another process: the spool stays in {path}, and its owner takes it in.")


def _import(options: argparse.Namespace) -> int:
    from profcore.intake import lay_down, recognise

    database = _database(options)
    spools = _check_database(database)
    contents = []
    for file in options.files:
        try:
            contents.append((file, file.read_bytes()))
        except OSError as error:
            raise UserError(f"{file} cannot be read: {error.strerror}.") from None
    # All are looked at before the first is stored: one bad file leaves no half of the others behind.
    recognised = [(file, recognise(data, str(file), spools)) for file, data in contents]
    for file, received in recognised:
        lay_down(received, spools)
        note = f" {received.note}" if received.note else ""
        print(f"{file}: run {received.run_id}{'' if received.new else ' was here before'}.{note}")
        _hand_over(spools / f"{received.run_id}.jsonl", database)
    return 0


def _runs(options: argparse.Namespace) -> int:
    from profcore.store import Store

    database = _database(options)
    if not database.exists():
        raise UserError(f"There is no database {str(database)!r} yet: measure or import something first.")
    with Store(database) as store:
        store.take_in_all()
        frame = store.runs()
        rows = []
        for run in frame.to_dict("records"):
            environment = json.loads(run["environment"]) if isinstance(run["environment"], str) else {}
            row = {key: run[key] for key in ("id", "experiment", "state", "num_samples", "source")}
            row["created_at"] = run["created_at"].isoformat()
            row["reason"] = run["reason"] if isinstance(run["reason"], str) else None
            row.update({key: environment.get(key) for key in ("model", "weights", "device_name", "dtype", "clock")})
            rows.append(row)
    if options.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "experiment", "state", "samples", "model", "weights", "device")
    for row in rows:
        cells = (row["id"], row["experiment"], row["state"], row["num_samples"], row["model"], row["weights"])
        table.add_row(*(str(cell or "") for cell in (*cells, row["device_name"])))
    Console().print(table)
    return 0


def _check(options: argparse.Namespace) -> int:
    from profcore.models.parity import against_eager, compare, every_knob
    from profcore.worker import ModelShelf

    if options.expected is None and options.engine == "eager":
        raise UserError("Nothing to compare with: give --expected FILE, or --engine graph or compiled.")
    shelf, target = ModelShelf(), _target(options)
    loaded, engine = shelf.get(target), shelf.engine(target)
    differences = compare(loaded.model, engine, options.expected) if options.expected else []
    if options.engine != "eager":
        print(f"{options.engine} against eager, logits:", file=sys.stderr)
        differences += [against_eager(loaded, engine, setting) for setting in every_knob(loaded.model.config)]
    for difference in differences:
        verdict = "" if difference.passed else f"  above {difference.tolerance:.3g}"
        print(f"{difference.name:<48} {difference.largest:.3e}{verdict}")
    return 0 if all(difference.passed for difference in differences) else 1


def _tokens(options: argparse.Namespace) -> int:
    from profcore.models import images
    from profcore.models.config import PRESETS

    rows, columns = images.select_tiling(options.height, options.width, options.max_crops)
    width, height = images.grid_size(rows, columns)
    images.fitted_size(options.height, options.width, height, width)
    images.fitted_size(options.height, options.width, images.CROP, images.CROP)
    tokens = images.image_tokens(rows, columns, images.PLAIN_IDS)
    model_tokens = images.image_tokens(rows, columns, PRESETS["molmoe-1b"].image_token_ids)
    result = {
        "tiling": list(tokens.tiling),
        "num_crops": tokens.num_crops,
        "num_vision_tokens": tokens.num_vision_tokens,
        "num_image_tokens": tokens.num_image_tokens,
        "patch_index_sha256": images.sha256_int32(tokens.patch_index),
        "tokens_sha256": images.sha256_int32(tokens.tokens),
        "special_token_ids": images.PLAIN_IDS,
        "molmoe_tokens_sha256": images.sha256_int32(model_tokens.tokens),
    }
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<22} {value}")
    return 0


def _ceilings(options: argparse.Namespace) -> int:
    from profcore.measure.ceilings import measure_ceilings
    from profcore.models.load import resolve_device, resolve_dtype

    device = resolve_device(_default_device(options.device))
    found = measure_ceilings(device, resolve_dtype(options.dtype, device))
    if options.json:
        print(json.dumps(found.to_dict(), indent=2))
        return 0
    print(f"{found.device_name}, {found.dtype}, torch {found.torch}")
    print(f"reading memory   {found.read_gb_s:10,.1f} GB/s")
    print(f"copying memory   {found.copy_gb_s:10,.1f} GB/s, bytes read and written")
    print(f"matrix products  {found.matmul_tflop_s:10,.3f} TFLOP/s, 2 per multiply-add")
    return 0


def _why(options: argparse.Namespace) -> int:
    from profcore.engines.base import PreparationError
    from profcore.tools import run_tool
    from profcore.worker import ModelShelf

    shelf, target, picture = ModelShelf(), _target(options), _picture(options.image)
    config = shelf.get(target).model.config
    setting = Setting(
        grid=(1, options.grid),
        top_k=config.top_k if options.top_k is None else options.top_k,
        block_mask=parse_mask(options.block_mask) if options.block_mask else (True,) * config.n_layers,
        output_tokens=options.output_tokens,
    )
    arguments = {
        "setting": setting.to_dict(),
        "picture": picture.to_dict(),
        "prompt": options.prompt,
        "trace": str(options.trace) if options.trace else None,
    }
    try:
        found = run_tool("profile", shelf, target, arguments, lambda text: print(f"{text}…", file=sys.stderr))
    except PreparationError as error:
        print(f"profcore: it could not be compiled and captured ({error}).", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    from profcore.results import display_profile_kernels, display_profile_stages

    print(found["verdict"])
    _print_table(display_profile_stages(found))
    _print_table(_parts_table(found))
    _print_table(display_profile_kernels(found).head(12))
    return 0


def _parts_table(profile: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {"stage": part["stage"], "part": part["part"], "time (ms)": round(part["ms"], 3), "kernels": part["kernels"]}
        for part in profile["parts"]
    ]
    return pd.DataFrame(rows)


def _print_table(frame: pd.DataFrame) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*(str(column) for column in frame))
    for row in frame.astype(object).where(frame.notna(), "–").to_numpy().tolist():
        table.add_row(*(f"{value:,.4g}" if isinstance(value, float) else str(value) for value in row))
    Console().print(table)


def _compare_engines(options: argparse.Namespace) -> int:
    import pandas as pd

    from profcore.comparison import display_sensitivities, published_sensitivities, sensitivities
    from profcore.frames import spool_samples
    from profcore.models.pictures import load_picture
    from profcore.spec import DEFAULT_PROMPT
    from profcore.spool import SpoolWriter, spool_path
    from profcore.worker import ModelShelf

    names = list(CATALOGUE) if options.experiment == "all" else [options.experiment]
    spools = options.spool_only or _check_database(_database(options))
    target, shelf, picture = _target(options), ModelShelf(), _picture(options.image)
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
                state = _measure(spec, writer, shelf)
            _deliver(options, path)
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
        _print_table(display_sensitivities(table[table["experiment"] == name]))
    return code


def _bench(options: argparse.Namespace) -> int:
    from profcore.bench import run_benchmarks

    return run_benchmarks(_target(options), options.only, options.json)
