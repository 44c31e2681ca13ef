"""Knobs that a model has not: drawn greyed out, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.parts.text import plain
from profcore.errors import UserError
from profcore.models.picture import grids_of

if TYPE_CHECKING:
    from profcore.models.shape import Shape

_USUAL = ((1, 1), (2, 2), (3, 4))


def greyed(label: str, value: int, why: str, key: str) -> int:
    """Draw a slider that cannot be moved and why; gives its value.

    Args:
        label: What the slider is called.
        value: Where it stands.
        why: The reason, as a sentence.
        key: Tells it apart; another than that of the slider that moves.
    """
    # A slider needs two ends; a value that is none of them shows where the knob stands.
    st.slider(label, value - 1, value + 1, value, disabled=True, key=f"greyed-{key}")
    st.caption(f":material/block: {plain(why)}")
    return value


def grid(config: Shape, label: str, key: str) -> int:
    """Draw the number of columns of a grid of one row, as far as the model has any; gives it.

    Args:
        config: The model's shape.
        label: What the slider is called.
        key: The slider's, which the link holds.
    """
    if config.vision_reason:
        return greyed(label, 1, config.vision_reason, key)
    columns = [columns for _, columns in grids_of(config)]
    if columns == list(range(1, len(columns) + 1)):
        return st.slider(label, 1, len(columns), 1, key=key, bind="query-params")
    return st.select_slider(label, columns, columns[0], key=f"{key}-of", bind="query-params")


def top_k(config: Shape, label: str, own: int, key: str) -> int:
    """Draw the number of experts of each token, as far as the model has any; gives it.

    Args:
        config: The model's shape.
        label: What the slider is called.
        own: Where it usually stands.
        key: The slider's, which the link holds.
    """
    if config.top_k_reason:
        return greyed(label, config.top_k, config.top_k_reason, key)
    return st.slider(label, 1, config.num_experts, own, key=key, bind="query-params")


def text(label: str, value: str, why: str, key: str, **more: Any) -> str:
    """Draw the values of a knob as a person writes them; greyed out, with the reason, where the model has it not.

    Args:
        label: What the field is called.
        value: What it holds until something else is written.
        why: The reason, as a sentence; empty where the knob can be turned.
        key: The field's, which the link holds.
        more: Further arguments of `st.text_input`.
    """
    if not why:
        return st.text_input(label, value, key=key, bind="query-params", **more)
    st.text_input(label, value, key=f"greyed-{key}", disabled=True)
    st.caption(f":material/block: {plain(why)}")
    return value


def usual_grids(config: Shape) -> str:
    """Some grids that a model can be given, as a person writes them: MolmoE's usual ones where it can."""
    found = []
    for rows, columns in _USUAL:
        try:
            config.check_grid((rows, columns))
        except UserError:
            continue
        found.append((rows, columns))
    if len(found) < 2 and not config.vision_reason:
        grids = grids_of(config)
        found = [grids[0], grids[len(grids) // 2], grids[-1]]
    return " ".join(f"{rows}x{columns}" for rows, columns in dict.fromkeys(found))
