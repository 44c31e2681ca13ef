"""The page Models side by side, as Streamlit runs it."""

import pytest

from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings
from profcore.models.config import model_shape
from profcore.spec.runs import Sweep
from tests.comparisons.stored import store_run
from tests.support import texts, unfolded

ON = {"device_name": "NVIDIA H200", "dtype": "bfloat16", "engine": "eager"}


def measured(service, model, factor):
    """A sweep of a model beside the sample results, whose stages take some times as long."""
    experiment, config = CATALOGUE["context_scaling"], model_shape(model)
    settings = build_settings(experiment, (1, 4, 8, 12), base_setting(experiment, config))
    sweep = Sweep(experiment.name, settings, num_samples=6)
    return store_run(service.store, sweep, lambda setting: (factor, 0.5, factor, 1.0), model=model, **ON)


def table(test, column):
    return next(each.value for each in test.main.dataframe if column in each.value)


def test_a_first_visit_shows_molmoe_and_what_others_would_make_of_the_picture(app):
    test = app("models")
    shown = table(test, "a token uses").set_index("model")
    assert shown.loc["molmoe-1b", "vision tokens"] == "1,152"
    assert shown.loc["qwen3-vl-4b", ["vision tokens", "how"]].tolist() == ["768", "not measured"]
    assert shown.loc["qwen3-vl-30b-a3b", ["TTFT (ms)", "vision tokens", "how"]].tolist() == ["98.9", "768", "between"]
    # The engine that most of the sample results' models have.
    assert shown.loc["smolvlm-2b", ["vision tokens", "how"]].tolist() == ["1,053", "measured"]
    # Joules of each that was measured; those of molmoe-1b in a run of their own.
    assert (shown.loc[shown["TTFT (ms)"] != "—", "joules"] != "—").all()
    assert "Joules measured in another run, under the same conditions: molmoe-1b" in texts(test.caption)
    assert len(test.get("vega_lite_chart")) == 5


def test_what_to_know_before_a_figure_is_quoted_is_said_once(app):
    test = app("models", **{"models-on": "NVIDIA H200, eager, bfloat16"})
    said = [each.value.replace("\\", "") for each in test.caption if "109 of 120 samples held back" in each.value]
    assert len(said) == 1
    assert said[0].startswith(":material/warning: qwen3-vl-8b: 109 of 120 samples held back; 4 of 120")
    where = "Vision encoder at 3 of 6 settings, Projector, LLM prefill at 4 of 6 settings"
    assert f"launching binds {where}, whose figures are its host's there." in said[0]


def test_engines_side_by_side_say_it_too(app, service):
    runs = service.runs("moe_topk")
    group = runs.loc[(runs["model"] == "qwen3-vl-30b-a3b") & (runs["engine"] == "eager"), "id"].iloc[0]
    said = texts(app("engines", group=group).caption).replace("\\", "")
    assert "eager: 9 of 40 samples beside another process; 9 of 40 samples on a slowed host; launching binds" in said
    assert "graph: 12 of 40 samples on a slowed host; launching binds Vision encoder, Projector, LLM prefill" in said


@pytest.mark.long
def test_a_model_that_stands_alone_is_said(app):
    test = app("models", **{"models-on": "NVIDIA H200, compiled, bfloat16"})
    assert "Only molmoe" in texts(test.caption)


def test_two_models_stand_beside_each_other(app, service):
    run = measured(service, "qwen3-vl-4b", 3.0)
    try:
        test = app("models", **{"models-on": "NVIDIA H200, eager, bfloat16", "models-width": "640"})
        shown = table(test, "a token uses").set_index("model")
        # As it is stored here it was seen in several views, and the picture is in one.
        assert shown.loc["qwen3-vl-4b", "how"] == "beyond"
        others = {"smolvlm-2b", "internvl3-8b", "qwen3-vl-8b", "qwen3-vl-30b-a3b"}
        assert set(table(test, "µs per step")["model"]) == {"molmoe-1b", "qwen3-vl-4b", *others}
        # What differs besides is named.
        assert "differ in more than the model" in texts(test.caption)
        assert "transformers: 5.17 (qwen3" in texts(test.markdown).replace("\\", "")
    finally:
        service.remove(run)


def test_a_knob_that_a_model_has_not_is_refused_with_the_reason(app):
    test = app("models", **{"models-knob": "MoE top-k"})
    unfolded(test, "measure-models")
    test.multiselect(key="models-measured").set_value(["qwen3-vl-4b"]).run()
    test.button(key="run-models").click().run()
    assert "no experts" in texts(test.error)
    assert not test.exception
