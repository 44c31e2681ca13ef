"""What the host's clock takes in before an inference: the work for its picture, and nothing issued before."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from profcore.bench import model as bench
from profcore.data_sets import DataSet, read_data_set
from profcore.engines.base import PreparationError
from profcore.engines.eager import EagerEngine
from profcore.experiments.motivation import MOTIVATION, plan
from profcore.measure import loop
from profcore.models import inputs
from profcore.models.config import PRESETS
from profcore.models.families import inputs as family
from profcore.models.inputs import ModelInputs
from profcore.spec.queries import Picture
from profcore.spec.records import Sample
from profcore.spec.runs import Target
from tests.measure.test_measure import NEVER, measure
from tests.support import small_sweep

CPU = torch.device("cpu")


@pytest.fixture
def order(monkeypatch):
    """What happens, in order: the device is waited for, a clock is read, inputs are made."""
    events = []

    def clock():
        events.append("clock")
        return float(len(events))

    for module in (inputs, family):
        monkeypatch.setattr(module, "_wait", lambda device: events.append("wait"))
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=clock))
    return events


@pytest.mark.parametrize(
    ("module", "make"),
    [
        (inputs, lambda loaded: inputs.picture_inputs(loaded, SimpleNamespace(width=400, height=300), 12, "What?")),
        (family, lambda loaded: family.family_inputs(loaded, None, "What?")),
    ],
)
def test_preprocessing_begins_once_the_device_has_ended_what_was_asked_before(module, make, order, monkeypatch):
    made = ModelInputs(*(torch.zeros(1, 1),) * 5)
    monkeypatch.setattr(module, "_made", lambda *arguments: (order.append("made"), made)[1])
    monkeypatch.setattr(inputs, "_warm", lambda device: None)
    loaded = SimpleNamespace(model=SimpleNamespace(device=CPU, config=SimpleNamespace(max_positions=9)))
    assert make(loaded).host_preprocessing_ms == 3e3
    assert order == ["wait", "clock", "made", "wait", "clock"]


def test_a_warm_up_that_nobody_waited_for_is_in_no_preprocessing(tiny, order):
    class Noting(EagerEngine):
        def infer(self, *arguments):
            order.append("inference")
            return super().infer(*arguments)

    sweep = small_sweep("output_tokens", (1,), num_samples=2, warmup=1)
    samples = [each for each in measure(tiny, sweep, NEVER, Noting(tiny.model)) if isinstance(each, Sample)]
    assert len(samples) == 2
    # The warm-up and two samples, each followed by the host's work for the next, and that begins with a wait.
    followed = [order[place + 1] for place, event in enumerate(order[:-1]) if event == "inference"]
    assert followed == ["wait"] * 2
    assert order.count("inference") == 3


def test_the_load_of_a_model_begins_once_its_device_has_ended_what_was_asked_before(tiny, order, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *device: order.append("wait"))
    monkeypatch.setattr(bench, "_wait", lambda device: order.append("wait"))
    monkeypatch.setattr(bench, "time", inputs.time)
    shelf = SimpleNamespace(get=lambda target: (order.append("loaded"), tiny)[1])
    bench.load_time(Target(), shelf)
    assert order == ["wait", "clock", "loaded", "wait", "clock"]


class TestReading:
    """How long a picture's file took is said of the samples that it was read for."""

    @pytest.fixture(autouse=True)
    def counted(self, monkeypatch):
        """Each reading of a file takes a millisecond more than the one before."""
        self.read, real = [], loop.timed_picture

        def timed(picture):
            image, took = real(picture)
            self.read.append(picture.value)
            return image, None if took is None else float(len(self.read))

        monkeypatch.setattr(loop, "timed_picture", timed)

    def taken(self, tiny, sweep, engine=None):
        return [each.picture_reading_ms for each in measure(tiny, sweep, NEVER, engine) if isinstance(each, Sample)]

    def test_a_sweeps_one_picture_is_read_once_and_its_first_sample_has_it(self, tiny):
        assert self.taken(tiny, small_sweep("output_tokens", (1, 2), num_samples=2)) == [1.0, None, None, None]
        assert self.read == ["astronaut"]

    def test_a_picture_without_a_file_is_not_read(self, tiny):
        sweep = small_sweep("output_tokens", (1,), num_samples=2, picture=Picture("solid", "#808080"))
        assert self.taken(tiny, sweep) == [None, None]

    def test_a_setting_that_cannot_be_measured_leaves_it_to_the_first_that_can(self, tiny):
        class Failing(EagerEngine):
            def prepare(self, given, setting, tell=None):
                if setting.output_tokens == 1:
                    raise PreparationError("no such kernel")

        # In the order of this seed the setting that fails comes first in one of the two.
        for values in ((1, 2), (2, 1)):
            self.read.clear()
            assert self.taken(tiny, small_sweep("output_tokens", values, num_samples=1), Failing(tiny.model)) == [1.0]

    def test_real_pictures_are_read_anew_right_before_each_sample(self, tiny):
        queries = read_data_set(DataSet())
        queries = replace(queries, queries=queries.queries[:3:2])
        sweep = plan(MOTIVATION["component_profiling"], queries, PRESETS["tiny"], num_samples=2, warmup=0)
        # First what inferences run on, then what is timed; a later visit has the one alone.
        assert self.taken(tiny, sweep) == [2.0, 4.0, 5.0, 6.0]
