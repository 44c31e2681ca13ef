"""A campaign's spools beside a database, so that whoever holds it takes them in as they grow."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.errors import UserError
from profcore.storage.whole import write_whole

if TYPE_CHECKING:
    from profcore.worker.campaigns import Campaign


def check_free(campaign: Campaign) -> None:
    """Whether the database knows no run by a new campaign's id, of which its shards would be no part.

    Raises:
        UserError: It does.
    """
    if not campaign.database:
        return
    folder = spools_beside(campaign.database)
    part = re.compile(rf"{re.escape(campaign.id)}(-s\d{{3,4}})?\.jsonl")
    with suppress(FileNotFoundError):
        for path in sorted(folder.iterdir()):
            own = path.is_symlink() and path.readlink() == campaign.spools / path.name
            if part.fullmatch(path.name) and not own:
                raise UserError(
                    f"There is a run {campaign.id} beside {campaign.database} already ({path.name}): give another id "
                    "with --campaign."
                )


def link_spools(campaign: Campaign) -> None:
    """Put a link to each shard's spool beside the database; those that are not written yet lead nowhere so far.

    Raises:
        UserError: They cannot be put there.
    """
    if not campaign.database:
        return
    folder = spools_beside(campaign.database)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for shard in range(1, campaign.shards + 1):
            spool = campaign.spool(shard)
            link = folder / spool.name
            if link.is_symlink() and link.readlink() == spool:
                continue
            if link.is_symlink() or link.exists():
                raise UserError(f"{link} is another run's spool: give another id with --campaign.")
            link.symlink_to(spool)
    except OSError as error:
        raise UserError(f"The spools cannot be linked in {folder}: {error.strerror}.") from None


def unlink_spools(campaign: Campaign) -> None:
    """Take the links of a campaign away that was never submitted."""
    if not campaign.database:
        return
    for shard in range(1, campaign.shards + 1):
        spool = campaign.spool(shard)
        link = spools_beside(campaign.database) / spool.name
        with suppress(OSError):
            if link.is_symlink() and link.readlink() == spool:
                link.unlink()


def keep_spools(campaign: Campaign) -> None:
    """Put the spools themselves in the place of their links, so that the campaign's folder may be taken away.

    What a link leads to stays; where one cannot be copied the link does.
    """
    for shard in range(1, campaign.shards + 1):
        spool = campaign.spool(shard)
        link = spools_beside(campaign.database) / spool.name
        with suppress(OSError):
            if link.is_symlink() and link.readlink() == spool:
                write_whole(link, spool.read_bytes())
                shutil.copystat(spool, link)


def spools_beside(database: str) -> Path:
    """Where the spools of a database lie, as `storage.store.spool_directory` says it, which needs DuckDB."""
    path = Path(os.path.realpath(database))
    return path.with_name(f"{path.name}.spool")
