"""What every model's shape says, whichever model it is: all that knobs and pages ask of it. Needs no torch."""

from __future__ import annotations

from typing import Protocol


class Shape(Protocol):
    """How far the knobs of a model turn, and which it has not: `MolmoConfig` and `FamilyShape` are shapes."""

    @property
    def n_layers(self) -> int:
        """Number of transformer blocks of the language model."""

    @property
    def num_experts(self) -> int:
        """Experts that a token is routed among; 0 where there are none."""

    @property
    def top_k(self) -> int:
        """Experts each token is routed to, unless the knob says otherwise; 1 where there are none."""

    @property
    def max_crops(self) -> int:
        """The most units of picture (crops, tiles, squares of patches) that a grid may have."""

    @property
    def max_positions(self) -> int:
        """Longest sequence, image tokens included."""

    @property
    def embedding_size(self) -> int:
        """Rows of the output layer."""

    @property
    def eos_token_id(self) -> int:
        """The token that ends an answer; -1 where the configuration names none."""

    @property
    def top_k_reason(self) -> str:
        """Why top-k cannot be turned, as a sentence; empty where it can."""

    @property
    def vision_reason(self) -> str:
        """Why vision tokens cannot be turned, as a sentence; empty where they can."""

    def row_grids(self) -> tuple[int, ...]:
        """How many units one row of picture may have, from the fewest on."""

    def check_grid(self, grid: tuple[int, int]) -> None:
        """Whether a picture can be cut into these rows and columns of units.

        Raises:
            UserError: It cannot.
        """
