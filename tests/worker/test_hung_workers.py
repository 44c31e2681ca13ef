"""Workers that hang, die, do not start or do not listen, and who outlives whom; with workers that start in a moment."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from profcore.errors import RunHeldError, UserError
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage import spool
from profcore.storage.lines import read_from
from profcore.worker import device_queue, limits
from profcore.worker.beat import Beat
from profcore.worker.queue import Jobs
from tests.support import ROOT, seconds, small_sweep, until

FAKE = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))


@pytest.fixture(autouse=True)
def _the_checkout_is_found(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def jobs(tmp_path):
    opened = Jobs(tmp_path, FAKE)
    yield opened
    opened.close()


def a_run(prompt="", num_samples=3):
    return RunSpec.new(Target(), small_sweep(values=(1, 2, 4), num_samples=num_samples, prompt=prompt))


class Seen:
    """A run as its spool says it is."""

    def __init__(self, folder, spec):
        self._path = spool.spool_path(folder, spec.id)

    def records(self, kind):
        return [record for record in read_from(self._path).records if record["type"] == kind]

    @property
    def state(self):
        return spool.last_state(self._path)

    @property
    def reason(self):
        return self.records("state")[-1]["reason"]

    @property
    def measured(self):
        return [(each["setting"], each["round"]) for each in self.records("sample")]


def submitted(jobs, tmp_path, spec):
    jobs.submit(spec)
    return Seen(tmp_path, spec)


def test_a_worker_that_hangs_is_ended_its_setting_marked_and_the_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("PROFCORE_NO_SIGN_LIMIT", "1")
    jobs = Jobs(tmp_path, FAKE)
    try:
        seen = submitted(jobs, tmp_path, a_run("hang:1 hang:2"))
        until(lambda: seen.state.ended)
        assert seen.state is State.DONE
        assert sorted(seen.measured) == [(0, 0), (0, 1), (0, 2)]
        failed = seen.records("setting_failed")
        assert [each["setting"] for each in failed] == [1, 2]
        assert all("no sign for" in each["reason"] for each in failed)
        # The next finds a worker, too.
        again = submitted(jobs, tmp_path, a_run())
        until(lambda: again.state is State.DONE)
    finally:
        jobs.close()


def test_a_worker_that_hung_before_its_run_began_costs_no_sample(tmp_path, monkeypatch):
    monkeypatch.setenv("PROFCORE_NO_SIGN_LIMIT", "1")
    jobs = Jobs(tmp_path, FAKE)
    try:
        jobs.devices()
        os.kill(jobs._first.process.pid, signal.SIGSTOP)
        seen = submitted(jobs, tmp_path, a_run())
        until(lambda: seen.state.ended)
        assert (seen.state, len(seen.measured), seen.records("setting_failed")) == (State.DONE, 9, [])
    finally:
        jobs.close()


def test_the_time_a_worker_takes_to_start_is_no_time_without_a_sign(tmp_path, monkeypatch):
    monkeypatch.setattr(device_queue, "_LOOK_S", 0.05)
    monkeypatch.setattr(device_queue, "end_after", lambda beat, limit: 0.2 if beat.setting is None else limit)
    jobs = Jobs(tmp_path, FAKE)
    try:
        until(lambda: jobs.devices())
        first = submitted(jobs, tmp_path, a_run())
        until(lambda: first.state.ended)
        os.mkfifo(tmp_path / "gate")
        monkeypatch.setenv("FAKE_GATE", str(tmp_path / "gate"))
        os.kill(jobs.workers()["cpu"], signal.SIGKILL)
        until(lambda: not jobs.workers())
        spec = a_run()
        seen = submitted(jobs, tmp_path, spec)
        starting = until(lambda: jobs.workers().get("cpu"))
        end = time.monotonic() + 1
        until(lambda: seen.state.ended or time.monotonic() > end)
        assert (seen.state, jobs.workers()["cpu"], jobs.no_sign_s(spec.id)) == (State.QUEUED, starting, None)
        (tmp_path / "gate").write_text("go")
        monkeypatch.setattr(device_queue, "end_after", limits.end_after)
        until(lambda: seen.state.ended)
        assert (seen.state, jobs.workers()["cpu"]) == (State.DONE, starting)
    finally:
        jobs.close()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_log_that_is_no_file_is_a_sentence_and_waited_for_by_nobody(tmp_path, make):
    make(tmp_path / "worker.log")
    with pytest.raises(UserError, match="cannot be started"):
        Jobs(tmp_path, FAKE).devices(seconds(60))


def test_what_gives_no_sign_is_said_and_may_be_ended_at_once(jobs, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "_LEAST_S", 0.2)
    spec = a_run("hang:2")
    seen = submitted(jobs, tmp_path, spec)
    assert until(lambda: jobs.no_sign_s(spec.id)) > 0.2
    assert jobs.no_sign_s("another") is None
    assert not jobs.give_up("another")
    assert jobs.give_up(spec.id)
    until(lambda: seen.state.ended)
    assert (seen.state, len(seen.measured)) == (State.DONE, 6)
    assert jobs.no_sign_s(spec.id) is None


def test_how_long_is_too_long_follows_from_the_longest_inference_and_from_what_is_set(monkeypatch):
    beat = Beat.make()[0]
    beat.at(3, False)
    assert (beat.setting, limits.say_after(beat, 600)) == (3, 10)
    beat.took(20_000)
    assert (limits.say_after(beat, 600), limits.say_after(beat, 40)) == (100, 40)
    assert (limits.end_after(beat, 600), limits.end_after(beat, 40)) == (600, 100)
    beat.at(4, True)
    assert limits.say_after(beat, 600) == 60
    beat.begin()
    assert (beat.setting, beat.longest_s) == (None, 0)
    for bad in ("soon", "0", "-1", "nan"):
        monkeypatch.setenv("PROFCORE_NO_SIGN_LIMIT", bad)
        with pytest.raises(UserError, match="PROFCORE_NO_SIGN_LIMIT"):
            limits.no_sign_limit()


@pytest.mark.parametrize("how", ["deaf", "hang:1"])
def test_stop_ends_a_worker_that_does_not_answer(jobs, tmp_path, monkeypatch, how):
    monkeypatch.setattr(device_queue, "STOP_S", 0.5)
    spec = a_run(how)
    seen = submitted(jobs, tmp_path, spec)
    until(lambda: seen.measured)
    assert jobs.stop(spec.id)
    until(lambda: seen.state.ended)
    assert seen.state is State.STOPPED
    assert "did not answer" in seen.reason
    again = submitted(jobs, tmp_path, a_run())
    until(lambda: again.state is State.DONE)


def test_a_worker_that_cannot_start_is_said_at_once_to_all_and_tried_again(tmp_path):
    broken = tmp_path / "broken"
    broken.touch()
    jobs = Jobs(tmp_path / "spools", (*FAKE, "broken", str(broken)))
    try:
        said = []

        def visit():
            with pytest.raises(UserError) as error:
                jobs.devices()
            said.append(str(error.value))

        visitors = [threading.Thread(target=visit) for _ in range(8)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join(seconds(60))
        assert len(said) == 8
        assert all("did not start (exit status 1); see worker.log" in text for text in said)
        with pytest.raises(UserError, match="did not start"):
            jobs.submit(a_run())
        assert not list((tmp_path / "spools").glob("*.jsonl"))
        broken.unlink()
        assert [device["id"] for device in jobs.devices()] == ["cpu"]
        seen = submitted(jobs, tmp_path / "spools", a_run())
        until(lambda: seen.state is State.DONE)
        # One that breaks while the dashboard is up fails the run that needs it, and none after.
        broken.touch()
        os.kill(jobs.workers()["cpu"], signal.SIGKILL)
        until(lambda: not jobs.workers())
        seen = submitted(jobs, tmp_path / "spools", a_run())
        until(lambda: seen.state.ended)
        assert (seen.state, "did not start" in seen.reason) == (State.FAILED, True)
        broken.unlink()
        seen = submitted(jobs, tmp_path / "spools", a_run())
        until(lambda: seen.state is State.DONE)
    finally:
        jobs.close()


def test_what_cannot_even_be_started_is_a_sentence_and_the_queue_survives(jobs, tmp_path, monkeypatch):
    jobs.devices()
    seen = submitted(jobs, tmp_path, a_run())
    until(lambda: seen.state is State.DONE)
    for error in (OSError(12, "Cannot allocate memory"), RuntimeError("odd"), MemoryError()):
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", lambda *given, error=error, **more: (_ for _ in ()).throw(error))
            os.kill(jobs.workers()["cpu"], signal.SIGKILL)
            until(lambda: not jobs.workers())
            seen = submitted(jobs, tmp_path, a_run())
            until(lambda seen=seen: seen.state.ended)
            assert seen.state is State.FAILED
        seen = submitted(jobs, tmp_path, a_run())
        until(lambda seen=seen: seen.state is State.DONE)
    nowhere = Jobs(tmp_path / "other", ("/nowhere/python",))
    with pytest.raises(UserError, match="cannot be started: No such file"):
        nowhere.devices()
    nowhere.close()


def test_the_real_worker_says_at_once_that_torch_is_damaged(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch_cpu.so: file too short')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    jobs = Jobs(tmp_path / "spools")
    try:
        with pytest.raises(UserError, match=r"did not start \(ImportError: libtorch_cpu.so: file too short\)"):
            jobs.devices()
    finally:
        jobs.close()


def test_a_worker_outlives_the_thread_that_had_it_started(tmp_path):
    made = []
    visitor = threading.Thread(target=lambda: made.append(Jobs(tmp_path, FAKE)))
    visitor.start()
    visitor.join()
    (jobs,) = made
    try:
        jobs.devices()
        seen = submitted(jobs, tmp_path, a_run())
        until(lambda: seen.state.ended)
        assert seen.state is State.DONE
    finally:
        jobs.close()


def test_a_run_goes_on_as_soon_as_its_end_is_seen(jobs, tmp_path):
    """The end is in the spool a moment before the dashboard lets go of the run."""
    spec = a_run(num_samples=2000)
    seen = submitted(jobs, tmp_path, spec)
    for count in range(1, 4):
        until(lambda count=count: len(seen.measured) > 20 * count)
        jobs.stop(spec.id)
        until(lambda: seen.state is State.STOPPED)
        jobs.resume(spec.id, "cpu")
    jobs.stop(spec.id)
    until(lambda: seen.state is State.STOPPED)
    assert len(seen.measured) == len(set(seen.measured))


DASHBOARD = """
import sys, threading, pathlib
from profcore.spec.runs import RunSpec
from profcore.worker.queue import Jobs
import json
jobs = []
visitor = threading.Thread(target=lambda: jobs.append(Jobs(pathlib.Path(sys.argv[1]), sys.argv[3:])))
visitor.start(); visitor.join()
for line in sys.argv[2].splitlines():
    jobs[0].submit(RunSpec.from_dict(json.loads(line)))
print("up", flush=True)
sys.stdin.read()
"""


def a_dashboard(folder, *specs):
    import json

    lines = "\n".join(json.dumps(spec.to_dict()) for spec in specs)
    command = [sys.executable, "-c", DASHBOARD, str(folder), lines, *FAKE]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    return process


def children(pid):
    """The processes that a process started, by any of its threads."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker leaves when its input ends")
@pytest.mark.parametrize("stopped", [False, True])
def test_a_worker_dies_with_its_dashboard_even_stopped_and_its_runs_are_free(tmp_path, stopped):
    running, waiting = a_run("hang:1" if stopped else "deaf"), a_run()
    dashboard = a_dashboard(tmp_path, running, waiting)
    seen = Seen(tmp_path, running)
    until(lambda: seen.measured)
    (worker,) = children(dashboard.pid)
    paths = [spool.spool_path(tmp_path, spec.id) for spec in (running, waiting)]
    # A second dashboard on the same folder neither fails nor takes what is the first one's.
    second = Jobs(tmp_path, FAKE)
    try:
        second.devices()
        for spec, path in zip((running, waiting), paths, strict=True):
            assert not spool.end_abandoned(path)
            with pytest.raises(RunHeldError):
                second.resume(spec.id, "cpu")
        dashboard.kill()
        dashboard.wait()
        until(lambda: not is_alive(worker))
        until(lambda: all(spool.end_abandoned(path) or spool.has_ended(path) for path in paths))
        assert seen.reason == "The dashboard that had started this run ended before it was done."
        # What only waited goes on in the second.
        second.resume(waiting.id, "cpu")
        later = Seen(tmp_path, waiting)
        until(lambda: later.state is State.DONE)
        assert len(later.measured) == 9
    finally:
        second.close()


def test_closing_says_that_the_dashboard_ended_of_what_ran_and_of_what_waited(tmp_path):
    jobs = Jobs(tmp_path, FAKE)
    specs = [a_run(num_samples=5000), a_run()]
    running, waiting = (submitted(jobs, tmp_path, spec) for spec in specs)
    until(lambda: running.measured)
    jobs.close()
    for seen in (running, waiting):
        assert seen.state is State.STOPPED
        assert seen.reason == "The dashboard that had started this run ended before it was done."
