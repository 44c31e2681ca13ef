"""The lock holds what is required, with hashes and without an address, and the page of licences follows it."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests import licences
from tests.support import ROOT

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
# A requirement, and the lines that go on from it.
ENTRIES = re.findall(r"^([a-z0-9](?:.*\\\n)*.*)", LOCK, re.MULTILINE)


def _locked() -> list[tuple[Requirement, list[str]]]:
    """Each requirement of the lock with its hashes."""
    found = []
    for entry in ENTRIES:
        requirement, *hashes = [line.strip(" \\") for line in entry.splitlines()]
        found.append((Requirement(requirement), hashes))
    return found


LOCKED = _locked()


def test_everything_that_is_required_is_locked_within_its_range():
    required = [Requirement(line) for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()]
    for each in required:
        name = canonicalize_name(each.name)
        versions = [str(locked.specifier)[2:] for locked, _ in LOCKED if locked.name == name]
        assert versions, f"{name} is not locked: run `make lock`"
        assert all(each.specifier.contains(version) for version in versions), name


def test_every_line_of_the_lock_is_one_version_with_hashes():
    assert len(LOCKED) > 50
    for requirement, hashes in LOCKED:
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), requirement
        assert hashes and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes), requirement.name
        # A version of one machine's own, as `+cpu`, is none that the public index has.
        assert "+" not in str(requirement.specifier)


def test_the_lock_names_no_index_and_no_file():
    assert not re.search(r"https?:|file:|--(extra-)?index-url|--find-links|@", LOCK)


def test_the_lock_holds_on_every_python_that_is_supported():
    for version in ("3.11", "3.12", "3.13", "3.14"):
        environment = {"python_version": version, "python_full_version": f"{version}.0"}
        for name in ("numpy", "torch", "duckdb", "streamlit"):
            found = [each for each, _ in LOCKED if each.name == name]
            assert sum(each.marker is None or each.marker.evaluate(environment) for each in found) == 1, (name, version)
    assert SpecifierSet(">=3.11").contains("3.14.0")


def test_the_page_of_licences_lists_what_is_locked():
    rows = re.findall(r"^\| `([\w-]+)` \| (\S+) \| (.+) \|$", licences.PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [(name, version) for name, version, _ in rows] == licences.locked(), "run `make licences`"
    assert licences.locked() == [(each.name, str(each.specifier)[2:]) for each, _ in LOCKED]


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        (("MIT", ["License :: OSI Approved :: BSD License"], "Apache"), "MIT"),
        ((None, ["Topic :: X", "License :: OSI Approved :: BSD License"], "a text"), "BSD License"),
        ((None, ["License :: OSI Approved"], "BSD-3-Clause\nCopyright"), "BSD-3-Clause"),
        ((None, [], "x" * 500), "not said in a word: see the package"),
        ((None, [], None), "not said in a word: see the package"),
    ],
)
def test_a_licence_is_read_from_what_metadata_says(said, licence):
    assert licences.licence_of(*said) == licence
