"""Which version of transformers a family needs, and which is installed. Imports neither it nor torch."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from profcore.errors import ModelError
from profcore.models.families.shape import FamilyShape

if TYPE_CHECKING:
    from profcore.models.families.family import Family
    from profcore.models.shape import Shape


def installed() -> str:
    """The version of transformers that is installed; empty where none is."""
    try:
        return version("transformers")
    except PackageNotFoundError:
        return ""


def why_not_here(family: Family) -> str:
    """Why the installed transformers cannot run models of a family, as a sentence; empty where it can."""
    here = installed()
    if not here:
        return ""
    if family.since and _order(here) < _order(family.since.version):
        return (
            f"{family.name} needs transformers {family.since.version} or newer, since before that "
            f"{family.since.reason}, and {here} is installed: install a newer version."
        )
    if defect := family.defects.get(here):
        return f"transformers {here} cannot run {family.name} ({defect}): install another version."
    return ""


def check_version(shape: Shape) -> None:
    """Whether the installed transformers can run a model.

    Raises:
        ModelError: It cannot; the sentence says which can.
    """
    if isinstance(shape, FamilyShape) and (reason := why_not_here(shape.kind)):
        raise ModelError(reason)


def _order(text: str) -> tuple[int, ...]:
    """Versions by their numbers; what follows them, as of development versions, is left out."""
    numbers = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()
