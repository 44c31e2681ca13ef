"""How fast the pages are, by the scripts of `tests/browser`, which only a checkout has."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

from profcore.bench.base import Bound, Figure, at_most
from profcore.paths import REPOSITORY

if TYPE_CHECKING:
    from profcore.spec.runs import Target
    from profcore.worker.shelf import ModelShelf

_SCRIPTS = REPOSITORY / "tests" / "browser"


def first_page(target: Target, shelf: ModelShelf) -> list[Figure]:
    """The first page of a fresh start; the slowest of those that are tried."""
    del target, shelf
    found = _measured("first_page", r"^(\w+) +([\d.]+) s, median")
    return _slowest("first-page", "of a fresh start until its stored charts are drawn", found, at_most(4), at_most(2))


def reruns(target: Target, shelf: ModelShelf) -> list[Figure]:
    """A page that is drawn again since a slider moved; the slowest page."""
    del target, shelf
    found = _measured("reruns", r"^(\w+) +[\d.]+ +([\d.]+)$")
    return _slowest("rerun", "drawn again since a slider moved, server time", found, at_most(0.2), at_most(0.1))


def first_bar(target: Target, shelf: ModelShelf) -> list[Figure]:
    """From Run to the first bar in Chromium, with a warm worker."""
    del target, shelf
    found = _measured("first_bar", r"^(Run) pressed to first bar drawn: ([\d.]+) s")
    return _slowest("first-bar", "pressed to first bar, warm worker, Chromium", found, at_most(1.5), at_most(1))


def first_chart(target: Target, shelf: ModelShelf) -> list[Figure]:
    """From opening a page to its first chart in Chromium, 200 runs and a million samples stored; the slowest page."""
    del target, shelf
    found = _measured("first_paint", r"^(\w+) +[\d.]+ +([\d.]+)$")
    how = "until its first chart stands, 200 runs and 1,000,000 samples, Chromium"
    return _slowest("first-chart", how, found, at_most(1.5), at_most(1))


def _measured(script: str, line: str) -> dict[str, float]:
    """What a script printed: seconds by what they are of; nothing where there is no such script, or it cannot run.

    Args:
        script: Of `tests/browser`.
        line: What a line of figures is like; its groups are what it is of, and seconds.
    """
    if not (_SCRIPTS / f"{script}.py").is_file():
        return {}
    command = [sys.executable, "-m", f"tests.browser.{script}"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it ended"])[-1]
        print(f"{script}: not run ({why}).", file=sys.stderr)
        return {}
    return {name: float(seconds) for name, seconds in re.findall(line, done.stdout, re.MULTILINE)}


def _slowest(benchmark: str, how: str, found: dict[str, float], must: Bound, aim: Bound) -> list[Figure]:
    """The figure of what took longest, which must be as fast as all others."""
    if not found:
        return []
    name = max(found, key=lambda each: found[each])
    of = f", the slowest of {len(found)}" if len(found) > 1 else ""
    return [Figure(benchmark, found[name], "s", f"{name}{of}: {how}, medians", must, aim)]
