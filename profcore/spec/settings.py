"""One value for every knob, and block masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from profcore.errors import UserError

MAX_CROPS = 12
"""Largest number of crops in an image grid (allenai/molmo, `max_crops` of MolmoE-1B-0924)."""


@dataclass(frozen=True)
class Setting:
    """One value for every knob.

    Attributes:
        grid: Image grid as (rows, columns) of crops; the global view comes on top.
        top_k: Experts each token is routed to.
        block_mask: One flag per transformer block, True where the block runs.
        output_tokens: Tokens generated, the first of which comes from prefill.
    """

    grid: tuple[int, int]
    top_k: int
    block_mask: tuple[bool, ...]
    output_tokens: int

    def __post_init__(self) -> None:
        rows, columns = self.grid
        if rows < 1 or columns < 1 or rows * columns > MAX_CROPS:
            raise UserError(
                f"Image grid {rows}×{columns} is out of range: it needs 1 to {MAX_CROPS} crops, 1×1 to 1×{MAX_CROPS}."
            )
        if self.top_k < 1:
            raise UserError(f"Top-k {self.top_k} is out of range: each token needs at least 1 expert.")
        if not any(self.block_mask):
            raise UserError("The block mask has no active block: at least one must run.")
        if self.output_tokens < 1:
            raise UserError(f"{self.output_tokens} output tokens cannot be generated: ask for at least 1.")

    @property
    def active_blocks(self) -> int:
        """Number of transformer blocks that run."""
        return sum(self.block_mask)

    @property
    def grid_label(self) -> str:
        """The grid as published files write it, such as '1×4'."""
        return f"{self.grid[0]}×{self.grid[1]}"

    @property
    def mask_label(self) -> str:
        """The block mask as a string of ones and zeros, first block first."""
        return "".join("1" if active else "0" for active in self.block_mask)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "grid": list(self.grid),
            "top_k": self.top_k,
            "block_mask": self.mask_label,
            "output_tokens": self.output_tokens,
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Setting:
        """The reverse of `to_dict`."""
        return cls(
            grid=(int(value["grid"][0]), int(value["grid"][1])),
            top_k=int(value["top_k"]),
            block_mask=parse_mask(value["block_mask"]),
            output_tokens=int(value["output_tokens"]),
        )


def parse_mask(text: str) -> tuple[bool, ...]:
    """A block mask from a string of ones and zeros, first block first.

    Raises:
        UserError: The text holds anything else, or nothing.
    """
    if not text or set(text) - {"0", "1"}:
        raise UserError(f"Block mask {text!r} is not a string of 0s and 1s, one for each block.")
    return tuple(character == "1" for character in text)


def first_blocks(active: int, total: int) -> tuple[bool, ...]:
    """The mask that runs the first `active` of `total` blocks.

    Raises:
        UserError: `active` is not between 1 and `total`.
    """
    if not 1 <= active <= total:
        raise UserError(f"{active} active blocks is out of range: the model has {total}, so give 1 to {total}.")
    return tuple(index < active for index in range(total))
