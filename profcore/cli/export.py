"""`export`: a run's result files, samples and figures into a folder."""

from __future__ import annotations

import argparse
import io
import zipfile
from pathlib import Path

from profcore.cli.options import add_database
from profcore.cli.reading import find_run, reading
from profcore.cli.values import make_output_directory
from profcore.errors import UserError


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `export`."""
    parser = commands.add_parser("export", help="write a run's result files, samples and figures into a folder")
    parser.add_argument("run", metavar="RUN", help="its id, or a beginning that is one run's alone")
    parser.add_argument("--output-dir", type=Path, default=Path("results/exports"), help="(results/exports)")
    add_database(parser)
    parser.set_defaults(command=export)


def export(options: argparse.Namespace) -> int:
    """Write what a run's zip holds, as files."""
    try:
        from profcore.export.archive import zip_runs
    except ImportError as error:
        raise UserError(f"{error.name} is not installed here: export where requirements.txt is.") from None
    with reading(options) as store:
        run_id = find_run(store, options.run)
        make_output_directory(options.output_dir)
        with zipfile.ZipFile(io.BytesIO(zip_runs(store, [run_id]))) as archive:
            archive.extractall(options.output_dir)
            for name in archive.namelist():
                print(options.output_dir / name)
    return 0
