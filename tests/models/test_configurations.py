"""Configurations and checkpoints that are not as they should be: each is refused in a sentence."""

import json
import math
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from profcore.errors import ModelError, UserError
from profcore.models.checkpoint import load_checkpoint
from profcore.models.config import MolmoConfig, find_config, read_config
from profcore.models.shards import find_shards, find_tensors

VISION = {
    "image_default_input_size": [336, 336],
    "image_emb_dim": 32,
    "image_head_dim": 8,
    "image_mlp_activations": "quick_gelu",
    "image_mlp_dim": 64,
    "image_model_type": "openai",
    "image_norm_eps": 1e-5,
    "image_num_heads": 4,
    "image_num_key_value_heads": 4,
    "image_num_layers": 11,
    "image_num_pos": 577,
    "image_patch_size": 14,
}
CONFIG = {
    "d_model": 64,
    "n_layers": 4,
    "n_heads": 4,
    "moe_num_experts": 8,
    "moe_top_k": 2,
    "mlp_ratio": 1,
    "mlp_hidden_size": None,
    "vocab_size": 480,
    "embedding_size": 512,
    "additional_vocab_size": 128,
    "max_position_embeddings": 2048,
    "rope_theta": 10000.0,
    "layer_norm_eps": 1e-5,
    "vit_layers": [-2, -9],
    "vision_backbone": VISION,
    "max_crops": 12,
}
# A value that this project does not build, for every field that the published code reads.
OTHERS = {
    "activation_type": "gelu",
    "alibi": True,
    "always_start_with_space": False,
    "attention_layer_norm": False,
    "attn_logit_softcapping": 50.0,
    "block_type": "sequential",
    "clip_qkv": 8.0,
    "crop_mode": "resize",
    "final_logit_softcapping": 30.0,
    "float32_attention": False,
    "head_dim": 128,
    "include_bias": True,
    "layer_norm_type": "default",
    "max_crops": 36,
    "message_formatting": "none",
    "moe_interleave": True,
    "moe_shared_expert": True,
    "multi_query_attention": True,
    "n_kv_heads": 2,
    "norm_after": True,
    "normalize_input_embeds": True,
    "overlap_margins": [2, 2],
    "qkv_bias": True,
    "rope": False,
    "rope_full_precision": False,
    "rope_impl": "interleave",
    "scale_logits": True,
    "system_prompt_kind": "style",
    "use_cls_feature": True,
    "use_col_tokens": False,
    "weight_tying": True,
}
VISION_OTHERS = {
    "image_default_input_size": [224, 224],
    "image_head_dim": 64,
    "image_mlp_activations": "gelu",
    "image_model_type": "siglip",
    "image_num_key_value_heads": 2,
    "image_patch_size": 16,
}
OUT_OF_RANGE = [
    ("n_heads", 0),
    ("n_heads", -4),
    ("n_heads", 5),
    ("n_heads", True),
    ("n_heads", 64),
    ("d_model", math.inf),
    ("d_model", 10**400),
    ("d_model", "64"),
    ("d_model", 63.5),
    ("d_model", None),
    ("n_layers", 0),
    ("moe_top_k", 9),
    ("moe_num_experts", 0),
    ("mlp_ratio", math.inf),
    ("mlp_ratio", -1),
    ("mlp_hidden_size", 1),
    ("vocab_size", 0),
    ("vocab_size", 513),
    ("embedding_size", 479),
    ("additional_vocab_size", -1),
    ("max_position_embeddings", 0),
    ("rope_theta", 0),
    ("rope_theta", math.nan),
    ("layer_norm_eps", "small"),
    ("vit_layers", []),
    ("vit_layers", [-12]),
    ("vit_layers", [11]),
    ("vit_layers", ["-2"]),
    ("vit_layers", None),
    ("vit_layers", -2),
    ("vision_backbone", [1]),
    ("max_crops", 0),
]


def read(path, config):
    (path / "config.json").write_text(json.dumps(config))
    return read_config(path / "config.json")


def refused(path, config, says):
    with pytest.raises(ModelError, match=says) as error:
        read(path, config)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_a_whole_configuration(tmp_path):
    found = read(tmp_path, CONFIG)
    assert (found.d_model, found.expert_width, found.vit_layers, found.max_crops) == (64, 32, (-2, -9), 12)
    assert read(tmp_path, {**CONFIG, "d_model": 64.0, "mlp_hidden_size": 64}) == found


def test_the_reference_says_what_is_built(tiny_molmoe):
    assert read_config(tiny_molmoe / "config.json").num_experts == 8


@pytest.mark.parametrize("name", OTHERS)
def test_another_architecture_is_refused_with_the_field_and_its_value(tmp_path, name):
    refused(tmp_path, {**CONFIG, name: OTHERS[name]}, rf"{name}={OTHERS[name]!r}".replace("[", r"\["))


@pytest.mark.parametrize("name", VISION_OTHERS)
def test_another_vision_encoder_is_refused_with_the_field_and_its_value(tmp_path, name):
    config = {**CONFIG, "vision_backbone": {**VISION, name: VISION_OTHERS[name]}}
    refused(tmp_path, config, rf"{name}={VISION_OTHERS[name]!r}".replace("[", r"\["))


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE)
def test_numbers_that_no_model_has_are_refused_with_the_field(tmp_path, name, value):
    refused(tmp_path, {**CONFIG, name: value}, name)


@pytest.mark.parametrize("name", [*sorted(set(CONFIG) - {"max_crops", "mlp_hidden_size", "embedding_size"}), *VISION])
def test_a_missing_field_is_named_or_has_a_default(tmp_path, name):
    config = {key: value for key, value in CONFIG.items() if key != name}
    if name in VISION:
        config["vision_backbone"] = {key: value for key, value in VISION.items() if key != name}
    if name in ("image_emb_dim", "image_mlp_dim", "image_norm_eps", "image_num_heads", "image_num_layers", *CONFIG):
        refused(tmp_path, config, f"lacks the field '{name}'")
    else:
        assert read(tmp_path, config) == read(tmp_path, CONFIG)


@pytest.mark.parametrize("text", ["", "[" * 200_000, "[1]", "null", "\ud800", '{"a": 1' * 3, "NaN"])
def test_files_that_are_no_configuration(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ModelError) as error:
        read_config(tmp_path / "config.json")
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("name", ["", " ", "x" * 5000, "~nosuchuser/x/y", "a\0b", "\ud800", "../nowhere"])
def test_names_of_models_that_cannot_be(name):
    with pytest.raises(ModelError, match="There is no model"):
        find_config(name)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from([*CONFIG, *OTHERS])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    changed=st.dictionaries(NAMES, JSON, max_size=3),
    seen=st.dictionaries(st.sampled_from(sorted({*VISION, *VISION_OTHERS})), JSON, max_size=2),
    cut=st.none() | st.integers(0, 500),
)
def test_every_configuration_gives_a_shape_or_a_sentence(tmp_path_factory, changed, seen, cut):
    path = tmp_path_factory.getbasetemp() / "generated.json"
    text = json.dumps({**CONFIG, "vision_backbone": {**VISION, **seen}, **changed})
    path.write_bytes(text[:cut].encode("utf-8", "surrogatepass"))
    try:
        found = read_config(path)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(found, MolmoConfig)
        assert found.d_model % found.n_heads == 0
        assert max(found.image_token_ids.values()) < found.embedding_size + found.additional_vocab_size


class TestShards:
    @pytest.fixture
    def directory(self, tmp_path):
        save_file({"a": torch.ones(2, 3), "b": torch.zeros(4)}, tmp_path / "one.safetensors")
        save_file({"c": torch.ones(5), "a": torch.full((2, 3), 9.0)}, tmp_path / "two.safetensors")
        return tmp_path

    def index(self, directory, content):
        text = content if isinstance(content, str) else json.dumps(content)
        (directory / "model.safetensors.index.json").write_text(text)

    def refused(self, directory, says):
        with pytest.raises(ModelError, match=says) as error:
            find_shards(directory)
        assert "\n" not in str(error.value)

    def test_the_index_decides_where_a_tensor_comes_from(self, directory):
        self.index(directory, {"weight_map": {"a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"}})
        assert find_tensors(directory) == {
            directory / "one.safetensors": {"a": (2, 3), "b": (4,)},
            directory / "two.safetensors": {"c": (5,)},
        }

    def test_two_copies_and_no_index(self, directory):
        self.refused(directory, "one.safetensors and two.safetensors .* both hold a, and no")

    @pytest.mark.parametrize("name", ["../x.safetensors", "/etc/x.safetensors", "deep/../../x.safetensors"])
    def test_a_shard_outside_of_the_directory(self, directory, name):
        save_file({"a": torch.ones(2, 3)}, directory.parent / "x.safetensors")
        self.index(directory, {"weight_map": {"a": name}})
        self.refused(directory, "names shards outside of")

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            ("{", "cannot be read as JSON"),
            ("[" * 200_000, "nested too deeply"),
            ([1], "needs a weight_map"),
            ({"weight_map": ["one.safetensors"]}, "needs a weight_map"),
            ({"weight_map": {}}, "needs a weight_map"),
            ({"weight_map": {"a": 3}}, "names no shard for a"),
            ({"weight_map": {"a": ["one.safetensors"]}}, "names no shard for a"),
            ({"weight_map": {"a": "three.safetensors"}}, "lacks the shards its index names: three"),
            ({"weight_map": {"a": "x" * 5000 + ".safetensors"}}, "lacks the shards"),
            ({"weight_map": {"a": "nul\0.safetensors"}}, "lacks the shards"),
            ({"weight_map": {"a": "pytorch_model.bin"}}, "no safetensors"),
            ({"weight_map": {"c": "one.safetensors"}}, r"lacks tensors where its index says they are: c \(in one"),
        ],
    )
    def test_a_malformed_index(self, directory, content, says):
        self.index(directory, content)
        self.refused(directory, says)

    @pytest.mark.parametrize("kind", [torch.int8, torch.int64, torch.bool, torch.float8_e4m3fn, torch.complex64])
    def test_weights_that_are_no_plain_floats(self, tmp_path, kind):
        save_file({"a": torch.zeros(4).to(kind)}, tmp_path / "model.safetensors")
        self.refused(tmp_path, "no plain floating-point numbers .a is")

    @pytest.mark.parametrize(
        "tensor",
        [
            {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
            {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
            {"dtype": "F32", "shape": "x", "data_offsets": [0, 4]},
            {"dtype": "F32", "shape": [1], "data_offsets": [0]},
            {"dtype": "F32", "shape": [1], "data_offsets": [0, 10**400]},
            {"shape": [1], "data_offsets": [0, 4]},
            3,
        ],
    )
    def test_a_malformed_header(self, tmp_path, tensor):
        header = json.dumps({"a": tensor}).encode()
        (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
        self.refused(tmp_path, "safetensors")

    @settings(max_examples=100, deadline=None, derandomize=True)
    @given(
        weight_map=st.dictionaries(
            st.sampled_from("abcd"),
            st.sampled_from(["one.safetensors", "two.safetensors", "../one.safetensors", ""]) | JSON,
        )
        | JSON,
        cut=st.none() | st.integers(0, 60),
        place=st.integers(0, 300),
        byte=st.integers(0, 255),
    )
    def test_every_index_and_shard_gives_tensors_or_a_sentence(self, tmp_path_factory, weight_map, cut, place, byte):
        directory = tmp_path_factory.mktemp("generated")
        save_file({"a": torch.ones(2, 3), "b": torch.zeros(4)}, directory / "one.safetensors")
        data = bytearray((directory / "one.safetensors").read_bytes())
        data[place % len(data)] = byte
        (directory / "two.safetensors").write_bytes(data)
        text = json.dumps({"weight_map": weight_map})
        (directory / "model.safetensors.index.json").write_bytes(text[:cut].encode("utf-8", "surrogatepass"))
        try:
            found = find_tensors(directory)
        except UserError as error:
            assert "\n" not in str(error)
        else:
            assert {name for tensors in found.values() for name in tensors} >= set(weight_map)


class TestLoading:
    @pytest.fixture
    def copy(self, tiny_molmoe, tmp_path):
        for name in ("config.json", "model.safetensors"):
            shutil.copyfile(tiny_molmoe / name, tmp_path / name)
        return tmp_path

    def load(self, directory):
        return load_checkpoint(directory, torch.device("cpu"), torch.float32, "eager")

    def test_a_stale_copy_in_a_later_shard_does_not_count(self, copy):
        tensors = load_file(copy / "model.safetensors")
        (copy / "model.safetensors").rename(copy / "a.safetensors")
        save_file({"lm_head.weight": torch.zeros_like(tensors["lm_head.weight"])}, copy / "b.safetensors")
        index = {"weight_map": {**dict.fromkeys(tensors, "a.safetensors")}}
        (copy / "model.safetensors.index.json").write_text(json.dumps(index))
        assert torch.equal(self.load(copy).llm.lm_head.weight, tensors["lm_head.weight"])
        # Named by the index for another tensor, it still holds a stale one.
        last = "model.transformer.ln_f.weight"
        save_file(
            {"lm_head.weight": torch.zeros_like(tensors["lm_head.weight"]), last: tensors[last]},
            copy / "b.safetensors",
        )
        index["weight_map"][last] = "b.safetensors"
        (copy / "model.safetensors.index.json").write_text(json.dumps(index))
        assert torch.equal(self.load(copy).llm.lm_head.weight, tensors["lm_head.weight"])

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_weights_that_are_no_numbers(self, copy, value):
        tensors = load_file(copy / "model.safetensors")
        tensors["lm_head.weight"][3, 1] = value
        save_file(tensors, copy / "model.safetensors")
        with pytest.raises(ModelError, match=r"holds lm_head\.weight with values that are no finite numbers"):
            self.load(copy)
