"""Measure, in Chromium, how long it takes from pressing Run to the first bar, with a warm worker.

`python -m tests.browser.first_bar [PAIRS]` starts a dashboard of its own. Needs the tests' requirements and Chromium.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from .conftest import ARGUMENTS, LIMIT_MS, chromium_path, serving
from .noted import noting

# Whatever is warmed up next, the first sample is there.
_SAMPLE = ("sample", '[data-testid="stProgress"]', r"· [1-9]\d* of \d+ samples")
_BAR = ("bar", ".vega-embed svg:not([data-old]) .mark-rect path", "")
# What is there before is none of the run's.
_MARK_OLD = "document.querySelectorAll('.vega-embed svg').forEach((svg) => { svg.dataset.old = ''; })"


def main(times: int = 5) -> None:
    """Press Run again and again, each time on a page that shows nothing yet, and print the median."""
    taken = []
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        with serving(Path(directory) / "data.duckdb") as url:
            page = browser.new_page(viewport={"width": 1440, "height": 1000})
            for number in range(times + 1):
                page.goto(f"{url}/vision_tokens?samples=50")
                run = page.get_by_role("button", name="Run", exact=True)
                expect(run).to_be_visible()
                expect(page.locator(".vega-embed").first).to_be_visible()
                page.evaluate(_MARK_OLD)
                page.evaluate(noting(_SAMPLE, _BAR))
                run.click()
                page.wait_for_function("noted.bar", timeout=LIMIT_MS)
                # The first one loads the model.
                if number:
                    taken.append(page.evaluate("noted.bar - noted.click") / 1e3)
                page.locator(".st-key-stop button").click()
                expect(page.get_by_text("Stopped on request.")).to_be_visible()
        browser.close()
    middle, fastest, slowest = statistics.median(taken), min(taken), max(taken)
    print(f"Run pressed to first bar drawn: {middle:.2f} s, median of {times} ({fastest:.2f} to {slowest:.2f})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
