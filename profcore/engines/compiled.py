"""The compiled engine: torch.compile, fused kernels for experts and decode, and CUDA graphs around them.

On a GPU the vision encoder, the projector and the dense parts of a prefill are compiled by torch.compile, the routed
experts and the decode step are kernels of this project (`engines.kernels`), and each stage is captured in a CUDA
graph. On a CPU everything but the experts is compiled and nothing captured.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import TYPE_CHECKING, Any

import torch
from torch.profiler import record_function

from profcore.engines import pieces, weights
from profcore.engines.static import PictureSlot, PromptSlot, StaticEngine
from profcore.errors import UserError
from profcore.paths import cache_directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from profcore.models.molmoe import MolmoE
    from profcore.spec.settings import Setting

# What is compiled is kept on disk, so that another process need not compile it again.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_directory() / "inductor"))
os.environ.setdefault("TRITON_CACHE_DIR", str(cache_directory() / "triton"))


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """A piece, compiled for the shapes that it is called with; dimensions marked as dynamic are left open."""
    return torch.compile(function, fullgraph=True, dynamic=False, options=options or None)


class CompiledEngine(StaticEngine):
    """See `profcore.engines.base.Engine`."""

    name = "compiled"

    def __init__(self, model: MolmoE, graphs: bool | None = None) -> None:
        """As `StaticEngine`; weights that see the same input are stacked, in place.

        Raises:
            UserError: What compiling needs is not installed.
        """
        gpu = model.device.type == "cuda"
        _check_tools(gpu)
        super().__init__(model, gpu if graphs is None else graphs)
        config = model.config
        self.fused = gpu
        self._eps, self._vision_eps = config.norm_eps, config.vit_norm_eps
        self._patches = weights.patch_weights(model)
        self._vision = weights.vision_weights(model)
        self._vision_norms = weights.vision_norms(model)
        self._projector = weights.projector_weights(model.projector)
        self.attention = weights.attention_weights(model)
        self._experts = weights.expert_weights(model)
        self._final_norm = model.llm.model.norm.weight.data
        self._head = model.llm.lm_head.weight.data
        self._embeddings = model.llm.model.embed_tokens.weight.data
        self._rotary = weights.rotary_tables(model)
        if not gpu:
            # Compiling in processes of its own, torch would start them beside what is being measured.
            torch._inductor.config.compile_threads = 1
        # The limit is per function; each has few shapes, but a long life.
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 64)
        self._embed_patches = compiled(pieces.embed_patches)
        self._vision_block = compiled(pieces.vision_block)
        self._project = compiled(pieces.project)
        self._attend_prompt = compiled(pieces.attend_prompt)
        self._attend_step = compiled(pieces.attend_step)
        self._route = compiled(pieces.route)
        self._next_logits = compiled(pieces.next_logits)
        if self.fused:
            from profcore.engines.kernels import decode, prefill

            self._kernels, self._prefill_experts = decode, prefill.experts
            self._scratch = decode.DecodeScratch(
                config.d_model,
                config.n_heads,
                config.expert_width,
                config.num_experts,
                config.embedding_size,
                self.logits,
            )
            self._state = torch.zeros(config.d_model, dtype=model.dtype, device=model.device)

    @property
    def experts(self) -> str:
        """This project's kernels on a GPU, transformers' experts implementation on a CPU."""
        return "fused kernels" if self.fused else str(self.model.experts)

    def carried(self) -> list[Tensor]:
        """As `StaticEngine.carried`."""
        return [*super().carried(), *([self._state] if self.fused else [])]

    def encode(self, slot: PictureSlot) -> None:
        """As `StaticEngine.encode`."""
        config = self.model.config
        eps, norms = self._vision_eps, self._vision_norms
        states, normed = self._embed_patches(_open(slot.pixels), self._patches, norms[0], eps)
        outputs = []
        # Blocks after the last whose output is read are left out. What its output is under a next norm is not used.
        blocks = self._vision[: config.vit_blocks_read]
        for block, norm in zip(blocks, [*norms[1 : len(blocks)], norms[0]], strict=True):
            states, normed = self._vision_block(_open(states), _open(normed), block, norm, config.vit_heads, eps)
            outputs.append(states)
        width = config.vit_width
        for place, index in enumerate(config.vit_layers):
            read = outputs[index % config.vit_layers_total]
            slot.features[..., place * width : (place + 1) * width] = read[:, 1:]

    def project(self, slot: PictureSlot) -> None:
        """As `StaticEngine.project`."""
        heads = self.model.config.vit_heads
        slot.image_tokens.copy_(self._project(_open(slot.features), _open(slot.masks), self._projector, heads))

    def prefill(self, picture: PictureSlot, prompt: PromptSlot, setting: Setting) -> None:
        """As `StaticEngine.prefill`."""
        states = self.model.embed(prompt.input_ids, picture.image_tokens, prompt.sources, prompt.positions)[0]
        length = states.shape[0]
        rotary = tuple(table[:length] for table in self._rotary)
        for index in _active(setting):
            keys, values = self.cache[index, :, :, :length]
            with record_function("part:attention"):
                opened = (_open(states), self.attention[index], tuple(map(_open, rotary)))
                states = self._attend_prompt(*opened, _open(keys, 1), _open(values, 1), self._eps)
            states = self._feed_forward(states, index, setting.top_k)
        if self.fused:
            # The choice advances the position to the first token's.
            self.position.fill_(length - 1)
            self._choose_fused(states[-1])
        else:
            self.position.fill_(length)
            self._choose(states[-1])

    def decode(self, length: int, setting: Setting) -> None:
        """As `StaticEngine.decode`."""
        if self.fused:
            self._decode_fused(length, setting)
            return
        states = self._embeddings[self.token]
        rotary = tuple(table[self.position] for table in self._rotary)
        for index in _active(setting):
            keys, values = self.cache[index, :, :, :length]
            attention = self.attention[index]
            states = self._attend_step(states, attention, rotary, keys, values, self.position, self._eps)
            states = self._feed_forward(states, index, setting.top_k)
        self.position.add_(1)
        self._choose(states[0])

    def _feed_forward(self, states: Tensor, index: int, top_k: int) -> Tensor:
        """The routed half of a transformer block, residual included."""
        gain, router, gate_up, down = self._experts[index]
        with record_function("part:router"):
            normed, logits = self._route(_open(states), gain, router, self._eps)
        with record_function("part:experts"):
            if self.fused:
                return self._prefill_experts(states, normed, logits, gate_up, down, top_k)
            shares, chosen = logits.softmax(-1, dtype=torch.float32).topk(top_k, dim=-1)
            return states + self.model.llm.model.layers[index].mlp.experts(normed, chosen, shares.to(states.dtype))

    def _choose(self, state: Tensor) -> None:
        self.logits.copy_(self._next_logits(state, self._final_norm, self._head, self._eps))
        self.token.copy_(self.logits.argmax(dim=-1, keepdim=True))
        self.tokens.index_copy_(0, self.position, self.token)

    def _decode_fused(self, length: int, setting: Setting) -> None:
        kernels, scratch, eps, state = self._kernels, self._scratch, self._eps, self._state
        heads = self.model.config.n_heads
        for index in _active(setting):
            norm, qkv, query_norm, key_norm, out = self.attention[index]
            keys, values = self.cache[index, :, :, :length]
            with record_function("part:attention"):
                kernels.norm_project(state, norm, qkv, scratch.qkv, eps)
                kernels.attend(scratch, (query_norm, key_norm), self._rotary, (keys, values), self.position, heads, eps)
                kernels.project_add(scratch.mixed, out, state, scratch.between)
            norm, router, gate_up, down = self._experts[index]
            with record_function("part:router"):
                kernels.norm_project(scratch.between, norm, router, scratch.router_logits, eps)
            with record_function("part:experts"):
                kernels.experts(scratch, scratch.between, norm, gate_up, down, state, setting.top_k, eps)
        self._choose_fused(state)

    def _choose_fused(self, state: Tensor) -> None:
        kernels, scratch = self._kernels, self._scratch
        kernels.head(scratch, state, self._final_norm, self._head, self.logits, self._eps)
        kernels.advance(scratch, self.token, self.position, self.tokens, self._embeddings, self._state)


def _open(tensor: Tensor, dimension: int = 0) -> Tensor:
    """The tensor with a dimension left open in compilation: the number of crops or of tokens."""
    if tensor.shape[dimension] > 1:
        torch._dynamo.maybe_mark_dynamic(tensor, dimension)
    return tensor


def _active(setting: Setting) -> list[int]:
    return [index for index, active in enumerate(setting.block_mask) if active]


def _check_tools(gpu: bool) -> None:
    def there(*names: str | None) -> bool:
        return any(name and shutil.which(name) for name in names)

    if not gpu and not there(os.environ.get("CXX"), "g++", "clang++"):
        raise UserError(
            "The compiled engine needs a C++ compiler on a CPU, and neither g++ nor clang++ is on the path: "
            "install one, or use eager."
        )
    if gpu and importlib.util.find_spec("triton") is None:
        raise UserError("The compiled engine needs Triton, which is not installed here: install it, or use graph.")
    if gpu and not there(os.environ.get("CC"), "gcc", "clang", "cc"):
        raise UserError(
            "The compiled engine needs a C compiler for Triton, and neither gcc nor clang is on the path: "
            "install one, or use graph."
        )
