"""Made-up files of joint results in the source system's layouts."""

from __future__ import annotations

import json

TIERS = {"low": (1, 3), "medium": (4, 8), "high": (9, 15)}


def layout_a(top_k, blocks, tier="low", rows=4, first=0, total=16, **more):
    """A file of layout A: of a tier, or of a bound on crops where that is a number."""
    named = {"max_crops": tier} if isinstance(tier, int) else {"tier": tier, "tier_range": _range(tier)}
    made = [_row(number, top_k, blocks, named) for number in range(first, first + rows)]
    return {
        **named,
        "top_k": top_k,
        "num_active_blocks": blocks,
        "num_total_blocks": total,
        "active_block_indices": list(range(blocks)),
        "num_samples": rows,
        "accuracy": sum(row["accuracy"] for row in made) / rows if rows else None,
        "per_sample_results": made,
        **more,
    }


def _range(tier):
    return dict(zip(("min_crops", "max_crops"), TIERS[tier], strict=True))


def _row(number, top_k, blocks, named):
    crops, tokens = 1 + number % 3, 2 + number % 2
    step = 0.5 * blocks + top_k
    return {
        "sample_id": number,
        **named,
        "top_k": top_k,
        "num_active_blocks": blocks,
        "output_tokens": tokens,
        "content_tokens": tokens - 1,
        "ends_with_eos": True,
        "actual_image_size": [640, 480],
        "actual_num_crops": crops,
        "actual_tiling": [1, crops],
        "target_vision_tokens": (crops + 1) * 144,
        "actual_vision_tokens": 144 + crops * 100,
        "actual_text_tokens": 20,
        "total_sequence_length": 164 + crops * 100,
        "accuracy": float(number % 2),
        "pred": "a cat",
        "metadata": {"question_id": number},
        "T_vision_total": 10.0 * crops,
        "T_LLM_prefill": 20.0 + step,
        "T_LLM_decode": step * (tokens - 1),
        "T_total": 10.0 * crops + 20.0 + step * tokens,
        "T_decode_per_token": step * (tokens - 1) / tokens,
        "T_decode_per_step": [[step - 1.0, step + 1.0] for _ in range(tokens - 1)],
    }


def accuracy_file(top_k, blocks, crops=6, rows=3):
    """A file of experiment 5."""
    return {
        "summary": [
            {"max_crops": crops, "top_k": top_k, "num_active_blocks": blocks, "num_total_blocks": 16}
            | {"active_block_indices": list(range(blocks)), "accuracy": 0.5, "std": 0.5, "num_samples": rows}
        ],
        "all_samples": [{"sample_id": n, "score": n / 4, "pred": "a", "metadata": {}} for n in range(rows)],
        "config": {"model": "somewhere"},
    }


def latency_file(top_k, blocks, crops=6, rows=3):
    """A file of experiment 6."""
    block = {"P50": 1.0, "P95": 1.0, "P99": 1.0, "mean": 1.0, "std": 0.0, "min": 1.0, "max": 1.0}
    entry = {"max_crops": crops, "top_k": top_k, "num_active_blocks": blocks, "accuracy": 0.5}
    entry |= {f"latency_{name}_ms": block for name in ("total", "prefill", "decode")}
    return {
        "summary": [entry],
        "per_sample_latencies": [
            {
                "sample_id": n,
                "max_crops": crops,
                "top_k": top_k,
                "num_active_blocks": blocks,
                "T_total_ms": 100.0 + n,
                "T_prefill_ms": 60.0 + n,
                "T_decode_ms": 40.0,
                "num_vision_tokens": 500,
                "num_language_tokens": 530,
                "num_output_tokens": 5,
                "num_total_tokens": 1030,
                "accuracy": n / 4,
            }
            for n in range(rows)
        ],
        "config": {},
    }


def write(folder, files):
    """Write documents by their names; a text is written as it is."""
    for name, document in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return folder


def campaign(top_ks=(4, 8), blocks=(8, 16), tiers=("low",), task="coco-vqa"):
    """The files of a campaign of layout A by their names."""
    return {
        f"{task}_imgsizetier-{tier}_crops2_topk{top_k}_blocks{number}.json": layout_a(top_k, number, tier)
        for tier in tiers
        for top_k in top_ks
        for number in blocks
    }
