"""`export`: a run's result files, samples and figures into a folder or MLflow, or the whole store as Parquet."""

from __future__ import annotations

import argparse
import io
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.options import add_database, add_run
from profcore.cli.reading import reading
from profcore.cli.values import make_output_directory
from profcore.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profcore.storage.store import Store

FILES, PARQUET = "files", "parquet"
MLFLOW = "mlflow"


def register(commands: Commands) -> None:
    """Add `export`."""
    text = "write a run's result files, samples and figures into a folder, or all runs as tables"
    examples = ("RUN --output DIR", "--all --format parquet --output DIR", "RUN --to mlflow --tracking-uri URI")
    parser = add_command(commands, "export", text, *examples)
    add_run(parser, nargs="?")
    parser.add_argument("--all", action="store_true", help="every run instead of one")
    kinds = f"{FILES}: a folder for each run; {PARQUET}: runs, settings, samples and summaries as a file each"
    parser.add_argument("--format", choices=[FILES, PARQUET], default=FILES, help=f"{kinds} ({FILES})")
    default = Path("results/exports")
    parser.add_argument("--output-dir", "--output", type=Path, metavar="DIR", default=default, help=f"({default})")
    parser.add_argument("--to", choices=[MLFLOW], help="into what other programs look at, in place of a folder")
    text = "with --to mlflow: a server's address, or a database such as sqlite:///mlflow.db ($MLFLOW_TRACKING_URI)"
    parser.add_argument("--tracking-uri", metavar="URI", help=text)
    text = "with --to mlflow: its experiment (profcore/ and the run's own)"
    parser.add_argument("--mlflow-experiment", metavar="NAME", help=text)
    add_database(parser)
    parser.set_defaults(command=export)


def export(options: argparse.Namespace) -> int:
    """Write a run or all of them, and print the files."""
    if (options.run is None) != options.all:
        raise UserError("Name one run to export, or say --all.")
    if options.to is None and (options.tracking_uri or options.mlflow_experiment):
        raise UserError("--tracking-uri and --mlflow-experiment are of --to mlflow: give that as well.")
    with reading(options) as store:
        if options.to == MLFLOW:
            return _to_mlflow(store, options)
        for path in _tables(store, options) if options.format == PARQUET else _files(store, options):
            print(path)
    return 0


def _to_mlflow(store: Store, options: argparse.Namespace) -> int:
    """Write runs into MLflow; one that cannot be written is said, and of several the others are."""
    from profcore.export.archive import load_run
    from profcore.export.mlflow_run import check_mlflow, export_to_mlflow
    from profcore.results.named import find_run

    # What no run could be written for is said once.
    check_mlflow(options.tracking_uri)
    run_ids = store.runs()["id"].tolist() if options.all else [find_run(store, options.run)]
    code = 0
    for run_id in run_ids:
        result = load_run(store, run_id)
        assert result
        try:
            there = export_to_mlflow(store, result, options.tracking_uri, options.mlflow_experiment)
        except UserError as error:
            if not options.all:
                raise
            print(f"profcore: {error}", file=sys.stderr)
            code = 2
            continue
        print(f"{run_id} is {there} in MLflow.")
    return code


def _tables(store: Store, options: argparse.Namespace) -> list[Path]:
    """The tables of what was asked for."""
    from profcore.results.named import find_run
    from profcore.storage.parquet import write_parquet

    run_ids = None if options.all else [find_run(store, options.run)]
    make_output_directory(options.output_dir)
    return write_parquet(store, options.output_dir, run_ids)


def _files(store: Store, options: argparse.Namespace) -> Iterator[Path]:
    """What the zips of what was asked for hold, as files."""
    try:
        from profcore.export.archive import figure_files, load_run, zip_runs
        from profcore.results.named import find_run
    except ImportError as error:
        raise UserError(f"{error.name} is not installed here: export where requirements.txt is.") from None
    run_ids = store.runs()["id"].tolist() if options.all else [find_run(store, options.run)]
    make_output_directory(options.output_dir)
    for run_id in run_ids:
        with zipfile.ZipFile(io.BytesIO(zip_runs([load_run(store, run_id)], store, figure_files))) as archive:
            archive.extractall(options.output_dir)
            for name in archive.namelist():
                yield options.output_dir / name
