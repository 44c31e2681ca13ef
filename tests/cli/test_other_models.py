"""Other models than MolmoE from the command line: their runs in the database, and what is refused in a sentence."""

import json
import re

import pytest

from profcore.cli.parser import main
from profcore.comparisons.flops_scaling import run_scaling
from profcore.errors import UserError
from profcore.export.result_files import result_files
from profcore.export.run_figures import run_figures
from profcore.measure.environment import shape_record
from profcore.models.config import PRESETS
from profcore.models.recorded import family_of_run, run_shape
from profcore.results.sweep import load_result
from profcore.spec.stages import MODEL_STAGES, Stage
from profcore.storage.store import Store
from tests.families import tiny


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROFCORE_DB", str(tmp_path / "data.duckdb"))


@pytest.fixture
def model(tmp_path):
    """Names a tiny configuration of a model type."""

    def named(model_type, **changes):
        path = tmp_path / f"{model_type}.json"
        path.write_text(json.dumps({**tiny(model_type), **changes}))
        return str(path)

    return named


def run(*words):
    try:
        return main(["run", *words, "--device", "cpu"])
    except SystemExit as left:
        return left.code


def measured(tmp_path):
    with Store(tmp_path / "data.duckdb") as store:
        runs = [store.run(run_id) for run_id in store.runs()["id"]]
        return [(each, store.samples(each["id"]), store.settings(each["id"])) for each in runs if each]


def test_a_sweep_of_top_k_is_a_run_whose_stages_sum_up(model, tmp_path):
    path = model("qwen3_vl_moe")
    assert run("moe_topk", "--model", path, "--top-k-values", "1", "8", "--num-samples", "2") == 0
    ((found, samples, settings),) = [each for each in measured(tmp_path) if each[0]["environment"]["model"] == path]
    environment = found["environment"]
    assert environment["weights"] == "random"
    assert environment["experts"] == "grouped_mm"
    assert environment["shape"]["family"] == family_of_run(environment) == "Qwen3-VL-MoE"
    assert environment["shape"]["config"]["text_config"]["num_experts"] == 8
    assert environment["parameters"] > 1e5
    assert len(samples) == 4
    stages = samples[[stage.column for stage in Stage]]
    assert stages.sum(axis=1).to_numpy() == pytest.approx(samples["total_ms"].to_numpy(), abs=1e-6)
    assert (stages > 0).all(axis=None)
    assert set(samples["num_vision_tokens"]) == {144}
    assert set(samples["num_crops"]) == {1}
    routed = dict(zip(settings["top_k"], settings["prefill_experts"], strict=True))
    assert all(0 < count <= 8 for count in routed[1])
    assert list(routed[8]) == [8, 8, 8]


def test_growth_over_top_k_is_held_against_work_as_it_was_counted(model, tmp_path, capsys):
    path = model("qwen3_vl_moe")
    assert (
        run("flops_scaling", "--model", path, "--top-k-values", "1", "8", "--num-samples", "5", "--output-dir", ".")
        == 0
    )
    said = capsys.readouterr().out
    assert "LLM decode, top-k 1 to 8: FLOPs grow" in said
    ((found, _, settings),) = [each for each in measured(tmp_path) if each[0]["environment"]["model"] == path]
    counted = settings.set_index("top_k")
    (file,) = tmp_path.rglob("flops_scaling_analysis.json")
    rows = {row["metric"]: row for row in json.loads(file.read_text())["scaling"]}
    for stage in MODEL_STAGES:
        grown = counted[f"{stage}_flops"].loc[8] / counted[f"{stage}_flops"].loc[1]
        assert rows[stage.column]["theoretical"] == pytest.approx(grown)
        assert rows[stage.column]["bytes"] == pytest.approx(
            counted[f"{stage}_bytes"].loc[8] / counted[f"{stage}_bytes"].loc[1]
        )
    assert rows["vision_encoder_ms"]["theoretical"] == 1
    assert 1 < rows["llm_decode_ms"]["theoretical"] < rows["llm_decode_ms"]["published"] == 8
    # As a page, a notebook and a report draw it.
    with Store(tmp_path / "data.duckdb") as store:
        result = load_result(store, found["id"])
    again = run_scaling(result).set_index("metric")["theoretical"]
    assert again.to_dict() == pytest.approx({metric: row["theoretical"] for metric, row in rows.items()})
    assert len(run_figures(result)["flops_scaling_analysis"]) == 2


def test_vision_tokens_go_by_units(model, tmp_path):
    path = model("internvl")
    assert run("context_scaling", "--model", path, "--max-grid-size", "3", "--num-samples", "1", "--warmup", "0") == 0
    ((_, samples, _),) = [each for each in measured(tmp_path) if each[0]["environment"]["model"] == path]
    by_setting = samples.sort_values("setting")
    assert by_setting["num_crops"].tolist() == [1, 3, 4]
    assert by_setting["num_vision_tokens"].tolist() == [4, 12, 16]


def test_a_model_without_a_single_unit_begins_with_what_it_has(model, tmp_path):
    # As LLaVA-NeXT is published: two tiles at the least.
    path = model("llava_next", image_grid_pinpoints=[[56, 112], [112, 56], [56, 168]])
    words = ["--model", path, "--max-new-tokens", "2", "--num-samples", "1", "--warmup", "0"]
    assert run("output_tokens", *words) == 0
    ((_, samples, settings),) = [each for each in measured(tmp_path) if each[0]["environment"]["model"] == path]
    assert samples["num_crops"].tolist() == [3]
    assert settings["grid_columns"].tolist() == [2]


def test_blocks_are_scored(model, capsys):
    words = ["importance", "kl", "--num-pictures", "2", "--device", "cpu", "--json", "--model", model("smolvlm")]
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert list(scores) == ["0", "1", "2"]
    assert all(score > 0 for score in scores.values())


@pytest.mark.long
def test_all_leaves_out_what_a_model_has_not(model, capsys):
    assert run("all", "--model", model("llava"), "--num-samples", "1", "--warmup", "0") == 0
    said = capsys.readouterr().err
    assert "Left out, Vision tokens:" in said
    assert "Left out, MoE top-k:" in said
    assert "no experts to choose from" in said


@pytest.mark.parametrize(
    ("words", "model_type", "says"),
    [
        ("moe_topk", "llava", "MoE top-k cannot be turned: .*llava.json has no experts to choose from"),
        ("context_scaling", "gemma3", "Vision tokens cannot be turned: .* has a fixed number of vision tokens"),
        ("moe_topk", "llama4", "transformers computes every expert of Llama 4 for every token"),
        ("context_scaling --grids 1x1 1x9", "llava_next", "cannot be given 1×9 units"),
        ("output_tokens --engine compiled", "internvl", "The compiled engine is written for MolmoE alone"),
        ("flops_scaling", "llava", "MoE top-k cannot be turned: .*llava.json has no experts to choose from"),
        ("flops_vs_latency", "qwen3_vl_moe", "by formula, and for MolmoE alone: run latency_distribution"),
        ("transformer_blocks_mask --num-active-blocks 4", "internvl", "the model has 3"),
    ],
)
def test_what_is_refused(words, model_type, says, tmp_path, capsys):
    path = tmp_path / f"{model_type}.json"
    path.write_text(json.dumps(tiny(model_type) if model_type != "llama4" else {"model_type": model_type}))
    assert run(*words.split(), "--model", str(path)) == 2
    error = capsys.readouterr().err
    assert re.search(says, error), error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"model_type": "llama", "hidden_size": 64}, "is a 'llama', whose configuration in transformers"),
        ({"model_type": "emu3", "vision_config": {}}, "has no image encoder"),
        ({"model_type": "wonder_vl", "vision_config": {}}, "belongs to no family that is known here"),
        ([], "holds no JSON object"),
    ],
)
def test_configurations_that_are_none(config, says, tmp_path, capsys):
    (tmp_path / "mine.json").write_text(json.dumps(config))
    assert run("output_tokens", "--model", str(tmp_path / "mine.json")) == 2
    assert says in capsys.readouterr().err


def test_one_too_large_for_the_machine(capsys, monkeypatch):
    from profcore.models.families import loading

    monkeypatch.setattr(loading, "free_bytes", lambda device: 10**9)
    assert run("output_tokens", "--model", "qwen3-vl-30b-a3b") == 2
    assert "31.1 billion parameters" in capsys.readouterr().err


def test_other_commands_say_what_they_do_not_know(model, capsys):
    for words, says in (
        ("why", "told of MolmoE alone"),
        ("inspect structure", "looks into the modules of MolmoE alone: use topk or check"),
        ("check --engine compiled", "written for MolmoE alone"),
    ):
        with pytest.raises(SystemExit) as left:
            main([*words.split(), "--model", model("internvl"), "--device", "cpu"])
        assert left.value.code == 2
        assert says in capsys.readouterr().err


def test_top_k_is_inspected_by_counting(model, capsys):
    words = ["inspect", "topk", "--device", "cpu", "--top-k-values", "1", "3", "--json"]
    with pytest.raises(SystemExit) as left:
        main([*words, "--model", model("ernie4_5_vl_moe")])
    assert left.value.code == 0
    found = json.loads(capsys.readouterr().out)
    # Text and pictures have experts of their own.
    assert found["experts"] == 16
    assert found["blocks"] == 2
    assert {(each["top_k"], *each["per_token"]) for each in found["routing"]} == {(1, 1, 1), (3, 3, 3)}
    prompt = next(each for each in found["routing"] if each["phase"] == "prefill" and each["top_k"] == 3)
    assert all(sum(load[:8]) > 0 and sum(load[8:]) > 0 for load in prompt["load"])


@pytest.mark.long
def test_formulas_of_molmoe_are_taken_for_no_other_model(tmp_path, model):
    from profcore.models.config import find_config
    from profcore.tradeoff.terms import Surroundings

    environment = {"model": "x", "shape": shape_record(find_config(model("qwen3_vl_moe")))}
    assert run_shape(environment) is None
    assert run_shape({"shape": shape_record(PRESETS["tiny"])}) == PRESETS["tiny"]
    with pytest.raises(UserError, match="measured a Qwen3-VL-MoE"):
        Surroundings.of(environment)
    path = model("qwen3_vl_moe")
    assert run("moe_topk", "--model", path, "--top-k-values", "1", "2", "--num-samples", "1") == 0
    ((found, samples, _),) = [each for each in measured(tmp_path) if each[0]["environment"]["model"] == path]
    files = result_files("moe_topk", samples, {"environment": found["environment"]})
    assert files
    assert not [name for name in files if "scaling" in name]
