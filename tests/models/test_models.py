import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from profcore.engines import eager
from profcore.engines.eager import EagerEngine
from profcore.errors import FormatError, ModelError, UserError
from profcore.images.pictures import load_picture
from profcore.inspectors.parity import compare
from profcore.models import hub
from profcore.models.checkpoint import load_checkpoint
from profcore.models.config import PRESETS, read_config
from profcore.models.inputs import grid_inputs
from profcore.models.knobs import turned
from profcore.models.load import load_model, resolve_device, resolve_dtype
from profcore.models.molmoe import MolmoE, random_model
from profcore.models.prompt import ByteTokenizer, FileTokenizer, build_prompt
from profcore.spec.queries import Picture
from profcore.spec.settings import Setting

CPU = torch.device("cpu")


@pytest.mark.parametrize("experts", ["eager", "batched_mm", "grouped_mm"])
def test_parity_with_the_published_model(tiny_molmoe, experts):
    model = load_checkpoint(tiny_molmoe, CPU, torch.float32, experts)
    differences = compare(model, EagerEngine(model), tiny_molmoe / "expected.safetensors")
    names = {difference.name for difference in differences}
    assert {"out.vision_encoder", "out.projector", "out.prefill_logits", "out.mask1011.logits"} <= names
    assert len(names) == 13
    assert max(difference.largest for difference in differences) < 1e-4


def test_parity_notices_a_difference(tiny_molmoe):
    model = load_checkpoint(tiny_molmoe, CPU, torch.float32, "eager")
    model.llm.model.layers[0].mlp.gate.weight.data.mul_(1.5)
    assert not all(
        difference.passed for difference in compare(model, EagerEngine(model), tiny_molmoe / "expected.safetensors")
    )


def test_expected_file_that_is_none(tiny_molmoe, tmp_path):
    model = load_checkpoint(tiny_molmoe, CPU, torch.float32, "eager")
    save_file({"out.projector": torch.zeros(1)}, tmp_path / "no-inputs.safetensors")
    with pytest.raises(FormatError, match="lacks the input"):
        compare(model, EagerEngine(model), tmp_path / "no-inputs.safetensors")


@pytest.mark.parametrize(("preset", "parameters"), [("molmoe-1b", 7.22e9), ("tiny", 3.7e6)])
def test_preset_shapes(preset, parameters):
    with torch.device("meta"):
        model = MolmoE(PRESETS[preset], "eager")
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(parameters, rel=0.01)
    assert len(model.llm.model.layers) == 16
    assert model.llm.model.layers[0].mlp.experts.gate_up_proj.shape[0] == 64


def test_random_weights_are_drawn_in_the_target_dtype_from_the_seed():
    first = random_model(PRESETS["tiny"], CPU, torch.bfloat16, "eager", seed=1)
    again = random_model(PRESETS["tiny"], CPU, torch.bfloat16, "eager", seed=1)
    other = random_model(PRESETS["tiny"], CPU, torch.bfloat16, "eager", seed=2)
    assert {p.dtype for p in first.parameters()} == {torch.bfloat16}
    weight = first.llm.model.embed_tokens.weight
    assert torch.equal(weight, again.llm.model.embed_tokens.weight)
    assert not torch.equal(weight, other.llm.model.embed_tokens.weight)
    assert weight.float().std() == pytest.approx(0.02, rel=0.05)
    # Rotary frequencies are no weights: in bfloat16 positions would blur.
    assert first.llm.model.rotary_emb.inv_freq.dtype == torch.float32
    assert torch.isfinite(first.llm.model.rotary_emb.inv_freq).all()


@pytest.fixture(scope="module")
def inputs(tiny):
    return grid_inputs(tiny, load_picture(Picture()), (1, 1), "What is this?")


def test_knobs_are_turned_and_turned_back(tiny, inputs):
    model = tiny.model
    before, _ = eager.infer(model, inputs, 4)
    mask = (True, False) * 8
    with turned(model, Setting((1, 1), 3, mask, 4)):
        assert {router.top_k for router in model.routers()} == {3}
        assert model.active_blocks == tuple(range(0, 16, 2))
        eager.infer(model, inputs, 4)
    with pytest.raises(RuntimeError), turned(model, Setting((1, 1), 1, mask, 4)):
        raise RuntimeError
    after, _ = eager.infer(model, inputs, 4)
    assert {router.top_k for router in model.routers()} == {8}
    assert torch.equal(before, after)


def test_each_token_uses_as_many_experts_as_top_k_says(tiny, inputs):
    seen = []
    layer = tiny.model.llm.model.layers[0].mlp.experts
    hook = layer.register_forward_pre_hook(lambda module, given: seen.append(given[1].shape[-1]))
    with turned(tiny.model, Setting((1, 1), 5, (True,) * 16, 3)):
        eager.infer(tiny.model, inputs, 3)
    hook.remove()
    assert seen == [5, 5, 5]


@pytest.mark.parametrize("first", [True, False])
def test_a_skipped_block_runs_nothing_and_keeps_no_cache(tiny, inputs, first, monkeypatch):
    caches, ran = [], []
    monkeypatch.setattr(eager, "DynamicCache", lambda make=eager.DynamicCache: caches.append(make()) or caches[-1])
    layers = tiny.model.llm.model.layers
    hooks = [
        layer.register_forward_hook(lambda *_, index=index: ran.append(index)) for index, layer in enumerate(layers)
    ]
    mask = (first, not first, True) + (False,) * 13
    with turned(tiny.model, Setting((1, 1), 8, mask, 2)):
        eager.infer(tiny.model, inputs, 2)
    for hook in hooks:
        hook.remove()
    active = [index for index, on in enumerate(mask) if on]
    assert ran == active * 2
    held = [index for index, layer in enumerate(caches[0].layers) if layer.get_seq_length()]
    assert held == active


def test_exactly_n_tokens_even_when_the_model_says_stop(tiny, inputs):
    head = tiny.model.llm.lm_head.weight
    kept = head.data.clone()
    eos = tiny.model.config.eos_token_id
    try:
        natural, _ = eager.infer(tiny.model, inputs, 6)
        head.data[eos] = head.data[int(natural[0])] * 2
        stopped, _ = eager.infer(tiny.model, inputs, 6)
        assert len(natural) == len(stopped) == 6
        assert eos in stopped.tolist()
    finally:
        head.data.copy_(kept)


def test_settings_the_model_does_not_have(tiny):
    with pytest.raises(UserError, match="64 experts"), turned(tiny.model, Setting((1, 1), 65, (True,) * 16, 1)):
        pass
    with pytest.raises(UserError, match="16 blocks"), turned(tiny.model, Setting((1, 1), 8, (True,) * 4, 1)):
        pass


def test_devices_and_dtypes():
    with pytest.raises(UserError, match="no device 'cuda:99'"):
        resolve_device("cuda:99")
    with pytest.raises(UserError, match="no device 'tpu'"):
        resolve_device("tpu")
    with pytest.raises(UserError, match="Unknown dtype"):
        resolve_dtype("int8", CPU)
    assert resolve_dtype("auto", CPU) == torch.float32


class TestCheckpoints:
    """Files that are there, but not as they should be."""

    @pytest.fixture
    def copy(self, tiny_molmoe, tmp_path):
        for name in ("config.json", "model.safetensors"):
            shutil.copyfile(tiny_molmoe / name, tmp_path / name)
        return tmp_path

    def load(self, directory):
        return load_checkpoint(directory, CPU, torch.float32, "eager")

    def test_shards_are_as_good_as_one_file(self, copy, tiny_molmoe):
        tensors = load_file(copy / "model.safetensors")
        names = sorted(tensors)
        parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
        for shard, held in parts.items():
            save_file({name: tensors[name] for name in held}, copy / shard)
        weight_map = {name: shard for shard, held in parts.items() for name in held}
        (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
        (copy / "model.safetensors").unlink()
        model = self.load(copy)
        differences = compare(model, EagerEngine(model), tiny_molmoe / "expected.safetensors")
        assert max(difference.largest for difference in differences) < 1e-4
        (copy / "model-2.safetensors").unlink()
        with pytest.raises(ModelError, match=r"lacks the shards.*model-2"):
            self.load(copy)

    def test_real_weights_are_called_real_and_random_random(self, tiny_molmoe, tiny):
        loaded = load_model(str(tiny_molmoe), CPU, torch.float32, "eager")
        assert (loaded.weights, tiny.weights) == ("real", "random")
        assert isinstance(loaded.tokenizer, ByteTokenizer)

    def test_missing_unexpected_and_misshapen_are_named_in_one_error(self, copy):
        tensors = load_file(copy / "model.safetensors")
        del tensors["lm_head.weight"]
        tensors["stranger"] = torch.zeros(1)
        tensors["model.transformer.ln_f.weight"] = torch.zeros(65)
        save_file(tensors, copy / "model.safetensors")
        with pytest.raises(ModelError, match=r"missing lm_head.weight; unexpected stranger; misshapen .*ln_f.*\[65\]"):
            self.load(copy)

    def test_truncated(self, copy):
        data = (copy / "model.safetensors").read_bytes()
        (copy / "model.safetensors").write_bytes(data[:-100])
        with pytest.raises(ModelError, match="truncated"):
            self.load(copy)
        (copy / "model.safetensors").write_bytes(b"\x00" * 4)
        with pytest.raises(ModelError, match="no complete safetensors"):
            self.load(copy)

    def test_pickles_only(self, copy):
        (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
        with pytest.raises(ModelError, match=r"only pickled weights \(pytorch_model.bin\)"):
            self.load(copy)

    def test_no_weights_and_no_config(self, copy):
        (copy / "model.safetensors").unlink()
        with pytest.raises(ModelError, match=r"no .safetensors file"):
            self.load(copy)
        (copy / "config.json").unlink()
        with pytest.raises(ModelError, match=r"no config.json"):
            self.load(copy)

    def test_configs_of_other_models(self, copy):
        path = copy / "config.json"
        raw = json.loads(path.read_text())
        path.write_text(json.dumps({**raw, "block_type": "sequential"}))
        with pytest.raises(ModelError, match="block_type='sequential'"):
            read_config(path)
        path.write_text(json.dumps({"model_type": "llama"}))
        with pytest.raises(ModelError, match="lacks the field"):
            read_config(path)
        path.write_text("{")
        with pytest.raises(ModelError, match="cannot be read as JSON"):
            read_config(path)

    def test_hub_names(self, tiny_molmoe, monkeypatch):
        asked = []

        def fetch(name, allow_patterns, local_files_only):
            asked.append((name, allow_patterns, local_files_only))
            return str(tiny_molmoe)

        monkeypatch.setattr(hub, "why_not_reached", lambda: "")
        monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
        assert load_model("allenai/MolmoE", CPU, torch.float32, "eager").weights == "real"
        # Neither pickles nor code are fetched.
        assert asked == [("allenai/MolmoE", ["*.safetensors", "*.json"], False)]

        def offline(name, allow_patterns, local_files_only):
            raise LocalEntryNotFoundError("no network")

        monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
        with pytest.raises(ModelError, match=r"could not be fetched from the hub \(no network\): check the name"):
            load_model("allenai/MolmoE", CPU, torch.float32, "eager")

    def test_without_a_network_the_hub_is_asked_once_and_what_is_here_is_enough(self, monkeypatch):
        asked, fetched = [], []

        class Session:
            def head(self, address, timeout):
                asked.append(timeout)
                raise OSError("no such host")

        monkeypatch.setattr("huggingface_hub.utils.get_session", Session)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        with pytest.raises(ModelError, match=r"is not reached: no such host\): .* give its directory"):
            hub.fetch_config("someone/their-model")
        assert len(asked) == 1
        assert asked[0] <= 5
        hub.fetched("someone/their-model", lambda here: fetched.append(here) or Path("config.json"))
        assert fetched == [True]

    def test_a_hub_that_is_switched_off_is_not_asked(self, monkeypatch):
        monkeypatch.setattr("huggingface_hub.utils.get_session", lambda: pytest.fail("it was asked"))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
            hub.fetch_config("someone/their-model")

    def test_no_such_model(self):
        with pytest.raises(ModelError, match="no model 'nowhere'"):
            load_model("nowhere", CPU, torch.float32, "eager")


def test_prompt_with_the_real_tokenizer(shared):
    from profcore.images.processing import image_tokens

    config = PRESETS["molmoe-1b"]
    tokenizer = FileTokenizer(shared / "reference" / "tokenizer" / "tokenizer.json")
    tokens = image_tokens(1, 1, config.image_token_ids)
    input_ids, sources, positions = build_prompt(tokens, "Describe this image.", tokenizer, config)
    assert input_ids[0] == 50279
    assert input_ids[1] == 50280
    assert (input_ids[positions] == 50282).all()
    assert len(positions) == len(sources) == 288
    text = input_ids[1 + tokens.num_image_tokens :]
    assert tokenizer._backend.decode(text.tolist()) == " User: Describe this image. Assistant:"


def test_tokenizer_file_that_is_none(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="not a tokenizer"):
        FileTokenizer(tmp_path / "tokenizer.json")
