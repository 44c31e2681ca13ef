"""A run that goes on where it was ends with what it would have ended with."""

import itertools
import platform
import random
from dataclasses import replace

import pytest
import torch

from profcore.engines.base import PreparationError, StopRequestedError
from profcore.engines.eager import EagerEngine
from profcore.errors import UserError
from profcore.measure import loop
from profcore.measure.loop import run_sweep
from profcore.measure.quality import Quality
from profcore.measure.telemetry import Telemetry
from profcore.spec.begun import Begun, begun_of, differences, extended
from profcore.spec.queries import Picture, Query, QuerySet
from profcore.spec.records import Sample
from profcore.spec.runs import RunSpec, Target
from profcore.spec.shards import shard_spec, split
from profcore.spec.stages import TTFT_STAGES, State
from profcore.storage import spool
from profcore.storage.lines import read_from, read_lines
from profcore.worker import execute as execution
from profcore.worker.execute import execute, write_result
from tests.support import CEILINGS, small_sweep

CPU = torch.device("cpu")


class Quick(EagerEngine):
    """Runs nothing, asks whether to stop as the others do, and cannot measure top-k 2 once it has two samples."""

    def __init__(self, model, taken=0):
        super().__init__(model)
        self._taken, self.calls = taken, []

    def infer(self, inputs, setting, clock=None, stop=None, keep_logits=False):
        self.calls.append((setting.top_k, clock is not None))
        if stop and stop():
            raise StopRequestedError
        if clock and setting.top_k == 2:
            if self._taken == 2:
                raise PreparationError("it broke")
            self._taken += 1
        if clock:
            clock.start()
            for stage in TTFT_STAGES:
                clock.mark(stage)
            for _ in range(setting.output_tokens - 1):
                clock.step()
            clock.finish()
        return torch.zeros(setting.output_tokens), []


@pytest.fixture(autouse=True)
def _nothing_else_is_run_either(monkeypatch, request):
    if "shelf" not in request.fixturenames or "tiny" in request.fixturenames:
        monkeypatch.setattr(loop, "prefill_experts", lambda model, given, setting: (setting.top_k, 7))
        monkeypatch.setattr(loop.QualityMeter, "of", lambda meter, setting: Quality(0.1, None, setting.top_k))


def measured(tiny, sweep, path, begun, stop=lambda: False):
    """Measure what is left into a spool; whether it came to its end."""
    engine = Quick(tiny.model, len(begun.taken.get(1, ())))
    with spool.SpoolWriter(path) as writer:
        try:
            for result in run_sweep(tiny, engine, sweep, Telemetry(CPU), stop, begun=begun):
                write_result(writer, result)
        except StopRequestedError:
            return False
    return True


def told(path):
    """What a spool says but times, in its order: each kind of result and whose it is."""
    keys = ("sample_id", "setting", "round", "prefill_experts", "reason", "num_output_tokens")
    records = read_from(path).records
    return [(record["type"], *(record.get(key) for key in keys if key in record)) for record in records]


@pytest.fixture
def sweep():
    query = Query(Picture(), "What is it?", "a", "b", 512, 512)
    made = small_sweep("moe_topk", (1, 2, 4, 8), num_samples=4, seed=11)
    return replace(made, quality=QuerySet("one", (query,)))


@pytest.mark.parametrize("attempts", [1, pytest.param(4, marks=pytest.mark.long)])
def test_whenever_it_is_stopped_it_ends_with_the_same_samples_in_the_same_order(tiny, sweep, tmp_path, attempts):
    whole = tmp_path / "whole.jsonl"
    assert measured(tiny, sweep, whole, Begun())
    expected = told(whole)
    assert len([each for each in expected if each[0] == "sample"]) == 3 * 4 + 2
    drawn = random.Random(5)
    for attempt in range(attempts):
        path = tmp_path / f"{attempt}.jsonl"
        for _ in range(40):
            asked, limit = itertools.count(), drawn.randrange(4, 30)
            begun = begun_of(read_lines(path).records if path.exists() else [], 4)
            if measured(tiny, sweep, path, begun, lambda asked=asked, limit=limit: next(asked) > limit):
                break
            # A process that is killed may leave half a line.
            data = path.read_bytes()
            path.write_bytes(data[: len(data) - drawn.choice((0, 0, 10))])
        # What a kill cut off comes later: experts are counted once their setting has a sample.
        assert sorted(map(str, told(path))) == sorted(map(str, expected))
        order = [each for each in told(path) if each[0] == "sample"]
        assert order == [each for each in expected if each[0] == "sample"]
        elapsed = [record["elapsed_s"] for record in read_from(path).records if record["type"] == "sample"]
        assert elapsed == sorted(elapsed)


def test_each_setting_is_warmed_anew_where_a_run_goes_on(tiny):
    sweep = small_sweep("moe_topk", (1, 2), num_samples=2, warmup=3)
    engine = Quick(tiny.model)
    begun = Begun(taken={0: frozenset({0}), 1: frozenset({0})}, routed=frozenset({0, 1}), next_sample=2)
    results = list(run_sweep(tiny, engine, sweep, Telemetry(CPU), bool, begun=begun))
    assert sorted(engine.calls) == [(1, False)] * 3 + [(1, True)] + [(2, False)] * 3 + [(2, True)]
    assert [each.sample_id for each in results] == [2, 3]


def test_a_lost_line_is_measured_again_and_nothing_else(tiny, sweep, tmp_path):
    path = tmp_path / "a.jsonl"
    measured(tiny, sweep, path, Begun())
    lines = path.read_bytes().splitlines(keepends=True)
    lost = next(number for number, line in enumerate(lines) if b'"sample"' in line and b'"setting":2' in line)
    lines[lost] = b"\xff half a\n"
    path.write_bytes(b"".join(lines))
    begun = begun_of(read_lines(path).records, 4)
    results = list(run_sweep(tiny, Quick(tiny.model, 2), sweep, Telemetry(CPU), bool, begun=begun))
    assert [type(each) for each in results] == [Sample]
    assert (results[0].setting, results[0].round, results[0].sample_id) == (2, 0, 14)


def test_a_run_of_which_every_setting_had_failed_says_why_again(tiny):
    begun = Begun(failed={0: "Out of GPU memory.", 1: "Out of GPU memory."})
    with pytest.raises(UserError, match=r"No setting could be measured: Out of GPU memory"):
        list(run_sweep(tiny, EagerEngine(tiny.model), small_sweep(), Telemetry(CPU), bool, begun=begun))


@pytest.mark.parametrize(
    "record",
    [None, {"type": "sample"}, {"type": "sample", "setting": [], "elapsed_s": "x"}, {"type": "routing"}, {"type": "?"}],
)
def test_odd_records_are_nothing_that_was_measured(record):
    assert begun_of([record], 4) == Begun()


HERE = {"device_name": "H100", "driver": "580", "torch": "2.11", "host": "a", "card": "GPU-1", "device": "cuda:0"}


def test_what_must_be_the_same_is_named_and_another_card_of_the_model_is_recorded():
    assert differences(HERE, HERE | {"host": "b", "card": "GPU-2", "device": "cuda:3"}) == []
    assert differences(HERE, HERE | {"torch": "2.12", "device_name": "A100"}) == [
        "device name (H100 then, A100 now)",
        "torch (2.11 then, 2.12 now)",
    ]
    assert differences({"torch": "2.11"}, HERE) == []
    assert extended(HERE, HERE | {"device": "cuda:1"}, 5) is None
    second = extended(HERE, HERE | {"host": "b"}, 5)
    assert second == HERE | {"also": [{"host": "b", "card": "GPU-1", "device": "cuda:0", "from_sample": 5}]}
    assert extended(second, HERE | {"host": "b"}, 7) is None
    assert [each["from_sample"] for each in extended(second, HERE, 9)["also"]] == [5, 9]


def test_a_part_that_goes_on_later_on_the_same_card_is_told_apart_once_something_was_measured():
    assert extended(HERE, HERE, 5, apart=False) is None
    assert extended(HERE, HERE, 0, apart=True) is None
    later = extended(HERE, HERE, 5, apart=True)
    assert later == HERE | {"also": [{"host": "a", "card": "GPU-1", "device": "cuda:0", "from_sample": 5}]}
    assert extended(later, HERE, 5, apart=True) is None
    assert [each["from_sample"] for each in extended(later, HERE, 9, apart=True)["also"]] == [5, 9]


@pytest.fixture
def ceilings(monkeypatch):
    """Ceilings that take no time to be measured."""
    monkeypatch.setattr(execution, "device_ceilings", lambda *given: CEILINGS)


def begun_run(shelf, path, shard=None, **environment):
    """A run, or a part of one, that was stopped after its third sample, on what is said here."""
    sweep = small_sweep(num_samples=3)
    spec = shard_spec(Target(), sweep, shard) if shard else RunSpec.new(Target(), sweep)
    path = path / f"{spec.id}.jsonl"
    with spool.SpoolWriter(path) as writer:
        writer.run(spec)
        samples = []
        execute(
            spec, writer, shelf, lambda: len(samples) == 3, lambda r: samples.append(r) if isinstance(r, Sample) else 0
        )
    lines = path.read_text()
    for name, (before, after) in environment.items():
        assert f'"{name}":"{before}"' in lines
        lines = lines.replace(f'"{name}":"{before}"', f'"{name}":"{after}"', 1)
    path.write_text(lines)
    return spec, path


def resumed(shelf, spec, path):
    with spool.SpoolWriter(path) as writer:
        state = execute(spec, writer, shelf, lambda: False)
    return state, read_from(path).records


def test_a_run_that_was_stopped_is_done_in_the_end_on_one_environment(shelf, ceilings, tmp_path):
    spec, path = begun_run(shelf, tmp_path)
    state, records = resumed(shelf, spec, path)
    assert state is State.DONE, records[-1]
    assert [each["sample_id"] for each in records if each["type"] == "sample"] == list(range(6))
    (environment,) = [each for each in records if each["type"] == "environment"]
    assert environment["host"] == platform.node()


@pytest.mark.long
def test_it_is_refused_on_other_versions_and_named_on_another_host(shelf, ceilings, tmp_path):
    spec, path = begun_run(shelf, tmp_path, torch=(torch.__version__, "1.0"))
    state, records = resumed(shelf, spec, path)
    assert state is State.FAILED
    assert f"torch (1.0 then, {torch.__version__} now)" in records[-1]["reason"]
    assert len([each for each in records if each["type"] == "sample"]) == 3
    spec, path = begun_run(shelf, tmp_path, host=(platform.node(), "elsewhere"))
    state, records = resumed(shelf, spec, path)
    assert state is State.DONE
    last = [each for each in records if each["type"] == "environment"][-1]
    assert last["host"] == "elsewhere"
    assert last["also"] == [{"host": platform.node(), "card": None, "device": "cpu", "from_sample": 3}]


def test_a_shard_that_goes_on_on_the_same_card_says_from_which_sample_on(shelf, ceilings, tmp_path):
    (shard,) = split(Target(), small_sweep(num_samples=3), 1, "friday")
    spec, path = begun_run(shelf, tmp_path, shard)
    state, records = resumed(shelf, spec, path)
    assert state is State.DONE, records[-1]
    last = [each for each in records if each["type"] == "environment"][-1]
    assert last["also"] == [{"host": platform.node(), "card": None, "device": "cpu", "from_sample": 3}]
