"""Measure how long the server works on a page that is drawn again because a slider moved, on the sample results.

`python -m tests.browser.reruns [TIMES]` needs the tests' requirements but no browser: pages run as in Streamlit's own
tests, which adds reading back what was drawn.
"""

from __future__ import annotations

import logging
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from streamlit.testing.v1 import AppTest

from pages.parts import state
from profcore.paths import DATABASE_VARIABLE
from tests.support import ROOT

if TYPE_CHECKING:
    from streamlit.testing.v1.element_tree import Slider

PAGES = (
    *("home", "vision_tokens", "moe_topk", "active_blocks", "output_tokens", "motivation", "compare"),
    *("joint", "trade_off", "size_to_latency", "engines", "models", "cards", "roofline", "inspect", "why"),
    *("runs", "history", "sql"),
)
_LIMIT_S = 300.0
# The sweep's own slider where the page has one, else that of the bar.
_SLIDERS = ("samples", "all-samples")


def main(times: int = 5) -> None:
    """Move a slider of every page again and again, and print the medians."""
    # Streamlit warns of what is only missing outside of a server.
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as directory:
        os.environ[DATABASE_VARIABLE] = str(Path(directory) / "data.duckdb")
        # A slider that waits for the devices of this machine is not there yet.
        state.service().jobs.devices()
        print(f"{'page':<16} {'first':>8} {'again':>8}   seconds, the latter the median of {times}")
        for page in PAGES:
            first, again = measure(page, times)
            print(f"{page:<16} {first:8.3f} {statistics.median(again):8.3f}")
        # Before its files are gone.
        state.service().close()


def measure(page: str, times: int) -> tuple[float, list[float]]:
    """Seconds of the first time a page is drawn, and of each time after its slider moved."""
    test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=_LIMIT_S)
    if page != "home":
        test.switch_page(f"pages/{page}.py")
    first, again = _seconds(test), []
    _slider(test).set_value(9)
    _seconds(test)
    for number in range(times):
        _slider(test).set_value(10 + number)
        again.append(_seconds(test))
    return first, again


def _seconds(test: AppTest) -> float:
    begin = time.perf_counter()
    test.run()
    taken = time.perf_counter() - begin
    assert not test.exception, test.exception
    return taken


def _slider(test: AppTest) -> Slider:
    there = {slider.key: slider for slider in test.slider}
    return next(there[key] for key in _SLIDERS if key in there)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
