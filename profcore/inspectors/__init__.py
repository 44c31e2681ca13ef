"""Inspection tools: one file each, each a function from a loaded model to plain values.

The page and the command of a tool show what the same function gives. Tools are imported when they are run, so that
their names are known without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from profcore.errors import UserError
from profcore.inspectors.names import INSPECTORS, check_known

if TYPE_CHECKING:
    from profcore.inspectors.base import Inspection

_MORE = ("importance",)


def run_inspector(name: str, asked: Inspection) -> dict[str, Any]:
    """Run an inspection tool by its name.

    Raises:
        UserError: There is none of that name, it does not know the model, or it cannot do what was asked.
    """
    if name not in (*INSPECTORS, *_MORE):
        raise UserError(f"There is no inspection {name!r}: choose from {', '.join(INSPECTORS)}.")
    check_known(name, asked.loaded.model.config)
    return import_module(f"profcore.inspectors.{name.replace('-', '_')}").inspect(asked)
