"""Drawing the figures of result files, ours or published; needs what a machine that only measures has not."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from profcore.comparisons import flops_scaling
from profcore.errors import FormatError, UserError
from profcore.export.captions import of_figure, provenance
from profcore.export.figure_files import figure
from profcore.export.run_figures import run_figures
from profcore.formats.imports import read_import, write_import
from profcore.results.pictures import PictureResult, load_picture_result
from profcore.results.sweep import Result, load_result
from profcore.storage.store import Store


def draw(options: argparse.Namespace) -> int:
    """Write the figures of result files into `figures/` beside each."""
    if options.json_file:
        found = [(options.json_file, _load(options.json_file))]
        shown = [(path, result) for path, result in found if _is_of(result, options.experiment)]
        if not shown:
            name = found[0][1].run["experiment"]
            raise UserError(f"{options.json_file} holds results of {name}, not of {options.experiment}.")
    else:
        shown = _search(options.results_dir, options.experiment)
    written = 0
    for path, result in shown:
        for name, charts in run_figures(result).items():
            for kind in options.format:
                file = path.parent / "figures" / f"{name}.{kind}"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(figure(charts, kind, of_figure(provenance(result), name).footer))
                print(file)
                written += 1
    if not written:
        raise UserError(f"There is nothing to draw of {options.experiment} in what was given.")
    return 0


def _search(directory: Path, experiment: str) -> list[tuple[Path, Result | PictureResult]]:
    """Every result file below a directory that is of an experiment."""
    if not directory.is_dir():
        raise UserError(f"There is no directory {str(directory)!r}: measure something first, or give --json-file FILE.")
    found = []
    for path in sorted(directory.rglob("*.json")):
        try:
            result = _load(path)
        except FormatError as error:
            print(f"Passed over: {error}", file=sys.stderr)
            continue
        if _is_of(result, experiment):
            found.append((path, result))
    if not found:
        raise UserError(f"{directory} holds no result file of {experiment}.")
    return found


def _is_of(result: Result | PictureResult, experiment: str) -> bool:
    if experiment == flops_scaling.EXPERIMENT:
        return result.run["experiment"] == "moe_topk"
    return experiment in ("all", result.run["experiment"])


def _load(path: Path) -> Result | PictureResult:
    """A result file as a page would show it, by way of a database that is thrown away."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    with tempfile.TemporaryDirectory() as directory, Store(Path(directory) / "plot.duckdb") as store:
        imported = read_import(data, str(path), store.spools)
        write_import(imported, store.spools)
        store.take_in_all()
        result = load_result(store, imported.run_id) or load_picture_result(store, imported.run_id)
        assert result
        return result
