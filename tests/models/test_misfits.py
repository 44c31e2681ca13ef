"""Models that cannot be measured: a sentence that is true of them, whatever transformers or torch would say."""

import json

import pytest
import torch

from profcore.errors import ModelError
from profcore.models.config import find_config
from profcore.models.families import loading
from profcore.models.families.catalogue import CATALOGUE
from profcore.models.families.shape import shape_of
from profcore.models.families.unknown import parts_of
from tests.families import tiny

CPU = torch.device("cpu")
CODE = {"AutoModel": "modeling.Mine"}


def _with(kind, part, **changes):
    config = tiny(kind)
    return {**config, part: {**config[part], **changes}}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"model_type": "qwen4_vl", "vision_config": {}, "text_config": {}}, "5.99 has no model type 'qwen4_vl', and"),
        ({"model_type": "paligemma"}, "5.99 has the model type 'paligemma', but it belongs to no family"),
        ({"model_type": "udop"}, "5.99 has the model type 'udop', but it belongs to no family"),
        (
            {"model_type": "my_remote", "auto_map": CODE},
            r"code that comes with the checkpoint \(auto_map\): such code is",
        ),
        ({"model_type": "paligemma", "auto_map": CODE}, "5.99 has the model type 'paligemma', but"),
        ({"model_type": "whisper", "d_model": 64}, "'whisper', whose configuration in transformers 5.99 has no vision"),
        ({"model_type": "vit"}, "has no vision part beside a language model: give a vision-language model"),
    ],
)
def test_a_type_outside_of_the_families_is_told_by_what_transformers_says(config, says, tmp_path, monkeypatch):
    monkeypatch.setattr("profcore.models.families.unknown.installed", lambda: "5.99")
    (tmp_path / "mine.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=says) as refused:
        find_config(str(tmp_path / "mine.json"))
    assert len(str(refused.value)) < 600


def test_without_transformers_no_more_is_said_than_is_known(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers.models.auto.configuration_auto", None)
    with pytest.raises(ImportError):
        parts_of("llama")
    with pytest.raises(ModelError, match="the model type 'llama' belongs to no family that is known here: aria"):
        shape_of("here", {"model_type": "llama"})


@pytest.mark.parametrize(
    ("part", "model_type", "says"),
    [
        ("text_config", "nope", r"here has text_config.model_type='nope': transformers [\d.]+ has no such model type"),
        ("vision_config", "nope", r"has vision_config.model_type='nope': transformers [\d.]+ has no such model type"),
        ("vision_config", 3, "vision_config.model_type=3: "),
        ("text_config", "llava", "'llava', itself a model of several parts: give the type of a language model alone"),
        ("vision_config", "clip", "'clip', itself a model of several parts: give the type of a vision encoder alone"),
    ],
)
def test_a_type_that_is_none_of_a_part(part, model_type, says):
    with pytest.raises(ModelError, match=says) as refused:
        loading.hf_config(shape_of("here", _with("llava", part, model_type=model_type)))
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (_with("llava", "vision_config", hidden_size=-32), "here has vision_config.hidden_size=-32: it must be from 1"),
        (
            _with("qwen3_vl", "text_config", num_attention_heads=0),
            "text_config.num_attention_heads=0: it must be from 1",
        ),
        (_with("qwen3_vl", "text_config", intermediate_size=-1), "text_config.intermediate_size=-1: it must be from 0"),
        (_with("qwen3_vl", "text_config", hidden_size=2**40), "hidden_size=1099511627776: it must be from 1 to 16,777"),
        (_with("qwen3_vl", "text_config", vocab_size=2**40), "vocab_size=1099511627776, .* from 1 to 16777216"),
        (_with("qwen3_vl", "text_config", num_key_value_heads=3), "3, which do not share out .*num_attention_heads=4"),
        (_with("qwen3_vl", "vision_config", num_heads=3), "num_heads=3, which do not share out .*hidden_size=64"),
    ],
)
def test_a_size_that_can_be_none_is_named_with_its_field(config, says):
    with pytest.raises(ModelError, match=says):
        shape_of("here", config)


@pytest.mark.parametrize(
    ("error", "what", "where", "says"),
    [
        (
            RuntimeError("mat1 and mat2"),
            "build",
            [],
            "cannot build here: its parts do not fit each other .mat1 and mat2.",
        ),
        (AttributeError("no layers"), "run", ["in its vision encoder"], "fit each other, see vision_config .no layers"),
        (RuntimeError("a is b. (Could this error message be improved? …)"), "run", [], r"each other \(a is b\)$"),
        (RuntimeError("CUDA error: launch failure"), "run", [], "cannot run here: CUDA error: launch failure"),
        (RuntimeError("a torn file"), "load", [], "cannot load here: a torn file"),
        (ValueError("heads must divide"), "build", [], "cannot build here: heads must divide"),
        (ValueError("any of these: " + "x" * 9000), "build", [], "x…$"),
    ],
)
def test_an_internal_message_is_said_to_be_of_parts_that_do_not_fit(error, what, where, says):
    with (
        pytest.raises(ModelError, match=says) as refused,
        loading.sentences(shape_of("here", tiny("llava")), what, where),
    ):
        raise error
    assert len(str(refused.value)) < 400


def test_a_language_model_of_another_make_is_one_that_does_not_fit():
    shape = shape_of("here", _with("llava", "text_config", model_type="bert"))
    with pytest.raises(ModelError, match=r"its parts do not fit each other \(BertModel"):
        loading.random_family(shape, CPU, torch.float32, "eager")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("qwen3-vl-8B", "qwen3-vl-8b"), ("internvl-8b", "internvl3-8b"), ("molmo-1b", "molmoe-1b"), ("shape", "shapes")],
)
def test_a_mistyped_name_is_asked_after(name, meant):
    with pytest.raises(ModelError, match=rf"did you mean (\S+ or )?{meant}.*\? Else give .*docs/model-sizes.md lists"):
        find_config(name)


def test_every_named_shape_passes_its_own_checks():
    assert all(shape_of(name, shape.config) for name, shape in CATALOGUE.items())
