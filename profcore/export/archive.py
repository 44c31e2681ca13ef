"""Runs as a zip: result files in the published formats, samples as CSV and Parquet, and figures."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

from profcore.comparisons.flops_scaling import routed_experts
from profcore.export.captions import of_figure, provenance
from profcore.export.figure_files import figure
from profcore.export.result_files import result_files
from profcore.export.run_figures import run_figures
from profcore.formats import samples_csv, samples_parquet
from profcore.formats.text_files import csv_text, json_text
from profcore.results.joint import JointResult, load_joint
from profcore.results.joint_tables import display_joint
from profcore.results.pictures import PictureResult, load_picture_result
from profcore.results.sweep import Result, load_result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import pyarrow as pa

    from profcore.results.base import MeasuredRun
    from profcore.storage.read import Reader

_FIGURES = ("png", "svg", "pdf")
# Of zlib: half the time of the usual one, and a twelfth more bytes.
_LEVEL = 4


AnyResult = Result | JointResult | PictureResult


def load_run(store: Reader, run_id: str) -> AnyResult | None:
    """A run of any kind as a page shows it."""
    return load_result(store, run_id) or load_joint(store, run_id) or load_picture_result(store, run_id)


def run_result_files(store: Reader, result: MeasuredRun) -> dict[str, str]:
    """A run's result files in the published formats, by their paths."""
    return _result_files(store, result, store.sample_table(result.run["id"]), result.metadata)


def _result_files(store: Reader, result: MeasuredRun, table: pa.Table, metadata: dict[str, Any]) -> dict[str, str]:
    samples = table.to_pandas()
    summaries = store.summaries(result.run["id"]) if samples.empty else None
    if summaries is not None and summaries.empty:
        return {}
    routed = routed_experts(result.settings)
    return result_files(result.run["experiment"], samples, metadata, routed, summaries)


def zip_files(files: Mapping[str, str | bytes]) -> bytes:
    """Files as a zip, by their paths in it."""
    return zip_folders([("", files)])


def zip_runs(
    runs: Iterable[AnyResult | None],
    store: Reader,
    figures: Callable[[AnyResult], Mapping[str, bytes]] = lambda result: {},
) -> bytes:
    """Runs as a zip, each in a folder of its own.

    Args:
        runs: As `load_run` gives them; one that is none is passed over.
        store: Where they are.
        figures: Gives a run's figures, such as `figure_files`; none unless given, since they take most of the time.
    """
    there = (result for result in runs if result is not None)
    return zip_folders((f"{each.run['id']}/", {**data_files(store, each), **figures(each)}) for each in there)


def zip_folders(folders: Iterable[tuple[str, Mapping[str, str | bytes]]]) -> bytes:
    """Files as a zip.

    Args:
        folders: What the paths of some files begin with, and these by the rest of their paths.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for folder, files in folders:
            for name, data in files.items():
                # A PNG is compressed already; the PDFs are not.
                kept = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
                archive.writestr(f"{folder}{name}", data, kept)
    return buffer.getvalue()


def data_files(store: Reader, result: AnyResult) -> dict[str, bytes]:
    """All files of a run but its figures, by their paths below the run's folder."""
    return {name: data if isinstance(data, bytes) else data.encode() for name, data in _data_files(store, result)}


def _data_files(store: Reader, result: AnyResult) -> Iterator[tuple[str, str | bytes]]:
    metadata: dict[str, Any] = result.metadata
    yield "run.json", json_text(metadata, indent=2)
    if isinstance(result, Result) and not result.summary.empty:
        yield "summary.csv", csv_text(result.summary)
    if isinstance(result, JointResult):
        yield "points.csv", csv_text(display_joint(result))
    table = store.sample_table(result.run["id"])
    yield from _result_files(store, result, table, metadata).items()
    if not result.samples.empty:
        yield "samples.csv", samples_csv(table)
        yield "samples.parquet", samples_parquet(table, metadata)


def figure_files(result: AnyResult) -> dict[str, bytes]:
    """A run's figures as files of every kind, with their captions, by their paths below the run's folder."""
    files = {}
    for name, drawn in run_figures(result).items():
        said = of_figure(provenance(result), name)
        for kind in _FIGURES:
            files[f"figures/{name}.{kind}"] = figure(drawn, kind, said.footer)
        files[f"figures/{name}.txt"] = said.plain.encode()
        files[f"figures/{name}.tex"] = said.latex.encode()
    return files
