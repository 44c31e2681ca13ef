"""What was asked of a run and what it was measured on, as a table for people: names, units, nothing nested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from profcore.spec.environments import card_words, uncaptured_words
from profcore.stats.digits import MISSING

_TARGET = {"model": "model", "device": "device", "dtype": "dtype", "engine": "engine", "experts": "experts"}
_SWEEP = {
    "num_samples": "Samples per setting",
    "until": "Each setting sampled until its median total is known to",
    "warmup": "Warm-up inferences per setting",
    "seed": "Seed of the visiting order",
    "clock": "Clock",
    "picture": "Picture",
    "prompt": "Prompt",
    "energy": "Energy measured after the samples",
    "stop_at_eos": "Answers end at the end-of-text token",
}
_KNOBS = {
    "grid": "Image grid (crops)",
    "top_k": "Top-k (experts per token)",
    "block_mask": "Active blocks",
    "output_tokens": "Output tokens",
}
_ENVIRONMENT = {
    "device_name": "device's name",
    "device": "device",
    "card": "card",
    "host": "machine",
    "cpu": "processor",
    "cores": "cores",
    "load": "load of the machine at the beginning",
    "platform": "platform",
    "driver": "driver",
    "cuda": "CUDA",
    "torch": "torch",
    "transformers": "transformers",
    "python": "Python",
    "profcore": "profcore",
    "commit": "commit",
    "model": "model",
    "weights": "weights",
    "parameters": "parameters",
    "dtype": "dtype",
    "engine": "engine",
    "experts": "experts",
    "experts_reason": "why these experts",
    "uncaptured": "stages not captured",
    "active_parameters": "parameters that a token uses",
    "attention": "attention",
    "clock": "clock",
}
_SHAPE = {
    "d_model": "width of the language model",
    "n_layers": "transformer blocks",
    "n_heads": "attention heads per block",
    "num_experts": "experts per block",
    "top_k": "top-k of its own",
    "expert_width": "hidden width of an expert",
    "vocab_size": "vocabulary (tokens)",
    "embedding_size": "rows of the embedding",
    "additional_vocab_size": "rows of the embedding of special tokens",
    "max_positions": "context (tokens)",
    "rope_theta": "RoPE base",
    "norm_eps": "epsilon of the norms",
    "vit_width": "width of the vision encoder",
    "vit_layers_total": "blocks of the vision encoder",
    "vit_heads": "attention heads of the vision encoder",
    "vit_mlp": "hidden width of the vision encoder's MLP",
    "vit_norm_eps": "epsilon of the vision encoder's norms",
    "vit_layers": "hidden states taken of the vision encoder",
    "projector_hidden": "hidden width of the projector",
    "max_crops": "most crops of a picture",
}
_CEILINGS = {
    "read_gb_s": "memory bandwidth, reading (GB/s)",
    "copy_gb_s": "memory bandwidth, copying (GB/s)",
    "matmul_tflop_s": "matrix products (TFLOP/s)",
    "dtype": "dtype of these products",
    "measured_at": "measured at",
}
_MOST_SHOWN = 16
_LONGEST = 300


def describe_run(run: Mapping[str, Any]) -> pd.DataFrame:
    """What was asked for and what it was measured on, in two columns of text: `name` and `value`.

    Args:
        run: As `Store.run`; what it does not say has no row.
    """
    spec, environment = run.get("spec") or {}, run.get("environment") or {}
    sweep = spec.get("sweep") or {}
    rows = [("Run", run["id"])]
    rows += _named("Asked for: ", _TARGET, spec.get("target") or {})
    rows += _settings(sweep.get("settings") or [])
    rows += _named("", _SWEEP, _asked(sweep))
    rows += _questions(sweep)
    facts = _without(environment, ("shape",))
    if "uncaptured" in facts:
        facts["uncaptured"] = "; ".join(uncaptured_words(environment)) or None
    rows += _named("Measured on: ", _ENVIRONMENT, facts)
    rows += _environments(run.get("environments") or [])
    rows += _named("Model: ", _SHAPE, environment.get("shape") or {})
    rows += _named("Ceilings: ", _CEILINGS, _without(run.get("ceilings") or {}, ("device_name", "torch")))
    return pd.DataFrame(rows, columns=["name", "value"])


def _environments(environments: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Where a run was measured that was shared by cards, or went on elsewhere; of very many the first."""
    rows = []
    for each in environments[:_MOST_SHOWN]:
        shard = f", shard {each['shard']}" if each.get("shard") else ""
        device = f", {each['device']}" if each.get("device") else ""
        out = " (in no figure)" if each.get("refused") or each.get("set_aside") else ""
        number = f": {each['samples']:,} samples" if each.get("samples") is not None else ""
        rows.append((f"Environment {each['number']}{shard}", f"{card_words(each)}{device}{number}{out}"))
    if len(environments) > _MOST_SHOWN:
        rows.append(("More environments", f"{len(environments) - _MOST_SHOWN:,}"))
    return rows


def _asked(sweep: Mapping[str, Any]) -> dict[str, Any]:
    """What a sweep holds besides its settings and its questions."""
    found = {key: value for key, value in sweep.items() if key in _SWEEP}
    if isinstance(until := found.pop("until", None), Mapping):
        bounds = f"{found.pop('num_samples', MISSING)} samples or {until.get('max_seconds')} s per setting at most"
        found["until"] = f"±{100 * float(until.get('precision', 0)):g} %; {bounds}"
    return found


def _without(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _named(prefix: str, names: Mapping[str, str], values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of what is known, in the order of `names`; what has no name there follows under its own."""
    found = []
    for key in [*(name for name in names if name in values), *(name for name in values if name not in names)]:
        called = names.get(key) or str(key).replace("_", " ")
        value = values[key]
        if isinstance(value, Mapping) and key != "picture":
            found += _named(f"{prefix}{called}: ", {}, value)
        elif isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
            for place, each in enumerate(value, 1):
                found += _named(f"{prefix}{called} {place}: ", {}, each if isinstance(each, Mapping) else {"": each})
        else:
            found.append((f"{prefix}{called}", _written(value)))
    return found


def _written(value: Any) -> str:
    """A value as people write it."""
    if value is None or value == "":
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    if isinstance(value, Mapping):
        return " ".join(str(each) for each in value.values())
    if isinstance(value, list | tuple):
        return _listed([str(each) for each in value])
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _listed(values: Sequence[str]) -> str:
    more = f" and {len(values) - _MOST_SHOWN:,} more" if len(values) > _MOST_SHOWN else ""
    return f"{', '.join(values[:_MOST_SHOWN])}{more}"


def _settings(settings: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What each knob was set to: one value where it was held."""
    rows = [("Settings", f"{len(settings):,}")] if settings else []
    for key, called in _KNOBS.items():
        values = list(dict.fromkeys(_setting_value(key, each[key]) for each in settings if each.get(key)))
        if values:
            rows.append((called, _listed(values)))
    return rows


def _setting_value(key: str, value: Any) -> str:
    if key == "grid":
        return "×".join(str(each) for each in value)
    if key == "block_mask":
        mask = str(value)
        return mask if "01" in mask else f"{mask.count('1')} of {len(mask)}"
    return str(value)


def _questions(sweep: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How many questions a data set gave, which nobody reads one by one here."""
    rows = []
    for key, called in (("queries", "Data set"), ("quality", "Quality recorded on")):
        found = sweep.get(key)
        if isinstance(found, Mapping):
            number = len(found.get("queries") or [])
            rows.append((called, f"{found.get('name')}: {number:,} question{'' if number == 1 else 's'}"))
    return rows
