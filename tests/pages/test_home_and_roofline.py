"""What Home shows at a glance, and the roofline's page, as Streamlit runs them."""

import pytest

from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE
from tests.support import texts


def test_home_says_what_was_found_and_draws_each_knob(app):
    test = app()
    labels = [metric.label for metric in test.metric]
    assert labels == [
        *("Decode, compiled against eager", "Launch-bound share of decode"),
        *("Pictures against the sweep", "Prefill over its floor"),
    ]
    assert all(metric.value for metric in test.metric)
    assert texts(test.caption).replace("\\", "").count("molmoe-1b on NVIDIA H200, sample result") == 4
    assert len(test.get("vega_lite_chart")) == len(CATALOGUE)


def test_the_roofline_sets_runs_of_each_engine_under_their_cards_ceilings(app, service):
    test = app("roofline")
    assert len(test.multiselect(key="roofline-moe_topk").value) == 3
    assert "LLM decode: launch-bound" in texts(test.markdown)
    assert "memory-bound at 4 of 6 settings" in texts(test.markdown)
    table = test.dataframe[0].value
    assert set(table["run"]) == {"eager", "graph", "compiled"}
    assert "run" not in test.query_params
    test.selectbox(key="roofline-setting-moe_topk").set_value("top-k 8").run()
    assert set(test.dataframe[0].value["setting"]) == {"top-k 8"}


def test_runs_of_several_models_under_a_roofline_are_called_by_their_models(app, service):
    runs = service.runs("moe_topk")
    eager = runs[runs["engine"] == "eager"]
    assert set(eager["model"]) == {"molmoe-1b", "qwen3-vl-30b-a3b"}
    test = app("roofline", run=eager["id"].tolist())
    assert set(test.dataframe[0].value["run"]) == {"molmoe-1b, eager", "qwen3-vl-30b-a3b, eager"}
    listed = test.multiselect(key="roofline-moe_topk").options
    assert sum("qwen3-vl-30b-a3b, eager" in each for each in listed) == 1


def test_a_link_names_the_runs_under_a_roofline(app, service):
    run = service.store.ranked("output_tokens")[-1]
    test = app("roofline", knob="Output tokens", run=run)
    assert test.multiselect(key="roofline-output_tokens").value == [run]
    assert test.query_params["run"] == run
    test.multiselect(key="roofline-output_tokens").set_value([]).run()
    assert "Choose a run above" in texts(test.info)
    assert not test.exception


@pytest.mark.long
def test_runs_are_handed_over_as_one_page_and_as_tables(service):
    first, second = service.store.ranked("moe_topk")[:2]
    markdown, latex = service.downloads.tables([first])
    assert markdown.startswith("## MoE top-k")
    assert latex.startswith("\\begin{table}")
    compared, beside = service.downloads.tables([first, second])
    assert compared.startswith("## Comparison")
    assert "verdict" in compared
    assert "Ratios of medians" in beside
    assert "Comparison</h2>" in service.downloads.report([first, second])
    with pytest.raises(UserError, match="has been deleted"):
        service.downloads.report([first, "gone"])
