"""What a model answered, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.models.load import LoadedModel


def answer_text(loaded: LoadedModel, tokens: Sequence[int]) -> str:
    """Tokens up to the end of text, as text."""
    ids, end = list(tokens), loaded.model.config.eos_token_id
    if end in ids:
        ids = ids[: ids.index(end)]
    return loaded.tokenizer.decode(ids).strip()
