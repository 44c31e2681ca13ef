"""Weights from a checkpoint in the published layout, streamed to the device shard by shard.

Only safetensors are read: a pickle can run code when it is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open

from profcore.errors import ModelError
from profcore.images.geometry import PATCH
from profcore.models.config import MolmoConfig, check_weights, read_config
from profcore.models.molmoe import MolmoE, building
from profcore.models.shards import find_tensors
from profcore.spec.text import some

if TYPE_CHECKING:
    from torch import Tensor

_NAMED = 6


@dataclass(frozen=True)
class _Place:
    """Where a published tensor goes: `shape` is what the file must hold, `targets` what its rows fill."""

    shape: tuple[int, ...]
    targets: tuple[Tensor, ...]

    def fill(self, tensor: Tensor) -> None:
        row = 0
        for target in self.targets:
            rows = tensor if len(self.targets) == 1 else tensor[row : row + target.shape[0]]
            row += target.shape[0]
            target.copy_(rows.reshape(target.shape))

    def read(self) -> Tensor:
        """The tensor that would fill what is there."""
        return torch.cat([target.reshape(-1, *self.shape[1:]) for target in self.targets])


class _PatchPlace(_Place):
    """The patch embedding: published as a linear layer over (row, column, channel), a convolution here."""

    def fill(self, tensor: Tensor) -> None:
        kernel = tensor.view(-1, PATCH, PATCH, 3).permute(0, 3, 1, 2)
        self.targets[0].copy_(kernel)

    def read(self) -> Tensor:
        return self.targets[0].permute(0, 2, 3, 1).reshape(self.shape)


def _places(model: MolmoE) -> dict[str, _Place]:
    """Every tensor of the published layout, with the parameter it fills."""
    places: dict[str, _Place] = {}

    def put(name: str, *targets: Tensor) -> None:
        rows = sum(target.shape[0] for target in targets)
        places[name] = _Place((rows, *targets[0].shape[1:]), targets)

    llm, config = model.llm.model, model.config
    embedding = llm.embed_tokens.weight.data
    put("model.transformer.wte.embedding", embedding[: config.embedding_size])
    put("model.transformer.wte.new_embedding", embedding[config.embedding_size :])
    put("model.transformer.ln_f.weight", llm.norm.weight.data)
    put("lm_head.weight", model.llm.lm_head.weight.data)
    for index, layer in enumerate(llm.layers):
        block = f"model.transformer.blocks.{index}"
        attention = layer.self_attn
        put(
            f"{block}.attn.att_proj.weight",
            attention.q_proj.weight.data,
            attention.k_proj.weight.data,
            attention.v_proj.weight.data,
        )
        put(f"{block}.attn.attn_out.weight", attention.o_proj.weight.data)
        put(f"{block}.attn.q_norm.weight", attention.q_norm.weight.data)
        put(f"{block}.attn.k_norm.weight", attention.k_norm.weight.data)
        put(f"{block}.attn.attn_norm.weight", layer.input_layernorm.weight.data)
        put(f"{block}.mlp.ff_norm.weight", layer.post_attention_layernorm.weight.data)
        put(f"{block}.mlp.gate.weight", layer.mlp.gate.weight.data)
        gate_up, down = layer.mlp.experts.gate_up_proj.data, layer.mlp.experts.down_proj.data
        for expert in range(config.num_experts):
            name = f"{block}.mlp.experts.{expert}"
            put(f"{name}.gate_proj.weight", gate_up[expert, : config.expert_width])
            put(f"{name}.up_proj.weight", gate_up[expert, config.expert_width :])
            put(f"{name}.down_proj.weight", down[expert])

    vit, vision = "model.vision_backbone.image_vit", model.vision
    put(f"{vit}.class_embedding", vision.embeddings.class_embedding.data)
    put(f"{vit}.positional_embedding", vision.embeddings.position_embedding.weight.data)
    patch = vision.embeddings.patch_embedding.weight.data
    places[f"{vit}.patch_embedding.weight"] = _PatchPlace((patch.shape[0], patch[0].numel()), (patch,))
    modules = {f"{vit}.pre_ln": vision.pre_layrnorm}
    for index, layer in enumerate(vision.encoder.layers):
        block = f"{vit}.transformer.resblocks.{index}"
        modules[f"{block}.attention.wq"] = layer.self_attn.q_proj
        modules[f"{block}.attention.wk"] = layer.self_attn.k_proj
        modules[f"{block}.attention.wv"] = layer.self_attn.v_proj
        modules[f"{block}.attention.wo"] = layer.self_attn.out_proj
        modules[f"{block}.feed_forward.w1"] = layer.mlp.fc1
        modules[f"{block}.feed_forward.w2"] = layer.mlp.fc2
        modules[f"{block}.attention_norm"] = layer.layer_norm1
        modules[f"{block}.ffn_norm"] = layer.layer_norm2
    backbone, projector = "model.vision_backbone", model.projector
    put(f"{backbone}.pad_embed", projector.pad_embed.data)
    for name in ("wq", "wk", "wv", "wo"):
        modules[f"{backbone}.image_pooling_2d.{name}"] = getattr(projector, name)
    for name in ("w1", "w2", "w3"):
        modules[f"{backbone}.image_projector.{name}"] = getattr(projector, name)
    for name, module in modules.items():
        put(f"{name}.weight", module.weight.data)
        if module.bias is not None:
            put(f"{name}.bias", module.bias.data)
    return places


def published_tensors(model: MolmoE, dtype: torch.dtype) -> dict[str, Tensor]:
    """The weights of a model by their published names, in memory of their own: the reverse of `load_checkpoint`."""
    return {name: place.read().to("cpu", dtype, copy=True).contiguous() for name, place in _places(model).items()}


def load_checkpoint(directory: Path, device: torch.device, dtype: torch.dtype, experts: str) -> MolmoE:
    """A model with the weights of a checkpoint directory in the published layout.

    Names and shapes of all shards are compared before anything is loaded; then one tensor at a time is
    brought to the device and dtype.

    Raises:
        ModelError: A shard is unreadable, or tensors are missing, unexpected, of the wrong shape, or hold NaN.
    """
    config: MolmoConfig = read_config(directory / "config.json")
    shards = find_tensors(directory)
    check_weights(directory, config, shards)
    found = {name: shape for tensors in shards.values() for name, shape in tensors.items()}

    with building(device, dtype):
        model = MolmoE(config, experts)
    places = _places(model)
    _compare(directory, places, found)
    with torch.no_grad():
        for shard, tensors in shards.items():
            with _opened(shard, device) as file:
                for name in tensors:
                    tensor = file.get_tensor(name)
                    if not torch.isfinite(tensor).all():
                        raise ModelError(f"{shard} holds {name} with values that are no finite numbers.")
                    places[name].fill(tensor)
    return model


def _compare(directory: Path, places: dict[str, _Place], found: dict[str, tuple[int, ...]]) -> None:
    """Whether a checkpoint holds what its configuration needs.

    Raises:
        ModelError: Tensors are missing, unexpected or of the wrong shape; all are named.
    """
    problems = []
    if missing := sorted(places.keys() - found.keys()):
        problems.append(f"missing {some(missing, _NAMED)}")
    if unexpected := sorted(found.keys() - places.keys()):
        problems.append(f"unexpected {some(unexpected, _NAMED)}")
    if misshapen := [
        f"{name} is {list(found[name])} instead of {list(place.shape)}"
        for name, place in places.items()
        if name in found and found[name] != place.shape
    ]:
        problems.append(f"misshapen {some(misshapen, _NAMED)}")
    if problems:
        raise ModelError(f"{directory} does not fit its config.json: {'; '.join(problems)}.")


class _opened:  # noqa: N801  used like a function
    """`safe_open` whose errors name the file in one sentence."""

    def __init__(self, path: Path, device: torch.device | None = None) -> None:
        self.path, self.device = path, device

    def __enter__(self):
        try:
            self.file = safe_open(self.path, framework="pt", device=str(self.device or "cpu"))
            return self.file.__enter__()
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{self.path} is no complete safetensors file ({error}).") from None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.file.__exit__(kind, error, trace)
        if isinstance(error, SafetensorError | OSError):
            raise ModelError(f"{self.path} is no complete safetensors file ({error}).") from None
