"""Shapes of vision-language models of transformers, their prompts and pictures, and what is refused."""

import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from profcore.cli.common import fetch_unknown
from profcore.errors import ModelError, UserError
from profcore.measure.routing import routed
from profcore.models import hub
from profcore.models.config import MolmoConfig, find_config, known_shape, model_shape
from profcore.models.families import FAMILIES, loading
from profcore.models.families.catalogue import CATALOGUE
from profcore.models.families.inputs import family_inputs, fit_to_units
from profcore.models.families.loading import load_family, random_family
from profcore.models.families.prompt import build_ids
from profcore.models.families.shape import read_family, shape_of
from profcore.models.families.vision_tokens import grid_layout, layout, possible_grids
from profcore.models.knobs import check_setting
from profcore.models.load import LoadedModel, load_model
from profcore.models.prompt import ByteTokenizer
from profcore.spec.settings import Setting
from tests.families import TINY, tiny

CPU = torch.device("cpu")


def _with(model_type, part, **fields):
    """A tiny configuration with other fields in one of its parts."""
    return {**tiny(model_type), part: {**TINY[model_type][part], **fields}}


PICTURE = Image.linear_gradient("L").convert("RGB").resize((640, 480))


@pytest.mark.parametrize("model_type", [name for name in FAMILIES if name in CONFIG_MAPPING])
def test_what_a_file_leaves_out_is_as_in_the_classes_of_transformers(model_type):
    ours, theirs = shape_of(model_type, {"model_type": model_type}), AutoConfig.for_model(model_type)
    text = theirs.get_text_config()
    assert ours.n_layers == text.num_hidden_layers
    assert ours.max_positions == text.max_position_embeddings
    assert ours.embedding_size == text.vocab_size
    assert ours.image_token_id == theirs.image_token_id
    if theirs.vision_config is not None:
        for name, value in ours.vision.items():
            given = getattr(theirs.vision_config, name)
            assert (list(given) if isinstance(given, tuple) else given) == value, name


def test_a_number_given_under_another_of_its_names_has_no_default_beside_it():
    text = {**TINY["qwen3_vl_moe"]["text_config"], "num_experts": 5}
    shape = shape_of("here", {**tiny("qwen3_vl_moe"), "text_config": text})
    assert shape.num_experts == 5
    assert loading.hf_config(shape).get_text_config().num_experts == 5


def test_every_family_is_tried_but_the_one_that_transformers_itself_cannot_run():
    assert set(FAMILIES) - set(TINY) == {"llama4"}


def made(model_type, dtype=torch.float32):
    shape = shape_of(model_type, tiny(model_type))
    return LoadedModel(random_family(shape, CPU, dtype, "grouped_mm"), ByteTokenizer(shape), "random")


@pytest.mark.parametrize("model_type", TINY)
def test_a_prompt_has_as_many_places_as_the_model_gives_vision_tokens(model_type):
    loaded = made(model_type)
    shape = loaded.model.config
    for grid in possible_grids(shape)[:2]:
        inputs = family_inputs(loaded, fit_to_units(shape, PICTURE, grid), "What?", grid)
        given = {name: each for name, each in inputs.tensors.items() if name not in ("input_ids", "attention_mask")}
        features = loaded.model.base.get_image_features(
            **{name: each for name, each in given.items() if name not in (*shape.kind.token_types, "image_num_crops")}
        ).pooler_output
        rows = features if isinstance(features, (list, tuple)) else [features]
        assert sum(each.shape[:-1].numel() for each in rows) == inputs.num_vision_tokens
        assert int((inputs.tensors["input_ids"] == shape.image_token_id).sum()) == inputs.num_vision_tokens
        assert inputs.num_vision_tokens == grid_layout(shape, grid).tokens


def test_a_picture_goes_in_as_its_processor_would_order_it():
    """Of Qwen2-VL, whose patches that are merged follow each other: each pixel is told by its value."""
    pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl")
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    loaded = made("qwen2_vl")
    picture = PICTURE.resize((336, 336))
    ours = family_inputs(loaded, picture, "What?", (1, 1)).tensors["pixel_values"]
    theirs = Qwen2VLImageProcessorPil()(picture, return_tensors="pt")["pixel_values"]
    assert ours.shape == theirs.shape
    assert torch.allclose(ours, theirs, atol=2e-2)


@pytest.mark.parametrize("model_type", TINY)
def test_a_picture_may_be_told_other_units_than_its_size_comes_to(model_type):
    shape = shape_of("here", tiny(model_type))
    loaded = LoadedModel(random_family(shape, CPU, torch.float32, "eager"), ByteTokenizer(shape), "random")
    for columns in shape.row_grids()[:2]:
        inputs = family_inputs(loaded, PICTURE, "What?", (1, columns))
        with torch.inference_mode():
            loaded.model.hf(**inputs.tensors)


def test_a_question_cannot_pass_for_a_picture():
    shape = shape_of("mistral", tiny("mistral3"))
    cut = grid_layout(shape, (1, 1))
    # Byte 10 ends a line, and is this model's image token.
    assert shape.image_token_id == 10
    ids = build_ids(shape, cut, list(b"one\ntwo"))
    assert ids.count(10) == cut.tokens
    assert len(ids) == cut.tokens + 12 + 7


@pytest.mark.parametrize(
    ("model_type", "setting", "says"),
    [
        ("llava", Setting((1, 1), 2, (True,) * 3, 1), "no experts to choose from"),
        ("llava", Setting((1, 2), 1, (True,) * 3, 1), "fixed number of vision tokens"),
        ("qwen3_vl_moe", Setting((1, 1), 9, (True,) * 3, 1), "above the model's 8 experts"),
        ("qwen3_vl", Setting((1, 1), 1, (True,) * 4, 1), "4 entries, but the model has 3"),
        ("mistral3", Setting((1, 5), 1, (True,) * 3, 1), "cannot be given 1×5 units"),
    ],
)
def test_settings_that_a_model_has_not(model_type, setting, says):
    with pytest.raises(UserError, match=says):
        check_setting(setting, shape_of(model_type, tiny(model_type)))


def test_experts_that_are_all_computed_are_not_turned():
    shape = shape_of("llama", {"model_type": "llama4"})
    assert shape.num_experts == 16
    check_setting(Setting((1, 1), 1, (True,) * 48, 1), shape)
    with pytest.raises(UserError, match="computes every expert of Llama 4 for every token"):
        check_setting(Setting((1, 1), 4, (True,) * 48, 1), shape)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"model_type": "llama", "hidden_size": 64}, "a 'llama', whose configuration .* has no vision part beside a"),
        ({"model_type": "fuyu", "vision_config": {}}, "no image encoder"),
        (
            {"model_type": "nothing_vl", "vision_config": {}},
            r"transformers [\d.]+ has no model type 'nothing_vl', and it belongs to no family .*: aria, ",
        ),
        ({"model_type": 3}, "names its type"),
        ({"model_type": None, **TINY["llava"]}, "names its type"),
        ({**tiny("qwen3_vl"), "vision_config": None}, "has no vision_config, and so no image encoder"),
        ({"model_type": "llava", "text_config": TINY["llava"]["text_config"]}, "has no vision_config"),
        ({**tiny("qwen3_vl"), "vision_config": [1]}, r"vision_config=\[1\]: it must be an object"),
        ({**tiny("qwen3_vl"), "text_config": 3}, "text_config=3: it must be an object"),
        ({**tiny("qwen3_vl"), "image_processor": [1]}, r"image_processor=\[1\]: it must be an object"),
        ({**tiny("qwen3_vl"), "quantization_config": {"quant_method": "fp8"}}, "has a quantization_config, and only"),
        ({**tiny("qwen3_vl"), "vision_config": 0}, "vision_config=0: it must be an object"),
        ({**tiny("qwen3_vl"), "text_config": []}, r"text_config=\[\]: it must be an object"),
        ({**tiny("molmo2"), "adapter_config": 1}, "adapter_config=1: it must be an object"),
        ({**tiny("internvl"), "downsample_ratio": float("inf")}, "downsample_ratio=inf, which is no share"),
        ({**tiny("internvl"), "downsample_ratio": -0.5}, "downsample_ratio=-0.5, which is no share"),
        (_with("internvl", "vision_config", image_size=[7, 7]), "leave nothing of a picture of 336 × 336"),
        (_with("smolvlm", "vision_config", image_size=14), "leave nothing of a picture of 336 × 336"),
        (_with("smolvlm", "vision_config", image_size=2**24), "vision tokens, and no model takes more than 1,048,576"),
        ({**tiny("gemma3"), "mm_tokens_per_image": 2**24}, "16,777,216 vision tokens, and no model takes more"),
        (_with("qwen3_vl", "vision_config", depth=0), "depth=0, which is no whole number from 1 to 1024"),
        (_with("llava", "vision_config", num_hidden_layers=-1), "num_hidden_layers=-1, which is no whole number"),
        ({**tiny("internvl"), "image_processor": {"max_patches": 10**9}}, "max_patches=1000000000, which is no whole"),
        ({**tiny("molmo2"), "image_processor": {"max_crops": 10**9}}, "no whole number from 1 to 256"),
        ({**tiny("smolvlm"), "image_processor": {"longest_edge_tiles": 10**9}}, "no whole number from 1 to 256"),
        (_with("llava_next", "vision_config", image_size=13), "leave nothing of a picture"),
        ({**tiny("llava_next"), "image_grid_pinpoints": [[0, 0]]}, "leave nothing of a picture"),
        (
            {**tiny("qwen3_vl"), "image_token_id": 512},
            "its image token is 512, and its vocabulary has the ids below 512",
        ),
        ({**tiny("molmo2"), "image_patch_id": 528}, "its image token is 528, and its vocabulary has the ids below 528"),
        (_with("aria", "vision_config", image_size=28), "no queries for 4 patches, only for 16"),
        (_with("qwen3_vl", "vision_config", patch_size=0), "patch_size=0, which is no whole number"),
        (_with("qwen3_vl", "text_config", num_hidden_layers=10**5), "num_hidden_layers=100000, which is no whole"),
        (_with("qwen3_vl_moe", "text_config", num_experts=10**5), "num_experts=100000, which is no whole number"),
        (_with("qwen3_vl_moe", "text_config", num_experts_per_tok=0), "routes to 0 of 8 experts"),
        ({**tiny("llava"), "text_config": {"num_hidden_layers": "many"}}, "num_hidden_layers='many'"),
        ({**tiny("aria"), "text_config": {"moe_num_experts": 2, "moe_topk": 4}}, "routes to 4 of only 2 experts"),
    ],
)
def test_configurations_that_are_none(config, says):
    with pytest.raises(ModelError, match=says):
        shape_of("here", config)


def test_a_list_of_one_number_is_that_number_in_the_prompt_too():
    config = {**tiny("mistral3"), "spatial_merge_size": [2]}
    shape, usual = shape_of("here", config), shape_of("here", tiny("mistral3"))
    assert build_ids(shape, grid_layout(shape, (1, 1)), [3]) == build_ids(usual, grid_layout(usual, (1, 1)), [3])


def test_marks_that_are_no_tokens_are_left_out():
    config = {**tiny("qwen3_vl"), "vision_start_token_id": -1, "vision_end_token_id": 10**6}
    ids = build_ids(shape_of("here", config), grid_layout(shape_of("here", config), (1, 1)), [3])
    assert set(ids) == {500, 3}


def test_a_type_that_this_transformers_lacks_is_named_with_its_version(monkeypatch):
    monkeypatch.setattr(loading, "CONFIG_MAPPING", {})
    with pytest.raises(ModelError, match=r"transformers \d+\.\d+\.\d+ has no model type 'qwen3_vl'"):
        random_family(shape_of("here", tiny("qwen3_vl")), CPU, torch.float32, "eager")


def test_a_bare_type_whose_own_image_token_is_none_of_its_vocabulary_is_a_sentence():
    with pytest.raises(ModelError, match="here: its image token is 32,000, and its vocabulary has the ids below 32,00"):
        loading.hf_config(shape_of("here", {"model_type": "llava"}))


def test_fields_that_its_class_refuses_are_a_sentence():
    text = {**TINY["llava"]["text_config"], "num_attention_heads": 7, "num_key_value_heads": 7, "head_dim": None}
    config = {**tiny("llava"), "text_config": text}
    with pytest.raises(ModelError, match=r"transformers [\d.]+ (makes no configuration of|cannot build) here: "):
        random_family(shape_of("here", config), CPU, torch.float32, "eager")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (_with("qwen3_vl", "vision_config", out_hidden_size=32), "its projector does not fit its language"),
        ({**tiny("qwen3_vl"), "return_dict": False}, "cannot run "),
        (_with("qwen3_vl", "text_config", max_position_embeddings=1), "^The prompt takes .* context holds 1"),
    ],
)
def test_parts_that_do_not_fit_each_other_are_known_before_a_run(tmp_path, config, says):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    with pytest.raises(UserError, match=says):
        load_model(str(file), CPU, torch.float32, "eager")


def test_no_number_is_not_read_as_a_default(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(_with("qwen3_vl", "text_config", num_hidden_layers=float("nan"))))
    with pytest.raises(ModelError, match="holds NaN, which is no number"):
        read_family(file)
    file.write_text(json.dumps({**tiny("qwen3_vl"), "bound": float("inf")}))
    assert read_family(file).n_layers == 3


def test_a_key_that_a_class_does_not_know_is_said_with_more_than_its_name():
    text = {**TINY["qwen3_vl"]["text_config"], "rope_parameters": {"rope_type": "none", "rope_theta": 1e4}}
    with pytest.raises(ModelError, match="cannot build here: it knows no 'none'"):
        random_family(shape_of("here", {**tiny("qwen3_vl"), "text_config": text}), CPU, torch.float32, "eager")


def test_what_a_class_says_of_a_field_is_said_whole():
    config = _with("qwen3_vl", "text_config", hidden_size=[64])
    with pytest.raises(ModelError, match=r"field 'hidden_size': TypeError: .* expected int, got list"):
        random_family(shape_of("here", config), CPU, torch.float32, "eager")


def test_a_configuration_without_a_type_is_none_of_molmoe(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(TINY["llava"]))
    with pytest.raises(ModelError, match="model_type=None: a configuration of transformers names its type"):
        find_config(str(file))


def test_a_picture_too_narrow_is_named_as_it_was_asked():
    with pytest.raises(ModelError, match="A picture of 1 × 10000 is too narrow"):
        layout(CATALOGUE["glm-4.5v"], 1, 10000)


def test_one_too_large_is_refused_before_any_memory_is_taken(monkeypatch):
    monkeypatch.setattr(loading, "free_bytes", lambda device: 40 * 2**30)
    monkeypatch.setattr(torch.nn.init, "normal_", lambda *_: pytest.fail("weights were made"))
    with pytest.raises(ModelError, match=r"31\.1 billion parameters, 57\.9 GiB in bfloat16, and 40\.0 GiB of cpu"):
        random_family(CATALOGUE["qwen3-vl-30b-a3b"], CPU, torch.bfloat16, "grouped_mm")


def test_random_weights_are_made_in_their_dtype_and_the_same_again():
    one, other = made("qwen3_vl_moe", torch.bfloat16), made("qwen3_vl_moe", torch.bfloat16)
    for (name, ours), theirs in zip(one.model.hf.named_parameters(), other.model.hf.parameters(), strict=True):
        assert ours.dtype is torch.bfloat16
        assert torch.isfinite(ours).all()
        assert torch.equal(ours, theirs), name


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A directory as `save_pretrained` leaves it, and the model that it holds."""
    loaded = made("internvl")
    directory = tmp_path_factory.mktemp("checkpoint")
    loaded.model.hf.save_pretrained(directory)
    return directory, loaded.model


def test_a_directory_gives_its_own_weights(checkpoint):
    directory, model = checkpoint
    loaded = load_model(str(directory), CPU, torch.float32, "eager")
    assert loaded.weights == "real"
    for (name, theirs), ours in zip(model.hf.named_parameters(), loaded.model.hf.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


def test_a_configuration_alone_gives_random_weights(checkpoint, tmp_path):
    directory, _ = checkpoint
    file = tmp_path / "config.json"
    file.write_bytes((directory / "config.json").read_bytes())
    assert load_model(str(file), CPU, torch.float32, "eager").weights == "random"
    # A directory is taken for a checkpoint, which lacks its weights.
    with pytest.raises(ModelError, match=r"no \.safetensors file"):
        model_shape(str(tmp_path))


def copy_of(checkpoint, folder, change):
    directory, _ = checkpoint
    for path in directory.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    return read_family(folder)


def test_tensors_that_do_not_fit(checkpoint, tmp_path):
    def fewer(tensors):
        del tensors[next(name for name in tensors if name.endswith("mlp.down_proj.weight"))]

    def cut(tensors):
        name = next(name for name in tensors if name.endswith("mlp.down_proj.weight"))
        tensors[name] = tensors[name].T.contiguous()

    def spoilt(tensors):
        next(iter(tensors.values()))[:] = float("nan")

    for number, (change, says) in enumerate(
        [
            (fewer, "parameters, but its files hold"),
            (cut, r"json: misshapen .*down_proj\.weight\.$"),
            (spoilt, "no finite numbers"),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        shape = copy_of(checkpoint, folder, change)
        with pytest.raises(ModelError, match=says):
            load_family(folder, shape, CPU, torch.float32, "eager")


def test_a_file_that_safetensors_itself_refuses_is_one_that_cannot_be_loaded(checkpoint, tmp_path):
    shape = copy_of(checkpoint, tmp_path, lambda tensors: None)
    file = tmp_path / "model.safetensors"
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.dumps({**json.loads(data[8 : 8 + length]), "__metadata__": {"format": 3}}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + length :])
    with pytest.raises(ModelError, match=r"transformers [\d.]+ cannot load .*: Error while deserializing header"):
        load_family(tmp_path, shape, CPU, torch.float32, "eager")


def test_pickles_are_never_opened(checkpoint, tmp_path):
    directory, _ = checkpoint
    (tmp_path / "config.json").write_bytes((directory / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"not even looked at")
    with pytest.raises(ModelError, match="only pickled weights"):
        load_model(str(tmp_path), CPU, torch.float32, "eager")


@pytest.mark.parametrize(
    ("model_type", "limits", "size", "tokens"),
    [
        # As published for Qwen2.5-VL and Qwen3-VL, and the other way of writing it.
        ("qwen2_5_vl", {"min_pixels": 3136, "max_pixels": 28 * 28 * 64}, (2800, 2800), 64),
        ("qwen3_vl", {"size": {"shortest_edge": 65536, "longest_edge": 1048576}}, (32, 32), 64),
        ("smolvlm", {"size": {"longest_edge": 112}, "max_image_size": {"longest_edge": 56}}, (56, 56), 5 * 4),
        ("internvl", {"min_patches": 1, "max_patches": 2}, (560, 56), 3 * 4),
        ("mistral3", {"size": {"longest_edge": 280}}, (560, 560), 100),
    ],
)
def test_limits_of_a_processor_are_taken_from_its_file(model_type, limits, size, tokens, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(tiny(model_type)))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(limits))
    assert layout(read_family(tmp_path), *size).tokens == tokens


def test_a_hub_name_has_the_shape_of_its_own_configuration(tmp_path, monkeypatch):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(tiny("glm4v_moe")))
    monkeypatch.setattr(hub, "fetched", lambda name, fetch: file)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda name, path: str(file))
    fetch_unknown("someone/their-model")
    assert model_shape("someone/their-model").family == "GLM-4V-MoE"
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda name, path: None)
    assert isinstance(known_shape("allenai/MolmoE-1B-0924"), MolmoConfig)
    # Not by its name alone: Molmo2 is a family of its own.
    for name in ("someone/their-model", "allenai/Molmo2-8B"):
        with pytest.raises(ModelError, match=f"Nothing is known of {name} here"):
            known_shape(name)


def test_what_a_name_means(tmp_path):
    assert find_config("qwen3-vl-30b-a3b") is CATALOGUE["qwen3-vl-30b-a3b"]
    assert isinstance(find_config("tiny"), MolmoConfig)
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(tiny("glm4v_moe")))
    assert model_shape(str(file)).family == "GLM-4V-MoE"
    with pytest.raises(ModelError, match="a configuration file of transformers"):
        find_config(str(tmp_path / "nothing.json"))


@pytest.mark.parametrize("rope", ["rope_parameters", "rope_scaling"])
def test_a_published_file_with_the_language_model_beside_the_encoder(tmp_path, rope):
    parts = dict(TINY["qwen2_5_vl"])
    text = dict(parts.pop("text_config"))
    text[rope] = {**text.pop("rope_parameters"), "type": "mrope"}
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"model_type": "qwen2_5_vl", "architectures": ["Some"], **text, **parts}))
    whole, nested = load_model(str(file), CPU, torch.float32, "eager").model, shape_of("here", tiny("qwen2_5_vl"))
    assert (whole.config.n_layers, whole.config.embedding_size) == (nested.n_layers, nested.embedding_size)
    assert type(whole.hf.config.text_config).__name__ == "Qwen2_5_VLTextConfig"
    assert sum(each.numel() for each in whole.parameters()) == loading.count_parameters(loading.hf_config(nested))
    assert whole.hf.config.text_config.rope_parameters["mrope_section"] == [2, 3, 3]


def test_a_family_without_experts_may_have_a_language_model_with_some():
    text = {"model_type": "mixtral", **TINY["llava"]["text_config"], "num_local_experts": 4, "num_experts_per_tok": 2}
    shape = shape_of("here", {**tiny("llava"), "text_config": {**text, "model_type": "mixtral"}})
    assert (shape.num_experts, shape.top_k, shape.top_k_reason) == (4, 2, "")
    loaded = LoadedModel(random_family(shape, CPU, torch.float32, "grouped_mm"), ByteTokenizer(shape), "random")
    inputs = family_inputs(loaded, PICTURE, "What?", (1, 1))
    for top_k in (1, 4):
        calls = routed(loaded.model, inputs, Setting((1, 1), top_k, (True,) * 3, 2))
        assert [[each.shape[1] for each in block] for block in calls] == [[top_k] * 2] * 3


@pytest.mark.parametrize(
    ("model_type", "part", "field"),
    [
        ("qwen3_vl", "vision_config", "out_hidden_size"),
        ("qwen3_vl_moe", "vision_config", "out_hidden_size"),
        ("qwen2_5_vl", "vision_config", "out_hidden_size"),
        ("qwen2_vl", "vision_config", "hidden_size"),
        ("glm4v", "vision_config", "out_hidden_size"),
        ("glm4v_moe", "vision_config", "out_hidden_size"),
        ("molmo2", "adapter_config", "text_hidden_size"),
    ],
)
def test_a_projector_of_another_width_is_told_from_the_language_model(model_type, part, field, tmp_path):
    says = rf"does not fit its language model. It gives vectors of (\d+) \({part}.{field}\), .* of 64 \(text_config"
    with pytest.raises(ModelError, match=says):
        shape_of("mine", _with(model_type, part, **{field: 96}))
    # What a file leaves out is its class's own, known once that is made; no weights are.
    config = tiny(model_type)
    without = {name: value for name, value in config[part].items() if name != field}
    with pytest.raises(ModelError, match=says):
        loading.hf_config(shape_of("mine", {**config, part: without}))


def test_the_part_that_fails_is_named(tmp_path):
    # The adapter pools what the vision encoder gives, and is of another width.
    config = _with("molmo2", "adapter_config", hidden_size=48)
    (tmp_path / "mine.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"cannot run .*mine.json, (in|behind) its (projector|vision encoder): "):
        load_model(str(tmp_path / "mine.json"), torch.device("cpu"), torch.float32, "eager")
