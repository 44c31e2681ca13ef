"""A latency model to take away: as formulas, as JSON, and as a Python function that stands by itself."""

from __future__ import annotations

import inspect
from pprint import pformat
from typing import TYPE_CHECKING, Any

import numpy as np

from profcore.formats.text_files import json_text
from profcore.models.recorded import is_small_trained
from profcore.models.shapes.shape import WHAT
from profcore.stats.digits import written, written_interval
from profcore.tradeoff import quantities as quantities_file
from profcore.tradeoff.latency_model import extrapolation_errors
from profcore.tradeoff.points import CONDITIONS, KNOBS
from profcore.tradeoff.terms import STAGE_NAMES, TERMS, term_name

if TYPE_CHECKING:
    from profcore.tradeoff.latency_model import LatencyModel, Stage

_US_PER_MS = 1000.0


def formulas(model: LatencyModel) -> list[str]:
    """Each stage's latency as a sum, a line each; what adds nothing is left out."""
    return [f"{STAGE_NAMES[metric]} = {_formula(stage)}" for metric, stage in model.stages.items()]


def _formula(stage: Stage) -> str:
    parts = []
    for term, coefficient in zip(TERMS[stage.metric], stage.coefficients, strict=True):
        if coefficient > 0:
            value = f"{written(coefficient)} ms" if not term else f"{written(coefficient * _US_PER_MS)} µs"
            parts.append(f"{value} × {term_name(term)}" if term else value)
    return " + ".join(parts) or "not known"


def coefficient_rows(model: LatencyModel) -> list[dict[str, str]]:
    """Every coefficient with its unit and 95 % interval, a row each, as a table shows them."""
    rows = []
    for metric, stage in model.stages.items():
        for term, value, low, high in zip(TERMS[metric], stage.coefficients, stage.low, stage.high, strict=True):
            if not np.isnan(value):
                scaled = [_US_PER_MS * each for each in (value, low, high)]
                rows.append(
                    {
                        "stage": STAGE_NAMES[metric],
                        "term": term_name(term) or "constant",
                        "coefficient": written(scaled[0]),
                        "95 %": written_interval(*scaled[1:]),
                        "unit": "µs" if not term else f"µs for 1 of {term_name(term)}",
                    }
                )
    return rows


def model_dict(model: LatencyModel) -> dict[str, Any]:
    """A model in plain values."""
    errors = model.errors()
    return {
        "conditions": {name: model.environment.get(name) for name in CONDITIONS},
        "notes": _notes(model),
        "settings": model.settings,
        "held": {knob: float(value) for knob, value in model.held.items()},
        "quantities": model.around.to_dict(),
        "stages": {
            metric: [
                {
                    "term": list(term),
                    "coefficient_ms": _number(value),
                    "low_ms": _number(low),
                    "high_ms": _number(high),
                }
                for term, value, low, high in zip(TERMS[metric], stage.coefficients, stage.low, stage.high, strict=True)
            ]
            for metric, stage in model.stages.items()
        },
        "errors_on_settings_left_out": {metric: _numbers(vars(each)) for metric, each in errors.items() if each.n},
        "errors_beyond_what_was_measured": [
            {"metric": metric, "largest_left_out": knob, **_numbers(vars(each))}
            for (metric, knob), each in extrapolation_errors(model).items()
        ],
        "prediction_interval_share": {metric: _number(value) for metric, value in model.reaches.items()},
    }


def model_json(model: LatencyModel) -> str:
    """A model as JSON."""
    return json_text(model_dict(model), indent=2)


_PYTHON = '''"""Latencies of {model} under {engine} on {device}, in milliseconds.

Fitted by profcore to {settings} settings; off by {error} in the median of settings left out (total).
{held}{notes}It needs nothing but Python. Example: predict(crops=7, tokens=835, top_k=8, blocks=16, output_tokens=20)
"""

import math

COEFFICIENTS_MS = {coefficients}

AROUND = {around}


{source}

def predict(crops, tokens, top_k, blocks, output_tokens, distinct=None):
    """Milliseconds of each stage, of the time to the first token, and of the whole; NaN for what was not measured.

    Args:
        crops: That the vision encoder sees, the global view included.
        tokens: Of the prompt, those of the picture included.
        top_k: Experts of each token.
        blocks: Transformer blocks that run.
        output_tokens: Tokens generated.
        distinct: Distinct experts that the prompt uses, summed over the blocks; those of an even router unless given.
    """
    known = quantities(crops, tokens, top_k, blocks, output_tokens, distinct, **AROUND)
    found = {{
        stage: sum(value * math.prod(known[name] for name in term) for term, value in terms.items())
        if terms
        else math.nan
        for stage, terms in COEFFICIENTS_MS.items()
    }}
    steps = max(output_tokens - 1, 0)
    found["llm_decode_ms"] = steps * found["tpot_ms"] if steps else 0.0
    found["tpot_ms"] = found["tpot_ms"] if steps else math.nan
    found["ttft_ms"] = found["vision_ms"] + found["llm_prefill_ms"]
    other = 0.0 if math.isnan(found["other_ms"]) else found["other_ms"]
    found["total_ms"] = found["ttft_ms"] + found["llm_decode_ms"] + other
    return found
'''


def model_python(model: LatencyModel) -> str:
    """A model as the text of a Python file with a function `predict` that needs nothing else."""
    coefficients = {
        metric: {
            term: float(value)
            for term, value in zip(TERMS[metric], stage.coefficients, strict=True)
            if np.isfinite(value) and value > 0
        }
        for metric, stage in model.stages.items()
    }
    total = model.errors().get("total_ms")
    said = {
        name: " ".join(str(model.environment.get(name) or "?").split()).replace('"', "'").replace("\\", "/")
        for name in CONDITIONS
    }
    return _PYTHON.format(
        model=said["model"],
        engine=said["engine"],
        device=said["device_name"],
        settings=model.settings,
        error=f"{total.median:.1%}" if total and total.n else "an unknown share",
        held="".join(
            f"{KNOBS[knob]} was {value:g} in all of them: of another value it says nothing.\n"
            for knob, value in model.held.items()
        ),
        notes="".join(f"{note}\n" for note in _notes(model)),
        coefficients=pformat(coefficients, sort_dicts=False, width=110),
        around=pformat(model.around.to_dict(), sort_dicts=False),
        source=inspect.getsource(quantities_file.quantities),
    )


def _notes(model: LatencyModel) -> list[str]:
    """What to know of the model whose latencies these are, sentences."""
    return [WHAT] if is_small_trained(model.environment) else []


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _numbers(values: dict[str, float]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in values.items()}
