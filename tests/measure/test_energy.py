"""Joules, of a card whose true consumption is known and whose counter moves in coarse steps."""

# Functions of NVML are called as they are there.
# ruff: noqa: N802

import math

import pytest
import torch

from profcore.engines.base import PreparationError, StopRequestedError
from profcore.engines.eager import EagerEngine
from profcore.errors import UserError
from profcore.measure.card import Card
from profcore.measure.energy import EnergyFailed, EnergyPass, SettingEnergy, energy_refusal
from profcore.measure.loop import run_sweep
from profcore.measure.telemetry import Telemetry
from profcore.spec.settings import Setting, first_blocks
from profcore.spec.stages import MODEL_STAGES, Stage
from tests.measure.fake_nvml import FakeNvml
from tests.support import small_sweep

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
SETTING = Setting((1, 1), 2, first_blocks(2, 2), 5)
# Seconds and watts of each stage.
STAGES = dict(zip(MODEL_STAGES, ((0.004, 500), (0.0003, 250), (0.012, 650), (0.03, 320)), strict=True))
TRUE = {str(stage): seconds * watts for stage, (seconds, watts) in STAGES.items()}


class Simulated(FakeNvml):
    """A card on which time passes as it works, and an engine on it; what it shows is up to `step_s` or `step_j` old."""

    def __init__(self, step_s=0.1, step_j=0.0, **given):
        super().__init__(**given)
        self.step_s, self.step_j = step_s, step_j
        self.time, self.joules, self.watts = 0.0, 0.0, 90.0
        self.shown, self.shown_at = 0.0, 0.0
        self.calls = 0

    def pass_time(self, seconds, watts):
        while seconds > 1e-12:
            part = min(seconds, max(self.shown_at + self.step_s - self.time, 1e-9)) if self.step_s else seconds
            self.time, self.joules, self.watts = self.time + part, self.joules + part * watts, watts
            seconds -= part
            if self.time >= self.shown_at + self.step_s - 1e-9:
                self.shown, self.shown_at = self.joules, self.time

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        self._refuse_part(handle)
        self.pass_time(2e-5, self.watts)
        shown = self.shown if self.step_s else self.joules
        return round((math.floor(shown / self.step_j) * self.step_j if self.step_j else shown) * 1e3)

    def nvmlDeviceGetPowerUsage(self, handle):
        self._refuse_part(handle)
        self.pass_time(2e-5, self.watts)
        return round(self.watts * 1e3)

    def stage_works(self, inputs, setting):
        def work(stage):
            self.calls += 1
            self.pass_time(*STAGES[stage])

        return {stage: lambda stage=stage: work(stage) for stage in MODEL_STAGES}

    def infer(self, inputs, setting, clock=None, stop=None):
        for work in self.stage_works(inputs, setting).values():
            work()


def measuring(nvml, stop=bool):
    return EnergyPass(nvml, Card(nvml, "handle", pid=10), stop, lambda: None, lambda: nvml.time)


@pytest.mark.parametrize("steps", [{"step_s": 0.1}, {"step_s": 0.02}, {"step_s": 0.0, "step_j": 8.0}], ids=str)
def test_the_joules_of_each_stage_are_recovered_within_the_resolution_that_is_said(steps):
    found = measuring(Simulated(**steps)).of(None, SETTING, "picture")
    assert found.method == "counter"
    for part, joules in {**TRUE, "total": sum(TRUE.values())}.items():
        assert abs(found.joules[part] - joules) <= found.resolution[part], part
        assert found.resolution[part] < 0.05 * joules


def test_a_finer_counter_needs_less_time_for_a_finer_figure():
    coarse, fine = Simulated(step_s=0.1), Simulated(step_s=0.005)
    resolutions = [measuring(nvml).of(None, SETTING, 0).resolution["llm_prefill"] for nvml in (coarse, fine)]
    assert resolutions[1] < resolutions[0]
    assert fine.time < coarse.time
    assert measuring(coarse).of(None, SETTING, 0).step_s == pytest.approx(0.1, abs=0.01)


def test_power_is_added_up_where_there_is_no_counter():
    nvml = Simulated(lacks=("nvmlDeviceGetTotalEnergyConsumption",))
    found = measuring(nvml).of(None, SETTING, 0)
    assert found.method == "power"
    for part, joules in TRUE.items():
        assert found.joules[part] == pytest.approx(joules, rel=0.02)


def test_power_is_added_up_where_a_counter_stands_still():
    found = measuring(Simulated(step_s=1000.0)).of(None, SETTING, 0)
    assert found.method == "power"
    assert found.joules["llm_prefill"] == pytest.approx(TRUE["llm_prefill"], rel=0.02)


def test_a_stage_that_settings_share_is_measured_once():
    nvml = Simulated()
    energy = measuring(nvml)
    first = energy.of(None, SETTING, "picture")
    before = nvml.time
    second = energy.of(None, SETTING, "picture")
    assert [second.joules[str(stage)] for stage in MODEL_STAGES] == [first.joules[str(stage)] for stage in MODEL_STAGES]
    # Only the whole inference is measured again, of which all could have been another.
    assert nvml.time - before < before / 2


def test_a_card_that_falls_silent_and_a_run_that_is_stopped():
    nvml = Simulated()
    energy = measuring(nvml)
    energy.of(None, SETTING, 0)
    nvml.lacks.add("nvmlDeviceGetTotalEnergyConsumption")
    with pytest.raises(UserError, match="stopped saying"):
        energy.of(None, SETTING, 0)
    with pytest.raises(StopRequestedError):
        measuring(Simulated(), lambda: True).of(None, SETTING, 0)


@pytest.mark.parametrize(
    ("device", "given", "said"),
    [
        (CPU, {}, "NVIDIA GPUs alone"),
        (GPU, None, "needs NVML"),
        (GPU, {"part_of": "whole"}, "a part of one"),
        (GPU, {"lacks": ("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage")}, "neither"),
    ],
)
def test_why_energy_cannot_be_measured(device, given, said):
    card = None if given is None else Card(FakeNvml(**given), "handle", pid=10)
    assert said in energy_refusal(device, card)


def test_a_card_with_either_is_not_refused():
    for lacking in ("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage"):
        assert energy_refusal(GPU, Card(FakeNvml(lacks=(lacking,)), "handle", pid=10)) == ""


class TestInASweep:
    def test_a_cpu_gives_the_reason_after_its_samples(self, tiny):
        sweep = small_sweep(values=(1,), num_samples=1, energy=True)
        *_, last = run_sweep(tiny, EagerEngine(tiny.model), sweep, Telemetry(CPU), bool)
        assert isinstance(last, EnergyFailed)
        assert "NVIDIA GPUs alone" in last.reason

    @pytest.mark.long
    def test_what_cannot_be_found_of_one_setting_is_found_of_the_others(self, tiny, monkeypatch):
        nvml = Simulated()

        class Failing(EagerEngine):
            def stage_works(self, inputs, setting):
                if setting.top_k == 1:
                    raise PreparationError("no such kernel")
                return nvml.stage_works(inputs, setting)

        monkeypatch.setattr("profcore.measure.loop.energy_refusal", lambda device, card: "")
        monkeypatch.setattr("profcore.measure.loop.torch.cuda.synchronize", lambda device: None)
        monkeypatch.setattr("profcore.measure.energy.LONGEST_S", 0.0)
        telemetry = Telemetry(CPU, Card(nvml, "handle", pid=10))
        sweep = small_sweep(num_samples=1, energy=True)
        found = list(run_sweep(tiny, Failing(tiny.model), sweep, telemetry, bool))
        energies = [each for each in found if isinstance(each, EnergyFailed | SettingEnergy)]
        assert [type(each) for each in energies] == [EnergyFailed, SettingEnergy]
        assert "no such kernel" in energies[0].reason
        assert energies[1].energy.joules[str(Stage.LLM_DECODE)] > 0
