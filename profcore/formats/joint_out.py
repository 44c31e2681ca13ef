"""Joint results out: a file for each point, as the source system writes them, and one for the run they are of."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from profcore.experiments.knobs import JOINT
from profcore.formats.text_files import json_text
from profcore.formats.values import (
    knob_fields,
    mask_fields,
    measured_fields,
    plain,
    plain_sum,
    published_vision,
    tier_fields,
    whole_or_none,
)
from profcore.images.geometry import CROP_TOKENS
from profcore.spec.points import OF_POINT, point_key

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "joint"
RUN_FILE = "run.json"
"""What says of a folder of joint results what all of them are of."""

_STATISTICS = {"p50": 50, "p95": 95, "p99": 99}
_STAGES = ("T_vision_total", "T_LLM_prefill", "T_LLM_decode", "T_total", "T_decode_per_token")
_POINT_COLUMNS = [*OF_POINT, "grid_rows", "grid_columns", "least_crops", "most_crops", "image_id", "query_id"]
_KEPT_OF_RUN = ("run", "environment", "ceilings")


def joint_files(samples: pd.DataFrame, metadata: dict[str, Any]) -> dict[str, str]:
    """A joint run's results by their paths: `joint/<task>_…_topk<k>_blocks<n>.json`, and `joint/run.json`.

    Args:
        samples: As `Store.sample_table(run_id).to_pandas()` gives them.
        metadata: Where the figures come from, with the `settings` that samples are of.
    """
    task, listed = _task(metadata), metadata.get("settings") or []
    groups = _groups(samples)
    stems = [_stem(task, group) for group in groups]
    lengths = samples["output_tokens"].dropna().nunique() if "output_tokens" in samples else 0
    found = {}
    for stem, group in zip(_apart(stems, groups, lengths > 1), groups, strict=True):
        found[f"{FOLDER}/{stem}.json"] = json_text(_document(group, listed, metadata), indent=1)
    run = {"experiment": JOINT.name, **metadata}
    found[f"{FOLDER}/{RUN_FILE}"] = json_text(run, indent=1)
    return found


def _groups(samples: pd.DataFrame) -> list[pd.DataFrame]:
    """The samples of each point, the points in the order of their settings."""
    if samples.empty:
        return []
    given = samples.reindex(columns=["setting", *_POINT_COLUMNS]).drop_duplicates("setting").sort_values("setting")
    given = given.astype(object).where(given.notna(), None)
    points: dict[Any, int] = {}
    of_setting = {}
    for row in given.to_dict("records"):
        of_setting[row["setting"]] = points.setdefault(point_key(row), len(points))
    ordered = samples.sort_values(["setting", "sample_id"], kind="stable")
    return [group for _, group in ordered.groupby(ordered["setting"].map(of_setting), sort=True)]


def _task(metadata: dict[str, Any]) -> str:
    """What the files' names begin with: the data set that was asked, else what they are."""
    sweep = (metadata.get("spec") or {}).get("sweep") or {}
    asked = (sweep.get("queries") or sweep.get("quality") or {}).get("name") or "profcore"
    return re.sub(r"[^a-z0-9]+", "-", str(asked).lower()).strip("-")[:60] or "profcore"


def _first(group: pd.DataFrame) -> dict[Any, Any]:
    return group.iloc[0].to_dict()


def _crops(group: pd.DataFrame) -> np.ndarray:
    """The crops of each sample's grid, without the global view."""
    return group["num_crops"].dropna().to_numpy(dtype=float) - 1


def _stem(task: str, group: pd.DataFrame) -> str:
    """A file's name without its ending."""
    row, crops = _first(group), _crops(group)
    bound = whole_or_none(row.get("most_crops"))
    tier = plain(row.get("tier"))
    mean = round(float(crops.mean()), 1) if crops.size else 0.0
    number = f"{mean:g}" if tier or bound is None else str(bound)
    named = f"_imgsizetier-{re.sub(r'[^A-Za-z0-9]+', '-', str(tier))}" if tier else ""
    top_k, blocks = (whole_or_none(row.get(name)) or 0 for name in ("top_k", "active_blocks"))
    return f"{task}{named}_crops{number}_topk{top_k}_blocks{blocks}"


def _apart(stems: list[str], groups: list[pd.DataFrame], with_tokens: bool) -> list[str]:
    """Names of which no two are alike: by the number of tokens where it varies, by grid, by mask, by a number."""
    named = list(stems)
    if with_tokens:
        tokens = [whole_or_none(_first(group).get("output_tokens")) for group in groups]
        named = [f"{stem}_tokens{number}" for stem, number in zip(named, tokens, strict=True)]
    for more in (_grid_words, _mask_words):
        often = Counter(named)
        named = [
            stem if often[stem] == 1 else f"{stem}{more(_first(group))}"
            for stem, group in zip(named, groups, strict=True)
        ]
    seen: Counter[str] = Counter()
    apart = []
    for stem in named:
        seen[stem] += 1
        apart.append(stem if seen[stem] == 1 else f"{stem}_again{seen[stem]}")
    return apart


def _grid_words(row: dict[Any, Any]) -> str:
    rows, columns = (whole_or_none(row.get(name)) for name in ("grid_rows", "grid_columns"))
    return "" if rows is None else f"_grid{rows}x{columns}"


def _mask_words(row: dict[Any, Any]) -> str:
    mask = plain(row.get("block_mask"))
    return f"_mask{mask}" if mask else ""


def _document(group: pd.DataFrame, listed: list[dict[str, Any]], metadata: dict[str, Any]) -> dict[str, Any]:
    first = _first(group)
    numbers = sorted({int(each) for each in group["setting"]})
    own = {number: listed[number] for number in numbers if number < len(listed)}
    rows = [_row(row, own.get(int(row["setting"]), {})) for row in group.to_dict("records")]
    scores = _scores(own)
    # Each row is of one question where a setting has as many of them as rows.
    _add_scores(rows, own)
    quality = _quality(scores, own)
    crops = _crops(group)
    return {
        **tier_fields(first),
        "selected_crops_distribution": {f"{crop:g}": int((crops == crop).sum()) for crop in np.unique(crops)},
        **_spread("selected_crops", crops),
        **_spread("target_vision_tokens", (crops + 1) * CROP_TOKENS**2),
        **_spread("actual_vision_tokens", group["num_vision_tokens"].dropna().to_numpy(dtype=float)),
        "top_k": whole_or_none(first.get("top_k")),
        **mask_fields(first),
        "max_new_tokens": whole_or_none(first.get("output_tokens")),
        "num_samples": len(rows),
        **quality,
        "latency_stats": _latency_stats(rows),
        "per_sample_results": rows,
        "metadata": {
            "experiment": JOINT.name,
            **{name: metadata.get(name) for name in _KEPT_OF_RUN if metadata.get(name)},
            "settings": [{"setting": number, **setting} for number, setting in own.items()],
        },
    }


def _scores(own: dict[int, dict[str, Any]]) -> list[float] | None:
    known = [setting.get("quality_scores") for setting in own.values()]
    return (
        [score for each in known for score in each or ()] if own and all(each is not None for each in known) else None
    )


def _quality(scores: list[float] | None, own: dict[int, dict[str, Any]]) -> dict[str, Any]:
    if scores:
        return {"accuracy": float(np.mean(scores)), "accuracy_std": float(np.std(scores))}
    known = [setting["accuracy"] for setting in own.values() if setting.get("accuracy") is not None]
    return {"accuracy": float(np.mean(known)) if known else None, "accuracy_std": None}


def _add_scores(rows: list[dict[str, Any]], own: dict[int, dict[str, Any]]) -> None:
    for number, setting in own.items():
        mine, scores = [row for row in rows if row["setting"] == number], setting.get("quality_scores") or []
        if len(scores) == 1 and setting.get("query_id") is not None:
            scores = scores * len(mine)
        if len(mine) == len(scores):
            for row, score in zip(mine, scores, strict=True):
                row["accuracy"] = score


def _row(row: dict[Any, Any], setting: dict[str, Any]) -> dict[str, Any]:
    crops = whole_or_none(row.get("num_crops"))
    prompt, vision = whole_or_none(row.get("num_input_tokens")), whole_or_none(row.get("num_vision_tokens"))
    tokens, decode = whole_or_none(row.get("num_output_tokens")), plain(row.get("llm_decode_ms"))
    measured = measured_fields(row)
    steps = measured.pop("decode_steps_ms", None)
    grid = whole_or_none(row.get("grid_rows")), whole_or_none(row.get("grid_columns"))
    return {
        **measured,
        **{name: value for name, value in knob_fields(row).items() if name != "active_block_indices"},
        **tier_fields(row),
        "output_tokens": tokens,
        "actual_image_size": setting.get("image_size"),
        "actual_num_crops": None if crops is None else crops - 1,
        "actual_tiling": None if None in grid else list(grid),
        "target_vision_tokens": None if crops is None else crops * CROP_TOKENS**2,
        "actual_vision_tokens": vision,
        "actual_text_tokens": plain_sum(prompt, None if vision is None else -vision),
        "total_sequence_length": prompt,
        "accuracy": None,
        "pred": None,
        "metadata": {name: setting[name] for name in ("image_id", "query_id") if name in setting},
        "T_vision_encoder": plain(row.get("vision_encoder_ms")),
        "T_projector": plain(row.get("projector_ms")),
        "T_vision_total": published_vision(row),
        "T_LLM_prefill": plain(row.get("llm_prefill_ms")),
        "T_LLM_decode": decode,
        "T_total": plain(row.get("total_ms")),
        "T_first_token": plain(row.get("first_token_ms")),
        "T_data_processing": plain(row.get("host_preprocessing_ms")),
        "T_system_total": plain(row.get("system_total_ms")),
        # As published: over the tokens, of which the first is none that was decoded.
        "T_decode_per_token": None if decode is None or not tokens else decode / tokens,
        "T_decode_per_step": None if steps is None else [[step] for step in steps],
    }


def _spread(name: str, values: np.ndarray) -> dict[str, float | None]:
    """Mean and standard deviation, which divides by n as the published files' does."""
    if not values.size:
        return {f"{name}_mean": None, f"{name}_std": None}
    return {f"{name}_mean": float(values.mean()), f"{name}_std": float(values.std())}


def _block(values: np.ndarray) -> dict[str, float | None]:
    if not values.size:
        return dict.fromkeys(("mean", "std", *_STATISTICS))
    shares = np.percentile(values, list(_STATISTICS.values()))
    found: dict[str, float | None] = {"mean": float(values.mean()), "std": float(values.std())}
    return found | {name: float(share) for name, share in zip(_STATISTICS, shares, strict=True)}


def _latency_stats(rows: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for stage in _STAGES:
        values = np.array([row[stage] for row in rows if row[stage] is not None], dtype=float)
        found |= {f"{stage}_{name}": value for name, value in _block(values).items()}
    positions: dict[int, list[float]] = {}
    for row in rows:
        for position, step in enumerate(row["T_decode_per_step"] or ()):
            positions.setdefault(position, []).extend(step)
    found["T_decode_per_step_stats"] = {
        f"pos_{position}": {**_block(np.array(values)), "count": len(values)}
        for position, values in sorted(positions.items())
    }
    return found
