"""Shards as processes of this machine: one process keeps a queue for each card, and ends with its last shard."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from profcore.errors import UserError
from profcore.storage.locks import WRITER, are_told, is_held
from profcore.storage.spool import quiet_s
from profcore.worker.launchers import JobState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from profcore.worker.campaigns import Campaign

WAITING, RUNNING, ENDED = "waiting", "running", "ended"
BEAT_S, BEATS = 30.0, 4
"""How often the process of an attempt writes its status, and after how many of these it counts as gone."""

_STARTED_WITHIN_S = 60.0
_ENDED_WITHIN_S = 60.0
_POLL_S = 0.05


class LocalLauncher:
    """Starts processes here; a job's name is the attempt's and the shard's number."""

    def submit(self, campaign: Campaign, shards: Sequence[int]) -> dict[int, str]:
        """Start a process that measures shards, each card one after the other; it outlives this one."""
        number = len(campaign.attempts) + 1
        place = status_file(campaign.folder, number)
        log = campaign.logs / f"local-{number}.log"
        words = ["-m", "profcore.worker.local_jobs", str(campaign.folder), str(number), *map(str, shards)]
        with log.open("ab") as output:
            process = subprocess.Popen(
                [campaign.python, *words],
                cwd=campaign.working_directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        end = time.monotonic() + _STARTED_WITHIN_S
        while not place.exists():
            if process.poll() is not None or time.monotonic() > end:
                with suppress(OSError):
                    process.kill()
                raise UserError(f"No shard could be started: {log} says why.")
            time.sleep(_POLL_S)
        return {shard: f"{number}-{shard}" for shard in shards}

    def states(self, campaign: Campaign, jobs: Iterable[str]) -> dict[str, JobState]:
        """What the processes wrote of their shards; of those whose process is gone that they ended."""
        found = {}
        for job in jobs:
            attempt, _, shard = job.partition("-")
            status = _read(status_file(campaign.folder, int(attempt)))
            state = _inside(status, "shards").get(shard, ENDED)
            alive = _is_alive(campaign.folder, int(attempt), status)
            code = _inside(status, "codes").get(shard)
            if alive and state != ENDED:
                found[job] = JobState(True, state == RUNNING, state)
            else:
                reason = "" if code is None else f"it ended with status {code}"
                found[job] = JobState(False, False, ENDED, reason)
        return found

    def cancel(self, campaign: Campaign, jobs: Sequence[str]) -> None:
        """Ask the processes to stop, and wait until they have."""
        attempts = {int(job.partition("-")[0]) for job in jobs}
        alive = [attempt for attempt in attempts if _is_alive(campaign.folder, attempt)]
        if elsewhere := {host for each in alive if (host := _host(campaign.folder, each)) != platform.node()}:
            raise UserError(f"Campaign {campaign.id} is measured on {', '.join(sorted(elsewhere))}: cancel it there.")
        for attempt in alive:
            with suppress(ProcessLookupError, KeyError, ValueError):
                # The lock says that it is this process, and not another that got its number.
                os.kill(int(_read(status_file(campaign.folder, attempt))["pid"]), signal.SIGTERM)
        end = time.monotonic() + _ENDED_WITHIN_S
        while any(_is_alive(campaign.folder, attempt) for attempt in alive):
            if time.monotonic() > end:
                raise UserError(f"Campaign {campaign.id} was asked to stop, and has not yet: `jobs` says when.")
            time.sleep(_POLL_S)

    def log(self, campaign: Campaign, shard: int, job: str) -> Path:
        """Each shard has a file, which goes on where it is submitted again."""
        return shard_log(campaign.logs, shard)


def shard_log(logs: Path, shard: int) -> Path:
    """Where what a shard prints goes."""
    return logs / f"shard-{shard:03d}.log"


def status_file(folder: Path, attempt: int) -> Path:
    """Where the process of an attempt says how far its shards are."""
    return folder / f"local-{attempt}.json"


def lock_file(folder: Path, attempt: int) -> Path:
    """The file that the process of an attempt holds the lock of as long as it lives."""
    return folder / f"local-{attempt}.lock"


def _is_alive(folder: Path, attempt: int, status: dict[str, Any] | None = None) -> bool:
    """Whether the process of an attempt lives: by its lock, and where that is not seen from here by what it writes."""
    with suppress(OSError):
        if is_held(lock_file(folder, attempt), WRITER):
            return True
    with suppress(OSError):
        place = status_file(folder, attempt)
        said = _read(place) if status is None else status
        seen = said.get("host") in (None, platform.node()) and are_told(folder)
        return not seen and not said.get("over") and quiet_s(place) < BEATS * BEAT_S
    return False


def _host(folder: Path, attempt: int) -> str:
    return str(_read(status_file(folder, attempt)).get("host", platform.node()))


def _read(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
        if isinstance(found, dict):
            return found
    return {}


def _inside(status: dict[str, Any], name: str) -> dict[str, Any]:
    """An object that a status holds; an empty one where it holds another thing, as a file of a shared folder may."""
    found = status.get(name)
    return found if isinstance(found, dict) else {}


def devices_here() -> list[str]:
    """Every card of this machine that a process started from here sees, without torch; the CPU where there is none."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        number = len([each for each in given.split(",") if each.strip() not in ("", "-1")])
    else:
        number = 0
        with suppress(Exception):  # the library may be missing, or refuse to start
            import pynvml

            pynvml.nvmlInit()
            number = pynvml.nvmlDeviceGetCount()
    return [f"cuda:{place}" for place in range(number)] or ["cpu"]
