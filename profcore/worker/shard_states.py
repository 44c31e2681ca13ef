"""How far each shard of a campaign is, from its spool and from what its launcher knows of its job."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profcore.errors import FormatError
from profcore.spec.stages import State
from profcore.storage.lines import records_of_kinds
from profcore.storage.spool import end_abandoned, is_being_written, last_state

if TYPE_CHECKING:
    from pathlib import Path

    from profcore.worker.campaigns import Campaign
    from profcore.worker.launchers import JobState, Launcher

WAITING, STARTING, MEASURING, ENDED_EARLY = "waiting", "starting", "measuring", "ended early"


@dataclass(frozen=True)
class ShardState:
    """How far a shard is.

    Attributes:
        shard: Its number.
        job: The launcher's name of its job; None before it had one.
        word: 'waiting', 'starting', 'measuring', 'done', 'stopped', 'failed' or 'ended early'.
        active: Whether its job waits or runs.
        reason: Why it waits or has ended before it was done.
        samples: How many it has.
        log: Where what it prints goes.
    """

    shard: int
    job: str | None
    word: str
    active: bool
    reason: str
    samples: int
    log: Path | None

    @property
    def is_done(self) -> bool:
        """Whether nothing is left of it to measure."""
        return self.word == State.DONE

    def to_dict(self) -> dict[str, object]:
        """Plain JSON values."""
        return {**self.__dict__, "log": None if self.log is None else str(self.log)}


def shard_states(campaign: Campaign, launcher: Launcher) -> list[ShardState]:
    """How far each shard is; a spool whose job has ended before it was done says so from now on.

    Raises:
        UserError: Whoever knows of the jobs does not answer.
    """
    jobs = {shard: campaign.job(shard) for shard in range(1, campaign.shards + 1)}
    # Those that are done are asked about no more.
    open_ = {shard: job for shard, job in jobs.items() if _last_state(campaign.spool(shard)) is not State.DONE}
    known = launcher.states(campaign, [job for job in open_.values() if job])
    return [
        _state_of(campaign, shard, job, known.get(job or ""), launcher.log(campaign, shard, job) if job else None)
        for shard, job in jobs.items()
    ]


def _state_of(campaign: Campaign, shard: int, job: str | None, known: JobState | None, log: Path | None) -> ShardState:
    path = campaign.spool(shard)
    measured = _last_state(path)
    samples = _samples(path)
    if measured is State.DONE:
        return ShardState(shard, job, str(State.DONE), False, "", samples, log)
    held = path.is_file() and is_being_written(path)
    if held or (known is not None and known.active):
        running = held or (known is not None and known.running)
        word = MEASURING if held else STARTING if running else WAITING
        return ShardState(shard, job, word, True, "" if held or not known else known.reason, samples, log)
    if measured is not None and not measured.ended:
        with suppress(FormatError, OSError):
            end_abandoned(path, _why_ended(known))
        measured = _last_state(path)
    reason = _reason(path) or (_why_ended(known) if job else "")
    # What was submitted and left no spool has ended before it began to measure; its log says why.
    word = str(measured) if measured is not None and measured.ended else ENDED_EARLY
    return ShardState(shard, job, word, False, reason, samples, log)


def _why_ended(known: JobState | None) -> str:
    if known is None:
        return "Its job is over."
    more = f" ({known.reason})" if known.reason else ""
    return f"Its job is over: {known.word.lower().replace('_', ' ')}{more}."


def _last_state(path: Path) -> State | None:
    with suppress(OSError):
        return last_state(path)
    return None


def _reason(path: Path) -> str:
    with suppress(OSError):
        states = records_of_kinds(path, "state")
        return str(states[-1].get("reason") or "") if states else ""
    return ""


def _samples(path: Path) -> int:
    with suppress(OSError):
        return len(records_of_kinds(path, "sample"))
    return 0
