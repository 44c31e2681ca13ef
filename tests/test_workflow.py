"""The workflow that docs/regression.md offers: whole YAML, whose commands are ones that the parser takes."""

import re
import shlex
import subprocess

import pytest
import yaml

from profcore.cli.parser import parse
from tests.support import ROOT

(TEXT,) = re.findall(
    r"^```yaml\n(.*?)^```$", (ROOT / "docs/regression.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)
WORKFLOW = yaml.safe_load(TEXT)
SCRIPTS = [step["run"] for step in WORKFLOW["jobs"]["regress"]["steps"] if "run" in step]


def test_the_workflow_is_one():
    # YAML 1.1 takes `on` for a truth value, and so does the reader here; the service does not.
    assert {"name", True, "jobs", "concurrency"} == WORKFLOW.keys()
    job = WORKFLOW["jobs"]["regress"]
    assert "self-hosted" in job["runs-on"]
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])


@pytest.mark.parametrize("script", SCRIPTS)
def test_its_scripts_are_ones_that_a_shell_and_the_parser_take(script):
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    for line in script.splitlines():
        if "-m profcore" in line:
            words = shlex.split(re.split(r"[>|]", line.partition("-m profcore")[2])[0])
            assert callable(parse(words).command)


@pytest.mark.parametrize(("status", "ends"), [(0, 0), (1, 1), (2, 2), (3, 0)])
def test_what_is_undecided_does_not_fail_it(tmp_path, status, ends):
    """The last script, with a stand-in for the interpreter that ends with each status of `regress`."""
    (script,) = [each for each in SCRIPTS if "regress" in each]
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\nexit {status}\n")
    python.chmod(0o755)
    # As the service runs a script: it ends with the first command that fails.
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "RUN": "a-run", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")},
        check=False,
    )
    assert done.returncode == ends
