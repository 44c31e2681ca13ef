"""What a setting has for a model to do: the quantities that latencies are fitted to.

This file imports nothing but `math`: a fitted model is downloaded as Python, with the function below in it.
"""

from __future__ import annotations

import math


def quantities(
    crops: float,
    tokens: float,
    top_k: float,
    blocks: float,
    output_tokens: float,
    distinct: float | None = None,
    experts: float = 64,
    heads: float = 16,
    vision_heads: float = 16,
    vision_width: float = 1024,
    vision_rows: float = 577,
    multiprocessors: float = 132,
) -> dict[str, float]:
    """What a setting has to do, by name.

    Work is cut into tiles, and a card works on as many at once as it has multiprocessors. The last round takes as long
    as a full one, so that latency grows by steps: `rounds` count them.

    Args:
        crops: That the vision encoder sees, the global view included.
        tokens: Of the prompt, those of the picture included.
        top_k: Experts of each token.
        blocks: Transformer blocks that run.
        output_tokens: Tokens generated.
        distinct: Distinct experts that the prompt is routed to, summed over the blocks that run; None for those
            expected of a router that chooses evenly.
        experts: Of each block.
        heads: Attention heads of the language model.
        vision_heads: Those of the vision encoder.
        vision_width: Width of the vision encoder.
        vision_rows: Rows of a crop that it works on: its patches and a class token.
        multiprocessors: Of the card.
    """
    choices = tokens * top_k
    if distinct is None:
        distinct = blocks * experts * (1 - (1 - min(top_k, experts) / experts) ** tokens)
    # The vision encoder's attention takes tiles of 128 rows of a head, one a multiprocessor (cuDNN on Hopper: its
    # kernel's time goes by these steps). cuBLAS cuts products as it likes; tiles of 192 by 128 for those of its width,
    # and of 192 by 208 for its MLP, four times as wide, explain best of 190 that were tried what compiled and graph
    # take on H100 and H200, also where a number of crops is left out of the fit.
    attention = crops * vision_heads * math.ceil(vision_rows / 128)
    cuts = math.ceil(crops * vision_rows / 192)
    mlp = math.ceil(cuts * math.ceil(4 * vision_width / 208) / multiprocessors)
    mlp += 4 * math.ceil(cuts * math.ceil(vision_width / 208) / multiprocessors)
    # The experts of a prompt, in tiles of 128 rows from 32 rows an expert on (engines.kernels.prefill.choose_tiling).
    # On average the last tile of an expert that is used is half full.
    tiles = min(choices, choices / 128 + distinct / blocks) if choices > 32 * experts else 0.0
    # A step's attention covers whole 128s of the cache, cut in 32 pieces at most, of 64 positions at least; two fit a
    # multiprocessor (engines.static, engines.kernels.decode.attend).
    covered = math.ceil((tokens + output_tokens) / 128) * 128
    pieces = math.ceil(covered / max(64, 2 ** math.ceil(math.log2(covered / 32))))
    # Beyond what grows with top-k, a step takes some 4 µs a block longer from 16 experts on and 10 from 24, under
    # compiled on H100 and H200. Where between 12 and 16, and 16 and 24, was not measured; no kernel explains it yet.
    wide = min(max(math.ceil((top_k - 12) / 8), 0), 2)
    return {
        "crops": crops,
        "vision rounds": math.ceil(cuts * math.ceil(vision_width / 128) / multiprocessors),
        "vision MLP rounds": mlp,
        "vision attention rounds": math.ceil(attention / multiprocessors),
        "blocks": blocks,
        "tokens": tokens,
        "top-k": top_k,
        "experts read": distinct,
        "choices": choices,
        "tiles": tiles,
        "context": tokens + output_tokens / 2,
        "attention rounds": math.ceil(heads * pieces / (2 * multiprocessors)),
        "steps of top-k": wide,
        "steps": output_tokens - 1,
    }
