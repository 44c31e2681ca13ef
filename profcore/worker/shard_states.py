"""How far each shard of a campaign is, from its spool and from what its launcher knows of its job."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from profcore.errors import FormatError
from profcore.paths import open_regular
from profcore.spec.stages import State
from profcore.spec.text import whole_text
from profcore.storage.spool import QUIET_S, end_abandoned, is_being_written, lock_tells, quiet_s
from profcore.worker.spool_progress import SpoolProgress

if TYPE_CHECKING:
    from pathlib import Path

    from profcore.worker.campaigns import Campaign
    from profcore.worker.launchers import JobState, Launcher

_SAYS = "profcore: "
_LOG_BYTES, _TAIL_BYTES = 20_000, 100_000

WAITING, STARTING, MEASURING, ENDED_EARLY = "waiting", "starting", "measuring", "ended early"
CANCELLED, QUIET = "cancelled", "quiet"
_CANCELLED = "It was cancelled: what it had measured stays."


class _Known(TypedDict):
    """What is known of a shard by its campaign alone."""

    shard: int
    job: str | None
    log: Path | None


@dataclass(frozen=True)
class ShardState:
    """How far a shard is.

    Attributes:
        shard: Its number.
        job: The launcher's name of its job; None before it had one.
        word: 'waiting', 'starting', 'measuring', 'done', 'stopped', 'failed', 'cancelled', 'ended early', or 'quiet':
            its spool has not grown for long, and whether it is over is not seen from here.
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
            campaign,
            progress,
            known.get(job or ""),
            {"shard": shard, "job": job, "log": launcher.log(campaign, shard, job) if job else None},
        )
        for shard, job in jobs.items()
    ]


def _state_of(campaign: Campaign, progress: SpoolProgress, known: JobState | None, shard: _Known) -> ShardState:
    """A shard's state.

    Args:
        campaign: Whose it is.
        progress: What was looked at before.
        known: What its launcher knows of its job.
        shard: Its number, its job and its log.
    """
    path = campaign.spool(shard["shard"])
    found = progress.look(path)

    def state(word: str, active: bool, reason: str) -> ShardState:
        return ShardState(word=word, active=active, reason=reason, samples=progress.look(path).samples, **shard)

    if found.state is State.DONE:
        return state(str(State.DONE), False, "")
    begun = found.state is not None and not found.state.ended
    held = path.is_file() and is_being_written(path)
    quiet = quiet_s(path) if begun else 0.0
    if held or (known is not None and known.active):
        running = held or (known is not None and known.running)
        # Where no lock is seen from here the spool itself says that it is measured.
        measuring = held or (running and begun and found.at >= campaign.submitted_at(shard["shard"]))
        said = _no_sign(quiet) if measuring and quiet >= QUIET_S else ""
        reason = said or ("" if held or not known else known.reason)
        return state(MEASURING if measuring else STARTING if running else WAITING, True, reason)
    if begun and known is None and not lock_tells(path):
        if quiet < QUIET_S:
            reason = f"Its job is not known, but its spool grew {quiet:,.0f} s ago."
            return state(MEASURING, True, reason)
        return state(QUIET, False, f"{_no_sign(quiet)} Whether it is over is not seen from here.")
    was_cancelled = _was_cancelled(campaign, shard["job"], known)
    if begun:
        with suppress(FormatError, OSError):
            end_abandoned(path, _CANCELLED if was_cancelled else _why_ended(known))
        found = progress.look(path)
    if found.state is not None and found.state.ended and found.at >= campaign.submitted_at(shard["shard"]):
        word = CANCELLED if was_cancelled and found.state is State.FAILED else str(found.state)
        return state(word, False, found.reason or _why_ended(known))
    if was_cancelled:
        what = "before it went on: what it had measured stays" if found.samples else "before it measured anything"
        return state(CANCELLED, False, f"It was cancelled {what}.")
    # Its last job wrote nothing into the spool: it ended before it began to measure, and its log may say why.
    return state(ENDED_EARLY, False, _said_in(shard["log"]) or (_why_ended(known) if shard["job"] else ""))


def _was_cancelled(campaign: Campaign, job: str | None, known: JobState | None) -> bool:
    """Whether a person cancelled a job, from here or by the launcher's own means."""
    return job in campaign.cancelled or (known is not None and known.word.startswith("CANCELLED"))


def _no_sign(quiet: float) -> str:
    return f"No sign of life for {quiet / 60:,.0f} min."


def log_tail(log: Path, most: int = 40) -> list[str]:
    """The last lines of what a shard printed; none where there is no such file."""
    with suppress(OSError), open_regular(log) as file:
        file.seek(max(log.stat().st_size - _TAIL_BYTES, 0))
        return [whole_text(line) for line in file.read().decode(errors="replace").splitlines()[-most:]]
    return []


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
