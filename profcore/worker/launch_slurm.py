"""Shards as jobs of Slurm, submitted through submitit as an array with one card each."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.errors import UserError
from profcore.worker.launchers import JobState
from profcore.worker.shard_task import ShardTask

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from profcore.worker.campaigns import Campaign

_RUNNING = frozenset(("RUNNING", "COMPLETING", "SUSPENDED", "SIGNALING", "STAGE_OUT", "STOPPED"))
_WAITING = frozenset(("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING", "SPECIAL_EXIT"))
_WARNED_S = 60
"""How long before its time limit a job is told."""

_ANSWERS_WITHIN_S = 60.0
_MOST_SAID = 300


class SlurmLauncher:
    """Submits to Slurm; a job's name is Slurm's."""

    def submit(self, campaign: Campaign, shards: Sequence[int]) -> dict[int, str]:
        """Submit shards as one array."""
        _check_programs("sbatch", "srun")
        given = campaign.options
        with _submitit(campaign) as executor, _said("submit", campaign):
            executor.update_parameters(
                name=f"profcore-{campaign.experiment}",
                timeout_min=given["minutes"],
                nodes=1,
                tasks_per_node=1,
                cpus_per_task=given["cpus_per_task"],
                stderr_to_stdout=True,
                slurm_signal_delay_s=_WARNED_S,
                slurm_array_parallelism=len(shards),
                slurm_additional_parameters=additional(given),
            )
            device = "cuda:0" if given["gpus_per_task"] else "cpu"
            tasks = [ShardTask(campaign.command(shard, device), campaign.working_directory) for shard in shards]
            with executor.batch():
                jobs = [executor.submit(task) for task in tasks]
        return {shard: str(job.job_id) for shard, job in zip(shards, jobs, strict=True)}

    def states(self, campaign: Campaign, jobs: Iterable[str]) -> dict[str, JobState]:
        """What `squeue` says of jobs; it forgets those that have been over for some minutes."""
        names = list(jobs)
        if not names:
            return {}
        words = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r", f"--jobs={','.join(names)}"]
        done = _ask(words)
        # Of jobs that it has all forgotten it says that it knows none.
        if done.returncode and "invalid job id" not in done.stderr.lower():
            raise UserError(f"Slurm does not say how far the jobs are: {_brief(done.stderr)}.")
        found = {}
        for line in done.stdout.splitlines():
            name, _, rest = line.strip().partition("|")
            word, _, reason = rest.partition("|")
            active = word in _RUNNING or word in _WAITING
            found[name] = JobState(active, word in _RUNNING, word, "" if reason in ("None", "") else reason)
        return {name: state for name, state in found.items() if name in names}

    def cancel(self, campaign: Campaign, jobs: Sequence[str]) -> None:
        """Cancel jobs, whether they wait or run."""
        if not jobs:
            return
        done = _ask(["scancel", *jobs])
        if done.returncode and "invalid job id" not in done.stderr.lower():
            raise UserError(f"Slurm does not cancel the jobs of {campaign.id}: {_brief(done.stderr)}.")

    def log(self, campaign: Campaign, shard: int, job: str) -> Path:
        """What submitit and the shard's process write."""
        return campaign.logs / f"{job}_0_log.out"


def additional(given: dict[str, Any]) -> dict[str, Any]:
    """What `sbatch` is told besides, by its own names."""
    found = {"partition": given["partition"]} if given["partition"] else {}
    if given["gpus_per_task"]:
        # Of a job with one task both say the same, and older versions ask for the number of tasks beside the former.
        found |= {"ntasks": 1, "gpus-per-task": given["gpus_per_task"]}
    return {**found, **given["slurm"]}


@contextmanager
def _submitit(campaign: Campaign) -> Iterator[Any]:
    """The executor of submitit for a campaign, told to write where the campaign lies."""
    try:
        import submitit
    except ImportError:
        raise UserError(
            "submitit, which submits to Slurm, is not installed here: `pip install 'profcore[slurm]'`, or print a "
            "script with --print slurm."
        ) from None
    executor = submitit.AutoExecutor(folder=campaign.logs, cluster="slurm", slurm_python=shlex.quote(campaign.python))
    yield executor


@contextmanager
def _said(what: str, campaign: Campaign) -> Iterator[None]:
    """Let what Slurm refuses be one sentence."""
    try:
        yield
    except subprocess.SubprocessError as error:
        raise UserError(f"Slurm did not {what} {campaign.id}: {_brief(str(error))}.") from None
    except Exception as error:
        # submitit has several kinds of errors of its own, which have the program's words in their text.
        if type(error).__module__.partition(".")[0] != "submitit":
            raise
        raise UserError(f"Slurm did not {what} {campaign.id}: {_brief(str(error))}.") from None


def _brief(text: str) -> str:
    """What Slurm's programs said went wrong, on one line."""
    lines = [line.strip() for line in text.splitlines() if "error:" in line] or text.split("\n")
    said = "; ".join(dict.fromkeys(line.partition("error: ")[2] or line for line in lines if line.strip()))
    return said.rstrip(".")[:_MOST_SAID] or "it says nothing"


def _check_programs(*names: str) -> None:
    for name in names:
        if shutil.which(name) is None:
            raise UserError(
                f"Slurm's {name} is not on this machine's path: submit where Slurm's commands are, or use "
                "--launcher local."
            )


def _ask(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    _check_programs(words[0])
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=_ANSWERS_WITHIN_S, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(f"Slurm's {words[0]} has not answered for {_ANSWERS_WITHIN_S:g} seconds: try later.") from None
