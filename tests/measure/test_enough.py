"""A setting is sampled until it is precise or a bound is reached, and a run that goes on stops where it would have."""

import random
from dataclasses import dataclass, field, replace

import pytest
import torch

from profcore.engines.base import StopRequestedError, Timing
from profcore.engines.eager import EagerEngine
from profcore.errors import UserError
from profcore.measure import loop
from profcore.measure.enough import Enough
from profcore.measure.loop import run_sweep
from profcore.measure.telemetry import Telemetry
from profcore.spec.begun import begun_of
from profcore.spec.runs import RunSpec, Sweep, Target
from profcore.spec.stages import Stage
from profcore.spec.until import FEWEST, StoppedBy, Until
from profcore.storage.lines import read_from
from profcore.storage.spool import SpoolWriter
from profcore.worker.execute import write_result
from tests.support import small_sweep

KINDS = {1: 0.001, 2: 0.02, 4: 0.3}
"""How much each setting varies, by its top-k."""
SWEEP = small_sweep(values=tuple(KINDS), num_samples=40, seed=3, until=Until(0.01))


@dataclass
class Pretended:
    """A clock that says what a setting takes in each of its visits, always the same."""

    visits: dict = field(default_factory=dict)
    top_k: int = 0

    def reserve(self, output_tokens):
        pass

    def read(self):
        visit = self.visits[self.top_k] = self.visits.get(self.top_k, -1) + 1
        total = 10 * self.top_k * (1 + KINDS[self.top_k] * random.Random(f"{self.top_k} {visit}").uniform(-1, 1))
        return Timing(dict.fromkeys(Stage, 0.0) | {Stage.LLM_PREFILL: total}, (), total, None, None)


class Quick(EagerEngine):
    """Runs nothing, and tells the clock whose turn it is."""

    def infer(self, inputs, setting, clock=None, stop=None, keep_logits=False):
        if stop and stop():
            raise StopRequestedError
        if clock:
            clock.top_k = setting.top_k
        return torch.zeros(setting.output_tokens), []


@pytest.fixture
def measure(tiny, monkeypatch, tmp_path):
    """Measure what is left of the sweep into a spool, up to some number of samples, and give its records."""
    monkeypatch.setattr(loop, "prefill_experts", lambda model, given, setting: (7,))

    def measured(sweep, name, most=10**9):
        path = tmp_path / f"{name}.jsonl"
        begun = begun_of(read_from(path).records if path.exists() else [], len(sweep.settings))
        ks = [setting.top_k for setting in sweep.settings]
        clock = Pretended({ks[each]: len(rounds) - 1 for each, rounds in begun.taken.items()})
        monkeypatch.setattr(loop, "make_clock", lambda *given: clock)
        with SpoolWriter(path) as writer:
            results = run_sweep(
                tiny, Quick(tiny.model), sweep, Telemetry(torch.device("cpu")), lambda: most <= 0, begun=begun
            )
            try:
                for result in results:
                    write_result(writer, result)
                    most -= isinstance(result, loop.Sample)
            except StopRequestedError:
                pass
        return read_from(path).records

    return measured


def told(records):
    keys = ("sample_id", "setting", "round", "total_ms", "by")
    return [(record["type"], *(record.get(key) for key in keys)) for record in records]


def test_each_setting_gets_what_it_takes_and_the_rounds_go_on_without_it(measure):
    records = measure(SWEEP, "whole")
    samples = [record for record in records if record["type"] == "sample"]
    number = {each: [record["setting"] for record in samples].count(each) for each in range(3)}
    ended = {record["setting"]: record["by"] for record in records if record["type"] == "setting_ended"}
    assert ended == {0: "precision", 1: "precision", 2: "samples"}
    assert FEWEST <= number[0] < number[1] < number[2] == 40
    # Every round has each setting once that is still open, in an order of its own.
    rounds = [[each["setting"] for each in samples if each["round"] == visit] for visit in range(number[0])]
    assert all(sorted(each) == [0, 1, 2] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1


@pytest.mark.parametrize(
    "pieces", [[7, 9, 30], *(pytest.param(each, marks=pytest.mark.long) for each in ([1], [20], [-1]))], ids=str
)
def test_a_run_that_goes_on_ends_with_what_it_would_have_ended_with(measure, pieces):
    """Measured in pieces of so many samples and then to its end; -1 are all but the last."""
    whole = told(measure(SWEEP, "whole"))
    samples = sum(kind == "sample" for kind, *_ in whole)
    for most in pieces:
        measure(SWEEP, "pieces", most % samples)
    assert sorted(told(measure(SWEEP, "pieces")), key=str) == sorted(whole, key=str)


def test_a_record_that_was_lost_is_written_anew(measure, tmp_path):
    whole = measure(SWEEP, "whole")
    path = tmp_path / "whole.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "setting_ended" not in line))
    assert sorted(told(measure(SWEEP, "whole")), key=str) == sorted(told(whole), key=str)


def test_quality_and_experts_are_found_of_settings_that_ended_too(measure):
    records = measure(SWEEP, "whole")
    assert sorted(record["setting"] for record in records if record["type"] == "routing") == [0, 1, 2]


def test_seconds_end_a_setting_that_has_the_fewest_samples():
    rule = Enough(replace(SWEEP, until=Until(0.0001, max_seconds=1.0)))
    for taken in range(1, 9):
        rule.add(0, 200.0 + taken)
        rule.add(1, 140.0 + taken)
        assert (rule.stopped_by(0) is StoppedBy.SECONDS) == (taken >= FEWEST)
        assert (rule.stopped_by(1) is StoppedBy.SECONDS) == (taken >= 7)


def test_what_asks_for_a_fixed_number_ends_nothing():
    rule = Enough(replace(SWEEP, until=None, num_samples=3))
    for _ in range(5):
        rule.add(0, 1.0)
        assert rule.stopped_by(0) is None


def test_it_is_part_of_the_spec_and_what_cannot_be_is_refused():
    assert Sweep.from_dict(SWEEP.to_dict()) == SWEEP
    assert "until" not in replace(SWEEP, until=None).to_dict()
    spec = RunSpec.new(Target(), SWEEP)
    assert RunSpec.from_dict(spec.to_dict()) == spec
    for make in (lambda: Until(0), lambda: Until(2.0), lambda: Until(0.01, 0), lambda: Until(float("nan"))):
        with pytest.raises(UserError):
            make()
    for number in (5, 5001):
        with pytest.raises(UserError, match="6 to 5,000"):
            replace(SWEEP, num_samples=number)
