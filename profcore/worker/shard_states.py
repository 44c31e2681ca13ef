"""How far each shard of a campaign is, from its spool and from what its launcher knows of its job."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from profcore.errors import FormatError
from profcore.spec.stages import State
from profcore.spec.text import whole_text
from profcore.storage.spool import end_abandoned, is_being_written
from profcore.worker.spool_progress import SpoolProgress

if TYPE_CHECKING:
    from pathlib import Path

    from profcore.worker.campaigns import Campaign
    from profcore.worker.launchers import JobState, Launcher

_SAYS = "profcore: "
_LOG_BYTES = 20_000

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


def shard_states(campaign: Campaign, launcher: Launcher, progress: SpoolProgress | None = None) -> list[ShardState]:
    """How far each shard is; a spool whose job has ended before it was done says so from now on.

    Args:
        campaign: Whose.
        launcher: The campaign's.
        progress: What was looked at before, where this is asked again and again.

    Raises:
        UserError: Whoever knows of the jobs does not answer.
    """
    progress = progress or SpoolProgress()
    jobs = {shard: campaign.job(shard) for shard in range(1, campaign.shards + 1)}
    # Those that are done are asked about no more.
    open_ = [job for shard, job in jobs.items() if job and progress.look(campaign.spool(shard)).state is not State.DONE]
    known = launcher.states(campaign, open_)
    return [
        _state_of(
            campaign.spool(shard),
            progress,
            known.get(job or ""),
            campaign.submitted_at(shard),
            {"shard": shard, "job": job, "log": launcher.log(campaign, shard, job) if job else None},
        )
        for shard, job in jobs.items()
    ]


def _state_of(
    path: Path, progress: SpoolProgress, known: JobState | None, submitted_at: str, shard: dict[str, Any]
) -> ShardState:
    """A shard's state.

    Args:
        path: Its spool.
        progress: What was looked at before.
        known: What its launcher knows of its job.
        submitted_at: When it was last submitted.
        shard: Its number, its job and its log.
    """
    found = progress.look(path)
    if found.state is State.DONE:
        return ShardState(word=str(State.DONE), active=False, reason="", samples=found.samples, **shard)
    held = path.is_file() and is_being_written(path)
    if held or (known is not None and known.active):
        running = held or (known is not None and known.running)
        word = MEASURING if held else STARTING if running else WAITING
        reason = "" if held or not known else known.reason
        return ShardState(word=word, active=True, reason=reason, samples=found.samples, **shard)
    if found.state is not None and not found.state.ended:
        with suppress(FormatError, OSError):
            end_abandoned(path, _why_ended(known))
        found = progress.look(path)
    if found.state is not None and found.state.ended and found.at >= submitted_at:
        word, reason = str(found.state), found.reason or _why_ended(known)
    else:
        # Its last job wrote nothing into the spool: it ended before it began to measure, and its log may say why.
        word, reason = ENDED_EARLY, _said_in(shard["log"]) or (_why_ended(known) if shard["job"] else "")
    return ShardState(word=word, active=False, reason=reason, samples=found.samples, **shard)


def _said_in(log: Path | None) -> str:
    """What the command itself said last of why it ended, as its log has it."""
    if log is None:
        return ""
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(log.stat().st_size - _LOG_BYTES, 0))
        lines = file.read().decode(errors="replace").splitlines()
        said = [line.removeprefix(_SAYS) for line in lines if line.startswith(_SAYS)]
        return whole_text(said[-1]) if said else ""
    return ""


def _why_ended(known: JobState | None) -> str:
    if known is None:
        return "Its job is over."
    more = f" ({known.reason})" if known.reason else ""
    return f"Its job is over: {known.word.lower().replace('_', ' ')}{more}."
