"""A Molmo model's shape: the presets, and reading a published `config.json`. Needs no torch."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

from profcore.errors import ModelError
from profcore.models.config_fields import Fields, read_fields, shown, whole_number
from profcore.models.families.fields import read_raw
from profcore.models.families.shape import FamilyShape, is_of_transformers, read_family
from profcore.models.hub import cached_config
from profcore.models.shards import INDEX, find_tensors, shard_names
from profcore.paths import REPOSITORY, Roots, data_directory
from profcore.spec.settings import MAX_CROPS
from profcore.spec.text import brief, did_you_mean, some

# Far beyond any model there is, and little enough that a page can offer each value and draw each block.
_MOST_LAYERS, _MOST_EXPERTS, _MOST_HEADS = 256, 1024, 1024
_WIDEST, _LONGEST = 2**18, 2**24
_READ = ("config.json", "tokenizer.json", "preprocessor_config.json", "generation_config.json")
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_VISION_GROUPS = "image_num_key_value_heads"


@dataclass(frozen=True)
class MolmoConfig:
    """Shape of a MoE Molmo.

    Attributes:
        d_model: Width of the language model.
        n_layers: Number of transformer blocks.
        n_heads: Attention heads of each block, no grouping.
        num_experts: Experts of each block's feed-forward.
        top_k: Experts each token is routed to, unless the knob says otherwise.
        expert_width: Hidden width of one expert's SwiGLU.
        vocab_size: Token ids a tokenizer may give; the special image tokens follow.
        embedding_size: Rows of `wte.embedding` and of `lm_head`.
        additional_vocab_size: Rows of `wte.new_embedding`, stacked below.
        max_positions: Longest sequence, image tokens included.
        projector_hidden: Hidden width of the projector's SwiGLU.
        vit_layers: Which hidden states of the vision encoder are concatenated.

    Source: allenai/MolmoE-1B-0924, `config.json`.
    """

    d_model: int
    n_layers: int
    n_heads: int
    num_experts: int
    top_k: int
    expert_width: int
    vocab_size: int
    embedding_size: int
    additional_vocab_size: int
    max_positions: int
    rope_theta: float
    norm_eps: float
    vit_width: int
    vit_layers_total: int
    vit_heads: int
    vit_mlp: int
    vit_norm_eps: float
    vit_layers: tuple[int, ...]
    projector_hidden: int
    max_crops: int = MAX_CROPS

    @property
    def vit_blocks_read(self) -> int:
        """Blocks of the vision encoder up to the last whose output is read; what comes after changes no answer."""
        return max(index % self.vit_layers_total for index in self.vit_layers) + 1

    @property
    def image_token_ids(self) -> dict[str, int]:
        """Ids of the special image tokens, which follow the vocabulary."""
        names = ("<im_start>", "<im_end>", "<im_patch>", "<im_col>", "<|image|>")
        return {name: self.vocab_size + offset for offset, name in enumerate(names)}

    @property
    def eos_token_id(self) -> int:
        """Id of `<|endoftext|>`, also put first as BOS."""
        return self.vocab_size - 1

    @property
    def top_k_reason(self) -> str:
        """Empty: top-k can be turned."""
        return ""

    @property
    def vision_reason(self) -> str:
        """Empty: vision tokens can be turned."""
        return ""

    def row_grids(self) -> tuple[int, ...]:
        """How many crops one row may have."""
        return tuple(range(1, MAX_CROPS + 1))

    def check_grid(self, grid: tuple[int, int]) -> None:
        """Nothing: every grid of a setting is one of crops."""


PRESETS: dict[str, MolmoConfig] = {
    "molmoe-1b": MolmoConfig(
        d_model=2048,
        n_layers=16,
        n_heads=16,
        num_experts=64,
        top_k=8,
        expert_width=1024,
        vocab_size=50280,
        embedding_size=50304,
        additional_vocab_size=128,
        max_positions=4096,
        rope_theta=10000.0,
        norm_eps=1e-5,
        vit_width=1024,
        vit_layers_total=23,
        vit_heads=16,
        vit_mlp=4096,
        vit_norm_eps=1e-5,
        vit_layers=(-2, -9),
        projector_hidden=1024,
    ),
    # The same structure and the same range of every knob, small enough for a CPU.
    "tiny": MolmoConfig(
        d_model=64,
        n_layers=16,
        n_heads=4,
        num_experts=64,
        top_k=8,
        expert_width=16,
        vocab_size=480,
        embedding_size=512,
        additional_vocab_size=128,
        max_positions=4096,
        rope_theta=10000.0,
        norm_eps=1e-5,
        vit_width=32,
        vit_layers_total=11,
        vit_heads=2,
        vit_mlp=64,
        vit_norm_eps=1e-5,
        vit_layers=(-2, -9),
        projector_hidden=32,
    ),
}


def read_config(path: Path) -> MolmoConfig:
    """The shape that a published `config.json` describes.

    Raises:
        ModelError: The file is missing, no JSON, lacks a field, or describes another architecture or no possible one.
    """
    fields = read_fields(path)
    config = _shape(fields)
    _check_heads(fields, config)
    _check_vocabulary(path, config)
    _check_vision_layers(path, config)
    if config.top_k > config.num_experts:
        raise ModelError(
            f"{path} has moe_top_k={config.top_k}: it routes to {config.top_k} of only {config.num_experts} experts."
        )
    return config


def _shape(fields: Fields) -> MolmoConfig:
    """Each number of the shape from its field."""
    vision = fields.inside("vision_backbone")
    # Half of the fused hidden size is the width of an expert's SwiGLU, and of the projector's.
    swiglu = _hidden_size(fields) // 2
    return MolmoConfig(
        d_model=fields.whole("d_model", most=_WIDEST),
        n_layers=fields.whole("n_layers", most=_MOST_LAYERS),
        n_heads=fields.whole("n_heads", most=_MOST_HEADS),
        num_experts=fields.whole("moe_num_experts", most=_MOST_EXPERTS),
        top_k=fields.whole("moe_top_k", most=_MOST_EXPERTS),
        expert_width=swiglu,
        vocab_size=fields.whole("vocab_size"),
        embedding_size=fields.whole("embedding_size" if "embedding_size" in fields else "vocab_size"),
        additional_vocab_size=fields.whole("additional_vocab_size", least=0),
        max_positions=fields.whole("max_position_embeddings", most=_LONGEST),
        rope_theta=fields.number("rope_theta"),
        norm_eps=fields.number("layer_norm_eps"),
        vit_width=vision.whole("image_emb_dim", most=_WIDEST),
        vit_layers_total=vision.whole("image_num_layers", most=_MOST_LAYERS),
        vit_heads=vision.whole("image_num_heads", most=_MOST_HEADS),
        vit_mlp=vision.whole("image_mlp_dim", most=_WIDEST),
        vit_norm_eps=vision.number("image_norm_eps"),
        vit_layers=_vision_layers(fields),
        projector_hidden=swiglu,
        max_crops=fields.whole("max_crops", most=MAX_CROPS) if "max_crops" in fields else MAX_CROPS,
    )


def _hidden_size(fields: Fields) -> int:
    """The fused hidden size of the language model's SwiGLU: given, or as a multiple of its width."""
    if "mlp_hidden_size" in fields:
        return fields.whole("mlp_hidden_size", least=2, most=_WIDEST)
    hidden = fields.whole("d_model") * fields.number("mlp_ratio")
    # Rounded down; beyond the largest there is, a float of this size has no whole number of its own.
    return whole_number(fields.path, "d_model * mlp_ratio", int(min(hidden, 2.0**40)), 2, _WIDEST)


def _vision_layers(fields: Fields) -> tuple[int, ...]:
    value = fields.get("vit_layers")
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_LAYERS:
        raise ModelError(f"{fields.path} has vit_layers={shown(value)}, which is no list of whole numbers.")
    return tuple(whole_number(fields.path, "vit_layers", each, -_MOST_LAYERS, _MOST_LAYERS) for each in value)


def _check_heads(fields: Fields, config: MolmoConfig) -> None:
    """Whether heads share out the width of either part evenly, and none is grouped."""
    path, vision = fields.path, fields.inside("vision_backbone")
    # The rotary embedding turns values in pairs.
    if config.d_model % (2 * config.n_heads):
        raise ModelError(f"{path} has n_heads={config.n_heads}, which do not share d_model={config.d_model} in pairs.")
    if config.vit_width % config.vit_heads:
        raise ModelError(
            f"{path} has image_num_heads={config.vit_heads}, which do not share image_emb_dim={config.vit_width}."
        )
    for part, heads, grouped in ((fields, config.n_heads, "n_kv_heads"), (vision, config.vit_heads, _VISION_GROUPS)):
        if grouped in part and part.get(grouped) != heads:
            raise ModelError(
                f"{path} groups attention heads ({grouped}={shown(part.get(grouped))} of {heads}), "
                "which is not supported."
            )
    for part, width, name in (
        (fields, config.d_model // config.n_heads, "head_dim"),
        (vision, config.vit_width // config.vit_heads, "image_head_dim"),
    ):
        if name in part and part.get(name) != width:
            raise ModelError(f"{path} has {name}={shown(part.get(name))}, but its heads share out {width} each.")


def _check_vocabulary(path: Path, config: MolmoConfig) -> None:
    """Whether every token, the special ones of images included, has an embedding."""
    if config.vocab_size > config.embedding_size:
        raise ModelError(
            f"{path} has vocab_size={config.vocab_size}, more than the embedding_size={config.embedding_size}."
        )
    rows, last = config.embedding_size + config.additional_vocab_size, max(config.image_token_ids.values())
    if last >= rows:
        raise ModelError(
            f"{path} has {rows} embeddings (embedding_size and additional_vocab_size), "
            f"but the special tokens of images reach to {last}."
        )


def _check_vision_layers(path: Path, config: MolmoConfig) -> None:
    total = config.vit_layers_total
    if not all(-total <= layer < total for layer in config.vit_layers):
        raise ModelError(f"{path} has vit_layers={list(config.vit_layers)}, but the vision encoder has {total} blocks.")


SMALL_TRAINED = "shapes"
"""The small model that is trained on drawn pictures (see `profcore.models.shapes`)."""


def checkpoint_path(model: str) -> str:
    """The path of the checkpoint that a model's name means: the small trained model's own, any other as it is written.

    Raises:
        ModelError: The small model's checkpoint is not there.
    """
    if model != SMALL_TRAINED:
        return model
    directory = data_directory() / "models" / SMALL_TRAINED
    if not (directory / "config.json").is_file():
        raise ModelError(
            f"The model {SMALL_TRAINED!r} is not in {directory}: "
            f"python -m profcore.models.shapes.train --output {directory} --device cuda trains it there."
        )
    return str(directory)


def find_config(model: str) -> MolmoConfig | FamilyShape | None:
    """The shape of a preset, of the catalogue, of a checkpoint directory or of a configuration file.

    None for a hub name, known only once fetched.

    Raises:
        ModelError: It is none of these; or as `checkpoint_path`, `read_config` and `read_family`.
    """
    if model in PRESETS:
        return PRESETS[model]
    if named := catalogued(model):
        return named
    directory = _directory(checkpoint_path(model))
    if directory and (directory.is_dir() or directory.suffix == ".json"):
        return read_shape(directory, model)
    if (directory and directory.exists()) or not _HUB_NAME.fullmatch(model):
        raise ModelError(f"There is no model {brief(model)!r}: {_meant(model)}")
    return None


def _meant(model: str) -> str:
    """What was likely meant by a name that is none here, and what there is besides."""
    from profcore.models.families.catalogue import CATALOGUE

    likely = did_you_mean(model, (*PRESETS, SMALL_TRAINED, *CATALOGUE))
    return (
        f"{likely + ' Else give' if likely else 'give'} {', '.join(PRESETS)}, a name of those that docs/model-sizes.md "
        "lists, a checkpoint directory, a configuration file of transformers or a hub name."
    )


def catalogued(model: str) -> FamilyShape | None:
    """The shape of that name in the catalogue of vision-language models."""
    from profcore.models.families.catalogue import CATALOGUE

    return CATALOGUE.get(model)


def read_shape(path: Path, name: str | None = None) -> MolmoConfig | FamilyShape:
    """The shape that a configuration describes: MolmoE's as published, or one of transformers.

    Args:
        path: The file, or the directory that it is in.
        name: What to call it.

    Raises:
        ModelError: As `read_config` and `read_family`.
    """
    file = path / "config.json" if path.is_dir() else path
    # A configuration that transformers reads names its parts; the published one of Molmo has none of them.
    if file.is_file() and is_of_transformers(read_raw(file)):
        return read_family(path, name)
    return read_config(file)


def check_model_path(model: str, roots: Roots) -> None:
    """Whether the checkpoint directory that a model's name means may be opened; a preset or a hub name means none.

    Raises:
        UserError: It lies elsewhere, or a file of it is a link that leads elsewhere.
    """
    if model in (*PRESETS, SMALL_TRAINED) or catalogued(model):
        return
    # A worker stands in the checkout, wherever who asks it does.
    there = [model, *([] if model.startswith(("/", "~")) else [str(REPOSITORY / model)])]
    for path in there:
        if not _HUB_NAME.fullmatch(model) or os.path.exists(path):  # noqa: PTH110  of any length
            _check_links(roots.path(path), roots)


def _check_links(directory: Path, roots: Roots) -> None:
    if roots.folders is None:
        return
    # First what names the others, which is read only where it may be.
    for names in ((*_READ, INDEX), shard_names(directory)):
        if outside := [name for name in names if _leads_out(directory / name, roots)]:
            raise ModelError(
                f"{str(directory)!r} holds links that lead outside of the folders that a page may open: "
                f"{some(outside)}."
            )


def _leads_out(path: Path, roots: Roots) -> bool:
    try:
        return not roots.holds(path)
    # A name that no file can have is none of a link.
    except ValueError:
        return False


def _directory(model: str) -> Path | None:
    """The path of that name where there is anything; None for names that no file can have."""
    # os.path.exists, unlike Path.exists, takes names of any length.
    path = os.path.expanduser(model)  # noqa: PTH111  Path's fails where there is no such user
    return Path(path) if model.strip() and os.path.exists(path) else None  # noqa: PTH110


def model_shape(model: str) -> MolmoConfig | FamilyShape:
    """The shape of the model that a page offers knobs for.

    A hub model's is that of its configuration where an earlier fetch left it, and is taken to be MolmoE-1B's else.

    Raises:
        ModelError: There is no such model, or its checkpoint directory is incomplete.
    """
    if model in PRESETS:
        return PRESETS[model]
    config = find_config(model)
    if config is None:
        cached = cached_config(model)
        return read_shape(cached, model) if cached else PRESETS["molmoe-1b"]
    if catalogued(model):
        return config
    directory = Path(checkpoint_path(model)).expanduser()
    # A configuration alone is enough for random weights, but only where it is named itself.
    if directory.is_dir():
        tensors = find_tensors(directory)
        if isinstance(config, MolmoConfig):
            check_weights(directory, config, tensors)
    return config


def may_be_any(model: str) -> bool:
    """Whether a name is a hub's of which nothing is known here, so that only a fetch can say what model it is.

    Raises:
        ModelError: As `find_config`.
    """
    return find_config(model) is None and "molmoe" not in model.lower() and cached_config(model) is None


def known_shape(model: str) -> MolmoConfig | FamilyShape:
    """As `model_shape`, but no model is taken for MolmoE-1B that does not say so itself.

    Raises:
        ModelError: As `model_shape`, or nothing is known of it.
    """
    if may_be_any(model):
        raise ModelError(f"Nothing is known of {model} here: its configuration was not fetched yet, as a run does.")
    return model_shape(model)


def check_weights(directory: Path, config: MolmoConfig, tensors: dict[Path, dict[str, tuple[int, ...]]]) -> None:
    """Whether a checkpoint's files can hold a model of this shape, known before any memory is taken for it.

    Args:
        directory: Where they are.
        config: What its configuration says.
        tensors: As `find_tensors` gives them.

    Raises:
        ModelError: They hold fewer numbers than its experts and embeddings alone have.
    """
    held = sum(math.prod(shape) for shapes in tensors.values() for shape in shapes.values())
    experts = 3 * config.n_layers * config.num_experts * config.expert_width * config.d_model
    least = experts + (config.embedding_size + config.additional_vocab_size) * config.d_model
    if held < least:
        raise ModelError(
            f"{directory} has a config.json of {least:,} parameters or more, but its files hold {held:,} in all."
        )
