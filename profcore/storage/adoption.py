"""Spools of older versions, which all databases of a folder had in one `spool/`: each goes to those it is of."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

import duckdb

from profcore.storage.spool import spool_files

if TYPE_CHECKING:
    from pathlib import Path

_FORMER = "spool"
_SUFFIX = ".duckdb"
_log = logging.getLogger(__name__)


def adopt(database: Path, spools: Path, known: set[str]) -> None:
    """Bring what `spool/` holds of a database into its own folder of spools.

    That is what it knows, and what no other database of the folder knows. What another may know as well stays there for
    it, too; what only another may know is left alone.

    Args:
        database: The database, which is open.
        spools: Its folder of spools.
        known: The runs that it has taken in.
    """
    former = database.parent / _FORMER
    paths = spool_files(former) if former.is_dir() else []
    if not paths or former == spools:
        return
    spools.mkdir(parents=True, exist_ok=True)
    others = [_known_to(path) for path in _databases_beside(database)]
    for path in paths:
        shared = any(other is None or path.stem in other for other in others)
        place = spools / path.name
        if place.exists() or (shared and path.stem not in known):
            continue
        try:
            _share(path, place) if shared else path.replace(place)
        except OSError as error:
            _log.warning("%s stays where it is: %s", path, error.strerror)
    with suppress(OSError):
        former.rmdir()


def _databases_beside(database: Path) -> list[Path]:
    found = (path for path in database.parent.iterdir() if path.suffix in {_SUFFIX, database.suffix})
    return [path for path in sorted(found) if path.is_file() and path != database]


def _known_to(database: Path) -> set[str] | None:
    """The runs that another database has taken in; None where it cannot be asked, as while a process holds it."""
    try:
        connection = duckdb.connect(str(database), read_only=True, config={"autoinstall_known_extensions": "false"})
    except duckdb.Error:
        return None
    try:
        return {row[0] for row in connection.execute("SELECT run_id FROM spools").fetchall()}
    except duckdb.CatalogException:
        # Another program's.
        return set()
    except duckdb.Error:
        return None
    finally:
        connection.close()


def _share(path: Path, place: Path) -> None:
    """Give a file a second name, under which whoever still writes it goes on; a copy where that cannot be."""
    try:
        os.link(path, place)
    except OSError:
        shutil.copy2(path, place)
