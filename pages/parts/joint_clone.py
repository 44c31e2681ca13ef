"""A joint run's settings as the controls of *Joint knobs* hold them, by the keys of their widgets; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pages.parts.clone import bar_of, how_often_of, picture_of
from profcore.errors import UserError
from profcore.experiments.joint import LATIN, strategy_of, values_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from profcore.spec.runs import RunSpec


def controls_of(run: RunSpec, devices: Collection[str], device: str) -> dict[str, Any]:
    """What each control is to hold, so that it asks for what a run was; what a control cannot hold is left as it is.

    Args:
        run: A joint run.
        devices: This machine's.
        device: The one that is chosen now, and stays where the run's is not here.

    Raises:
        UserError: It tiles the pictures of a data set, or its settings are none that a strategy takes.
    """
    sweep = run.sweep
    if sweep.plan:
        raise UserError("it tiles the pictures of a data set, which is read anew for each run.")
    taken = strategy_of(sweep.settings, sweep.seed)
    if taken is None:
        raise UserError("its settings are a choice of combinations that no strategy takes.")
    values, (strategy, number) = values_of(sweep.settings), taken
    return {
        **bar_of(run, devices, device),
        "joint-crops": "grids",
        "joint-grids": _written(f"{rows}x{columns}" for rows, columns in values.grids),
        "joint-topks": _written(values.top_ks),
        "joint-blocks": _written(map(_blocks, values.masks)),
        "joint-masks": "first",
        "joint-lengths": _written(values.output_tokens),
        "strategy": strategy,
        **({"drawn-settings": number} if strategy == LATIN else {}),
        **how_often_of(sweep, "joint-samples", "joint-samples-"),
        **picture_of(sweep, "joint-"),
        "joint-prompt": sweep.prompt,
        "joint-seed": sweep.seed,
        "joint-quality": False,
        "joint-energy": sweep.energy,
    }


def _blocks(mask: tuple[bool, ...]) -> str:
    """The first N blocks by their number, others by their mask."""
    label = "".join("1" if active else "0" for active in mask)
    return label if "01" in label else str(sum(mask))


def _written(values: Iterable[object]) -> str:
    return " ".join(map(str, values))
