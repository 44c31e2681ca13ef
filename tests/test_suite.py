"""What the tests themselves promise: they wait for nobody else."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support import seconds


def test_the_tests_have_a_temporary_directory_that_no_other_program_has():
    own = Path(tempfile.gettempdir())
    assert own.name.startswith("profcore-tests-")
    assert Path(os.environ["PYTEST_DEBUG_TEMPROOT"]) != own
    # What they start locks devices there too.
    code = "import tempfile; print(tempfile.gettempdir())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=seconds(120), check=True
    )
    assert Path(done.stdout.strip()) == own


def test_what_counts_as_hanging_is_generous_and_scales(pytestconfig):
    assert pytestconfig.option.timeout >= seconds(600)
