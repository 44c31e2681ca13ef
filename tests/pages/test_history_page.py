"""The page History, as Streamlit runs it."""

import json

import pytest

from tests.comparisons.stored import store_run
from tests.support import small_sweep, texts


@pytest.fixture
def runs(service):
    """Three runs that are alike but for torch, the second slower; the name of a version is hostile."""
    sweep = small_sweep(num_samples=12)
    versions = (("2.11", 10.0), ("2.12 [x](http://a)", 12.0), ("2.13", 12.0))
    return [
        store_run(service.store, sweep, lambda setting, cost=cost: cost, hour=hour, torch=torch, device_name="a b card")
        for hour, (torch, cost) in enumerate(versions)
    ]


def test_a_change_is_said_drawn_and_listed(app, runs):
    # A link names any run of a history, and a setting.
    test = app("history", of="moe_topk", run=runs[1], setting="nonsense")
    assert not test.exception
    group = next(each for each in test.selectbox if each.label == "Measured alike")
    assert group.value == runs[-1]
    said = texts(test.markdown)
    assert f"{runs[1]} is slower" in said.replace("\\", "")
    assert "](http://a)" not in said.replace("\\](http", "")
    spec = json.dumps(json.loads(test.get("vega_lite_chart")[0].proto.spec))
    assert "slower" in spec
    frame = test.dataframe[0].value
    assert frame["run"].tolist() == runs[::-1]
    assert frame["change"].tolist() == ["same", "slower", ""]
    next(each for each in test.selectbox if each.label == "Setting").set_value("top-k 2").run()
    assert not test.exception
    assert "median (ms)" in test.dataframe[0].value
    linked = app("history", of="moe_topk", run=runs[-1], setting="top-k 2")
    assert linked.dataframe[0].value["median (ms)"].tolist() == test.dataframe[0].value["median (ms)"].tolist()


def test_every_experiment_of_the_sample_results_has_a_history(app, service):
    listed = service.runs()
    for experiment in listed["experiment"].unique():
        test = app("history", of=experiment)
        assert not test.exception, experiment
        # Each was measured once: its figures stand in the table, and there is nothing to draw.
        assert "One run has no history yet" in texts(test.info)
        assert len(test.dataframe) == 1
        assert not test.get("vega_lite_chart")


def drawn_from(service, app, costs, samples=12):
    """What the page says of runs of these costs, one after another."""
    for hour, cost in enumerate(costs):
        sweep = small_sweep(num_samples=samples)
        store_run(service.store, sweep, lambda setting, cost=cost: cost, hour=hour, device_name="a card of its own")
    test = app("history", of="moe_topk")
    assert not test.exception
    group = next(each for each in test.selectbox if each.label == "Measured alike")
    own = next(each for each in group.options if "a card of its own" in each)
    return texts(group.select(own).run().markdown)


def test_small_steps_that_add_up_are_said(app, service):
    said = drawn_from(service, app, [10.0 * 1.015**step for step in range(4)])
    assert "The same from run to run" in said
    assert "Since the first run it is slower" in said


def test_what_is_too_wide_to_tell_is_not_called_the_same(app, service):
    said = drawn_from(service, app, [10.0, 10.0, 10.0], samples=3)
    assert "Undecided" in said
    assert "at 2 of 2 steps" in said
    assert "same from run to run" not in said
