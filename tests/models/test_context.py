"""What a model's context and a device's memory hold is known before anything is loaded or stored."""

import json
from dataclasses import replace

import pytest
import torch

from profcore.cli.parser import main
from profcore.errors import UserError
from profcore.experiments.joint import joint_sweep, joint_values
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings, default_values
from profcore.models.config import PRESETS, find_config
from profcore.models.context import check_sweep, prompts_of, tokenizer_of
from profcore.models.inputs import grid_inputs
from profcore.models.load import load_model
from profcore.models.names import NAMED
from profcore.roofline.cache_memory import cache_token_bytes, check_cache
from profcore.spec.queries import Picture, Query, QueryPlan, QuerySet
from profcore.spec.runs import Sweep, Target
from profcore.storage.store import spool_directory
from tests.families import TINY, tiny

TYPES = sorted(TINY)
SHORT = {"max_position_embeddings": 300}


@pytest.fixture
def model(tmp_path):
    """Names a tiny configuration of a model type, its language model's fields changed."""

    def named(model_type, **changes):
        path = tmp_path / f"{model_type}.json"
        config = tiny(model_type)
        path.write_text(json.dumps({**config, "text_config": {**config["text_config"], **changes}}))
        return str(path)

    return named


def sweep_of(model, name="output_tokens", values=(1,), **changes):
    shape = find_config(model)
    experiment = CATALOGUE[name]
    return Sweep(name, build_settings(experiment, values, base_setting(experiment, shape)), **changes)


@pytest.mark.parametrize("model_type", ["molmoe", *TYPES])
def test_a_prompt_is_as_long_as_it_is_said_to_be(model_type, model):
    name = "tiny" if model_type == "molmoe" else model(model_type)
    loaded = load_model(name, torch.device("cpu"), torch.float32, "eager")
    sweep = sweep_of(name, prompt="What is it? Ω")
    inputs = grid_inputs(loaded, Picture().kind and _picture(), sweep.settings[0].grid, sweep.prompt)
    assert list(prompts_of(sweep, find_config(name), name)) == [inputs.num_input_tokens]


def _picture():
    from profcore.images.pictures import load_picture

    return load_picture(Picture())


@pytest.mark.parametrize("model_type", ["molmoe", "qwen3_vl"])
def test_the_longest_answer_that_fits_is_named_and_fits(model_type, model):
    name = "tiny" if model_type == "molmoe" else model(model_type)
    shape = find_config(name)
    with pytest.raises(
        UserError, match=r"are more than .*'s context of 4096: at the 1×1 grid ask for \d+ output"
    ) as no:
        check_sweep(sweep_of(name, values=(5, 100_000)), shape, name)
    fits = int(str(no.value).rsplit("ask for ")[1].split()[0])
    check_sweep(sweep_of(name, values=(5, fits)), shape, name)
    with pytest.raises(UserError, match="more than"):
        check_sweep(sweep_of(name, values=(fits + 1,)), shape, name)


def test_of_several_grids_what_fits_all_is_named():
    shape = PRESETS["tiny"]
    values = joint_values(shape, grids=[(1, 1), (3, 4)], top_ks=[8], masks=[(True,) * 16], output_tokens=[1, 3800])
    with pytest.raises(UserError, match="at the 3×4 grid"):
        check_sweep(joint_sweep(values), shape, "tiny")


def test_a_prompt_alone_that_is_too_long_asks_for_a_shorter_one(model):
    name = model("internvl", **SHORT)
    with pytest.raises(
        UserError, match=r"A prompt of \d+ tokens at the 1×1 grid is more than .*: ask a shorter question"
    ):
        check_sweep(sweep_of(name, prompt="word " * 100), find_config(name), name)


def test_grids_that_the_context_does_not_hold_are_refused_and_no_defaults(model):
    name = model("qwen2_5_vl", max_position_embeddings=512)
    shape, experiment = find_config(name), CATALOGUE["context_scaling"]
    with pytest.raises(UserError, match="at the 1×4 grid is more than"):
        check_sweep(sweep_of(name, "context_scaling", (1, 4)), shape, name)
    assert default_values(experiment, shape) == (1, 2, 3)
    check_sweep(sweep_of(name, "context_scaling", default_values(experiment, shape)), shape, name)
    assert default_values(CATALOGUE["output_tokens"], find_config(model("internvl", **SHORT)))[-1] == 200


def test_of_real_pictures_one_that_fits_is_enough():
    shape = PRESETS["tiny"]
    queries = tuple(Query(Picture(), text, "1", text[:2], 400, 300) for text in ("What?", "long " * 1000))
    sweep = sweep_of("tiny", values=(5, 6))
    check_sweep(replace(sweep, plan=QueryPlan(QuerySet("q", queries), (0, 1))), shape, "tiny")
    with pytest.raises(UserError, match="ask a shorter question"):
        check_sweep(replace(sweep, plan=QueryPlan(QuerySet("q", queries), (1, 1))), shape, "tiny")


def test_a_hub_name_that_was_never_fetched_counts_no_question():
    assert tokenizer_of("someone/molmoe-of-theirs", PRESETS["molmoe-1b"]) is None
    check_sweep(sweep_of("tiny", prompt="word " * 2000), PRESETS["tiny"], "someone/molmoe-of-theirs")


def test_a_cache_that_the_memory_does_not_hold_is_refused():
    target = Target("qwen3-vl-8b", "cuda:0")
    shape = find_config(target.model)
    # 36 blocks of 8 heads of 128, keys and values, 2 bytes each.
    assert cache_token_bytes(shape, 2) == 36 * 8 * 128 * 2 * 2
    sweep = sweep_of(target.model, values=(10, 100_000))
    with pytest.raises(UserError, match=r"take 15 GB of keys and values, .* at the 1×1 grid ask for \d+ output") as no:
        check_cache(sweep, shape, target, 24 * 10**9)
    fits = int(str(no.value).rsplit("ask for ")[1].split()[0])
    check_cache(sweep_of(target.model, values=(fits,)), shape, target, 24 * 10**9)
    check_cache(sweep, shape, target, 80 * 10**9)
    check_cache(sweep, shape, target, None)


@pytest.mark.parametrize("name", [name for name in NAMED if name != "shapes"])
def test_a_tokens_cache_is_known_of_every_named_model(name):
    # Of a window on every block nothing grows with the answer; no other model has that.
    assert 0 <= cache_token_bytes(find_config(name), 2) < 2**20


@pytest.mark.parametrize("model_type", ["internvl", "qwen3_vl_moe", "aria"])
def test_a_tokens_cache_is_what_transformers_keeps(model_type, model):
    from profcore.models.families.inputs import family_inputs

    name = model(model_type)
    loaded = load_model(name, torch.device("cpu"), torch.float32, "eager")
    inputs = family_inputs(loaded, _picture(), "What?", (1, loaded.model.config.row_grids()[0]))
    with torch.inference_mode():
        cache = loaded.model.hf(**inputs.tensors, use_cache=True).past_key_values
    held = sum(each.numel() * 4 for layer in cache.layers for each in (layer.keys, layer.values))
    assert held == cache_token_bytes(find_config(name), 4) * inputs.num_input_tokens


@pytest.mark.parametrize(
    "words",
    [
        "run output_tokens --max-new-tokens 5 100000",
        "run moe_topk --output-tokens 5000",
        "run joint --grids 1x1 3x4 --max-new-tokens 1 5000",
        "run all --output-tokens 5000",
        "run context_scaling --output-tokens 4000 --grids 1x1",
        "why --output-tokens 5000",
    ],
)
def test_commands_refuse_before_anything_is_loaded_or_stored(words, tmp_path, capsys, monkeypatch):
    database = tmp_path / "data.duckdb"
    monkeypatch.setenv("PROFCORE_DB", str(database))
    monkeypatch.setattr("profcore.worker.shelf.load_model", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(SystemExit) as left:
        main([*words.split(), "--device", "cpu"])
    assert left.value.code == 2
    assert "more than tiny's context of 4096" in capsys.readouterr().err
    assert not list(spool_directory(database).glob("*.jsonl"))


def test_memory_is_looked_at_before_the_model_is_loaded(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PROFCORE_DB", str(tmp_path / "data.duckdb"))
    monkeypatch.setattr("profcore.models.memory.free_bytes", lambda device: 20 * 10**9)
    monkeypatch.setattr("profcore.worker.shelf.load_model", lambda *_: pytest.fail("it was loaded"))
    words = "run output_tokens --model qwen3-vl-8b --dtype bfloat16 --device cpu --max-new-tokens 100000"
    with pytest.raises(SystemExit) as left:
        main(words.split())
    assert left.value.code == 2
    assert "beside the weights of qwen3-vl-8b" in capsys.readouterr().err
