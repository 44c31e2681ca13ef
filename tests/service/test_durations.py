"""How long a joint sweep takes, by the latency model of one like it."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from profcore.service.durations import Durations
from profcore.service.results import Results
from profcore.service.shared import Shared
from profcore.spec.queries import Picture
from profcore.spec.runs import RunSpec, Sweep, Target
from profcore.spec.settings import Setting, first_blocks
from profcore.storage.store import Store
from profcore.tradeoff.duration import predicted_totals
from profcore.tradeoff.latency_model import fit_latency_model
from profcore.tradeoff.points import load_joint_points
from tests.support import sample_spool

JOINT_RUN = "20261129-200539-f12b2ec8"
H200 = Target("molmoe-1b", "cuda:0", "bfloat16", "compiled")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("durations") / "data.duckdb") as store:
        store.take_in(sample_spool(JOINT_RUN, store.path.parent), source="shipped")
        yield store


@pytest.fixture
def durations(store):
    results = Results(store, store.runs)
    yield Durations(store, Shared(lambda: store.connection.changes), results)
    results.close()


def measured_sweep(store):
    return RunSpec.from_dict(store.run(JOINT_RUN)["spec"]).sweep


def test_the_model_says_what_the_run_it_was_fitted_to_took(store):
    model = fit_latency_model(load_joint_points(store, JOINT_RUN))
    settings = measured_sweep(store).settings
    medians = store.timings("NVIDIA H200", "molmoe-1b", "compiled")
    assert len(medians) == len(settings)
    totals = predicted_totals(model, settings)
    samples = store.measured(JOINT_RUN).groupby("setting")["total_ms"].median()
    off = np.abs(totals / samples.to_numpy() - 1)
    assert np.median(off) < 0.02
    assert off.max() < 0.1


def test_of_more_crops_than_were_measured_it_says_nothing(store):
    model = fit_latency_model(load_joint_points(store, JOINT_RUN))
    known = Setting((1, 1), 8, first_blocks(16, 16), 10)
    assert np.isfinite(predicted_totals(model, [known])).all()
    model.points["num_crops"] = model.points["num_crops"].clip(upper=7)
    assert np.isnan(predicted_totals(model, [replace(known, grid=(3, 4))])).all()


def test_a_knob_that_never_varied_is_predicted_only_where_it_stood(store):
    model = fit_latency_model(load_joint_points(store, JOINT_RUN))
    held = replace(model, held={"top_k": 8})
    of_eight, of_nine = (Setting((1, 1), k, first_blocks(16, 16), 10) for k in (8, 9))
    totals = predicted_totals(held, [of_eight, of_nine])
    assert np.isfinite(totals[0])
    assert np.isnan(totals[1])


def test_a_sweep_of_settings_that_nobody_measured_has_an_estimate(store, durations):
    sweep = Sweep(
        "joint",
        tuple(Setting((1, g), k, first_blocks(b, 16), 300) for g, k, b in product((1, 5), (3, 24), (7, 15))),
        num_samples=20,
    )
    seconds = durations.seconds("NVIDIA H200", H200, sweep)
    model = fit_latency_model(load_joint_points(store, JOINT_RUN))
    inferences = predicted_totals(model, sweep.settings).sum() * (sweep.num_samples + sweep.warmup) / 1000
    overheads = store.overheads("NVIDIA H200", "molmoe-1b", "compiled").iloc[0]
    besides = max(overheads["wall_s"] - overheads["inferences_s"], 0) / overheads["settings"] * len(sweep.settings)
    assert seconds == pytest.approx(inferences + besides)


@pytest.mark.parametrize("changes", [{"model": "tiny"}, {"engine": "graph"}, {"dtype": "float16"}])
def test_another_model_engine_or_dtype_has_none(store, durations, changes):
    assert durations.seconds("NVIDIA H200", replace(H200, **changes), measured_sweep(store)) is None


def test_another_card_has_none(store, durations):
    assert durations.seconds("NVIDIA H100", H200, measured_sweep(store)) is None
    assert durations.seconds("NVIDIA H200", H200, replace(measured_sweep(store), picture=Picture())) is not None
