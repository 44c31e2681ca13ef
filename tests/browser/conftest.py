"""A real dashboard in a process of its own, and Chromium to look at it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.support import ROOT, SHARED, seconds, until

REQUIRED = "PROFCORE_REQUIRE_BROWSER"
# A server's first page waits for its worker, which imports torch; and a worker may have other work first.
LIMIT_MS = seconds(180) * 1e3
expect.set_options(timeout=LIMIT_MS)
# Without these Chromium looks up hosts outside at every start.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium_path() -> str:
    """Where Chromium is; where there is none the test is skipped, unless it must run."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get(REQUIRED):
        pytest.fail(f"{REQUIRED} is set, but there is no Chromium on the path")
    pytest.skip("there is no Chromium on the path")


@contextlib.contextmanager
def serving(database: Path):
    """A dashboard on a free port of this machine; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}", "--server.headless=true"]
    # Pages may open what tests put into their temporary directories, and what they share.
    roots = os.pathsep.join(map(str, (database.parents[1], ROOT, SHARED)))
    environment = {**os.environ, "PROFCORE_DB": str(database), "PROFCORE_ROOTS": roots}
    with (database.parent / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(url) or server.poll() is not None)
        assert server.poll() is None, (database.parent / "server.log").read_text()
        yield url
    finally:
        server.terminate()
        server.wait(seconds(180))


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health") as answer:
        return answer.status == 200
    return False


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium."""
    executable = chromium_path()
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def database(tmp_path_factory) -> Path:
    """The served dashboard's database."""
    return tmp_path_factory.mktemp("browser") / "data.duckdb"


@pytest.fixture(scope="session")
def url(browser, database):
    """A dashboard with the shipped runs."""
    with serving(database) as address:
        yield address


@pytest.fixture
def new_page(browser):
    """Opens a browser session of its own, with the options of `Browser.new_context`."""
    with contextlib.ExitStack() as contexts:

        def opened(**options):
            options = {"viewport": {"width": 1440, "height": 1000}, **options}
            context = contexts.enter_context(browser.new_context(**options))
            context.set_default_timeout(LIMIT_MS)
            return context.new_page()

        yield opened


@pytest.fixture
def page(new_page):
    """A fresh browser session."""
    return new_page()
