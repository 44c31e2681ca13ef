"""The picker of models, and knobs that a model has not, as Streamlit runs them."""

import json

import pytest

from profcore.cli.parser import main
from profcore.errors import UserError
from profcore.models.config import model_shape
from profcore.models.families import FAMILIES, versions
from profcore.models.shapes.shape import WHAT
from profcore.roofline.model_sizes import size_of_parts
from profcore.service.questions import Questions
from profcore.spec.runs import Target
from profcore.worker.answers import write_answer
from profcore.worker.seen import Seen
from profcore.worker.tools import run_tool
from tests.comparisons.stored import store_run
from tests.families import tiny
from tests.models.test_context import sweep_of
from tests.support import small_sweep, texts, unfolded

MEASURES = True


def side(test):
    return " ".join(each.value for each in test.sidebar.caption)


def test_the_picker_lists_every_named_model_by_family(app):
    options = app("home").sidebar.selectbox(key="model").options
    assert options[:4] == ["molmoe-1b", "tiny", "shapes", "checkpoint"]
    assert {"qwen3-vl-30b-a3b", "internvl3-8b", "smolvlm-2b"} <= set(options)
    assert options.index("qwen3-vl-8b") + 1 == options.index("qwen3-vl-4b")


def test_the_small_trained_model_can_be_chosen_and_says_what_it_is(app):
    test = app("home", model="shapes")
    assert WHAT in side(test)
    assert "5.0 million parameters, of which a token uses 3.4 million" in side(test)
    assert "small, trained on drawn pictures" in texts(test.markdown)
    assert WHAT not in side(app("home", model="tiny"))


def test_a_models_size_stands_at_its_field(app):
    test = app("home", model="qwen3-vl-30b-a3b")
    # A machine of the tests has no 124 GB for it; one that had would say so.
    assert "31.1 billion parameters, of which a token uses 3.9 billion" in side(test)
    assert "124 GB in float32" in side(test)


def test_a_model_that_is_too_large_is_refused_before_loading(app):
    test = app("moe_topk", model="glm-4.5v")
    assert "glm" in texts(test.sidebar.error)
    assert "431 GB in float32" in texts(test.sidebar.error)
    assert test.button(key="run-sweep").disabled


def test_all_models_are_listed_with_what_fits(app):
    test = app("home", model="tiny")
    test.sidebar.button(key="models").click().run()
    assert not test.exception
    table = next(each.value for each in test.dataframe if "fits here" in each.value)
    assert list(table["family"])[:2] == ["MolmoE", "MolmoE"]
    assert table.set_index("model").loc["glm-4.5v", "fits here"] == "no"
    assert table.set_index("model").loc["tiny", "fits here"] == "yes"


def test_top_k_of_a_model_without_experts_is_greyed_out_with_the_reason(app):
    test = app("moe_topk", model="qwen3-vl-4b")
    assert test.slider(key="greyed-moe_topk").disabled
    assert "has no experts to choose from" in texts(test.caption)
    assert test.button(key="run-sweep").disabled
    other = unfolded(app("output_tokens", model="qwen3-vl-4b"), "other-knobs")
    assert other.slider(key="greyed-topk").disabled
    assert not other.button(key="run-sweep").disabled


def test_vision_tokens_that_are_fixed_are_greyed_out(app):
    test = app("vision_tokens", model="gemma-3-4b")
    assert test.slider(key="greyed-context_scaling").disabled
    assert "fixed number of vision tokens" in texts(test.caption)
    assert test.button(key="run-sweep").disabled


def test_a_model_is_offered_the_grids_that_it_can_be_given(app, tmp_path):
    # Its configuration alone, at its class's defaults: what has a name would not fit every machine's memory.
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"model_type": "llava_onevision", "vision_config": {}, "text_config": {}}))
    test = app("vision_tokens", model="checkpoint", checkpoint=str(file))
    assert test.select_slider(key="grids-of").value == (1, 6)
    counts = next(each.value for each in test.main.dataframe if "vision tokens" in each.value)
    assert counts["vision tokens"].tolist() == [1485, 2214, 2943, 3672, 4401, 5130]
    assert not test.button(key="run-sweep").disabled


@pytest.mark.parametrize("page", ["joint", "engines", "motivation", "active_blocks", "inspect", "why", "roofline"])
@pytest.mark.parametrize("model", ["qwen3-vl-4b", "gemma-3-4b"])
def test_every_page_is_drawn_for_other_models(app, page, model):
    test = app(page, model=model)
    assert not test.exception
    if page == "joint":
        assert test.text_input(key="greyed-joint-topks").disabled
        # What stands there at first can be run.
        assert "turns two knobs or more" not in texts(test.error)


def test_the_compiled_engine_is_molmoes(app):
    assert app("home", model="qwen3-vl-4b").sidebar.selectbox(key="engine").options == ["eager"]
    assert app("home", model="tiny").sidebar.selectbox(key="engine").options == ["eager", "compiled"]


@pytest.fixture
def without_experts(service):
    """A run of a model without experts, whose settings no profile pass can explain."""
    sweep = small_sweep("context_scaling", (1, 2), 6)
    return store_run(service.store, sweep, lambda setting: (1.0, 1.0, 1.0, 0.0), model="qwen3-vl-4b", experts="none")


def test_a_run_that_cannot_be_explained_says_so_before_it_is_asked(app, without_experts):
    # The card of the run is not here, so that the pass would be on what the bar says.
    test = app("why", run=without_experts, setting="0", model="qwen3-vl-4b")
    assert "Where time goes is told of MolmoE alone" in texts(test.info)
    assert test.button(key="profile").disabled


def test_nothing_is_said_of_a_router_that_is_not_there(app, service, without_experts):
    assert service.results.sweep(without_experts).routing_counted
    test = app("vision_tokens", model="qwen3-vl-4b", run=without_experts)
    assert not test.exception
    assert "even router" not in texts(test.caption)
    assert not any("experts" in link.proto.label for link in test.get("page_link"))
    links = app("vision_tokens", model="tiny").get("page_link")
    assert any("Which experts" in link.proto.label for link in links)


def test_a_tool_that_knows_molmoe_alone_is_refused_before_the_model_is_loaded(service):
    target = Target("qwen3-vl-4b", "cpu", "float32", "eager")
    with pytest.raises(UserError, match="looks into the modules of MolmoE alone"):
        service.questions.ask_inspection(target, {"name": "pooling"})


@pytest.fixture
def own(tmp_path):
    """A configuration of a person's own, of a mixture of experts."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(tiny("qwen3_vl_moe")))
    return str(file)


def test_a_model_of_ones_own_has_its_size_at_its_field(app, own, monkeypatch):
    from profcore.models.families.counting import count_shape

    counted = count_shape(model_shape(own))
    answer = {"state": "working", "text": "", "result": None}
    monkeypatch.setattr(Questions, "parameters", lambda *_: answer)
    test = app("home", model="checkpoint", checkpoint=own)
    assert "are counted as soon as the worker is free" in side(test)
    answer |= {"state": "done", "result": counted}
    test.run()
    total = f"{counted['total'] / 1e6:.1f} million"
    assert f"Qwen3-VL-MoE: {total} parameters, of which a token uses" in side(test)
    assert "MB in float32, of" in side(test)


def test_one_that_cannot_be_counted_is_refused_there(app, own, monkeypatch):
    failed = {"state": "failed", "text": "transformers cannot build it.", "result": None}
    monkeypatch.setattr(Questions, "parameters", lambda *_: failed)
    test = app("moe_topk", model="checkpoint", checkpoint=own)
    assert "cannot build it" in texts(test.sidebar.error)
    assert test.button(key="run-sweep").disabled


def test_its_parameters_are_asked_of_a_worker_once(service, own, monkeypatch):
    asked = []
    monkeypatch.setattr(service.jobs, "ask", asked.append)
    monkeypatch.setattr(service.jobs, "asked", lambda key: bool(asked))
    target, shape = Target(own, "cpu"), model_shape(own)
    assert service.questions.parameters(target, shape)["state"] == "queued"
    write_answer(asked[0].answer, "queued")
    assert service.questions.parameters(target, shape)["state"] == "queued"
    assert len(asked) == 1
    found = run_tool(asked[0].tool, None, target, asked[0].arguments, lambda text: None)
    write_answer(asked[0].answer, "done", result=found)
    size = size_of_parts(own, shape, service.questions.parameters(target, shape)["result"])
    assert size.active < size.parameters == found["total"]


@pytest.mark.long
def test_what_the_installed_transformers_cannot_run_is_refused_with_the_reason(app, monkeypatch, tmp_path):
    monkeypatch.setattr(versions, "installed", lambda: "5.17.0")
    file = tmp_path / "config.json"
    file.write_text(json.dumps(tiny("molmo2")))
    test = app("output_tokens", model="checkpoint", checkpoint=str(file))
    assert "Molmo 2 needs transformers 5.20.0 or newer" in texts(test.sidebar.error)
    assert "5.17.0 is installed" in texts(test.sidebar.error)
    assert test.button(key="run-sweep").disabled
    test.sidebar.selectbox(key="model").set_value("tiny").run()
    test.sidebar.button(key="models").click().run()
    table = next(each.value for each in test.dataframe if "runs here" in each.value).set_index("model")["runs here"]
    assert table["qwen3-vl-4b"] == "yes"
    assert "5.20.0 or newer" in table["molmo2-8b"]
    assert "5.18.0 or newer, since before that it ran its experts by other code" in table["aria-25b"]
    models = unfolded(app("models"), "measure-models")
    assert not {"molmo2-8b", "aria-25b"} & set(models.multiselect(key="models-measured").options)
    assert "Not molmo2-8b: Molmo 2 needs" in texts(models.caption)


@pytest.mark.parametrize(
    ("here", "lacking"),
    [
        ("5.17.0", {"molmo2", "aria"}),
        ("5.18.0", {"molmo2"}),
        ("5.20.0.dev0", set()),
        ("5.24.0", {"llama4"}),
        ("6.0", set()),
        ("", set()),
    ],
)
def test_families_by_version(here, lacking, monkeypatch):
    monkeypatch.setattr(versions, "installed", lambda: here)
    assert {name for name, family in FAMILIES.items() if versions.why_not_here(family)} == lacking


def test_a_version_that_is_too_old_is_told_by_commands_and_before_a_run_is_queued(
    service, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(versions, "installed", lambda: "5.17.0")
    file = tmp_path / "config.json"
    file.write_text(json.dumps(tiny("aria")))
    with pytest.raises(UserError, match=r"Aria needs transformers 5\.18\.0"):
        service.start(Target(str(file), "cpu"), sweep_of(str(file)))
    with pytest.raises(SystemExit) as left:
        main(["run", "output_tokens", "--model", str(file), "--device", "cpu"])
    assert left.value.code == 2
    assert "Aria needs transformers 5.18.0" in capsys.readouterr().err


def test_an_answer_that_does_not_fit_is_refused_on_the_page(app):
    test = unfolded(app("output_tokens", model="tiny"), "picture-and-prompt")
    test.text_input(key="prompt").set_value("word " * 2000).run()
    assert "tiny's context of 4096: ask a shorter question" in texts([*test.error, *test.warning, *test.caption])
    assert test.button(key="run-sweep").disabled


def test_an_answer_beyond_context_or_memory_is_no_run(service, monkeypatch):
    before = len(service.runs())
    with pytest.raises(UserError, match="tiny's context of 4096: at the 1×1 grid ask for"):
        service.start(Target(), sweep_of("tiny", values=(100_000,)))
    small = Seen([{"id": "cpu", "name": "a CPU", "machine": "here", "memory_bytes": 40 * 10**9}], now=True)
    monkeypatch.setattr(service.jobs, "seen", lambda: small)
    with pytest.raises(UserError, match=r"beside the weights of qwen3-vl-4b .* are left on cpu"):
        service.start(Target("qwen3-vl-4b"), sweep_of("qwen3-vl-4b", values=(200_000,)))
    assert len(service.runs()) == before
