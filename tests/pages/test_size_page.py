"""The page Size to latency, as Streamlit runs it."""

import pytest

from tests.support import texts


def metrics(test):
    return {each.label: each.value for each in test.metric}


def test_a_first_visit_shows_the_sample_results(app):
    test = app("size_to_latency")
    shown = metrics(test)
    assert (shown["Vision tokens"], shown["Views"]) == ("1,152", "13")
    assert {"TTFT, eager", "TTFT, graph", "TTFT, compiled"} <= set(shown)
    assert len(test.get("vega_lite_chart")) == 1
    assert "NVIDIA H200" in texts(test.caption)
    table = test.dataframe[-1].value
    assert "1920 × 1080" in set(table["size"])
    assert {"eager (ms)", "graph (ms)", "compiled (ms)"} <= set(table.columns)


def test_the_size_is_in_the_link(app):
    test = app("size_to_latency", **{"sized-width": "336", "sized-height": "336"})
    assert metrics(test)["Vision tokens"] == "288"


@pytest.mark.parametrize(
    ("model", "tokens"), [("qwen3-vl-4b", "768"), ("gemma-3-4b", "256"), ("llava-onevision-7b", "4,725")]
)
def test_a_model_that_was_not_measured_says_what_to_run(app, model, tokens):
    test = app("size_to_latency", **{"sized-model": model})
    assert metrics(test)["Vision tokens"] == tokens
    assert not test.get("vega_lite_chart")
    assert f"--model {model}".replace("-", "") in texts(test.info).replace("\\", "").replace("-", "").replace(
        "\u2060", ""
    )


def test_what_to_know_before_a_figure_is_quoted_is_said(app):
    test = app("size_to_latency", **{"sized-model": "qwen3-vl-8b", "sized-width": "1280", "sized-height": "720"})
    assert metrics(test)["TTFT, eager"].endswith("ms")
    assert "109 of 120 samples held back; 4 of 120 samples on a slowed host" in texts(test.caption)
    test = app("size_to_latency", **{"sized-model": "molmoe-1b"})
    assert "routing to experts" in texts(test.caption)


def test_a_model_without_experts_has_no_routing_to_speak_of(app):
    test = app("size_to_latency", **{"sized-model": "smolvlm-2b"})
    assert "weights were random" in texts(test.caption)
    assert "routing" not in texts(test.caption)


def test_a_picture_that_no_rule_takes_is_said(app):
    test = app("size_to_latency", **{"sized-model": "qwen3-vl-8b", "sized-width": "20000", "sized-height": "20"})
    assert "too narrow" in texts(test.error)


def test_without_a_picture_nothing_is_said_of_one(app):
    test = app("size_to_latency")
    test.segmented_control(key="sized-by").set_value("a file").run()
    assert "Upload a picture" in texts(test.info)
    assert "Vision tokens" not in metrics(test)
