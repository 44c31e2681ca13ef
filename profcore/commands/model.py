"""`check`, `tokens`, `ceilings`, `why` and `bench`: looking at the model and the device."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from profcore.commands.shared import default_device, picture_of, print_table, target_of
from profcore.errors import UserError
from profcore.spec.settings import Setting, parse_mask

if TYPE_CHECKING:
    import pandas as pd


def check(options: argparse.Namespace) -> int:
    """Compare a model with expected outputs, an engine with eager."""
    from profcore.inspectors import run_inspector
    from profcore.inspectors.base import Inspection
    from profcore.worker.shelf import ModelShelf

    if options.expected is None and options.engine == "eager":
        raise UserError("Nothing to compare with: give --expected FILE, or --engine graph or compiled.")
    shelf, target = ModelShelf(), target_of(options)
    shelf.engine(target)
    expected = str(options.expected) if options.expected else None
    arguments = {"engines": [target.engine], "expected": expected, "sanity": False}
    found = run_inspector("check", Inspection(shelf.get(target), target, arguments))
    for row in found["rows"]:
        verdict = "" if row["passed"] else f"  above {row['at_most']:.3g}"
        print(f"{row['what']:<48} {row['found']:.3e}{verdict}")
    return 0 if found["passed"] else 1


def tokens(options: argparse.Namespace) -> int:
    """Print how a picture of some size becomes tokens."""
    from profcore.images import processing
    from profcore.models.config import PRESETS

    rows, columns = processing.select_tiling(options.height, options.width, options.max_crops)
    width, height = processing.grid_size(rows, columns)
    processing.fitted_size(options.height, options.width, height, width)
    processing.fitted_size(options.height, options.width, processing.CROP, processing.CROP)
    tokens = processing.image_tokens(rows, columns, processing.PLAIN_IDS)
    model_tokens = processing.image_tokens(rows, columns, PRESETS["molmoe-1b"].image_token_ids)
    result = {
        "tiling": list(tokens.tiling),
        "num_crops": tokens.num_crops,
        "num_vision_tokens": tokens.num_vision_tokens,
        "num_image_tokens": tokens.num_image_tokens,
        "patch_index_sha256": processing.sha256_int32(tokens.patch_index),
        "tokens_sha256": processing.sha256_int32(tokens.tokens),
        "special_token_ids": processing.PLAIN_IDS,
        "molmoe_tokens_sha256": processing.sha256_int32(model_tokens.tokens),
    }
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<22} {value}")
    return 0


def ceilings(options: argparse.Namespace) -> int:
    """Measure what the device can do at most, and print it."""
    from profcore.measure.ceilings import measure_ceilings
    from profcore.models.load import resolve_device, resolve_dtype

    device = resolve_device(default_device(options.device))
    found = measure_ceilings(device, resolve_dtype(options.dtype, device))
    if options.json:
        print(json.dumps(found.to_dict(), indent=2))
        return 0
    print(f"{found.device_name}, {found.dtype}, torch {found.torch}")
    print(f"reading memory   {found.read_gb_s:10,.1f} GB/s")
    print(f"copying memory   {found.copy_gb_s:10,.1f} GB/s, bytes read and written")
    print(f"matrix products  {found.matmul_tflop_s:10,.3f} TFLOP/s, 2 per multiply-add")
    return 0


def why(options: argparse.Namespace) -> int:
    """Profile one setting, and print where its time goes."""
    from profcore.engines.base import PreparationError
    from profcore.worker.shelf import ModelShelf
    from profcore.worker.tools import run_tool

    shelf, target, picture = ModelShelf(), target_of(options), picture_of(options.image)
    config = shelf.get(target).model.config
    setting = Setting(
        grid=(1, options.grid),
        top_k=config.top_k if options.top_k is None else options.top_k,
        block_mask=parse_mask(options.block_mask) if options.block_mask else (True,) * config.n_layers,
        output_tokens=options.output_tokens,
    )
    arguments = {
        "setting": setting.to_dict(),
        "picture": picture.to_dict(),
        "prompt": options.prompt,
        "trace": str(options.trace) if options.trace else None,
    }
    try:
        found = run_tool("profile", shelf, target, arguments, lambda text: print(f"{text}…", file=sys.stderr))
    except PreparationError as error:
        print(f"profcore: it could not be compiled and captured ({error}).", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    from profcore.results.tables import display_profile_kernels, display_profile_stages

    print(found["verdict"])
    print_table(display_profile_stages(found))
    print_table(_parts_table(found))
    print_table(display_profile_kernels(found).head(12))
    return 0


def _parts_table(profile: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {"stage": part["stage"], "part": part["part"], "time (ms)": round(part["ms"], 3), "kernels": part["kernels"]}
        for part in profile["parts"]
    ]
    return pd.DataFrame(rows)


def bench(options: argparse.Namespace) -> int:
    """Measure what the measuring itself costs."""
    from profcore.bench import run_benchmarks

    return run_benchmarks(target_of(options), options.only, options.json)
