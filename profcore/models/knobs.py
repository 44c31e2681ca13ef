"""Turning the knobs of a loaded model, and turning them back."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from profcore.errors import UserError
from profcore.models.families.shape import FamilyShape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profcore.models.shape import Shape
    from profcore.spec.settings import Setting


def check_setting(setting: Setting, config: Shape) -> None:
    """Whether a model of this shape has such a setting.

    Raises:
        UserError: Top-k above the number of experts, a block mask of the wrong length, or a knob that it has not.
    """
    if config.top_k_reason:
        if setting.top_k != config.top_k:
            raise UserError(f"Top-k {setting.top_k} cannot be had: {config.top_k_reason}")
    elif setting.top_k > config.num_experts:
        raise UserError(
            f"Top-k {setting.top_k} is above the model's {config.num_experts} experts: give 1 to {config.num_experts}."
        )
    if len(setting.block_mask) != config.n_layers:
        raise UserError(
            f"The block mask has {len(setting.block_mask)} entries, but the model has {config.n_layers} blocks."
        )
    if setting.grid != (1, 1):
        config.check_grid(setting.grid)


def check_profiled(config: Shape) -> None:
    """Whether it can be told where a model's time goes.

    Raises:
        UserError: It is not MolmoE, whose parts alone are known.
    """
    if isinstance(config, FamilyShape):
        raise UserError(f"Where time goes is told of MolmoE alone, whose parts are known: not of {config.name}.")


@contextmanager
def turned(model: Any, setting: Setting) -> Iterator[None]:
    """Top-k and active blocks as the setting says, and as they were before on leaving.

    The image grid and the number of output tokens are no state of the model: inputs and engine carry them.

    Raises:
        UserError: As `check_setting`.
    """
    if hasattr(model, "turned"):
        # Models of families turn their own.
        with model.turned(setting):
            yield
        return
    check_setting(setting, model.config)
    routers = model.routers()
    top_k_before = [router.top_k for router in routers]
    blocks_before = model.active_blocks
    try:
        for router in routers:
            router.top_k = setting.top_k
        model.active_blocks = tuple(index for index, active in enumerate(setting.block_mask) if active)
        yield
    finally:
        for router, top_k in zip(routers, top_k_before, strict=True):
            router.top_k = top_k
        model.active_blocks = blocks_before
