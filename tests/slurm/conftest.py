"""A Slurm of one node for the tests of this folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.slurm.one_node import OneNode, lacking


@pytest.fixture(scope="session")
def _can_be_started():
    """Skips with the reason where no Slurm can be started; fails where PROFCORE_REQUIRE_SLURM is set."""
    if reason := lacking():
        if os.environ.get("PROFCORE_REQUIRE_SLURM"):
            pytest.fail(reason)
        pytest.skip(reason)
    pytest.importorskip("submitit", reason="submitit is not installed here")


@pytest.fixture
def start(_can_be_started, monkeypatch):
    """Starts a Slurm of one node, which this test's commands ask."""
    started = []

    def starting(**more) -> OneNode:
        # In a folder with a short name: a socket's path has at most 107 letters.
        node = OneNode(Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp")), **more)
        started.append(node)
        node.start()
        for name, value in node.environment.items():
            monkeypatch.setenv(name, value)
        return node

    yield starting
    for node in started:
        node.stop()
        shutil.rmtree(node.folder, ignore_errors=True)
