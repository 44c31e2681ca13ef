"""What the tests themselves promise: they wait for nobody else."""

import subprocess
import sys
from pathlib import Path

from profcore.worker.card_lock import locks_folder
from tests.support import ROOT, seconds


def test_the_tests_have_locks_of_devices_that_no_other_program_has():
    own = locks_folder()
    assert own.name.startswith("profcore-tests-")
    # What they start locks devices there too.
    code = "from profcore.worker.card_lock import locks_folder; print(locks_folder())"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds(120), check=True)
    assert Path(done.stdout.strip()) == own


def test_what_counts_as_hanging_is_generous_and_scales(pytestconfig):
    assert pytestconfig.option.timeout >= seconds(600)
