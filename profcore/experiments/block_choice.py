"""Block importance: scores from a file or a measurement, and the masks that follow from them; pure."""

from __future__ import annotations

import json
import math
from typing import Any

from profcore.errors import FormatError, UserError
from profcore.spec.limits import MOST_VALUES
from profcore.spec.text import parse_json

METHODS = {
    "influence": "block influence: 1 − cosine similarity of a block's input and output, mean over tokens",
    "norm": "activation norm: the length of what a block adds to its input, mean over tokens",
    "kl": "KL divergence of the next-token distribution from the full model's when the block is skipped",
    "accuracy": "drop of VQA accuracy when the block is skipped; needs questions with answers",
}
"""How a block's importance is measured, in words (influence: Men et al. 2024, arXiv:2403.03853)."""

Scores = dict[int, float]


def read_scores(data: bytes, name: str, blocks: int) -> Scores:
    """A published score file, `{"1": 0.0381, …}`: scores by block, from 0; blocks that are absent are always kept.

    Args:
        data: The file's content.
        name: What it is called.
        blocks: How many blocks the model has.

    Raises:
        FormatError: It is no such file, or names a block that the model has not.
    """
    try:
        document = parse_json(data, MOST_VALUES)
    except ValueError:
        raise FormatError(f'{name} is not JSON: give a file of scores such as {{"1": 0.0381}}.') from None
    if not isinstance(document, dict) or not document:
        raise FormatError(f'{name} holds no scores: it needs an object such as {{"1": 0.0381}}.')
    known = {str(block) for block in range(blocks)}
    scores: Scores = {}
    for key, value in document.items():
        # Leading zeros would make two keys one block.
        if key not in known:
            short = key if len(key) <= 40 else f"{key[:40]}…"
            raise FormatError(f"{name}: {short!r} is no block of a model with {blocks}: they are 0 to {blocks - 1}.")
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
            raise FormatError(f"{name}: the score of block {key} is no number.")
        scores[int(key)] = float(value)
    return scores


def write_scores(scores: Scores) -> str:
    """Scores as a published score file."""
    return json.dumps({str(block): score for block, score in sorted(scores.items())}, indent=2)


def most_important(scores: Scores, number: int, blocks: int) -> str:
    """The mask with so many active blocks: those without a score, then the most important; earlier ones win ties.

    Raises:
        UserError: There are more blocks without a score than may be active, or fewer blocks at all.
    """
    kept = [block for block in range(blocks) if block not in scores]
    if number > blocks:
        raise UserError(f"{number} active blocks is out of range: the model has {blocks}.")
    if number < max(len(kept), 1):
        raise UserError(
            f"{number} active blocks is too few: the {len(kept)} blocks without a score are always kept."
            if kept
            else "At least one block must be active."
        )
    ranked = sorted(scores, key=lambda block: (-scores[block], block))
    return _mask({*kept, *ranked[: number - len(kept)]}, blocks)


def above(scores: Scores, threshold: float, blocks: int) -> str:
    """The mask of the blocks whose score is at least a threshold, and of those without a score.

    Raises:
        UserError: No block would be active.
    """
    active = {block for block in range(blocks) if scores.get(block, math.inf) >= threshold}
    if not active:
        raise UserError(f"No block has a score of {threshold:g} or more: at least one must be active.")
    return _mask(active, blocks)


def _mask(active: set[int], blocks: int) -> str:
    return "".join("1" if block in active else "0" for block in range(blocks))


def measured_scores(found: dict[str, Any]) -> Scores:
    """The scores of an inspection's answer (see `inspectors.importance`)."""
    return {int(block): float(score) for block, score in found["scores"].items()}
