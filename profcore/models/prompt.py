"""From a picture and a question to the token sequence that the model reads. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from profcore.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from profcore.images.processing import ImageTokens
    from profcore.models.config import MolmoConfig
    from profcore.models.families.shape import FamilyShape


_LARGEST_TOKENIZER = 100_000_000


class Tokenizer(Protocol):
    """What a prompt needs of a tokenizer."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without special tokens."""

    def decode(self, ids: list[int]) -> str:
        """The text of token ids, those of special tokens left out."""

    def piece(self, id: int) -> str:
        """One token as it stands in the vocabulary."""


class ByteTokenizer:
    """One token per UTF-8 byte, for a model that came without a tokenizer."""

    def __init__(self, config: MolmoConfig | FamilyShape) -> None:
        if config.vocab_size <= 256:
            raise ModelError(f"A vocabulary of {config.vocab_size} is too small for a byte-level tokenizer (257).")

    def encode(self, text: str) -> list[int]:
        """Token ids of a text: its bytes."""
        return list(text.encode("utf-8"))

    def decode(self, ids: list[int]) -> str:
        """The text of token ids; what is no byte is left out."""
        return bytes(number for number in ids if number < 256).decode("utf-8", errors="replace")

    def piece(self, id: int) -> str:
        """The byte as a character."""
        return chr(id) if id < 256 else f"<{id}>"


class FileTokenizer:
    """The tokenizer of a checkpoint's `tokenizer.json`."""

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer as Backend

        if path.stat().st_size > _LARGEST_TOKENIZER:
            raise ModelError(f"{path} has more than {_LARGEST_TOKENIZER / 1e6:,.0f} MB: it is not a tokenizer file.")
        try:
            self._backend = Backend.from_file(str(path))
        except Exception:  # the library raises plain Exception, whose message may hold what the file says
            raise ModelError(f"{path} is not a tokenizer file.") from None

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without special tokens."""
        return self._backend.encode(text, add_special_tokens=False).ids

    def decode(self, ids: list[int]) -> str:
        """The text of token ids, those of special tokens left out."""
        return self._backend.decode(ids, skip_special_tokens=True)

    def piece(self, id: int) -> str:
        """One token as it stands in the vocabulary."""
        return self._backend.id_to_token(id) or f"<{id}>"


def load_tokenizer(directory: Path, config: MolmoConfig | FamilyShape) -> Tokenizer:
    """The checkpoint's tokenizer, or a byte-level one when it has none."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        return ByteTokenizer(config)
    return FileTokenizer(path)


def asked(question: str) -> str:
    """A question as MolmoE's prompt words it (allenai/molmo, message format "role")."""
    return f" User: {question} Assistant:"


def build_prompt(
    tokens: ImageTokens, question: str, tokenizer: Tokenizer, config: MolmoConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The model's input: BOS, the image tokens, then " User: … Assistant:".

    Returns:
        input_ids: (tokens,) int64.
        sources: (kept,) int64, rows of the flattened projector output that are used.
        positions: (kept,) int64, where in input_ids each is added.

    Source: allenai/molmo, `MultiModalPreprocessor` with message format "role".
    """
    text = tokenizer.encode(asked(question))
    input_ids = np.concatenate(([config.eos_token_id], tokens.tokens, text)).astype(np.int64)
    index = tokens.patch_index.reshape(-1)
    sources = np.flatnonzero(index >= 0)
    return input_ids, sources.astype(np.int64), (index[sources] + 1).astype(np.int64)
