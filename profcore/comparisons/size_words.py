"""What is said of a picture's size: its tokens by the model's rule, and what was measured at them."""

from __future__ import annotations

import math
import shlex
from typing import TYPE_CHECKING

import pandas as pd

from profcore.comparisons.size_to_latency import FARTHEST
from profcore.models.picture import rule_words
from profcore.spec.text import counted
from profcore.stats.digits import MISSING, written, written_both

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.comparisons.size_to_latency import Curve, Estimate
    from profcore.models.families.token_rules import Layout
    from profcore.models.shape import Shape

_MS = " (ms)"
_SOURCES = {"measured": "measured here", "shipped": "sample result"}


def layout_sentence(model: str, shape: Shape, width: int, height: int, layout: Layout) -> str:
    """A picture's size and what the model's own rule makes of it."""
    seen = counted(layout.views, "view") if layout.views > 1 else "one view"
    grid = f" ({layout.rows} × {layout.columns} and an overview)" if layout.views > layout.rows * layout.columns else ""
    return (
        f"{width} × {height} pixels are {counted(layout.tokens, 'vision token')} to {model}: {rule_words(shape)}. "
        f"The picture is resized to {layout.width:,} × {layout.height:,}, and the vision encoder sees "
        f"{counted(layout.patches, 'patch', 'patches')} in {seen}{grid}."
    )


def missing_sentence(model: str, shape: Shape, curves: Sequence[Curve], found: Sequence[Estimate]) -> str:
    """What to do where nothing is known at a size; empty where something is."""
    if found:
        return ""
    if curves:
        least, most = (int(pick(pick(each.points["tokens"]) for each in curves)) for pick in (min, max))
        return (
            f"Measured at {least:,} to {most:,} vision tokens, which is too far from this picture: nothing is said "
            f"beyond {FARTHEST:g} times as many or few."
        )
    experiment = "output_tokens" if shape.vision_reason else "context_scaling"
    return f"Not measured yet: python -m profcore run {experiment} --model {shlex.quote(model)} measures it."


def estimate_sentence(estimate: Estimate) -> str:
    """One estimate in words, with the run that it rests on."""
    middle, interval = written_both(estimate.ttft_ms, estimate.low_ms, estimate.high_ms)
    around = f" ({interval} ms)" if interval != MISSING else ""
    how = {
        "measured": "measured at just as many tokens",
        "between": "read off between settings that were measured",
        "beyond": "beyond what was measured, so that it is less sure",
    }[estimate.how]
    return (
        f"{middle} ms{around} to the first token on {estimate.card} under {estimate.engine}: {how}, "
        f"{estimate.least_tokens:,} to {estimate.most_tokens:,} vision tokens in run {estimate.run_id}."
    )


def display_estimates(found: Sequence[Estimate]) -> pd.DataFrame:
    """A table for people: a row for each card and engine."""
    both = [written_both(each.ttft_ms, each.low_ms, each.high_ms) for each in found]
    rows = [
        {
            "engine": each.engine,
            "TTFT (ms)": middle,
            "interval (ms)": interval,
            "vision encoder (ms)": written(each.vision_encoder_ms),
            "projector (ms)": written(each.projector_ms),
            "prefill (ms)": written(each.llm_prefill_ms),
            "how": each.how,
            "dtype": each.dtype,
            "card": each.card,
            "run": each.run_id,
            "from": _SOURCES.get(each.source, each.source),
        }
        for each, (middle, interval) in zip(found, both, strict=True)
    ]
    return pd.DataFrame(rows)


def display_parts(found: Sequence[Estimate]) -> pd.DataFrame:
    """As `display_estimates`, as narrow as a terminal is: the unit, ms, is said above."""
    rows = display_estimates(found)
    return rows[["engine", *(name for name in map(str, rows) if name.endswith(_MS))]].rename(
        columns=lambda name: name.removesuffix(_MS)
    )


def named_runs(found: Sequence[Estimate]) -> dict[str, str]:
    """What the runs that estimates rest on are called, by their ids."""
    return {each.run_id: f"Run {each.run_id}" for each in found}


def caveats(found: Sequence[Estimate]) -> list[str]:
    """What to know of the estimates, in sentences."""
    if not found:
        return []
    said = []
    if any(math.isfinite(each.low_ms) for each in found):
        said.append("The intervals hold what was measured and the farthest that a setting, left out, was missed by.")
    if any(each.how == "beyond" for each in found):
        said.append("Beyond what was measured stages go on along their last line, and the interval is twice as wide.")
    prompts = {each.prompt_tokens for each in found}
    said.append(f"The prompt had {' or '.join(f'{each:,}' for each in sorted(prompts))} tokens besides the picture's.")
    if random := [each for each in found if each.weights == "random"]:
        routing = ": their routing to experts is not that of trained ones" if random[0].has_experts else ""
        said.append(f"The weights were random{routing}.")
    return said
