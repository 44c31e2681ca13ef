"""How long a sweep will take, from what earlier runs took."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from profcore.results.duration import sweep_duration
from profcore.spec.queries import Picture, Query, QueryPlan, QuerySet
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.spec.until import Until
from profcore.stats import expected_samples
from profcore.storage import spool
from profcore.storage.store import Store
from tests.storage.test_store import a_sample
from tests.support import small_sweep

NONE = pd.DataFrame(columns=["wall_s", "settings", "inferences_s"])


def took(*rows):
    """Earlier settings of two blocks and three tokens on one crop, each a top-k and its milliseconds."""
    columns = ["crops", "top_k", "active_blocks", "output_tokens", "total_ms"]
    return pd.DataFrame([(1, top_k, 2, 3, ms) for top_k, ms in rows], columns=columns)


def test_each_setting_lasts_as_it_did_once_for_each_sample_and_warm_up():
    sweep = small_sweep(values=(1, 2), num_samples=8, warmup=2)
    assert sweep_duration(sweep, took((1, 100), (2, 300)), NONE) == pytest.approx(4.0)
    # Of several runs the median counts.
    assert sweep_duration(sweep, took((1, 100), (2, 200), (2, 300), (2, 900)), NONE) == pytest.approx(4.0)


def test_the_nearest_setting_stands_for_one_that_was_not_measured():
    sweep = small_sweep(values=(6,), num_samples=10)
    assert sweep_duration(sweep, took((1, 50), (4, 100), (8, 300)), NONE) == pytest.approx(3.0)


def test_what_is_too_far_from_all_that_was_measured_has_no_estimate():
    assert sweep_duration(small_sweep(values=(1, 64)), took((1, 100), (8, 300)), NONE) is None
    assert sweep_duration(small_sweep(), took(), NONE) is None
    longer = small_sweep(values=(1,))
    longer = replace(longer, settings=tuple(replace(each, output_tokens=100) for each in longer.settings))
    assert sweep_duration(longer, took((1, 100)), NONE) is None
    question = Query(Picture(), "What?", "1", "1", 10, 10)
    asked = replace(small_sweep(values=(1,)), plan=QueryPlan(QuerySet("mine", (question,)), (0,)))
    assert sweep_duration(asked, took((1, 100)), NONE) is None


def test_a_latency_model_stands_between_what_was_measured_and_what_is_only_near():
    earlier, model = took((1, 100), (4, 200)), np.array([70.0, 170.0, 900.0])
    sweep = small_sweep(values=(1, 5, 64), num_samples=10, warmup=0)
    # Top-1 was measured, top-5 is near and predicted, top-64 is only predicted.
    assert sweep_duration(sweep, earlier, NONE, model) == pytest.approx(10 * (0.1 + 0.17 + 0.9))
    model[1] = np.nan
    assert sweep_duration(sweep, earlier, NONE, model) == pytest.approx(10 * (0.1 + 0.2 + 0.9))
    model[2] = np.nan
    assert sweep_duration(sweep, earlier, NONE, model) is None


def test_as_many_samples_as_it_takes_are_guessed_from_how_a_setting_varied():
    sweep = small_sweep(values=(1,), num_samples=100, warmup=2, until=Until(0.01, max_seconds=5.0))
    # What hardly varies has the fewest that have an interval, what was measured too seldom as many as may be.
    fewest = expected_samples(0.0, 1.0, 0.01, 100)
    assert sweep_duration(sweep, took((1, 10)).assign(iqr=0.0), NONE) == pytest.approx(0.01 * (fewest + 2))
    assert sweep_duration(sweep, took((1, 10)).assign(iqr=float("nan")), NONE) == pytest.approx(0.01 * 102)
    # Five seconds hold ten of half a second.
    assert sweep_duration(sweep, took((1, 500)).assign(iqr=500.0), NONE) == pytest.approx(0.5 * 12)


def test_what_runs_took_besides_their_inferences_comes_on_top():
    sweep = small_sweep(values=(1, 2), num_samples=10)
    runs = pd.DataFrame({"wall_s": [16.0, 3.0], "settings": [4, 1], "inferences_s": [4.0, 4.0]})
    # Three seconds a setting in one, nothing in the other.
    assert sweep_duration(sweep, took((1, 100), (2, 100)), runs) == pytest.approx(2.0 + 2 * 1.5)


def test_earlier_runs_are_those_on_the_same_device_model_and_engine(tmp_path):
    store = Store(tmp_path / "data.duckdb")
    for engine, dtype in (("eager", "float32"), ("eager", "bfloat16"), ("graph", "float32")):
        spec = RunSpec.new(Target(engine=engine), small_sweep(values=(1, 2), num_samples=1))
        with spool.SpoolWriter(spool.spool_path(store.spools, spec.id)) as writer:
            writer.run(spec)
            writer.state(State.RUNNING)
            where = {"device_name": "a CPU", "model": "tiny", "engine": engine, "dtype": dtype}
            writer.write({"type": "environment", **where})
            for setting in (0, 1):
                writer.sample(a_sample(setting, setting))
            writer.state(State.DONE)
    store.take_in_all()
    found = store.timings("a CPU", "tiny", "eager")
    assert sorted(found["top_k"]) == [1, 1, 2, 2]
    assert set(found["total_ms"]) == {a_sample(0, 0).total_ms}
    assert len(store.timings("a CPU", "tiny", "eager", "float32")) == 2
    assert store.timings("another", "tiny", "eager").empty
    assert store.timings("a CPU", "molmoe-1b", "eager").empty
    overheads = store.overheads("a CPU", "tiny", "graph")
    assert overheads["settings"].tolist() == [2]
    assert overheads["inferences_s"].tolist() == [pytest.approx(2 * a_sample(0, 0).total_ms / 1000)]
    assert overheads["wall_s"].ge(0).all()
    store.close()
