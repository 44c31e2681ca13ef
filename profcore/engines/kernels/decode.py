"""One token through a transformer block in six kernels, of which three read nearly all of its weights.

    norm_project       RMSNorm, then q, k and v
    attend             RMSNorm of q and k, rotary embedding, cache, attention over the cache
    project_add        output projection, plus the residual
    norm_project       RMSNorm, then the router
    expert_up          softmax, top-k, and the gated hidden units of the chosen experts
    expert_down        their output projections, weighted and summed, plus the residual

On Hopper and later a kernel starts while the one before it still runs, reads its weights, and only then waits for the
other's results (programmatic dependent launch). It lets its own successor start after that wait, so what an
earlier kernel than its direct predecessor wrote may be read before the wait too.

Sums are taken in float32. Router logits are rounded to the model's dtype before the softmax, as transformers
rounds them, since rounding decides which of two close experts is chosen.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

if TYPE_CHECKING:
    from torch import Tensor


@triton.jit
def _normed_product(x, gain, weight, row, width, rows, eps, WIDTH: tl.constexpr, OVERLAP: tl.constexpr):
    """Some rows of `weight @ rms_norm(x)`, in float32; the weights are read before the kernel waits for `x`."""
    column = tl.arange(0, WIDTH)
    inside = column < width
    tile = tl.load(
        weight + row[:, None].to(tl.int64) * width + column[None, :],
        mask=(row[:, None] < rows) & inside[None, :],
        other=0.0,
    )
    gains = tl.load(gain + column, mask=inside, other=0.0).to(tl.float32)
    if OVERLAP:
        gdc_wait()
        gdc_launch_dependents()
    values = tl.load(x + column, mask=inside, other=0.0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(values * values) / width + eps)
    normed = values * scale * gains
    return tl.sum(tile.to(tl.float32) * normed[None, :], axis=1)


@triton.jit
def _norm_project(
    x, gain, weight, out, width, rows, eps, ROWS: tl.constexpr, WIDTH: tl.constexpr, OVERLAP: tl.constexpr
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    total = _normed_product(x, gain, weight, row, width, rows, eps, WIDTH, OVERLAP)
    tl.store(out + row, total.to(out.dtype.element_ty), mask=row < rows)


@triton.jit
def _rotated(pointer, gain, scale, position_cos, position_sin, start, half, HALF: tl.constexpr):
    """Both halves of a head's vector, normalised and rotated."""
    lane = tl.arange(0, HALF)
    inside = lane < half
    first = tl.load(pointer + start + lane, mask=inside, other=0.0).to(tl.float32) * scale
    second = tl.load(pointer + start + half + lane, mask=inside, other=0.0).to(tl.float32) * scale
    first *= tl.load(gain + start + lane, mask=inside, other=0.0).to(tl.float32)
    second *= tl.load(gain + start + half + lane, mask=inside, other=0.0).to(tl.float32)
    return first * position_cos - second * position_sin, second * position_cos + first * position_sin


@triton.jit
def _attend(
    qkv,
    query_gain,
    key_gain,
    cosines,
    sines,
    keys,
    values,
    position_pointer,
    partial,
    partial_max,
    partial_sum,
    arrived,
    out,
    width,
    length,
    head_size,
    eps,
    softmax_scale,
    WIDTH: tl.constexpr,
    HALF: tl.constexpr,
    TOKENS: tl.constexpr,
    SPLITS: tl.constexpr,
    SPLITS_PADDED: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    head = tl.program_id(0)
    split = tl.program_id(1)
    position = tl.load(position_pointer)
    half = head_size // 2
    start = head * head_size
    column = tl.arange(0, WIDTH)
    lane = tl.arange(0, HALF)
    inside = lane < half
    cache = head.to(tl.int64) * length * head_size

    # The tokens of this split that are in the cache already.
    token = split * TOKENS + tl.arange(0, TOKENS)
    there = token < position
    at = cache + token[:, None] * head_size + lane[None, :]
    mask = there[:, None] & inside[None, :]
    k_first = tl.load(keys + at, mask=mask, other=0.0).to(tl.float32)
    k_second = tl.load(keys + at + half, mask=mask, other=0.0).to(tl.float32)
    v_first = tl.load(values + at, mask=mask, other=0.0).to(tl.float32)
    v_second = tl.load(values + at + half, mask=mask, other=0.0).to(tl.float32)
    cosine = tl.load(cosines + position * half + lane, mask=inside, other=0.0)
    sine = tl.load(sines + position * half + lane, mask=inside, other=0.0)
    if OVERLAP:
        gdc_wait()
        gdc_launch_dependents()

    raw = tl.load(qkv + column, mask=column < width, other=0.0).to(tl.float32)
    query_scale = tl.rsqrt(tl.sum(raw * raw) / width + eps)
    q_first, q_second = _rotated(qkv, query_gain, query_scale, cosine, sine, start, half, HALF)
    q_first *= softmax_scale
    q_second *= softmax_scale
    scores = tl.sum(k_first * q_first[None, :] + k_second * q_second[None, :], axis=1)
    scores = tl.where(there, scores, float("-inf"))

    # The split that holds the new token's place computes its key, and puts it and the value into the cache.
    own = split == position // TOKENS
    raw = tl.load(qkv + width + column, mask=column < tl.where(own, width, 0), other=0.0).to(tl.float32)
    key_scale = tl.rsqrt(tl.sum(raw * raw) / width + eps)
    key_first, key_second = _rotated(qkv + width, key_gain, key_scale, cosine, sine, start, half, HALF)
    key_first = key_first.to(keys.dtype.element_ty)
    key_second = key_second.to(keys.dtype.element_ty)
    new_first = tl.load(qkv + 2 * width + start + lane, mask=inside, other=0.0)
    new_second = tl.load(qkv + 2 * width + start + half + lane, mask=inside, other=0.0)
    place = cache + position * head_size + lane
    kept = lane < tl.where(own, half, 0)
    tl.store(keys + place, key_first, mask=kept)
    tl.store(keys + place + half, key_second, mask=kept)
    tl.store(values + place, new_first, mask=kept)
    tl.store(values + place + half, new_second, mask=kept)
    own_score = tl.sum(key_first.to(tl.float32) * q_first + key_second.to(tl.float32) * q_second)
    own_score = tl.where(own, own_score, float("-inf"))

    largest = tl.maximum(tl.max(scores), own_score)
    # A split wholly beyond the position has nothing; its weight in the combination is zero.
    safe = tl.where(largest == float("-inf"), 0.0, largest)
    weights = tl.exp(scores - safe)
    own_weight = tl.exp(own_score - safe)
    mixed_first = tl.sum(weights[:, None] * v_first, axis=0) + own_weight * new_first.to(tl.float32)
    mixed_second = tl.sum(weights[:, None] * v_second, axis=0) + own_weight * new_second.to(tl.float32)
    row = head * SPLITS + split
    tl.store(partial + row * head_size + lane, mixed_first, mask=inside)
    tl.store(partial + row * head_size + half + lane, mixed_second, mask=inside)
    tl.store(partial_max + row, largest)
    tl.store(partial_sum + row, tl.sum(weights) + own_weight)

    # Whichever split of a head finishes last combines them all, which spares a kernel.
    tl.debug_barrier()
    before = tl.atomic_add(arrived + head, 1, sem="acq_rel")
    if before == SPLITS - 1:
        tl.debug_barrier()
        part = tl.arange(0, SPLITS_PADDED)
        known = part < SPLITS
        maxima = tl.load(partial_max + head * SPLITS + part, mask=known, other=float("-inf"), cache_modifier=".cg")
        sums = tl.load(partial_sum + head * SPLITS + part, mask=known, other=0.0, cache_modifier=".cg")
        factor = tl.exp(maxima - tl.max(maxima))
        factor = factor / tl.sum(factor * sums)
        rows = (head * SPLITS + part)[:, None] * head_size + lane[None, :]
        known2 = known[:, None] & inside[None, :]
        first = tl.load(partial + rows, mask=known2, other=0.0, cache_modifier=".cg")
        second = tl.load(partial + rows + half, mask=known2, other=0.0, cache_modifier=".cg")
        first = tl.sum(first * factor[:, None], axis=0)
        second = tl.sum(second * factor[:, None], axis=0)
        tl.store(out + start + lane, first.to(out.dtype.element_ty), mask=inside)
        tl.store(out + start + half + lane, second.to(out.dtype.element_ty), mask=inside)
        tl.store(arrived + head, 0)


@triton.jit
def _project_add(x, weight, residual, out, width, rows, ROWS: tl.constexpr, WIDTH: tl.constexpr, OVERLAP: tl.constexpr):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    inside = column < width
    tile = tl.load(
        weight + row[:, None] * width + column[None, :], mask=(row[:, None] < rows) & inside[None, :], other=0.0
    )
    if OVERLAP:
        gdc_wait()
        gdc_launch_dependents()
    values = tl.load(x + column, mask=inside, other=0.0).to(tl.float32)
    total = tl.sum(tile.to(tl.float32) * values[None, :], axis=1)
    total += tl.load(residual + row, mask=row < rows, other=0.0).to(tl.float32)
    tl.store(out + row, total.to(out.dtype.element_ty), mask=row < rows)


@triton.jit
def _expert_up(
    x,
    gain,
    logits,
    weight,
    hidden,
    chosen,
    shares,
    width,
    units,
    experts,
    eps,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
    EXPERTS: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    slot = tl.program_id(0)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    inside = column < width
    candidate = tl.arange(0, EXPERTS)
    gains = tl.load(gain + column, mask=inside, other=0.0).to(tl.float32)
    if OVERLAP:
        gdc_wait()
        gdc_launch_dependents()
    score = tl.load(logits + candidate, mask=candidate < experts, other=float("-inf")).to(tl.float32)
    # An expert's rank is the number of better ones; of equals the first is better.
    better = (score[None, :] > score[:, None]) | (
        (score[None, :] == score[:, None]) & (candidate[None, :] < candidate[:, None])
    )
    rank = tl.sum(better.to(tl.int32), axis=1)
    expert = tl.sum(tl.where(rank == slot, candidate, 0))
    if tl.program_id(1) == 0:
        raised = tl.exp(score - tl.max(score))
        share = tl.sum(tl.where(rank == slot, raised, 0.0)) / tl.sum(raised)
        tl.store(chosen + slot, expert)
        tl.store(shares + slot, share.to(shares.dtype.element_ty))

    at = weight + (expert.to(tl.int64) * 2 * units + row[:, None]) * width + column[None, :]
    mask = (row[:, None] < units) & inside[None, :]
    gate = tl.load(at, mask=mask, other=0.0).to(tl.float32)
    up = tl.load(at + units * width, mask=mask, other=0.0).to(tl.float32)
    values = tl.load(x + column, mask=inside, other=0.0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(values * values) / width + eps)
    normed = values * scale * gains
    gated = tl.sum(gate * normed[None, :], axis=1)
    gated = gated * tl.sigmoid(gated) * tl.sum(up * normed[None, :], axis=1)
    tl.store(hidden + slot * units + row, gated.to(hidden.dtype.element_ty), mask=row < units)


@triton.jit
def _expert_down(
    hidden,
    chosen,
    shares,
    weight,
    residual,
    out,
    width,
    units,
    TOP_K: tl.constexpr,
    SLOTS: tl.constexpr,
    ROWS: tl.constexpr,
    UNITS: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    unit = tl.arange(0, UNITS)
    inside = (row[:, None] < width) & (unit[None, :] < units)
    if OVERLAP:
        gdc_wait()
        gdc_launch_dependents()
    total = tl.load(residual + row, mask=row < width, other=0.0).to(tl.float32)
    # Several experts at once: one after another would wait for memory each time.
    for first in tl.static_range(0, TOP_K, SLOTS):
        slot = first + tl.arange(0, SLOTS)
        known = slot < TOP_K
        expert = tl.load(chosen + slot, mask=known, other=0).to(tl.int64)
        share = tl.load(shares + slot, mask=known, other=0.0).to(tl.float32)
        at = weight + (expert[:, None, None] * width + row[None, :, None]) * units + unit[None, None, :]
        tile = tl.load(at, mask=known[:, None, None] & inside[None, :, :], other=0.0).to(tl.float32)
        given = hidden + slot[:, None] * units + unit[None, :]
        values = tl.load(given, mask=known[:, None] & (unit[None, :] < units), other=0.0).to(tl.float32)
        total += tl.sum(tl.sum(tile * values[:, None, :], axis=2) * share[:, None], axis=0)
    tl.store(out + row, total.to(out.dtype.element_ty), mask=row < width)


@triton.jit
def _advance(
    candidates,
    places,
    count,
    token,
    position,
    tokens,
    embeddings,
    x,
    width,
    COUNT: tl.constexpr,
    WIDTH: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """Take the best of the blocks' best logits as the next token, and look its embedding up."""
    index = tl.arange(0, COUNT)
    if OVERLAP:
        gdc_wait()
        gdc_launch_dependents()
    best = tl.load(candidates + index, mask=index < count, other=float("-inf"))
    top = tl.max(best)
    place = tl.load(places + index, mask=index < count, other=2147483647)
    chosen = tl.min(tl.where(best == top, place, 2147483647)).to(tl.int64)
    at = tl.load(position) + 1
    column = tl.arange(0, WIDTH)
    tl.store(token, chosen)
    tl.store(tokens + at, chosen)
    tl.store(position, at)
    row = tl.load(embeddings + chosen * width + column, mask=column < width, other=0.0)
    tl.store(x + column, row, mask=column < width)


@triton.jit
def _head(
    x,
    gain,
    weight,
    logits,
    candidates,
    places,
    width,
    rows,
    eps,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """RMSNorm, then logits, and the largest of each block of them."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    total = _normed_product(x, gain, weight, row, width, rows, eps, WIDTH, OVERLAP).to(logits.dtype.element_ty)
    tl.store(logits + row, total, mask=row < rows)
    rounded = tl.where(row < rows, total.to(tl.float32), float("-inf"))
    top = tl.max(rounded)
    tl.store(candidates + tl.program_id(0), top)
    tl.store(places + tl.program_id(0), tl.min(tl.where(rounded == top, row, 2147483647)))


_ROWS = 8
_HEAD_ROWS = 16
_ROUTER_ROWS = 2
_DOWN_SLOTS = 8
_DOWN_TILE_ROWS = 16
_MAX_SPLITS = 32
_MIN_TOKENS = 64


def _power(number: int) -> int:
    return triton.next_power_of_2(number)


@cache
def _launch(device: torch.device) -> dict[str, bool]:
    """Options that let a kernel start before its predecessor's end, where the device can."""
    can = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (9, 0)
    return {"OVERLAP": True, "launch_pdl": True} if can else {"OVERLAP": False}


class DecodeScratch:
    """What the kernels of one decode step hand to each other; one for a model, whatever its setting."""

    def __init__(self, width: int, heads: int, units: int, experts: int, vocabulary: int, like: Tensor) -> None:
        def new(*shape: int, dtype: torch.dtype = like.dtype) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=like.device)

        blocks = triton.cdiv(vocabulary, _HEAD_ROWS)
        self.qkv, self.mixed, self.between = new(3 * width), new(width), new(width)
        self.router_logits = new(experts)
        self.hidden = new(experts, units)
        self.chosen, self.shares = new(experts, dtype=torch.int32), new(experts)
        self.partial = new(_MAX_SPLITS * width, dtype=torch.float32)
        self.partial_max = new(_MAX_SPLITS * heads, dtype=torch.float32)
        self.partial_sum = new(_MAX_SPLITS * heads, dtype=torch.float32)
        self.arrived = new(heads, dtype=torch.int32)
        self.candidates, self.places = new(blocks, dtype=torch.float32), new(blocks, dtype=torch.int32)


def norm_project(x: Tensor, gain: Tensor, weight: Tensor, out: Tensor, eps: float) -> None:
    """`out = weight @ rms_norm(x) `.

    Shapes:
        x, gain: (width,); weight: (rows, width); out: (rows,).
    """
    rows, width = weight.shape
    block = _ROWS if rows >= 1024 else _ROUTER_ROWS
    _norm_project[(triton.cdiv(rows, block),)](
        x, gain, weight, out, width, rows, eps, ROWS=block, WIDTH=_power(width), **_launch(x.device), num_warps=4
    )


def attend(
    scratch: DecodeScratch,
    gains: tuple[Tensor, Tensor],
    rotary: tuple[Tensor, Tensor],
    cache: tuple[Tensor, Tensor],
    position: Tensor,
    heads: int,
    eps: float,
) -> None:
    """Attention of the new token, from `scratch.qkv` to `scratch.mixed`; puts its key and value into the cache.

    Shapes:
        gains: (width,) of q and k; rotary: cosine and sine, (positions, head_size / 2) in float32.
        cache: keys and values, (heads, length, head_size); position: (1,), the new token's.
    """
    keys, values = cache
    length, head_size = keys.shape[1:]
    tokens = max(_MIN_TOKENS, _power(triton.cdiv(length, _MAX_SPLITS)))
    splits = triton.cdiv(length, tokens)
    width = heads * head_size
    _attend[(heads, splits)](
        scratch.qkv,
        *gains,
        *rotary,
        keys,
        values,
        position,
        scratch.partial,
        scratch.partial_max,
        scratch.partial_sum,
        scratch.arrived,
        scratch.mixed,
        width,
        keys.stride(0) // head_size,
        head_size,
        eps,
        head_size**-0.5,
        WIDTH=_power(width),
        HALF=_power(head_size // 2),
        TOKENS=tokens,
        SPLITS=splits,
        SPLITS_PADDED=_power(splits),
        **_launch(position.device),
        num_warps=4 if tokens <= 64 else 8,
    )


def project_add(x: Tensor, weight: Tensor, residual: Tensor, out: Tensor) -> None:
    """`out = weight @ x + residual`.

    Shapes:
        x: (width,); weight: (rows, width); residual, out: (rows,).
    """
    rows, width = weight.shape
    _project_add[(triton.cdiv(rows, _ROWS),)](
        x, weight, residual, out, width, rows, ROWS=_ROWS, WIDTH=_power(width), **_launch(x.device), num_warps=4
    )


def experts(
    scratch: DecodeScratch,
    x: Tensor,
    gain: Tensor,
    gate_up: Tensor,
    down: Tensor,
    out: Tensor,
    top_k: int,
    eps: float,
) -> None:
    """The routed experts of one token, from its router logits: `out = x + sum of share * expert(rms_norm(x))`.

    Shapes:
        x, gain, out: (width,); gate_up: (experts, 2 * units, width); down: (experts, width, units).
    """
    count, width, units = down.shape
    _expert_up[(top_k, triton.cdiv(units, _ROWS))](
        x,
        gain,
        scratch.router_logits,
        gate_up,
        scratch.hidden,
        scratch.chosen,
        scratch.shares,
        width,
        units,
        count,
        eps,
        ROWS=_ROWS,
        WIDTH=_power(width),
        EXPERTS=_power(count),
        **_launch(x.device),
        num_warps=8,
    )
    slots = min(_DOWN_SLOTS, _power(top_k))
    rows = max(_DOWN_TILE_ROWS // slots, 1)
    _expert_down[(triton.cdiv(width, rows),)](
        scratch.hidden,
        scratch.chosen,
        scratch.shares,
        down,
        x,
        out,
        width,
        units,
        TOP_K=top_k,
        SLOTS=slots,
        ROWS=rows,
        UNITS=_power(units),
        **_launch(x.device),
        num_warps=8,
    )


def head(scratch: DecodeScratch, x: Tensor, gain: Tensor, weight: Tensor, logits: Tensor, eps: float) -> None:
    """Next-token logits of the final state, and the largest of each block of them into `scratch`.

    Shapes:
        x, gain: (width,); weight: (vocabulary, width); logits: (vocabulary,).
    """
    rows, width = weight.shape
    _head[(triton.cdiv(rows, _HEAD_ROWS),)](
        x,
        gain,
        weight,
        logits,
        scratch.candidates,
        scratch.places,
        width,
        rows,
        eps,
        ROWS=_HEAD_ROWS,
        WIDTH=_power(width),
        **_launch(x.device),
        num_warps=8,
    )


def advance(
    scratch: DecodeScratch, token: Tensor, position: Tensor, tokens: Tensor, embeddings: Tensor, x: Tensor
) -> None:
    """Greedy choice after `head`: the token, its place in the sequence, and its embedding for the next step.

    Shapes:
        token, position: (1,); tokens: (positions,); embeddings: (vocabulary, width); x: (width,).
    """
    count, width = scratch.candidates.numel(), embeddings.shape[1]
    _advance[(1,)](
        scratch.candidates,
        scratch.places,
        count,
        token,
        position,
        tokens,
        embeddings,
        x,
        width,
        COUNT=_power(count),
        WIDTH=_power(width),
        **_launch(x.device),
        num_warps=8,
    )
