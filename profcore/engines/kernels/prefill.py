"""The routed experts of many tokens: tokens are sorted by expert, and each expert's rows go through it in tiles.

    route      softmax and top-k of every token, and each choice's place among its expert's rows
    plan       which expert and rows each tile works on
    up         gate and up projections with the gated activation between, rows gathered from the tokens
    down       output projections of those rows, tile by tile, each weighted by its share
    combine    the sum over a token's experts, plus the residual

An expert's weights are read once for each tile of rows, from the cache after the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

from profcore.engines.kernels import tuning

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_HOPPER = 9


@triton.jit
def _route(logits, shares, rows, counts, tokens, experts, TOP_K: tl.constexpr, EXPERTS: tl.constexpr):
    token = tl.program_id(0)
    candidate = tl.arange(0, EXPERTS)
    score = tl.load(logits + token * experts + candidate, mask=candidate < experts, other=float("-inf"))
    score = score.to(tl.float32)
    better = (score[None, :] > score[:, None]) | (
        (score[None, :] == score[:, None]) & (candidate[None, :] < candidate[:, None])
    )
    rank = tl.sum(better.to(tl.int32), axis=1)
    raised = tl.exp(score - tl.max(score))
    share = raised / tl.sum(raised)
    taken = (rank < TOP_K) & (candidate < experts)
    choice = token * TOP_K + rank
    # The order of rows within an expert varies from call to call, but no row's result depends on it.
    place = tl.atomic_add(counts + candidate, 1, mask=taken)
    tl.store(rows + candidate * tokens + place, choice, mask=taken)
    tl.store(shares + choice, share.to(shares.dtype.element_ty), mask=taken)


@triton.jit
def _plan(
    counts, tile_expert, tile_start, tiles, experts, ROWS: tl.constexpr, EXPERTS: tl.constexpr, TILES: tl.constexpr
):
    candidate = tl.arange(0, EXPERTS)
    count = tl.load(counts + candidate, mask=candidate < experts, other=0)
    needed = (count + ROWS - 1) // ROWS
    end = tl.cumsum(needed, axis=0)
    tile = tl.program_id(0) * TILES + tl.arange(0, TILES)
    # A tile's expert is the number of experts whose tiles end at or before it.
    expert = tl.sum((end[None, :] <= tile[:, None]).to(tl.int32), axis=1)
    first = tl.sum(tl.where(candidate[None, :] == expert[:, None], (end - needed)[None, :], 0), axis=1)
    last = tl.sum(needed)
    tl.store(tile_expert + tile, tl.where(tile < last, expert, -1), mask=tile < tiles)
    tl.store(tile_start + tile, (tile - first) * ROWS, mask=tile < tiles)


@triton.jit
def _up(
    x,
    weight,
    hidden,
    rows,
    counts,
    tile_expert,
    tile_start,
    tokens,
    width: tl.constexpr,
    units: tl.constexpr,
    TOP_K: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    tile = tl.program_id(1)
    expert = tl.load(tile_expert + tile).to(tl.int64)
    if expert < 0:
        return
    row = tl.arange(0, ROWS)
    place = tl.load(tile_start + tile) + row
    there = place < tl.load(counts + expert)
    choice = tl.load(rows + expert * tokens + place, mask=there, other=0)
    unit = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    step = tl.arange(0, STEP)
    left = x + (choice // TOP_K)[:, None].to(tl.int64) * width + step[None, :]
    first = (expert * 2 * units + tl.program_id(0) * COLUMNS).to(tl.int32)
    if not BLOCKS:
        right = weight + (expert * 2 * units + unit[None, :]) * width + step[:, None]
    gate = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    up = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for start in range(0, width, STEP):
        inside = step < width - start
        a = tl.load(left + start, mask=there[:, None] & inside[None, :], other=0.0)
        if BLOCKS:
            # What lies beyond the units of one kind are those of the next, and is not stored.
            b = weight.load([first, start]).T
            c = weight.load([first + units, start]).T
        else:
            mask = (unit[None, :] < units) & inside[:, None]
            b = tl.load(right + start, mask=mask, other=0.0)
            c = tl.load(right + start + units * width, mask=mask, other=0.0)
        gate = tl.dot(a, b, gate, input_precision=PRECISION)
        up = tl.dot(a, c, up, input_precision=PRECISION)
    gated = gate * tl.sigmoid(gate) * up
    # Tile by tile, so that the next product finds its rows side by side; those that are not there become zeros.
    out = hidden + (tile.to(tl.int64) * ROWS + row)[:, None] * units + unit[None, :]
    tl.store(out, gated.to(hidden.dtype.element_ty), mask=unit[None, :] < units)


@triton.jit
def _down(
    hidden,
    weight,
    out,
    shares,
    rows,
    counts,
    tile_expert,
    tile_start,
    tokens,
    width: tl.constexpr,
    units: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    tile = tl.program_id(1)
    expert = tl.load(tile_expert + tile).to(tl.int64)
    if expert < 0:
        return
    row = tl.arange(0, ROWS)
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    step = tl.arange(0, STEP)
    first = (expert * width + tl.program_id(0) * COLUMNS).to(tl.int32)
    if not BLOCKS:
        left = hidden + (tile.to(tl.int64) * ROWS + row)[:, None] * units + step[None, :]
        right = weight + (expert * width + column[None, :]) * units + step[:, None]
    total = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for start in range(0, units, STEP):
        if BLOCKS:
            a = hidden.load([tile * ROWS, start])
            b = weight.load([first, start]).T
        else:
            inside = step < units - start
            a = tl.load(left + start, mask=inside[None, :], other=0.0)
            b = tl.load(right + start, mask=(column[None, :] < width) & inside[:, None], other=0.0)
        total = tl.dot(a, b, total, input_precision=PRECISION)
    place = tl.load(tile_start + tile) + row
    there = place < tl.load(counts + expert)
    choice = tl.load(rows + expert * tokens + place, mask=there, other=0)
    total *= tl.load(shares + choice, mask=there, other=0.0).to(tl.float32)[:, None]
    at = out + choice[:, None].to(tl.int64) * width + column[None, :]
    tl.store(at, total.to(out.dtype.element_ty), mask=there[:, None] & (column[None, :] < width))


@triton.jit
def _combine(parts, residual, out, width, TOP_K: tl.constexpr, COLUMNS: tl.constexpr):
    token = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < width
    total = tl.load(residual + token * width + column, mask=inside, other=0.0).to(tl.float32)
    for slot in tl.range(0, TOP_K):
        total += tl.load(parts + (token * TOP_K + slot) * width + column, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + token * width + column, total.to(out.dtype.element_ty), mask=inside)


def _power(number: int) -> int:
    return max(16, triton.next_power_of_2(number))


@dataclass(frozen=True)
class Tiling:
    """How the two products are cut: rows and columns of a tile, its warps, and how many steps are under way."""

    rows: int
    up_columns: int
    down_columns: int
    warps: int = 4
    stages: int = 4


def choose_tiling(choices: int, count: int, dtype: torch.dtype, blocks: bool = True) -> Tiling:
    """Tiles of about as many rows as an expert gets, so that most experts take one or two.

    Args:
        choices: Rows of all experts together.
        count: How many experts there are.
        dtype: What is multiplied; a tile of wider numbers must be smaller.
        blocks: Whether it is fetched in whole blocks, as by cards that hold four steps of the largest tile at a time.

    Source: the fastest of 12 tilings at 326, 806 and 1,382 tokens, top-1 to 32, 31 and 64 of 64 experts hit, on an H200
    (torch 2.11, Triton 3.6), or within 2 % of it.
    """
    if dtype.itemsize > 2:
        return Tiling(next((rows for rows in (16, 32, 64) if choices <= rows * count), 128), 64, 128)
    if choices <= 8 * count:
        return Tiling(16, 64, 128)
    if choices <= 32 * count:
        return Tiling(64, 64, 128)
    return Tiling(128, 128, 256, warps=8, stages=4 if blocks else 3)


CANDIDATES = (
    Tiling(16, 64, 128),
    Tiling(32, 64, 128),
    Tiling(64, 64, 128, stages=3),
    Tiling(64, 64, 64, stages=3),
    Tiling(64, 128, 128, stages=3),
    Tiling(128, 64, 128, stages=3),
    Tiling(128, 128, 128, warps=8, stages=3),
    Tiling(128, 128, 256, warps=8, stages=3),
)
"""What is tried besides `choose_tiling` on other cards than it was measured on; most of them hold less at a time."""


def needs_tuning(device: torch.device) -> bool:
    """Whether the tiling is found on the card itself: on all but Hopper's, for which `choose_tiling` was measured."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device)[0] != _HOPPER


def _tuned_tiling(work: Callable[[Tiling], Tensor], choices: int, down: Tensor, usual: Tiling) -> Tiling:
    """The tiling that is fastest here for about so many rows, tried when such a prefill first runs uncaptured."""
    count, width, units = down.shape
    rows = triton.next_power_of_2(max(choices // count, 1))
    key = f"experts of a prefill: {rows} rows of {count} experts, {width} by {units}, {down.dtype}"
    may_try = not _is_capturing(down.device)
    return tuning.tuned(key, (usual, *CANDIDATES), work, tuning.device_ms, may_try)


def experts(
    x: Tensor,
    normed: Tensor,
    logits: Tensor,
    gate_up: Tensor,
    down: Tensor,
    top_k: int,
    tiling: Tiling | None = None,
    blocks: bool | None = None,
) -> Tensor:
    """The routed experts of every token: x + sum of share * expert(normed).

    Shapes:
        x, normed: (tokens, width); logits: (tokens, experts), rounded to the model's dtype.
        gate_up: (experts, 2 * units, width); down: (experts, width, units). Returns (tokens, width).

    Args:
        x: What is added to.
        normed: What the experts get.
        logits: The router's.
        gate_up: First products' weights, gate rows before up rows.
        down: Last products' weights.
        top_k: Experts of a token.
        tiling: How the products are cut; unless given, chosen by the shapes, or found on the card (`needs_tuning`).
        blocks: Whether weights are fetched in whole blocks by the tensor memory accelerator, which needs Hopper or
            newer and rows of whole 16 bytes; where that is so, unless given.
    """
    (tokens, width), (count, _, units) = x.shape, down.shape
    choices, device = tokens * top_k, x.device
    fetched = _in_blocks(gate_up, down) if blocks is None else blocks
    cut = tiling or choose_tiling(choices, count, x.dtype, fetched)
    if tiling is None and needs_tuning(device):
        given = (x, normed, logits, gate_up, down, top_k)
        cut = _tuned_tiling(lambda each: experts(*given, tiling=each, blocks=fetched), choices, down, cut)
    tiles = min(choices, choices // cut.rows + count)
    counts = torch.zeros(count, dtype=torch.int32, device=device)
    rows = torch.empty((count, tokens), dtype=torch.int32, device=device)
    shares = torch.empty(choices, dtype=x.dtype, device=device)
    tile_expert = torch.empty(tiles, dtype=torch.int32, device=device)
    tile_start = torch.empty(tiles, dtype=torch.int32, device=device)
    hidden = torch.empty((tiles * cut.rows, units), dtype=x.dtype, device=device)
    parts = torch.empty((choices, width), dtype=x.dtype, device=device)
    out = torch.empty_like(x)

    padded = triton.next_power_of_2(count)
    _route[(tokens,)](logits, shares, rows, counts, tokens, count, TOP_K=top_k, EXPERTS=padded, num_warps=2)
    _plan[(triton.cdiv(tiles, 128),)](
        counts, tile_expert, tile_start, tiles, count, ROWS=cut.rows, EXPERTS=padded, TILES=128, num_warps=4
    )
    # Both products go over the same tiles.
    plan = (rows, counts, tile_expert, tile_start, tokens, width, units)
    options = {
        "ROWS": cut.rows,
        "PRECISION": "ieee" if x.dtype == torch.float32 else "tf32",
        "BLOCKS": fetched,
        "num_warps": cut.warps,
        "num_stages": cut.stages,
    }
    columns, step = min(cut.up_columns, _power(units)), min(64, _power(width))
    weight = _blocks_of(gate_up, columns, step) if fetched else gate_up
    grid = (triton.cdiv(units, columns), tiles)
    _up[grid](normed, weight, hidden, *plan, TOP_K=top_k, COLUMNS=columns, STEP=step, **options)
    columns, step = min(cut.down_columns, _power(width)), min(64, _power(units))
    weight = _blocks_of(down, columns, step) if fetched else down
    left = _blocks_of(hidden, cut.rows, step) if fetched else hidden
    grid = (triton.cdiv(width, columns), tiles)
    _down[grid](left, weight, parts, shares, *plan, COLUMNS=columns, STEP=step, **options)
    columns = min(1024, _power(width))
    _combine[(tokens, triton.cdiv(width, columns))](parts, x, out, width, TOP_K=top_k, COLUMNS=columns, num_warps=4)
    return out


def _is_capturing(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def _in_blocks(*weights: Tensor) -> bool:
    """Whether the card has a tensor memory accelerator, and it can fetch these."""
    if not all(weight.shape[-1] * weight.element_size() % 16 == 0 for weight in weights):
        return False
    return weights[0].is_cuda and torch.cuda.get_device_capability(weights[0].device) >= (9, 0)


def _blocks_of(values: Tensor, rows: int, step: int) -> TensorDescriptor:
    """All of a product's weights, or its rows, as one matrix that is fetched in blocks of so many rows and columns."""
    matrix = values.view(-1, values.shape[-1])
    return TensorDescriptor.from_tensor(matrix, [rows, step])
