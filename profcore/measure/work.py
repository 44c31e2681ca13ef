"""What each stage of an inference computes and reads, counted as it runs; any model of torch, no formula of its own.

FLOPs are those of the matrix products and convolutions, 2 per multiply-add, as `torch.utils.flop_counter` counts them;
of attention those of the pairs that its mask lets through, so that a causal one is half. Bytes are of the parameters
that are touched, of an embedding its rows and of routed experts the distinct ones; of the cache as it is written and
read; and of what a stage is given and hands on. Norms, activations and the softmax are left out, as in
`roofline.cost`, which a test compares this with.
"""

from __future__ import annotations

import math
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode
from transformers.cache_utils import Cache

from profcore.spec.records import StageWork
from profcore.spec.stages import MODEL_STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STEPS = 1
"""Decode steps that are run to be counted; the others follow from it."""

_KERNELS = (
    torch.ops.aten._scaled_dot_product_efficient_attention,
    torch.ops.aten._scaled_dot_product_flash_attention,
    torch.ops.aten._scaled_dot_product_cudnn_attention,
)


@dataclass
class _Counted:
    """What one call of a stage came to.

    Attributes:
        flops: Without attention's.
        attention: Of each attention FLOPs per pair of positions, and its pairs.
        windows: Of each attention how many positions the cache before it keeps, as of `cache_read`.
        touched: Bytes of parameters, by module.
        cache_written: Bytes of the cache.
        cache_read: Of each block's cache the bytes that are read, without what was just written, the positions that
            they are of, and how many its window keeps; infinitely many of one without.
        kept: The last of these.
        given, gave: Bytes that the projector was given and gave, of its own stage.
    """

    flops: float = 0.0
    attention: list[tuple[float, float]] = field(default_factory=list)
    windows: list[float] = field(default_factory=list)
    kept: float = math.inf
    touched: dict[int, float] = field(default_factory=dict)
    cache_written: float = 0.0
    cache_read: list[tuple[float, int, float]] = field(default_factory=list)
    given: float = 0.0
    gave: float = 0.0


class _Attention(TorchFunctionMode):
    """Counts attention by its pairs, and takes out what the counter made of the kernels that it calls."""

    def __init__(self, counted: _Counted, counter: FlopCounterMode) -> None:
        super().__init__()
        self._counted, self._counter = counted, counter

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        keywords = keywords or {}
        if function is not scaled_dot_product_attention:
            return function(*arguments, **keywords)
        before = self._counter.get_total_flops()
        found = function(*arguments, **keywords)
        self._counted.flops -= self._counter.get_total_flops() - before
        query, key, value = (*arguments, *(keywords.get(name) for name in ("query", "key", "value")))[:3]
        mask = arguments[3] if len(arguments) > 3 else keywords.get("attn_mask")
        is_causal = arguments[5] if len(arguments) > 5 else keywords.get("is_causal", False)
        pairs = _pairs(query, key, mask, bool(is_causal))
        # Each head multiplies queries with keys, and the weights with values.
        self._counted.attention.append((2.0 * query.shape[1] * (query.shape[-1] + value.shape[-1]), pairs))
        self._counted.windows.append(self._counted.kept)
        return found


def _pairs(query: Tensor, key: Tensor, mask: Tensor | None, is_causal: bool) -> float:
    """Pairs of positions of a whole batch that a head looks at."""
    batch, rows, columns = query.shape[0], query.shape[-2], key.shape[-2]
    if mask is not None:
        seen = mask if mask.dtype is torch.bool else mask == 0
        # A mask of one row, head or picture stands for all of them: heads that share keys may lie as rows of one.
        shown = float(seen.sum()) * rows / seen.shape[-2]
        return shown / seen.shape[-3] * batch / seen.shape[0] if seen.dim() == 4 else shown * batch
    if is_causal and rows > 1:
        return batch * (rows * (rows + 1) / 2 + rows * (columns - rows))
    return float(batch * rows * columns)


def count_stages(root: nn.Module, works: dict[Stage, Callable[[], None]], projector: nn.Module) -> dict[Stage, Any]:
    """What each stage comes to when it is run once.

    Args:
        root: Holds every module that takes part.
        works: The stages, as an engine's `stage_works` gives them, of as many output tokens as `STEPS` needs.
        projector: What it is given and gives is handed from the encoder and to the language model.
    """
    found = {}
    for stage, work in works.items():
        counted = _Counted()
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            counter = stack.enter_context(_counter())
            stack.enter_context(_touching(root, counted))
            stack.enter_context(_routing(root, counted, counter))
            stack.enter_context(_caching(counted))
            if stage is Stage.PROJECTOR:
                stack.enter_context(_handing(projector, counted))
            stack.enter_context(_Attention(counted, counter))
            work()
        counted.flops += counter.get_total_flops()
        found[stage] = counted
    return found


def _counter() -> FlopCounterMode:
    """Counts all but attention, of which not every version of torch can count that with grouped queries."""
    return FlopCounterMode(display=False, custom_mapping=dict.fromkeys(_KERNELS, _nothing))


def _nothing(*_: Any, **__: Any) -> int:
    return 0


@contextmanager
def _touching(root: nn.Module, counted: _Counted) -> Iterator[None]:
    """Inside, parameters of modules that are called are noted."""

    def note(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        counted.touched[id(module)] = max(counted.touched.get(id(module), 0.0), _own_bytes(module, arguments))

    owners = [module for module in root.modules() if next(module.parameters(recurse=False), None) is not None]
    hooks = [module.register_forward_pre_hook(note) for module in owners]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _own_bytes(module: nn.Module, arguments: tuple[Any, ...]) -> float:
    """Bytes of a module's own parameters that a call must read."""
    own = list(module.parameters(recurse=False))
    size = float(sum(each.numel() * each.element_size() for each in own))
    if isinstance(module, nn.Embedding) and arguments and isinstance(arguments[0], Tensor):
        return arguments[0].numel() * module.embedding_dim * module.weight.element_size()
    stacked, chosen = _stacked(module), _chosen(arguments)
    if stacked and chosen is not None:
        return size * int(chosen.unique().numel()) / stacked[0].shape[0]
    return size


@contextmanager
def _routing(root: nn.Module, counted: _Counted, counter: FlopCounterMode) -> Iterator[None]:
    """Inside, routed experts count by the tokens that each is given, whatever kernels run them.

    So none has to be run by itself to be seen, which of a hundred experts a block takes seconds.
    """
    begun: list[int] = []

    def begin(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        begun.append(counter.get_total_flops())

    def end(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        seen = counter.get_total_flops() - begun.pop()
        chosen = _chosen(arguments)
        if chosen is not None:
            counted.flops += 2.0 * chosen.numel() * sum(each[0].numel() for each in _stacked(module)) - seen

    hooks = []
    for module in root.modules():
        if _stacked(module):
            hooks += [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _stacked(module: nn.Module) -> list[nn.Parameter]:
    """The matrices of routed experts, one behind another, that a module itself holds."""
    return [each for each in module.parameters(recurse=False) if each.dim() == 3]


def _chosen(arguments: tuple[Any, ...]) -> Tensor | None:
    """Which experts each token goes to, (tokens, top-k), where a module is told."""
    chosen = arguments[1] if len(arguments) > 1 else None
    return chosen if isinstance(chosen, Tensor) and not chosen.is_floating_point() else None


@contextmanager
def _caching(counted: _Counted) -> Iterator[None]:
    """Inside, what is put into a cache and read of it is noted."""
    update = Cache.update

    def noted(cache: Cache, key_states: Tensor, value_states: Tensor, *arguments: Any, **keywords: Any) -> Any:
        keys, values = update(cache, key_states, value_states, *arguments, **keywords)
        written = _bytes(key_states) + _bytes(value_states)
        counted.cache_written += written
        counted.kept = _kept(cache, *arguments, **keywords)
        read, positions = _bytes(keys) + _bytes(values) - written, keys.shape[-2] - key_states.shape[-2]
        if positions > 0:
            counted.cache_read.append((read, positions, counted.kept))
        return keys, values

    Cache.update = noted
    try:
        yield
    finally:
        Cache.update = update


def _kept(cache: Cache, layer_idx: int, *_: Any, **__: Any) -> float:
    """How many positions before a step's own a block's cache keeps: of a sliding window all but its last."""
    window = getattr(cache.layers[layer_idx], "sliding_window", None)
    return window - 1 if isinstance(window, int) else math.inf


def _positions_read(kept: float, context: int, steps: int) -> float:
    """Positions that all steps of an answer read, each one more than the step before until a window is full.

    Args:
        kept: How many there are at most.
        context: Tokens of the prompt, which the first step reads.
        steps: How many.
    """
    growing = int(min(max(kept - context, 0), steps))
    full = steps - growing
    return growing * context + growing * (growing - 1) / 2 + (full * kept if full else 0.0)


@contextmanager
def _handing(projector: nn.Module, counted: _Counted) -> Iterator[None]:
    """Inside, what the projector is given and gives is noted."""

    def note(module: nn.Module, arguments: Any, keywords: Any, found: Any) -> None:
        counted.given += _tensor_bytes([*arguments, *keywords.values()])
        counted.gave += _tensor_bytes(found)

    hook = projector.register_forward_hook(note, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def _tensor_bytes(value: Any) -> float:
    """Bytes of a tensor, or of those that something holds."""
    if isinstance(value, Tensor):
        return _bytes(value)
    if isinstance(value, list | tuple):
        return sum(map(_tensor_bytes, value))
    return sum(map(_tensor_bytes, value.values())) if isinstance(value, dict) else 0.0


def _bytes(tensor: Tensor) -> float:
    return float(tensor.numel() * tensor.element_size())


def whole_work(counted: dict[Stage, Any], given_bytes: float, context: int, output_tokens: int) -> list[StageWork]:
    """The work of a whole inference from what its stages came to with one decode step.

    Args:
        counted: As `count_stages`, decode of one step.
        given_bytes: Of the picture's tensors, which the vision encoder reads.
        context: Tokens of the prompt.
        output_tokens: Tokens generated; they take one step fewer.
    """
    found = []
    for stage in MODEL_STAGES:
        each = counted.get(stage)
        if each is None:
            found.append(StageWork(stage, 0.0, 0.0))
            continue
        touched, steps = sum(each.touched.values()), output_tokens - 1
        if stage is not Stage.LLM_DECODE:
            flops = each.flops + sum(per * pairs for per, pairs in each.attention)
            # What the projector is given is what the encoder has written.
            handed = each.given + each.gave
            if stage is Stage.VISION_ENCODER:
                handed = given_bytes + (counted[Stage.PROJECTOR].given if Stage.PROJECTOR in counted else 0.0)
            found.append(StageWork(stage, flops, touched + each.cache_written + handed))
            continue
        # The step that feeds the i-th token sees the prompt and i tokens; a window that is full sees no more.
        attention = sum(
            per * (_positions_read(kept, context, steps) + steps if pairs > context else steps * pairs)
            for (per, pairs), kept in zip(each.attention, each.windows, strict=True)
        )
        read = sum(
            size / positions * _positions_read(kept, context, steps) for size, positions, kept in each.cache_read
        )
        flops = steps * each.flops + attention
        found.append(StageWork(stage, flops, steps * (touched + each.cache_written) + read))
    return found
