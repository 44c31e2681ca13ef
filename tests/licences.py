"""Write `docs/licences.md`: under which licence each package of `requirements.lock` stands.

`make licences` runs `python -m tests.licences`. A package's own metadata says it, as it is installed here in the
version that is locked, else as its wheel at the public index says it, for which a network is needed.
`tests/test_lock.py` holds the page and the lock together.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import re
import sys
import urllib.request
import zipfile
from email.parser import BytesParser
from typing import TYPE_CHECKING

from tests.support import ROOT

if TYPE_CHECKING:
    from email.message import Message

LOCK, PAGE = ROOT / "requirements.lock", ROOT / "docs" / "licences.md"
_HEAD = """# Licences

profcore is under the [Apache License 2.0](../LICENSE). What it stands on, in the versions of `requirements.lock`, each
under what its own metadata says; a package that stands twice is locked in two versions, for older and newer Pythons.
None is part of this repository. torch requires NVIDIA's packages on Linux, which have licences of NVIDIA's own.
`make licences` writes this page anew after `make lock`.

| package | version | licence |
| --- | --- | --- |
"""
_LONGEST = 80
_INDEX, _LISTED = "https://pypi.org/simple/{name}/", "application/vnd.pypi.simple.v1+json"


def locked() -> list[tuple[str, str]]:
    """Names and versions of the packages in the lock, in its order."""
    return re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)


def licence_of(expression: str | None, classifiers: list[str], text: str | None) -> str:
    """What metadata says of a licence: its SPDX expression, else its classifiers, else the first line of its text."""
    if expression:
        return expression
    named = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")]
    if named := [each for each in named if each != "OSI Approved"]:
        return ", ".join(named)
    first = (text or "").strip().partition("\n")[0].strip()
    return first if 0 < len(first) <= _LONGEST else "not said in a word: see the package"


def main() -> None:
    """Write the page; ends with a sentence where a package's metadata cannot be had."""
    rows = []
    for name, version in locked():
        try:
            said = _installed(name, version) or _published(name, version)
        except (OSError, LookupError) as error:
            sys.exit(f"The licence of {name} {version} cannot be found out without the public index: {error}.")
        classifiers = said.get_all("Classifier") or []
        licence = licence_of(said.get("License-Expression"), classifiers, said.get("License"))
        rows.append(f"| `{name}` | {version} | {licence.replace('|', '/')} |\n")
    PAGE.write_text(_HEAD + "".join(rows), encoding="utf-8")


def _installed(name: str, version: str) -> Message | None:
    """What is installed says; None where that is nothing or another version."""
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    return found.metadata if found.version == version else None  # type: ignore[return-value]


def _published(name: str, version: str) -> Message:
    """What a wheel of the package says, of which no more is fetched than that."""
    asked = urllib.request.Request(_INDEX.format(name=name), headers={"Accept": _LISTED})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        files = json.load(answer)["files"]
    wheel = f"{name.replace('-', '_')}-{version}-"
    (address, *_) = [each["url"] for each in files if each["filename"].lower().startswith(wheel)]
    with zipfile.ZipFile(io.BufferedReader(_Remote(address), 2**18)) as archive:
        (path,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        return BytesParser().parsebytes(archive.read(path))


class _Remote(io.RawIOBase):
    """A file at an address, read where it is sought."""

    def __init__(self, address: str) -> None:
        """Ask for its size."""
        self._address, self._place = address, 0
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=60) as answer:
            self._size = int(answer.headers["Content-Length"])

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        end = min(self._place + len(buffer), self._size)
        if end <= self._place:
            return 0
        part = {"Range": f"bytes={self._place}-{end - 1}"}
        with urllib.request.urlopen(urllib.request.Request(self._address, headers=part), timeout=60) as answer:
            data = answer.read(end - self._place)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


if __name__ == "__main__":
    main()
