"""Other vision-language models than MolmoE: one adapter of hooks, and a file of data for each family."""

from __future__ import annotations

from profcore.models.families.family import Family

FAMILIES: tuple[Family, ...] = ()
"""Every family there is; a file of one's own is named here."""
