"""`check`, also `inspect check`: loading, one generation, its sanity, every engine, and a file of expected outputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from profcore.engines import make_engine
from profcore.engines.names import ENGINES, FAMILY_ENGINES, engines_of
from profcore.inspectors.parity import Difference, against_eager, compare, every_knob
from profcore.models.families.shape import FamilyShape
from profcore.spec.settings import Setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.engines.base import Engine
    from profcore.inspectors.base import Inspection

_TOKENS = 8


def inspect(asked: Inspection) -> dict[str, Any]:
    """What was checked, each with what was found and whether it passed.

    Args:
        asked: Its arguments may name `engines` (those that the device can run), `expected` (a safetensors file), and
            `knobs` (whether every knob is turned for each engine, rather than the model's own setting alone).

    Raises:
        UserError: The expected file is none, or an engine does not run there.
    """
    loaded, arguments = asked.loaded, asked.arguments
    own = FAMILY_ENGINES if isinstance(loaded.model.config, FamilyShape) else ENGINES
    there = [name for name in engines_of(asked.target.device) if name in own]
    engines: Sequence[str] = arguments.get("engines") or there
    settings = every_knob(loaded.model.config)
    if not arguments.get("knobs", True):
        settings = settings[:1]
    rows: list[dict[str, Any]] = []
    text = ""
    for name in engines:
        asked.tell(f"Checking the {name} engine")
        engine = make_engine(name, loaded.model)
        if arguments.get("sanity", True):
            found, text = _sanity(asked, engine)
            rows += found
        if arguments.get("expected") and name == asked.target.engine:
            rows += [_row(name, each) for each in compare(loaded.model, engine, Path(arguments["expected"]))]
        if name != "eager":
            rows += [_row(f"{name} against eager", against_eager(loaded, engine, each)) for each in settings]
    return {
        "rows": rows,
        "passed": all(row["passed"] for row in rows),
        "answer": text,
        "weights": loaded.weights,
        "model": asked.target.model,
    }


def _sanity(asked: Inspection, engine: Engine) -> tuple[list[dict[str, Any]], str]:
    """One generation on the picture asked for: finite logits, tokens in range, and the same again."""
    loaded, config = asked.loaded, asked.loaded.model.config
    inputs = asked.inputs()
    setting = Setting((1, 1), config.top_k, (True,) * config.n_layers, _TOKENS)
    tokens, logits = engine.infer(inputs, setting, keep_logits=True)
    again, _ = engine.infer(inputs, setting)
    wrong = sum(int((~torch.isfinite(each)).sum()) for each in logits)
    outside = int(((tokens < 0) | (tokens >= config.embedding_size)).sum())
    differing = int((tokens != again).sum())
    rows = [
        {"check": engine.name, "what": "logits that are not finite", "found": wrong, "passed": wrong == 0},
        {"check": engine.name, "what": "tokens out of range", "found": outside, "passed": outside == 0},
        {
            "check": engine.name,
            "what": "tokens that differ when asked again",
            "found": differing,
            "passed": differing == 0,
        },
    ]
    return [{**row, "at_most": 0} for row in rows], loaded.tokenizer.decode(tokens.tolist())


def _row(check: str, difference: Difference) -> dict[str, Any]:
    return {
        "check": check,
        "what": difference.name,
        "found": difference.largest,
        "at_most": difference.tolerance,
        "passed": difference.passed,
    }
