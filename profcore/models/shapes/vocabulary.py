"""The small model's tokenizer: one token a word of the drawn data set, bytes for whatever else is asked.

It is byte-level BPE, as the published one, with merges that only ever lengthen a word's beginning by a letter: so each
word that is known becomes one token, whatever the order of merges. Needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.images.shapes import COLOURS, SHAPES

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SPACE = "Ġ"
_WORDS = (
    *("User", "Assistant", "What", "digit", "is", "on", "the", "shape", "colour", "How", "many", "are", "there"),
    *("Is", "left", "or", "right", "at", "top", "bottom", "a", "an", "yes", "no"),
    *COLOURS,
    *SHAPES,
    *(f"{shape}s" for shape in SHAPES if shape != "cross"),
    "crosses",
    *map(str, range(10)),
)
END = "<|endoftext|>"
_SPECIAL = ("<im_start>", "<im_end>", "<im_patch>", "<im_col>", "<|image|>")


def _alphabet() -> list[str]:
    """The letters that byte-level BPE writes bytes as, in the order of GPT-2's own vocabulary.

    Source: openai/gpt-2, `bytes_to_unicode`.
    """
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) for byte in shown] + [chr(256 + place) for place in range(len(hidden))]


def _beginnings() -> list[str]:
    """Every beginning of a known word, the space before it included, that is longer than one letter; shorter first."""
    words = [_SPACE + word for word in _WORDS]
    return list(dict.fromkeys(word[:end] for word in words for end in range(2, len(word) + 1)))


VOCABULARY: tuple[str, ...] = (*_alphabet(), *_beginnings())
"""Every token but the special ones, by its id; `END` follows, then those of images."""


def make_tokenizer() -> Tokenizer:
    """The tokenizer, to be saved as a checkpoint's `tokenizer.json`."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {token: number for number, token in enumerate(VOCABULARY)}
    merges = [(token[:-1], token[-1]) for token in _beginnings()]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in (END, *_SPECIAL)])
    return tokenizer
