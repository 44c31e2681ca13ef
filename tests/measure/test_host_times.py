"""What the host's clock takes in before an inference: the work for its picture, and nothing issued before."""

from types import SimpleNamespace

import pytest
import torch

from profcore.bench import model as bench
from profcore.engines.eager import EagerEngine
from profcore.models import inputs
from profcore.models.families import inputs as family
from profcore.models.inputs import ModelInputs
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
