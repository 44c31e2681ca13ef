"""Result files, in and out: the published profiling and Motivation JSON, CSV and Parquet."""

from __future__ import annotations

from profcore.errors import FormatError
from profcore.formats.joint_folder import read_joint_document
from profcore.formats.joint_in import holds_joint
from profcore.formats.metadata import Imported
from profcore.formats.motivation import holds_motivation, motivation_json, read_motivation
from profcore.formats.profiling import profiling_json, read_profiling
from profcore.formats.samples import samples_csv, samples_parquet
from profcore.formats.scaling import holds_scaling, known_scaling_json, read_scaling, scaling_json
from profcore.formats.values import zeros_note
from profcore.spec.limits import most_result_values
from profcore.spec.text import parse_json

__all__ = [
    "known_scaling_json",
    "motivation_json",
    "profiling_json",
    "read_result",
    "samples_csv",
    "samples_parquet",
    "scaling_json",
    "zeros_note",
]


def read_result(data: bytes, name: str) -> Imported:
    """A result file of any kind, told by its content.

    Args:
        data: The file's content.
        name: What the file is called, for the run and for errors.

    Raises:
        FormatError: It is none, or rows of it cannot be read.
    """
    if data[:4] == b"PK\x03\x04":
        raise FormatError(f"{name} is a zip, which may hold several runs: import it, or give one of the files in it.")
    try:
        document = parse_json(data, most_result_values())
    except ValueError as error:
        reason = f" ({error})" if str(error).startswith("it is") else ""
        raise FormatError(f"{name} is not JSON{reason}: give a result file or a spool.") from None
    if holds_joint(document):
        found, samples = read_joint_document(document, data, name)
        return Imported(found.run_id, [found.first, *samples, *found.rest], found.zeros, tuple(found.notes))
    if holds_motivation(document):
        return read_motivation(document, data, name)
    if holds_scaling(document):
        return read_scaling(document, data, name)
    return read_profiling(document, data, name)
