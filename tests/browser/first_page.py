"""Measure how long the first page of a fresh start takes: new process, new database, worker starting beside it.

`python -m tests.browser.first_page [TIMES [PAGE …]]` needs the tests' requirements but no browser.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from profcore.paths import DATABASE_VARIABLE
from tests.support import ROOT

PAGES = ("home", "vision_tokens", "motivation")
_ONCE = """
import logging, sys, time
from streamlit.testing.v1 import AppTest
logging.disable(logging.WARNING)
page = sys.argv[1]
begin = time.perf_counter()
test = AppTest.from_file("app.py", default_timeout=600)
if page != "home":
    test.switch_page(f"pages/{page}.py")
test.run()
taken = time.perf_counter() - begin
assert not test.exception, test.exception
assert test.get("vega_lite_chart")
print(taken, flush=True)
from pages.parts import state
state.service().close()
"""


def main(times: int = 5, *pages: str) -> None:
    """Start again and again, and print the median of each page."""
    for page in pages or PAGES:
        taken = [first_page(page) for _ in range(times)]
        middle, fastest, slowest = statistics.median(taken), min(taken), max(taken)
        print(f"{page:<16} {middle:.2f} s, median of {times} ({fastest:.2f} to {slowest:.2f})", flush=True)


def first_page(page: str) -> float:
    """Seconds until a page with its stored charts is drawn, Streamlit itself being there."""
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, DATABASE_VARIABLE: str(Path(directory) / "data.duckdb")}
        done = subprocess.run(
            [sys.executable, "-c", _ONCE, page],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    return float(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, *sys.argv[2:])
