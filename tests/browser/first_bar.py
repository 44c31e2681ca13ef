"""Measure, in Chromium, how long it takes from pressing Run to the first bar, with a warm worker.

`python -m tests.browser.first_bar [PAIRS]` starts a dashboard of its own. Needs the tests' requirements and Chromium.
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from .conftest import ARGUMENTS, chromium_path, serving


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
                begin = time.perf_counter()
                run.click()
                progress = page.locator('[data-testid="stProgress"]')
                # Whatever is warmed up next, the first sample is there.
                expect(progress).to_contain_text(re.compile(r"· [1-9]\d* of \d+ samples"))
                expect(page.locator(".vega-embed .mark-rect path").first).to_be_visible()
                # The first one loads the model.
                if number:
                    taken.append(time.perf_counter() - begin)
                page.locator(".st-key-stop button").click()
                expect(page.get_by_text("Stopped on request.")).to_be_visible()
        browser.close()
    middle, fastest, slowest = statistics.median(taken), min(taken), max(taken)
    print(f"Run pressed to first bar drawn: {middle:.2f} s, median of {times} ({fastest:.2f} to {slowest:.2f})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
