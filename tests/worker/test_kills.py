"""Kills at random moments: no sample is lost or doubled, nobody is left behind, and the run goes on to its end.

Dashboards and their workers are real processes; the workers make their samples up and start in a moment. A command is
what a person starts, with the model it measures.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from profcore.cli import parser
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage import spool
from profcore.storage.lines import read_from
from profcore.storage.store import Store, spool_directory
from profcore.worker import execute
from profcore.worker import shelf as shelves
from profcore.worker.queue import Jobs
from tests.support import CEILINGS, ROOT, seconds, small_sweep, until

FAKE = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))
FEW = 3
MANY = 30

DASHBOARD = """
import json, pathlib, sys
from profcore.spec.runs import RunSpec
database, spec, whole, worker = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3] == "whole", sys.argv[4:]
if whole:
    from profcore.service.service import Service
    jobs = Service(database, worker=worker).jobs
else:
    from profcore.worker.queue import Jobs
    jobs = Jobs(database.with_name(database.name + ".spool"), worker)
jobs.submit(RunSpec.from_dict(spec))
while not jobs.workers():
    pass
print(*jobs.workers().values(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return tmp_path_factory.mktemp("kills") / "data.duckdb"


@pytest.fixture(scope="module")
def survivor(database):
    """Another dashboard on the same spools, which nobody kills."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        jobs = Jobs(spool_directory(database), FAKE)
        jobs.devices()
        yield jobs
        jobs.close()


def a_run(num_samples=60):
    return RunSpec.new(Target(), small_sweep(values=(1, 2, 4), num_samples=num_samples))


def a_dashboard(database, spec, whole):
    """A dashboard that has a run measured, and its worker's process id."""
    words = [str(database), json.dumps(spec.to_dict()), "whole" if whole else "jobs", *FAKE]
    process = subprocess.Popen(
        [sys.executable, "-c", DASHBOARD, *words], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    return process, int(process.stdout.readline())


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def whole_lines(path):
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def check_goes_on(path, spec, go_on):
    """Whether what was killed is free, goes on where it was, and ends with exactly what was asked."""
    until(lambda: not spool.is_being_written(path))
    before = whole_lines(path)
    if not spool.has_ended(path):
        assert spool.end_abandoned(path)
        assert "that had started this run ended" in read_from(path).records[-1]["reason"]
    if spool.last_state(path) is not State.DONE:
        go_on()
    assert path.read_bytes().startswith(before)
    records = read_from(path).records
    samples = [record for record in records if record["type"] == "sample"]
    sweep = spec.sweep
    asked = {(setting, visit) for setting in range(len(sweep.settings)) for visit in range(sweep.num_samples)}
    assert Counter((each["setting"], each["round"]) for each in samples) == Counter(asked)
    assert [each["sample_id"] for each in samples] == list(range(sweep.num_inferences))
    assert spool.last_state(path) is State.DONE


def kill_dashboard(database, survivor, who, moment, whole):
    spec = a_run()
    path = spool.spool_path(spool_directory(database), spec.id)
    process, worker = a_dashboard(database, spec, whole)
    time.sleep(moment)
    victims = {"worker": [worker], "dashboard": [process.pid], "both": [process.pid, worker]}[who]
    for victim in victims:
        # It may have died with the other already.
        if is_alive(victim):
            os.kill(victim, signal.SIGKILL)
    if who == "worker":
        # The dashboard says how it ended, and lets go of it.
        until(lambda: spool.has_ended(path))
        process.stdin.close()
    process.wait(seconds(60))
    process.stdout.close()
    until(lambda: not is_alive(worker))

    def go_on():
        survivor.resume(spec.id, "cpu")
        until(lambda: spool.last_state(path) is State.DONE)

    check_goes_on(path, spec, go_on)
    return spec


def check_stored(database, specs):
    with Store(database) as store:
        store.take_in_all()
        for spec in specs:
            run = store.run(spec.id)
            assert (run["state"], run["num_samples"]) == ("done", spec.sweep.num_inferences)
        assert store.unread == {}


_LONG = [pytest.param(who, marks=pytest.mark.long) for who in ("worker", "dashboard")]


@pytest.mark.parametrize("who", [*_LONG, "both"])
def test_a_run_survives_kills_at_random_moments(database, survivor, who):
    drawn = random.Random(f"few {who}")
    check_stored(database, [kill_dashboard(database, survivor, who, drawn.uniform(0, 0.5), False) for _ in range(FEW)])


@pytest.mark.long
@pytest.mark.parametrize("who", ["worker", "dashboard", "both"])
def test_a_run_survives_many_kills_of_whole_dashboards(database, survivor, who):
    drawn = random.Random(f"many {who}")
    check_stored(database, [kill_dashboard(database, survivor, who, drawn.uniform(0, 0.8), True) for _ in range(MANY)])


def kill_command(folder, moment, shelf, monkeypatch):
    """Kill a command that measures, at a moment after its first sample, and go on with its run in this process."""
    database = folder / "data.duckdb"
    words = ["output_tokens", "--max-new-tokens", "1", "2", "--num-samples", "20", "--warmup", "0", "--device", "cpu"]
    words += ["--block-mask", "1100000000000000", "--db", str(database), "--output-dir", str(folder / "results")]
    command = [sys.executable, "-m", "profcore", "run", *words]
    known = set(spool_directory(database).glob("*.jsonl"))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        (path,) = until(lambda: set(spool_directory(database).glob("*.jsonl")) - known)
        until(lambda: b'"sample_id"' in path.read_bytes())
        time.sleep(moment)
        process.kill()
    spec = spool.read_spec(path)
    with monkeypatch.context() as patch:
        patch.setattr(shelves, "ModelShelf", lambda: shelf)
        patch.setattr(execute, "device_ceilings", lambda *given: CEILINGS)

        def go_on():
            with pytest.raises(SystemExit) as left:
                words = ["run", "--resume", spec.id, "--db", str(database), "--output-dir", str(folder / "results")]
                parser.main(words)
            assert left.value.code == 0

        check_goes_on(path, spec, go_on)
    check_stored(database, [spec])


@pytest.mark.long
def test_a_command_survives_many_kills(tmp_path, shelf, monkeypatch):
    drawn = random.Random("many commands")
    for _ in range(MANY):
        kill_command(tmp_path, drawn.uniform(0, 0.6), shelf, monkeypatch)
