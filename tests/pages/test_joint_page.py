"""The page of joint knobs: what Run would measure, heat maps of two knobs, and what an unfinished run shows."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import pytest

from profcore.results.joint import load_joint
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from tests.results.stored_joint import made_up_sweep, store_joint
from tests.support import texts, until


@pytest.fixture
def service(dashboard):
    return dashboard


def press(test, key):
    test.button(key=key).click().run()
    assert not test.exception, test.exception


def test_the_page_says_what_run_would_measure_and_starts_it(app, service):
    test = app("joint", **{"joint-grids": "1x1 1x2", "joint-topks": "1 2", "joint-blocks": "4", "joint-lengths": "1"})
    assert "4 of 4 combinations" in texts(test.markdown)
    assert test.selectbox(key="run").options[0].startswith("Sample result: ")
    test.slider(key="joint-samples").set_value(1).run()
    before = set(service.store.runs()["id"])
    press(test, "run-joint")
    (run_id,) = set(service.store.runs()["id"]) - before
    until(lambda: State(service.store.run(run_id)["state"]).ended)
    sweep = service.store.run(run_id)["spec"]["sweep"]
    assert (sweep["experiment"], len(sweep["settings"]), sweep["num_samples"]) == ("joint", 4, 1)
    assert {setting["block_mask"].count("1") for setting in sweep["settings"]} == {4}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"joint-grids": "9x9"}, "Image grid 9×9 is out of range"),
        ({"joint-grids": "cat"}, "is no image grid"),
        ({"joint-grids": "1", "joint-topks": "1", "joint-blocks": "2"}, "turns two knobs or more"),
        ({"joint-topks": "1 1"}, "some are given twice"),
    ],
)
def test_what_is_no_joint_sweep_is_said_and_cannot_be_run(app, query, said):
    test = app("joint", **query)
    assert said in texts(test.error)
    assert test.button(key="run-joint-not").disabled


def test_a_run_is_drawn_as_heat_maps_of_two_knobs_the_others_held(app, service):
    run_id = store_joint(service.store, made_up_sweep(output_tokens=(1, 3)))
    test = app("joint", run=run_id)
    assert len(test.get("vega_lite_chart")) == 2  # the map, and the samples in their order
    assert test.selectbox(key="joint-x").options == ["Image grid", "Top-k", "Active blocks", "Output tokens"]
    assert test.dataframe[0].value.shape[0] == 36
    each = next(box for box in test.selectbox if (box.key or "").startswith("joint-held-blocks"))
    each.set_value("each beside the other").run()
    assert not test.exception, test.exception
    assert len(test.get("vega_lite_chart")) == 3
    result = load_joint(service.store, run_id)
    with zipfile.ZipFile(io.BytesIO(service.downloads.result_zip(result))) as files:
        assert len([name for name in files.namelist() if "_topk" in name]) == 36


def test_an_unfinished_run_draws_what_is_there(app, service):
    run_id = store_joint(service.store, quality=None, state=State.STOPPED, only=5)
    test = app("joint", run=run_id)
    assert "13 dashed cells" not in texts(test.caption)
    assert "dashed cell" in texts(test.caption)
    assert "5 samples were taken" in texts(test.warning)


def test_a_run_under_way_is_followed(app, service):
    sweep = made_up_sweep(((1, 1),), (1, 2), (4, 8), num_samples=500, prompt="deaf")
    run_id = service.start(Target(), sweep)
    until(lambda: service.store.run(run_id)["num_samples"])
    test = app("joint", run=run_id)
    assert "1 of 2,000 samples" in test.get("progress")[0].proto.text
    assert "3 dashed cells" in texts(test.caption)
    # What is under way is looked at now and then, once for all sessions.
    until(lambda: "1 of 2,000" in texts(app("sql").sidebar.markdown))
    service.stop(run_id)
    service.jobs.give_up(run_id)
    until(lambda: State(service.store.run(run_id)["state"]).ended)


def test_a_runs_settings_fill_the_controls(app, service):
    sweep = made_up_sweep(((1, 1), (2, 2)), (1, 4), (8, 12), (3, 5), num_samples=7, seed=3, prompt="Why?")
    run_id = store_joint(service.store, sweep)
    test = app("joint", run=run_id)
    assert "run joint --grids 1x1 2x2 --top-k-values 1 4" in texts(test.code)
    press(test, "clone")
    held = test.session_state
    assert (held["joint-grids"], held["joint-topks"], held["joint-blocks"]) == ("1x1 2x2", "1 4", "8 12")
    assert (held["joint-lengths"], held["joint-samples"], held["joint-seed"]) == ("3 5", 7, 3)
    before = set(service.store.runs()["id"])
    press(test, "run-joint")
    (again,) = set(service.store.runs()["id"]) - before
    assert RunSpec.from_dict(service.store.run(again)["spec"]).sweep == sweep


def test_what_the_controls_cannot_hold_of_a_joint_run_is_said(app, service):
    sweep = made_up_sweep(((1, 1), (2, 2)), (1, 4), (8, 12))
    some = replace(sweep, settings=(*sweep.settings[:3], sweep.settings[-1]))
    test = app("joint", run=store_joint(service.store, some))
    assert "No command line says all of this run" in texts(test.caption)
    press(test, "clone")
    assert "cannot be used here: its settings are a choice of combinations" in texts(test.error)
