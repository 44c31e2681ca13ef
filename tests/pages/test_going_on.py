"""What a page says and offers of a worker that hangs, and of a run that ended before it was done."""

import pytest

from profcore.errors import UserError
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage import spool
from profcore.worker import limits
from tests.storage.test_store import a_sample
from tests.support import small_sweep, texts, until


@pytest.fixture
def service(dashboard):
    return dashboard


@pytest.fixture
def page(app):
    """Shows a run on its page."""
    return lambda run_id: app("moe_topk", run=run_id)


def state(service, run_id):
    run = service.store.run(run_id)
    return State(run["state"]) if run else None


def left_behind(service, *records, sweep=None):
    """A run that a program which is gone began here, with further records."""
    spec = RunSpec.new(Target(), sweep or small_sweep(num_samples=3))
    with spool.SpoolWriter(spool.spool_path(service.store.spools, spec.id)) as writer:
        writer.run(spec)
        writer.owner("command")
        for record in records:
            writer.write(record)
        writer.sample(a_sample(0, 0))
    return spec.id


def test_a_worker_that_gives_no_sign_is_said_and_ended_on_request(page, service, monkeypatch):
    monkeypatch.setattr(limits, "_LEAST_S", 0.3)
    run_id = service.start(Target(), small_sweep(values=(1, 2, 4), prompt="hang:1"))
    until(lambda: service.jobs.no_sign_s(run_id))
    test = page(run_id)
    assert "The worker has given no sign for" in texts(test.warning)
    assert "After 10 min it is ended" in texts(test.warning)
    test.button(key="end-worker").click().run()
    until(lambda: state(service, run_id).ended)
    assert state(service, run_id) is State.DONE
    test = page(run_id)
    assert "gave no sign for" in texts(test.warning)
    assert "resume" not in [button.key for button in test.button]


def test_a_run_that_was_stopped_is_resumed_by_a_button(page, service):
    run_id = service.start(Target(), small_sweep(values=(1, 2), num_samples=450))
    until(lambda: service.store.run(run_id)["num_samples"])
    service.stop(run_id)
    until(lambda: state(service, run_id) is State.STOPPED)
    missing = 900 - service.store.run(run_id)["num_samples"]
    test = page(run_id)
    assert test.button(key="resume").label == f"Resume, {missing} samples to go"
    test.button(key="resume").click().run()
    assert not test.exception
    until(lambda: state(service, run_id) is State.DONE)
    assert service.store.run(run_id)["num_samples"] == 900
    with pytest.raises(UserError, match="is done"):
        service.resume(run_id)


def test_what_cannot_go_on_here_says_what_differs_and_stays_as_it_was(page, service):
    run_id = left_behind(service, {"type": "environment", "device_name": "fake", "torch": "0"})
    until(lambda: state(service, run_id) is State.FAILED)
    test = page(run_id)
    assert "The command that had started this run ended before it was done." in texts(test.error)
    before = spool.spool_path(service.store.spools, run_id).read_bytes()
    test.button(key="resume").click().run()
    assert "cannot go on here, since what it was measured on differs: torch (0 then, 1 now)" in texts(test.error)
    assert spool.spool_path(service.store.spools, run_id).read_bytes() == before


def test_only_what_was_measured_here_and_ended_early_can_go_on(service):
    shipped = service.store.runs("moe_topk").query("source == 'shipped'")["id"].iloc[0]
    with pytest.raises(UserError, match="taken in from elsewhere"):
        service.resume(shipped)
    with pytest.raises(UserError, match="no run nowhere"):
        service.resume("nowhere")
    gone = left_behind(service)
    until(lambda: state(service, gone) is State.FAILED)
    spool.spool_path(service.store.spools, gone).unlink()
    with pytest.raises(UserError, match="is gone"):
        service.resume(gone)
    measured = left_behind(service)
    path = spool.spool_path(service.store.spools, measured)
    until(lambda: state(service, measured) is State.FAILED)
    with spool.RunHold(path), pytest.raises(UserError, match="by another process"):
        service.resume(measured)


def test_a_run_on_a_second_host_says_so(page, service):
    also = [{"host": "b", "card": "GPU-2", "device": "cuda:0", "from_sample": 1}]
    environment = {"type": "environment", "device_name": "H100", "host": "a", "card": "GPU-1", "also": also}
    run_id = left_behind(service, environment)
    until(lambda: state(service, run_id) is State.FAILED)
    shown = texts(page(run_id).caption)
    assert "begun on GPU-1 of a" in shown
    assert "from sample 1 on GPU-2 of b" in shown
