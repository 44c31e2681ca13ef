"""A real Slurm on this machine alone, in a folder of its own: munge, a controller and one node.

Debian's packages slurmctld, slurmd, slurm-client and munge, run as root: processes are tracked by their parents and
not by cgroups, ports and folders are its own, and what was started ends by its pid files. Cards are declared without
being there, as files of any kind, so that asking for one can be granted or refused.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import seconds

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
_PLACES = "/usr/sbin:/sbin"


def lacking() -> str:
    """Why no Slurm can be started here; empty where one can."""
    missing = [name for name in PROGRAMS if not _where(name)]
    if missing:
        return f"Slurm is not installed here: there is no {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "Slurm's daemons are started as root, and this is another user"


def _where(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=_PLACES)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@dataclass
class OneNode:
    """A Slurm of one node.

    Attributes:
        folder: Where all of it lies.
        cards: How many cards the node is said to have.
        most_jobs: How many jobs the controller takes.
        ports: Of the controller and the node.
    """

    folder: Path
    cards: int = 0
    most_jobs: int = 200
    ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))

    @property
    def environment(self) -> dict[str, str]:
        """What makes Slurm's commands ask this one."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def start(self) -> None:
        """Start the daemons, and wait until the node takes jobs."""
        for name in ("state", "spool", "munge"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._write_configuration()
        self._start_munge()
        self.start_controller()
        self._run("slurmd", "-N", platform.node())
        end = time.monotonic() + seconds(60)
        while "idle" not in self.ask("sinfo", "--noheader", "--format=%T"):
            assert time.monotonic() < end, self._said()
            time.sleep(0.2)

    def start_controller(self) -> None:
        """Start the controller alone."""
        self._run("slurmctld")

    def stop_controller(self) -> None:
        """End the controller, so that nobody answers."""
        _end(self.folder / "slurmctld.pid")

    def stop(self) -> None:
        """End what runs and what was started."""
        with suppress(AssertionError, subprocess.TimeoutExpired):
            self.ask("scancel", "--user=root", "--signal=KILL", "--full")
        for name in ("slurmd.pid", "slurmctld.pid", "munge/munged.pid"):
            _end(self.folder / name)

    def ask(self, *words: str) -> str:
        """What one of Slurm's commands says; nothing where it fails."""
        done = subprocess.run(
            [_where(words[0]) or words[0], *words[1:]],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=seconds(60),
            check=False,
        )
        return done.stdout if done.returncode == 0 else ""

    def _run(self, name: str, *words: str) -> None:
        done = subprocess.run(
            [_where(name) or name, *words],
            env={**os.environ, **self.environment},
            # What it starts must not hold a pipe open.
            stdout=(self.folder / f"{name}.out").open("ab"),
            stderr=subprocess.STDOUT,
            timeout=seconds(60),
            check=False,
        )
        assert done.returncode == 0, f"{name} did not start: {self._said()}"

    def _said(self) -> str:
        """The ends of what the daemons wrote, for whoever reads why they did not start."""
        logs = sorted([*self.folder.glob("*.log"), *self.folder.glob("*.out"), *self.folder.glob("munge/*.log")])
        return "\n".join(f"{log.name}:\n{log.read_text(errors='replace')[-1500:]}" for log in logs)

    def _start_munge(self) -> None:
        munge = self.folder / "munge"
        key = munge / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        munge.chmod(0o755)
        places = {"key-file": key, "socket": munge / "munge.socket", "pid-file": munge / "munged.pid"}
        places |= {"log-file": munge / "munged.log", "seed-file": munge / "munged.seed"}
        # Forced: it would else refuse a folder below one that everybody may write to.
        self._run("munged", "--force", *(f"--{name}={path}" for name, path in places.items()))

    def _write_configuration(self) -> None:
        host, folder = platform.node(), self.folder
        files = []
        for number in range(self.cards):
            files.append(folder / f"card{number}")
            files[-1].touch()
        gres = "".join(f"NodeName={host} Name=gpu File={path}\n" for path in files)
        (folder / "gres.conf").write_text(gres)
        has = f" Gres=gpu:{self.cards}" if self.cards else ""
        cores = max(os.cpu_count() or 1, 2)
        lines = f"""
            ClusterName=alone
            SlurmctldHost={host}(127.0.0.1)
            SlurmUser=root
            AuthType=auth/munge
            AuthInfo=socket={folder}/munge/munge.socket
            CryptoType=crypto/munge
            ProctrackType=proctrack/linuxproc
            TaskPlugin=task/none
            JobAcctGatherType=jobacct_gather/none
            SlurmctldPort={self.ports[0]}
            SlurmdPort={self.ports[1]}
            StateSaveLocation={folder}/state
            SlurmdSpoolDir={folder}/spool
            SlurmctldPidFile={folder}/slurmctld.pid
            SlurmdPidFile={folder}/slurmd.pid
            SlurmctldLogFile={folder}/slurmctld.log
            SlurmdLogFile={folder}/slurmd.log
            MaxJobCount={self.most_jobs}
            MailProg=/bin/true
            ReturnToService=2
            KillWait=5
            SchedulerParameters=sched_interval=2,bf_interval=2
            SelectType=select/cons_tres
            SelectTypeParameters=CR_Core
            GresTypes=gpu
            NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=2000 State=UNKNOWN{has}
            PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
        """
        (folder / "slurm.conf").write_text("\n".join(line.strip() for line in lines.strip().splitlines()) + "\n")


def _end(pid_file: Path) -> None:
    """End the process of a pid file and wait until it has."""
    with suppress(OSError, ValueError):
        pid = int(pid_file.read_text())
        for sent in (signal.SIGTERM, signal.SIGKILL):
            os.kill(pid, sent)
            end = time.monotonic() + seconds(20)
            while time.monotonic() < end:
                os.kill(pid, 0)
                time.sleep(0.05)
