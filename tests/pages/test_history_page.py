"""The page History, as Streamlit runs it."""

import json

import pytest

from pages.parts import history_view
from profcore.comparisons.versions import BESIDES, VERSIONS
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
    assert "no setting nonsense" in texts(test.caption)
    assert not test.warning
    assert "There is no such run here" in texts(app("history", of="moe_topk", run="gone").warning)
    assert "nothing here of what the link names" in texts(app("history", of="moe").warning)
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


@pytest.mark.long
def test_every_experiment_of_the_sample_results_has_a_history(app, service):
    listed, seen = service.runs(), set()
    for experiment in listed["experiment"].unique():
        test = app("history", of=experiment)
        assert not test.exception, experiment
        # What was measured once stands in the table, and there is nothing to draw of it.
        once = "One run has no history yet" in texts(test.info)
        assert len(test.dataframe) == 1
        assert once != bool(test.get("vega_lite_chart"))
        seen.add(once)
    assert True in seen


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


def marks_of(test):
    """What the points of a history stand for, as its legend has them."""
    spec = json.loads(test.get("vega_lite_chart")[0].proto.spec)
    domains = [layer["encoding"]["color"]["scale"]["domain"] for layer in spec["layer"] if "color" in layer["encoding"]]
    return domains[0]


def shown_alone(service, app, costs, samples):
    """The page of runs on a card of their own, one after another."""
    card = f"card {costs} {samples}"
    for hour, cost in enumerate(costs):
        sweep = small_sweep(num_samples=samples)
        store_run(service.store, sweep, lambda setting, cost=cost: cost, hour=hour, device_name=card)
    test = app("history", of="moe_topk")
    group = next(each for each in test.selectbox if each.label == "Measured alike")
    return group.select(next(each for each in group.options if card in each)).run()


@pytest.mark.long
def test_the_legend_says_of_each_point_what_is_known(app, service):
    assert marks_of(shown_alone(service, app, [10.0, 10.0, 12.0], 12)) == ["slower", "same", "first run"]
    wide = shown_alone(service, app, [10.0, 10.0, 10.0], 3)
    assert marks_of(wide) == ["undecided", "first run"]
    assert "Whether it is another than in the first run is undecided" in texts(wide.markdown)
    same = shown_alone(service, app, [10.0, 10.0, 10.0], 13)
    assert "Since the first run it is the same within the margin" in texts(same.markdown)


def test_a_baseline_is_set_moved_marked_and_removed_where_runs_are_shown(app, service, runs):
    test = app("moe_topk", run=runs[0])
    test.text_input(key=f"baseline-name--{runs[0]}").set_value("ma*n").run()
    test.button(key=f"set-baseline--{runs[0]}").click().run()
    assert not test.exception
    assert service.baselines()[["name", "run_id"]].to_numpy().tolist() == [["ma*n", runs[0]]]
    test = app("history", of="moe_topk", run=runs[0])
    assert test.dataframe[0].value["baseline"].tolist() == ["", "", "ma*n"]
    layers = json.loads(test.get("vega_lite_chart")[0].proto.spec)["layer"]
    assert [each["encoding"]["text"]["field"] for each in layers if "text" in each["encoding"]] == ["baseline"]
    # Moved to the newest, which the page offers first.
    test.text_input(key=f"baseline-name-history-{runs[2]}").set_value("ma*n").run()
    assert f"It is run {runs[0]} so far" in texts(test.caption).replace("\\", "")
    test.button(key=f"set-baseline-history-{runs[2]}").click().run()
    assert test.dataframe[0].value["baseline"].tolist() == ["ma*n", "", ""]
    test.text_input(key=f"baseline-name-history-{runs[2]}").set_value("-x").run()
    test.button(key=f"set-baseline-history-{runs[2]}").click().run()
    assert "begins with no hyphen" in texts(test.error)
    test.text_input(key=f"baseline-name-history-{runs[2]}").set_value(" ").run()
    test.button(key=f"set-baseline-history-{runs[2]}").click().run()
    assert "A baseline needs a name: give one, such as main." in texts(test.error)
    test.button(key=f"remove-baseline-history-{runs[2]}-ma*n").click().run()
    assert service.baselines().empty
    assert "baseline" not in test.dataframe[0].value


def test_a_run_that_has_not_ended_is_no_baseline(service):
    from profcore.errors import UserError

    run_id = store_run(service.store, small_sweep(num_samples=2), lambda setting: 1.0)
    with service.store.connection.transaction() as cursor:
        cursor.execute("UPDATE runs SET state = 'running' WHERE id = ?", [run_id])
    with pytest.raises(UserError, match="has not ended"):
        service.set_baseline("main", run_id)
    with service.store.connection.transaction() as cursor:
        cursor.execute("UPDATE runs SET state = 'done' WHERE id = ?", [run_id])


def test_what_differs_from_the_run_before_is_said_with_the_commit_and_the_place():
    before = {**dict.fromkeys((*VERSIONS, *BESIDES), "as before"), "torch": "2.11"}
    assert history_view._what_differs(before, before).startswith("no version, commit, host or card")
    after = {**before, "torch": "2.12", "commit": "new", "card": "another"}
    assert history_view._what_differs(before, after) == ("torch 2.11 → 2.12, commit as before → new, on another card")
