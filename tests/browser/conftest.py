"""A real dashboard in a process of its own, and Chromium to look at it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REQUIRED = "PROFCORE_REQUIRE_BROWSER"
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
    environment = {**os.environ, "PROFCORE_DB": str(database)}
    with (database.parent / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health") as answer:
                if answer.status == 200:
                    break
            assert server.poll() is None, (database.parent / "server.log").read_text()
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium."""
    executable = chromium_path()
    from playwright.sync_api import sync_playwright

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
def page(browser):
    """A fresh browser session."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True)
    context.set_default_timeout(60_000)
    opened = context.new_page()
    yield opened
    context.close()
