"""The page Trade-off, as Streamlit runs it."""

import json

import pytest

from profcore.spec.stages import State
from tests.results.stored_joint import made_up_sweep, store_joint
from tests.support import texts

LOOKS = ("Frontier", "Budget", "Latency model", "Length of the answer")


@pytest.fixture
def joint(service):
    """A joint run with quality, of 36 settings."""
    return store_joint(service.store, made_up_sweep(top_ks=(1, 2, 4, 8), blocks=(4, 8, 16)))


def button(test, label):
    return next(each for each in test.button if each.label == label)


def test_without_a_joint_run_the_page_says_where_to_get_one(app, service):
    # An archived run is offered no more.
    samples = service.runs("joint")["id"].tolist()
    service.mark(samples, archived=True)
    assert "Measure on the page *Joint knobs*" in texts(app("trade_off").info)
    service.mark(samples, archived=False)


def test_the_frontier_is_drawn_with_how_sure_it_is(app, joint):
    test = app("trade_off")
    assert "are on the frontier" in texts(test.markdown)
    assert len(test.get("vega_lite_chart")) == 2
    frontier = json.loads(test.get("vega_lite_chart")[0].proto.spec)
    assert "Share of draws on the frontier" in json.dumps(frontier)
    assert test.get("page_link")[-1].proto.label == "Its run"
    test.selectbox(key=f"hold-{joint}").set_value("top_k").run()
    test.selectbox(key=f"held-{joint}-top_k").set_value(8).run()
    assert "of 9 settings are on the frontier" in texts(test.markdown)
    assert not test.exception


def test_flagged_samples_of_the_run_are_said_under_every_look(app, service, joint):
    assert "held back" not in texts(app("trade_off", run=joint).caption)
    flagged = store_joint(service.store, made_up_sweep(top_ks=(1, 2, 4, 8)), held_back=(0, 5))
    for look in LOOKS:
        said = texts(app("trade_off", run=flagged, look=look).caption)
        assert "2 of 144 samples were taken while the card was held back" in said


def test_a_budget_is_answered_in_words(app, joint):
    test = app("trade_off", look="Budget")
    assert "Within " in texts(test.markdown)
    assert "accuracy" in texts(test.markdown)
    assert "of its inferences exceeded the budget" in texts(test.markdown)
    slider = test.slider[0]
    # It shows the budget that the sentence names, whatever its step.
    assert float(slider.proto.format % slider.step) == slider.step
    slider.set_value(slider.min).run()
    assert "the least possible is" in texts(test.error)
    slider.set_value(slider.max).run()
    assert not test.error
    assert "More milliseconds buy nothing" in texts(test.markdown)


def test_a_link_holds_the_latency_and_the_budget(app, joint):
    test = app("trade_off", look="Budget", run=joint, budget="Total", **{"met-at": "P50", "total-ms": "11"})
    assert test.slider[0].value == 11
    assert "Within 11 ms of Total at P50" in texts(test.markdown)
    test = app("trade_off", run=joint, latency="TTFT", percentile="P95")
    assert test.selectbox(key="latency").value == "TTFT"
    assert "TTFT (ms, P95)" in test.get("vega_lite_chart")[0].proto.spec
    # Beyond what there is, the nearest end is taken.
    test = app("trade_off", look="Budget", run=joint, **{"ttft-ms": "100000"})
    assert not test.exception


def test_the_latency_model_shows_its_errors_and_formulas(app, joint):
    test = app("trade_off", look="Latency model")
    assert "on settings left out" in texts(test.markdown)
    assert "LLM prefill = " in texts(test.code)
    assert len(test.get("vega_lite_chart")) == 3
    assert {each.proto.label for each in test.get("download_button")} >= {"Python function", "JSON"}
    test.button_group(key="stage").set_value(["Decode per step"]).run()
    assert not test.exception


def test_without_quality_work_kept_is_named_as_none_and_predicted_settings_are_marked(app, service):
    run_id = store_joint(
        service.store, made_up_sweep(top_ks=(1, 2, 4, 8), blocks=(4, 8, 16), strategy="lhs", number=20), quality=None
    )
    test = app("trade_off", look="Budget", run=run_id)
    assert "This run recorded no quality" in texts(test.caption)
    found = set()
    slider = test.slider[0]
    for share in range(1, 10):
        test.slider[0].set_value(
            slider.min + round((slider.max - slider.min) * share / 10 / slider.step) * slider.step
        ).run()
        found |= {"It was not measured" in texts(test.markdown)}
        if True in found:
            break
    assert True in found
    assert button(test, "Measure it")


def test_a_model_is_recalibrated_and_a_frontier_compared_with_another_run(app, service, joint):
    few = store_joint(
        service.store, made_up_sweep(top_ks=(1, 2, 4, 8), blocks=(4, 8, 16), strategy="lhs", number=6), hour=1
    )
    test = app("trade_off", look="Latency model", run=few)
    assert "measure at least 8" in texts(test.error)
    test.selectbox(key=f"Recalibrate the model of-{few}").set_value(joint).run()
    assert "Fitted to 6 settings: each coefficient drawn towards" in texts(test.caption)
    assert "LLM prefill = " in texts(test.code)
    assert not test.error
    test = app("trade_off", run=few)
    test.selectbox(key=f"Overlap with the frontier of-{few}").set_value(joint).run()
    assert "among the 6 that both runs measured" in texts(test.markdown)


def test_a_run_of_few_settings_has_no_model_but_a_frontier(app, service):
    run_id = store_joint(service.store, made_up_sweep(), state=State.STOPPED, only=5)
    for look in LOOKS:
        test = app("trade_off", look=look, run=run_id)
        assert "samples of 5 of 18 settings" in texts(test.caption)
        said = texts(test.error)
        assert ("measure at least 8" in said) == (look == "Latency model")


def test_decode_per_token_and_per_step_of_a_joint_run(app, service, joint):
    sweep = made_up_sweep(output_tokens=(2, 4, 9), top_ks=(1, 2))
    run_id = store_joint(service.store, sweep)
    test = app("trade_off", look="Length of the answer", run=run_id)
    assert test.selectbox(key=f"answers-{run_id}").options[0] == "top-1, 8 blocks"
    assert "n tokens take n-1 steps" in texts(test.markdown).replace("\\", "")
    test = app("trade_off", look="Length of the answer", run=joint)
    assert "No two answers" in texts(test.info)


def test_output_tokens_says_that_n_tokens_take_one_step_fewer(app):
    test = app("output_tokens")
    assert "n tokens take n-1 steps" in texts(test.markdown).replace("\\", "")
