"""Measure, in Chromium, how long each page takes over 200 runs and one million samples.

`python -m tests.browser.first_paint [TIMES]` starts a dashboard of its own on a database that it fills. Two figures of
each page: until its first paint, and until its heading and its chart or table stand there. Needs the tests'
requirements and Chromium, which notes both by its own clock.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from profcore.bench.synthetic import fill
from profcore.storage.store import Store

from .conftest import ARGUMENTS, LIMIT_MS, chromium_path, serving
from .noted import noting

PAGES = {
    "": '[data-testid="stDataFrame"]',
    "vision_tokens": ".vega-embed svg, .vega-embed canvas",
    "moe_topk": ".vega-embed svg, .vega-embed canvas",
    "active_blocks": ".vega-embed svg, .vega-embed canvas",
    "output_tokens": ".vega-embed svg, .vega-embed canvas",
    "motivation": ".vega-embed svg, .vega-embed canvas",
    "compare": ".vega-embed svg, .vega-embed canvas",
    "joint": ".vega-embed svg, .vega-embed canvas",
    "trade_off": ".vega-embed svg, .vega-embed canvas",
    "size_to_latency": ".vega-embed svg, .vega-embed canvas",
    "engines": ".vega-embed svg, .vega-embed canvas",
    "models": ".vega-embed svg, .vega-embed canvas",
    "roofline": ".vega-embed svg, .vega-embed canvas",
    "history": ".vega-embed svg, .vega-embed canvas",
    "why": '[data-testid="stSelectbox"]',
    "runs": '[data-testid="stDataFrame"]',
}


def main(times: int = 5) -> None:
    """Open every page again and again, and print the median of both figures."""
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        database = Path(directory) / "data.duckdb"
        with Store(database) as store:
            fill(store, runs=200, samples=1_000_000)
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        with serving(database) as url:
            # One context, so that scripts are in the cache as for anyone who has been here before.
            context = browser.new_context(viewport={"width": 1440, "height": 1000})
            _open(context.new_page(), f"{url}/", PAGES[""])
            print(f"{'page':<16} {'first paint':>12} {'drawn':>12}   seconds, median of {times}")
            for path, element in PAGES.items():
                taken = [_open(context.new_page(), f"{url}/{path}", element) for _ in range(times)]
                painted, drawn = (statistics.median(column) for column in zip(*taken, strict=True))
                print(f"{path or 'home':<16} {painted:12.2f} {drawn:12.2f}")
        browser.close()


def _open(page: Page, url: str, element: str) -> tuple[float, float]:
    """Seconds until the first paint, and until the page stands there."""
    page.add_init_script(noting(("heading", "h1", ""), ("drawn", element, "")))
    page.goto(url, wait_until="commit")
    page.wait_for_function("window.noted?.drawn", timeout=LIMIT_MS)
    drawn = page.evaluate("noted.drawn")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.close()
    return paint / 1e3, drawn / 1e3


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
