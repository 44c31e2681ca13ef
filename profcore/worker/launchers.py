"""What starts a campaign's shards, says how far their jobs are, and ends them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from profcore.worker.campaigns import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from profcore.worker.campaigns import Campaign


@dataclass(frozen=True)
class JobState:
    """What a launcher knows of a job.

    Attributes:
        active: Whether it waits or runs.
        running: Whether it runs.
        word: What the launcher calls its state.
        reason: Why, where it says so.
    """

    active: bool
    running: bool
    word: str
    reason: str = ""


class Launcher(Protocol):
    """Starts jobs on some machines."""

    def submit(self, campaign: Campaign, shards: Sequence[int]) -> dict[int, str]:
        """Start shards of a campaign; returns their jobs.

        Raises:
            UserError: They cannot be.
        """

    def states(self, campaign: Campaign, jobs: Iterable[str]) -> dict[str, JobState]:
        """The states of jobs; of one that is long over nothing may be known.

        Raises:
            UserError: Whoever knows does not answer.
        """

    def cancel(self, campaign: Campaign, jobs: Sequence[str]) -> None:
        """End jobs; what they measured stays.

        Raises:
            UserError: They cannot be.
        """

    def log(self, campaign: Campaign, shard: int, job: str) -> Path:
        """Where what a shard prints goes."""


def launcher_of(name: str) -> Launcher:
    """The launcher of a campaign."""
    if name == LOCAL:
        from profcore.worker.launch_local import LocalLauncher

        return LocalLauncher()
    from profcore.worker.launch_slurm import SlurmLauncher

    return SlurmLauncher()
