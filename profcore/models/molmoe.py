"""MolmoE: transformers' CLIP and OLMoE with the connector between them, cut at the stage boundaries.

The three stages are methods rather than one `forward`, since a stage is what this project times. Blocks are
called one by one, so that the active ones can be chosen without rebuilding the model.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel, DynamicCache, OlmoeConfig, OlmoeForCausalLM
from transformers.initialization import no_init_weights
from transformers.models.olmoe.modeling_olmoe import OlmoeAttention

from profcore.images.geometry import CROP, CROP_TOKENS, PATCH, PATCHES_PER_TOKEN, POOL, TOKENS_PER_CROP
from profcore.models.config import MolmoConfig
from profcore.models.experts import Experts

if TYPE_CHECKING:
    from collections.abc import Iterator

# transformers renamed the argument after 5.17; passing the old name to a newer one warns on every call.
_parameters = inspect.signature(OlmoeAttention.forward).parameters
CACHE_ARGUMENT = "cache" if "cache" in _parameters else "past_key_values"


class Projector(nn.Module):
    """From patch features to image tokens: padding embedding, 2x2 attention pooling, SwiGLU.

    Source: allenai/molmo, `MolmoVisionBackbone` with "attention-meanq" pooling and "mlp" projector.
    """

    def __init__(self, config: MolmoConfig) -> None:
        super().__init__()
        width, features = config.vit_width, config.vit_width * len(config.vit_layers)
        self.heads = config.vit_heads
        self.pad_embed = nn.Parameter(torch.empty(2, features))
        self.wq = nn.Linear(features, width)
        self.wk = nn.Linear(features, width)
        self.wv = nn.Linear(features, width)
        self.wo = nn.Linear(width, width)
        self.w1 = nn.Linear(width, config.projector_hidden, bias=False)
        self.w2 = nn.Linear(config.projector_hidden, config.d_model, bias=False)
        self.w3 = nn.Linear(width, config.projector_hidden, bias=False)

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """Image tokens of every crop.

        Shapes:
            features: (crops, 576, features); masks: (crops, 576), 1 where a patch is picture, 0 where padding.
            Returns (crops, 144, d_model).
        """
        padded = (masks == 0).to(features.dtype)
        # As published, a negative mask (the global view's, see images.py) counts as partly padded.
        partial = ((masks < 1) & (masks != 0)).to(features.dtype)
        features = features + padded[..., None] * self.pad_embed[0] + partial[..., None] * self.pad_embed[1]

        crops, side = features.shape[0], CROP_TOKENS
        windows = features.view(crops, side, POOL, side, POOL, -1).permute(0, 1, 3, 2, 4, 5)
        windows = windows.reshape(crops * TOKENS_PER_CROP, PATCHES_PER_TOKEN, -1)
        query = self._split(self.wq(windows.mean(dim=1, keepdim=True)))
        key, value = self._split(self.wk(windows)), self._split(self.wv(windows))
        pooled = nn.functional.scaled_dot_product_attention(query, key, value)
        pooled = self.wo(pooled.transpose(1, 2).reshape(crops, TOKENS_PER_CROP, -1))
        return self.w2(nn.functional.silu(self.w1(pooled)) * self.w3(pooled))

    def _split(self, states: Tensor) -> Tensor:
        return states.view(*states.shape[:2], self.heads, -1).transpose(1, 2)


class MolmoE(nn.Module):
    """The whole model; `active_blocks` and each router's `top_k` are its knobs (see `models.knobs`)."""

    def __init__(self, config: MolmoConfig, experts: str) -> None:
        """Build the modules with uninitialised weights, on the current default device and dtype.

        Args:
            config: The shape.
            experts: transformers' experts implementation of both stages: 'eager', 'batched_mm' or 'grouped_mm'.
        """
        super().__init__()
        self.config = config
        with no_init_weights():
            self.vision = CLIPVisionModel(
                CLIPVisionConfig(
                    hidden_size=config.vit_width,
                    intermediate_size=config.vit_mlp,
                    num_hidden_layers=config.vit_layers_total,
                    num_attention_heads=config.vit_heads,
                    image_size=CROP,
                    patch_size=PATCH,
                    hidden_act="quick_gelu",
                    layer_norm_eps=config.vit_norm_eps,
                    attn_implementation="sdpa",
                )
            )
            # The published encoder has no norm after its last block.
            self.vision.post_layernorm = nn.Identity()
            self.projector = Projector(config)
            self.llm = OlmoeForCausalLM(
                OlmoeConfig(
                    vocab_size=config.embedding_size + config.additional_vocab_size,
                    hidden_size=config.d_model,
                    intermediate_size=config.expert_width,
                    num_hidden_layers=config.n_layers,
                    num_attention_heads=config.n_heads,
                    num_experts=config.num_experts,
                    num_experts_per_tok=config.top_k,
                    norm_topk_prob=False,
                    rms_norm_eps=config.norm_eps,
                    max_position_embeddings=config.max_positions,
                    rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
                    pad_token_id=None,
                    eos_token_id=config.eos_token_id,
                    attn_implementation="sdpa",
                    experts_implementation=experts,
                )
            )
            # Embeddings have the additional rows, the output layer has not.
            self.llm.lm_head = nn.Linear(config.d_model, config.embedding_size, bias=False)
        self.active_blocks: tuple[int, ...] = tuple(range(config.n_layers))
        self.experts = Experts.of(experts)
        self.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.llm.lm_head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' type."""
        return self.llm.lm_head.weight.dtype

    @property
    def attention(self) -> str:
        """Transformers' implementation of the language model's attention."""
        return str(self.llm.config._attn_implementation)

    def use_experts(self, experts: Experts) -> None:
        """Have each stage run an implementation of the experts."""
        self.experts = experts
        self.llm.set_experts_implementation(experts.prefill)

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Inside, decode steps' implementation of the experts is in use; outside of it, prefill's.

        Set where the modules read it: transformers' own way there walks all modules, which a host would wait for.
        """
        config = self.llm.config
        config._experts_implementation = self.experts.decode
        try:
            yield
        finally:
            config._experts_implementation = self.experts.prefill

    def routers(self) -> list[Any]:
        """The router of each block, first block first."""
        return [layer.mlp.gate for layer in self.llm.model.layers]

    def encode(self, pixels: Tensor) -> Tensor:
        """The vision encoder: features of every patch.

        Every block runs, as in the published code, though the last one's output is not used by it.

        Shapes:
            pixels: (crops, 3, 336, 336). Returns (crops, 576, vit_width * len(vit_layers)).
        """
        states = self.vision.pre_layrnorm(self.vision.embeddings(pixels))
        outputs = []
        for layer in self.vision.encoder.layers:
            states = layer(states, attention_mask=None)
            outputs.append(states)
        return torch.cat([outputs[index][:, 1:] for index in self.config.vit_layers], dim=-1)

    def project(self, features: Tensor, masks: Tensor) -> Tensor:
        """The projector: image tokens of every crop, (crops, 144, d_model)."""
        return self.projector(features, masks)

    def embed(self, input_ids: Tensor, image_tokens: Tensor, sources: Tensor, positions: Tensor) -> Tensor:
        """Token embeddings with the image tokens added at their places.

        Shapes:
            input_ids: (1, tokens); image_tokens: (crops, 144, d_model).
            sources, positions: (kept,), rows of the flattened image tokens and the places they are added to.
            Returns (1, tokens, d_model).
        """
        embeddings = self.llm.model.embed_tokens(input_ids)
        kept = image_tokens.reshape(-1, image_tokens.shape[-1])[sources]
        embeddings[0].index_add_(0, positions, kept)
        return embeddings

    def run_blocks(self, states: Tensor, positions: Tensor, cache: DynamicCache, mask: Tensor | None = None) -> Tensor:
        """The active transformer blocks and the final norm.

        Without a mask, attention is causal over several tokens and sees the whole cache from one.

        Shapes:
            states: (1, tokens, d_model); positions: (1, tokens), each token's place in the sequence.
            mask: (1, 1, tokens, places of the cache), True where a token may look. Returns the shape of states.
        """
        rotary = self.llm.model.rotary_emb(states, positions)
        keywords = {CACHE_ARGUMENT: cache}
        for index in self.active_blocks:
            states = self.llm.model.layers[index](
                states, position_embeddings=rotary, attention_mask=mask, use_cache=True, **keywords
            )
        return self.llm.model.norm(states)

    def logits(self, states: Tensor) -> Tensor:
        """Next-token logits, (..., embedding_size)."""
        return self.llm.lm_head(states)


@contextmanager
def building(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Modules built inside are created on `device` in `dtype`, never elsewhere first."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


def random_model(config: MolmoConfig, device: torch.device, dtype: torch.dtype, experts: str, seed: int = 0) -> MolmoE:
    """A model with random weights, drawn on the device in the target dtype.

    Linear and embedding weights are normal with standard deviation 0.02, as the published initialisation;
    norms are one and biases zero. Memory stays at the size of the weights: no float32 copy exists.
    """
    with building(device, dtype):
        model = MolmoE(config, experts)
    generator = torch.Generator(device).manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            elif name.endswith("bias"):
                parameter.zero_()
            else:
                parameter.normal_(0.0, 0.02, generator=generator)
    return model
