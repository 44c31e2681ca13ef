"""Where the project keeps its files; standard library only."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
"""The checkout; where the package is installed without one, the folder that it is installed in."""


def data_directory() -> Path:
    """Where data lies unless told otherwise: `data/` of the checkout, `profcore/` among the user's data without one."""
    if (REPOSITORY / "pyproject.toml").is_file():
        return REPOSITORY / "data"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "profcore"


SHIPPED = data_directory() / "samples"
"""Spools of the sample results that come with the checkout."""

DATABASE_VARIABLE = "PROFCORE_DB"


def default_database() -> Path:
    """The database of the dashboard and the command line, unless told otherwise by `$PROFCORE_DB`."""
    given = os.environ.get(DATABASE_VARIABLE)
    return Path(given) if given else data_directory() / "profcore.duckdb"


def cache_directory() -> Path:
    """Where compiled code is kept between processes: `profcore/` in the user's cache directory."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "profcore"


def inside(folder: Path, given: str) -> Path | None:
    """The file that a data set names, where that lies in its folder; None where it leads outside."""
    path = Path(os.path.normpath(folder / given))
    return path if path.is_relative_to(os.path.normpath(folder)) else None
