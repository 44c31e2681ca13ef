"""Campaigns: a run that was split into shards and handed to a launcher, and where all of it lies.

A campaign's folder holds `campaign.json` (what was submitted, and each time that it was), `spools/` and `logs/`. It
lies where every machine that measures sees it. Standard library only.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.errors import UserError
from profcore.paths import read_regular
from profcore.spec.records import now
from profcore.spec.runs import is_run_id
from profcore.spec.text import parse_json
from profcore.storage.spool import spool_path
from profcore.storage.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE = "campaign.json"
LOCAL, SLURM = "local", "slurm"
_LARGEST_BYTES = 10_000_000
_MOST_NAMED = 5
_LONGEST_SHOWN = 60
# As Slurm and `launch_local` name them.
_JOB = re.compile(r"[0-9]{1,18}(?:[_-][0-9]{1,18})?")


@dataclass(frozen=True)
class Attempt:
    """Shards that were handed to the launcher at once.

    Attributes:
        at: When, in UTC.
        jobs: The launcher's name for each shard's job, by the shard's number.
    """

    at: str
    jobs: dict[int, str]


@dataclass(frozen=True)
class Campaign:
    """A run that was split and submitted.

    Attributes:
        id: The run's.
        folder: Where all of it lies.
        experiment: What is measured.
        launcher: `LOCAL` or `SLURM`.
        shards: How many there are.
        words: The options of `run`, without those that name the shard.
        working_directory: Where it was submitted; paths in the options are of that.
        python: The interpreter that measures.
        database: Which database takes the spools in; empty for none.
        options: What the launcher was told.
        created_at: When it was submitted first, in UTC.
        attempts: Each time that shards were submitted.
        cancelled: Jobs that a person had cancelled.
        group: Under which id several experiments were submitted together; empty for one alone.
    """

    id: str
    folder: Path
    experiment: str
    launcher: str
    shards: int
    words: tuple[str, ...]
    working_directory: str
    python: str
    database: str
    options: dict[str, Any]
    created_at: str
    attempts: tuple[Attempt, ...] = ()
    cancelled: tuple[str, ...] = ()
    group: str = ""

    @property
    def spools(self) -> Path:
        """Where the shards' spools lie."""
        return self.folder / "spools"

    @property
    def logs(self) -> Path:
        """Where what the shards print goes."""
        return self.folder / "logs"

    def spool(self, shard: int) -> Path:
        """A shard's spool."""
        return spool_path(self.spools, f"{self.id}-s{shard:03d}")

    def job(self, shard: int) -> str | None:
        """The job that a shard was last given."""
        return next((each.jobs[shard] for each in reversed(self.attempts) if shard in each.jobs), None)

    def submitted_at(self, shard: int) -> str:
        """When a shard was last submitted, in UTC; empty where it never was."""
        return next((each.at for each in reversed(self.attempts) if shard in each.jobs), "")

    def command(self, shard: int | str, device: str = "") -> list[str]:
        """What measures a shard, and goes on with it where it was.

        Args:
            shard: Its number, or what a shell or a scheduler puts there.
            device: What it is measured on; what the options say unless given.
        """
        where = ["--shard", f"{shard}/{self.shards}", "--campaign", self.id, "--spool-only", str(self.spools)]
        device_words = ["--device", device] if device else []
        return [self.python, "-m", "profcore", "run", self.experiment, *self.words, *device_words, *where]

    def submitted(self, jobs: dict[int, str]) -> Campaign:
        """The campaign with some shards submitted once more."""
        return replace(self, attempts=(*self.attempts, Attempt(now(), jobs)))

    def without(self, jobs: Iterable[str]) -> Campaign:
        """The campaign with some jobs cancelled."""
        return replace(self, cancelled=tuple(dict.fromkeys((*self.cancelled, *jobs))))

    def write(self) -> None:
        """Write it into its folder.

        Raises:
            UserError: It cannot be written.
        """
        plain = {**asdict(self), "words": list(self.words)}
        plain.pop("folder")
        try:
            for place in (self.spools, self.logs):
                place.mkdir(parents=True, exist_ok=True)
            write_whole(self.folder / FILE, json.dumps(plain, indent=1, ensure_ascii=False).encode())
        except OSError as error:
            raise UserError(f"The folder {self.folder} cannot be written: {error.strerror}.") from None


def new_campaign(root: Path, run_id: str, **more: Any) -> Campaign:
    """A campaign that was not submitted yet.

    Raises:
        UserError: There is one of this id.
    """
    folder = root / run_id
    if (folder / FILE).exists():
        raise UserError(f"There is a campaign {run_id} in {root}: give another id, or `resubmit {run_id}`.")
    place = {"working_directory": str(Path.cwd()), "python": sys.executable, "created_at": now()}
    return Campaign(**{"id": run_id, "folder": folder, **place, **more})


def read_campaign(folder: Path) -> Campaign:
    """The campaign that lies in a folder.

    Raises:
        UserError: There is none that this version reads.
    """
    path = folder / FILE
    try:
        found: Any = parse_json(read_regular(path, _LARGEST_BYTES))
        attempts = tuple(
            Attempt(str(each["at"]), {int(shard): str(job) for shard, job in each["jobs"].items()})
            for each in found.pop("attempts")
        )
        lists = {"words": tuple(found["words"]), "cancelled": tuple(found.get("cancelled", ()))}
        campaign = Campaign(**{**found, **lists, "folder": folder, "attempts": attempts})
        _check(campaign)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, UserError):
        raise UserError(f"{path} holds no campaign that this version reads.") from None
    return campaign


def _check(campaign: Campaign) -> None:
    """Whether a campaign that was read is one: the folder is shared, so that anybody may have written there.

    Raises:
        ValueError: It is none.
    """
    about = (campaign.id, campaign.group, campaign.experiment, campaign.created_at)
    texts = (*about, campaign.working_directory, campaign.python, campaign.database)
    known = (
        all(isinstance(each, str) for each in (*texts, *campaign.words, *campaign.cancelled))
        and campaign.id == campaign.folder.name
        and is_run_id(campaign.id)
        and campaign.launcher in (LOCAL, SLURM)
        and type(campaign.shards) is int
        and 1 <= campaign.shards <= 1000
        and all(map(str.isprintable, texts))
        and _are_options(campaign.launcher, campaign.options)
        and all(_JOB.fullmatch(job) for attempt in campaign.attempts for job in attempt.jobs.values())
    )
    if not known:
        raise ValueError


def _are_options(launcher: str, options: Any) -> bool:
    """Whether what a launcher was told is what it reads of it."""
    if not isinstance(options, dict):
        return False
    if launcher == LOCAL:
        devices = options.get("devices", [])
        return isinstance(devices, list) and all(isinstance(each, str) for each in devices)
    numbers, slurm = [options.get(name) for name in ("gpus_per_task", "cpus_per_task", "minutes")], options.get("slurm")
    return (
        isinstance(options.get("partition"), str)
        and all(type(each) is int and each >= 0 for each in numbers)
        and isinstance(slurm, dict)
        and all(isinstance(each, str) for pair in slurm.items() for each in pair)
    )


def list_campaigns(root: Path) -> list[Campaign]:
    """The campaigns in a folder, newest first; what is none is passed over."""
    found = []
    for path in sorted(root.glob(f"*/{FILE}")):
        try:
            found.append(read_campaign(path.parent))
        except UserError:
            continue
    return sorted(found, key=lambda each: (each.created_at, each.id), reverse=True)


def find_campaigns(root: Path, text: str) -> list[Campaign]:
    """The campaign of an id, or those that were submitted together under one; of a beginning too that means one alone.

    Raises:
        UserError: There is none, or several begin so.
    """
    if is_run_id(text) and (root / text / FILE).is_file():
        return [read_campaign(root / text)]
    known = list_campaigns(root)[::-1]
    found = [each for each in known if each.group == text != ""]
    found = found or [each for each in known if text and each.id.startswith(text)]
    shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
    if len({each.group or each.id for each in found}) > 1 or (len(found) > 1 and not found[0].group.startswith(text)):
        listed = ", ".join(each.id for each in found[:_MOST_NAMED])
        raise UserError(f"{shown!r} begins several campaigns: {listed}. Give more of it.")
    if not found:
        # One that cannot be read says so where it is the one that was meant.
        unread = [path.parent for path in sorted(root.glob(f"*/{FILE}")) if text and path.parent.name.startswith(text)]
        if len(unread) == 1:
            return [read_campaign(unread[0])]
        raise UserError(
            f"There is no campaign {shown!r} in {root}: `profcore jobs` lists them; --folder names another."
        )
    return found


def find_campaign(root: Path, text: str) -> Campaign:
    """As `find_campaigns`, of one alone.

    Raises:
        UserError: There is none, or there are several.
    """
    found = find_campaigns(root, text)
    if len(found) > 1:
        raise UserError(f"{text} is several campaigns: name one of {', '.join(each.id for each in found)}.")
    return found[0]
