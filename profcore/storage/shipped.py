"""The sample results that come with the project: spools, most of them gzipped."""

from __future__ import annotations

import gzip
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from profcore.paths import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDINGS = (".jsonl", ".jsonl.gz")
_SIZE_BYTES = 4


def shipped_spools(directory: Path | None = None) -> dict[str, Path]:
    """The files of sample results by the id of their run, in the order of the ids."""
    found = (directory or SHIPPED).glob("*.jsonl*")
    paths = {path.name.partition(".jsonl")[0]: path for path in found if path.name.endswith(_ENDINGS)}
    return {run_id: path for run_id, path in sorted(paths.items()) if path.is_file()}


def unpacked_size(path: Path) -> int:
    """Bytes of a sample result as a spool, without unpacking it.

    Source: RFC 1952: a gzip file ends with the size of what it holds, modulo 2³².
    """
    if path.suffix != ".gz":
        return path.stat().st_size
    with path.open("rb") as file:
        file.seek(-_SIZE_BYTES, 2)
        return int.from_bytes(file.read(_SIZE_BYTES), "little")


@contextmanager
def unpacked(run_id: str, path: Path) -> Iterator[Path]:
    """A sample result as a spool that is named after its run; one that was gzipped is gone afterwards."""
    if path.suffix != ".gz":
        yield path
        return
    with TemporaryDirectory() as directory:
        plain = Path(directory) / f"{run_id}.jsonl"
        with gzip.open(path) as packed, plain.open("wb") as file:
            shutil.copyfileobj(packed, file)
        yield plain
