"""The real worker process, driven as the dashboard drives it."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from profcore.errors import UserError
from profcore.results.sweep import load_result
from profcore.service.service import Service
from profcore.spec.queries import Picture
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage import spool
from profcore.worker import shelf as shelves
from profcore.worker.answers import read_answer
from profcore.worker.queue import Question
from tests.support import ROOT, seconds, small_sweep, until

CPU = Target()
LONG = 5000
original = shelves.load_model


def state(service, run_id):
    run = service.store.run(run_id)
    return State(run["state"]) if run else None


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    opened = Service(tmp_path_factory.mktemp("service") / "data.duckdb")
    yield opened
    opened.close()


def test_the_worker_says_which_devices_there_are(service):
    devices = service.jobs.devices()
    assert devices[-1]["id"] == "cpu"
    assert " thread" in devices[-1]["name"]


def test_a_run_goes_from_the_queue_to_the_store(service):
    run_id = service.start(CPU, small_sweep())
    until(lambda: state(service, run_id) is State.DONE)
    result = load_result(service.store, run_id)
    assert len(result.samples) == result.planned == 4
    environment = result.run["environment"]
    assert (environment["model"], environment["weights"], environment["device"]) == ("tiny", "random", "cpu")
    assert environment["engine"] == "eager"
    assert (environment["experts"], environment["cores"]) == ("grouped_mm", "not pinned: PROFCORE_PINNING is off")
    assert result.samples["host_preprocessing_ms"].min() > 0
    assert service.store.latest("moe_topk") == run_id


def test_the_second_run_finds_the_model_loaded(service):
    first = service.start(CPU, small_sweep())
    until(lambda: state(service, first) is State.DONE)
    before = service.jobs.workers()["cpu"]
    second = service.start(CPU, small_sweep())
    until(lambda: state(service, second) is State.DONE)
    assert service.jobs.workers()["cpu"] == before


def test_the_shelf_loads_a_model_once(monkeypatch):
    loads = []
    monkeypatch.setattr(shelves, "load_model", lambda *given: loads.append(given) or original(*given))
    shelf = shelves.ModelShelf()
    assert shelf.get(CPU) is shelf.get(CPU)
    shelf.get(Target(dtype="bfloat16"))
    assert len(loads) == 2


@pytest.mark.long
def test_runs_wait_their_turn_and_both_can_be_stopped(service):
    running = service.start(CPU, small_sweep(num_samples=LONG))
    waiting = service.start(CPU, small_sweep())
    behind = service.start(CPU, small_sweep())
    until(lambda: service.store.run(running)["num_samples"])
    assert (state(service, running), state(service, waiting)) == (State.RUNNING, State.QUEUED)
    assert (service.jobs.position(waiting), service.jobs.position(behind)) == (1, 2)
    service.stop(waiting)
    until(lambda: state(service, waiting) is State.STOPPED)
    assert service.store.run(waiting)["reason"] == "Stopped before it began."
    service.stop(running)
    until(lambda: state(service, running) is State.STOPPED)
    assert 0 < service.store.run(running)["num_samples"] < LONG
    until(lambda: state(service, behind) is State.DONE)


def test_a_worker_that_dies_leaves_a_reason_and_the_next_run_gets_another(service):
    run_id = service.start(CPU, small_sweep(num_samples=LONG))
    until(lambda: service.store.run(run_id)["num_samples"])
    os.kill(service.jobs.workers()["cpu"], signal.SIGKILL)
    until(lambda: state(service, run_id) is State.FAILED)
    assert "signal 9" in service.store.run(run_id)["reason"]
    taken = service.store.run(run_id)["num_samples"]
    assert len(load_result(service.store, run_id).samples) == taken > 0
    again = service.start(CPU, small_sweep())
    until(lambda: state(service, again) is State.DONE)


def test_a_run_that_finds_no_space_keeps_its_samples_and_the_next_goes_on(service):
    """A limit of the worker's own stands for a full disk; not even how the run ended fits then."""
    run_id = service.start(CPU, small_sweep(num_samples=LONG))
    until(lambda: service.store.run(run_id)["num_samples"])
    worker = service.jobs.workers()["cpu"]
    size = spool.spool_path(service.store.spools, run_id).stat().st_size
    before = resource.prlimit(worker, resource.RLIMIT_FSIZE, (size + 5000, resource.RLIM_INFINITY))
    until(lambda: state(service, run_id) is State.FAILED)
    run = service.store.run(run_id)
    assert run["reason"].startswith("No space left in")
    assert len(load_result(service.store, run_id).samples) == run["num_samples"] > 0
    assert service.store.bad_lines(run_id) == 0
    resource.prlimit(worker, resource.RLIMIT_FSIZE, before)
    again = service.start(CPU, small_sweep())
    until(lambda: state(service, again) is State.DONE)
    assert service.jobs.workers()["cpu"] == worker


def test_a_checkpoint_that_cannot_be_loaded_fails_the_run_with_its_reason(service, tiny_molmoe, tmp_path):
    from safetensors.torch import load_file, save_file

    tensors = load_file(tiny_molmoe / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((tiny_molmoe / "config.json").read_text())
    sweep = small_sweep()
    sweep = replace(sweep, settings=tuple(replace(s, block_mask=(True,) * 4) for s in sweep.settings))
    run_id = service.start(Target(model=str(tmp_path)), sweep)
    until(lambda: state(service, run_id) is State.FAILED)
    assert "missing lm_head.weight" in service.store.run(run_id)["reason"]


@pytest.mark.parametrize(
    ("target", "sweep", "says"),
    [
        (Target(device="cuda:9"), {}, "no device 'cuda:9'"),
        (Target(model="nowhere"), {}, "no model 'nowhere'"),
        (Target(engine="graph"), {}, "needs a GPU.*eager or compiled"),
        (Target(engine="fast"), {}, "choose from eager, graph, compiled"),
        (CPU, {"values": (65,)}, "64 experts"),
        (CPU, {"picture": Picture("file", "/nowhere.png")}, "There is no picture"),
    ],
)
def test_what_cannot_be_run_is_said_and_stored_nowhere(service, target, sweep, says):
    before = set(service.store.runs()["id"])
    with pytest.raises(UserError, match=says):
        service.start(target, small_sweep(**sweep))
    assert set(service.store.runs()["id"]) == before
    assert len(list(service.store.spools.glob("*.jsonl"))) == len(before - _shipped(service))


def _shipped(service):
    runs = service.store.runs()
    return set(runs.loc[runs["source"] == "shipped", "id"])


def test_a_spool_that_another_process_writes_is_taken_in_as_it_grows(service):
    spec = RunSpec.new(CPU, small_sweep())
    with spool.SpoolWriter(spool.spool_path(service.store.spools, spec.id)) as writer:
        writer.run(spec)
        writer.state(State.RUNNING)
        until(lambda: state(service, spec.id) is State.RUNNING)
        with pytest.raises(UserError, match="another process"):
            service.stop(spec.id)
        writer.state(State.DONE)
        until(lambda: state(service, spec.id) is State.DONE)


@pytest.mark.long
def test_only_one_process_measures_on_a_device(service):
    """The command line waits for the dashboard's run, and says so in its spool."""
    running = service.start(CPU, small_sweep(num_samples=LONG))
    until(lambda: service.store.run(running)["num_samples"])
    command = [sys.executable, "-m", "profcore", "run", "context_scaling", "--max-grid-size", "1", "--device", "cpu"]
    command += ["--num-samples", "1", "--db", str(service.store.path), "--output-dir", str(service.store.path.parent)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        waiting = until(lambda: _is_new(service, "context_scaling") and service.store.latest("context_scaling"))
        until(lambda: "Waiting" in (service.store.run(waiting)["phase"] or ""))
        assert service.store.run(waiting)["num_samples"] == 0
        said = service.store.run(waiting)["phase"]
        assert re.search(rf"process {service.jobs.workers()['cpu']} \(run {running}\) has measured since [\d-]+ ", said)
        service.stop(running)
        output, _ = other.communicate(timeout=seconds(300))
    assert other.returncode == 0
    assert "held by another process: the spool stays in" in output
    until(lambda: state(service, waiting) is State.DONE)
    assert service.store.run(waiting)["num_samples"] == 1
    results = service.store.path.parent / "context_scaling" / "exp1_context_scaling_results.json"
    assert len(json.loads(results.read_text())["all_samples"]) == 1


def _is_new(service, experiment):
    runs = service.store.runs(experiment)
    return (runs["source"] == "measured").any()


@pytest.mark.long
def test_what_a_program_that_is_gone_left_is_ended_on_the_next_start(tmp_path):
    spec = RunSpec.new(CPU, small_sweep())
    with spool.SpoolWriter(spool.spool_path(tmp_path / "data.duckdb.spool", spec.id)) as writer:
        writer.run(spec)
        writer.state(State.QUEUED)
    service = Service(tmp_path / "data.duckdb")
    try:
        run = service.store.run(spec.id)
        assert (run["state"], "ended before it was done" in run["reason"]) == ("failed", True)
    finally:
        service.close()


@pytest.mark.long
def test_closing_stops_what_runs_and_keeps_what_was_taken(tmp_path):
    service = Service(tmp_path / "data.duckdb")
    run_id = service.start(CPU, small_sweep(num_samples=LONG))
    until(lambda: service.store.run(run_id)["num_samples"])
    service.close()
    reopened = Service(tmp_path / "data.duckdb")
    try:
        run = reopened.store.run(run_id)
        assert run["state"] == "stopped"
        assert run["num_samples"] > 0
    finally:
        reopened.close()


def question(service, name="profile", **arguments):
    answer = service.store.path.parent / "answers" / f"{name}-{len(arguments)}.json"
    setting = small_sweep().settings[0].to_dict()
    return Question(f"ask-{name}-{len(arguments)}", name, CPU, {"setting": setting, **arguments}, answer)


def test_a_question_waits_for_the_run_before_it_and_is_answered(service):
    run_id = service.start(CPU, small_sweep("output_tokens", (40,), num_samples=200))
    until(lambda: state(service, run_id) is State.RUNNING)
    asked = question(service)
    service.jobs.ask(asked)
    service.jobs.ask(asked)  # asked twice is asked once
    assert read_answer(asked.answer)["state"] == "queued"
    assert service.jobs.position(asked.id) == 1
    service.stop(run_id)
    until(lambda: read_answer(asked.answer)["state"] == "done")
    result = read_answer(asked.answer)["result"]
    assert result["environment"]["engine"] == "eager"
    assert result["steps"] == 2


def test_a_question_that_cannot_be_answered_says_why(service):
    asked = question(service, "fortune")
    service.jobs.ask(asked)
    until(lambda: read_answer(asked.answer)["state"] == "failed")
    assert "no tool 'fortune'" in read_answer(asked.answer)["text"]
    with pytest.raises(UserError, match="no device 'cuda:9'"):
        service.jobs.ask(replace(asked, target=Target(device="cuda:9")))


def test_a_waiting_question_can_be_taken_back(service):
    run_id = service.start(CPU, small_sweep("output_tokens", (40,), num_samples=200))
    asked = question(service, prompt="What?")
    service.jobs.ask(asked)
    assert service.jobs.stop(asked.id)
    assert read_answer(asked.answer) == {"state": "failed", "text": "Stopped before it began.", "result": None}
    service.stop(run_id)


def test_a_worker_that_dies_over_a_question_is_told(service):
    asked = replace(question(service), id="killed", answer=service.store.path.parent / "answers" / "killed.json")
    service.jobs.ask(asked)
    until(lambda: read_answer(asked.answer)["state"] == "working")
    os.kill(service.jobs.workers()["cpu"], signal.SIGKILL)
    until(lambda: read_answer(asked.answer)["state"] == "failed")
    assert "signal 9" in read_answer(asked.answer)["text"]


@pytest.mark.long
def test_runs_under_the_compiled_engine(service):
    run_id = service.start(Target(engine="compiled"), small_sweep())
    until(lambda: state(service, run_id).ended)
    run = service.store.run(run_id)
    assert (run["state"], run["environment"]["engine"], run["num_samples"]) == ("done", "compiled", 4)
    assert run["ceilings"]["matmul_tflop_s"] > 0
    result = load_result(service.store, run_id)
    work = result.summary[result.summary["floor_ms"] > 0]
    assert (work["min"] > work["floor_ms"]).all()
    assert {len(row) for row in result.settings["prefill_experts"]} == {2}
