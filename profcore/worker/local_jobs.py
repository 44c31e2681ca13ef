"""The process behind `submit --launcher local`: a queue of shards for all cards of this machine, one at a time on each.

Started as `python -m profcore.worker.local_jobs FOLDER ATTEMPT SHARD…`. Where it is asked to end, it has the shards
stop that are measured, which keeps what they measured, and starts no other. Standard library and NVML only.
"""

from __future__ import annotations

import json
import os
import platform
import queue
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.storage.locks import WRITER, take
from profcore.storage.whole import write_whole
from profcore.worker.campaigns import read_campaign
from profcore.worker.launch_local import BEAT_S, ENDED, RUNNING, WAITING, lock_file, shard_log, status_file
from profcore.worker.parent import die_with

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.worker.campaigns import Campaign


class Jobs:
    """Shards that wait, run and have ended."""

    def __init__(self, campaign: Campaign, attempt: int, shards: Sequence[int]) -> None:
        self._campaign, self._attempt = campaign, attempt
        self._waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for shard in shards:
            self._waiting.put(shard)
        self._states = dict.fromkeys(shards, WAITING)
        self._codes: dict[int, int] = {}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._changing = threading.RLock()
        self.stopping = False

    def stop(self) -> None:
        """Start no other shard, and have those that run stop."""
        self.stopping = True
        for process in list(self._processes.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)

    def write(self, over: bool = False) -> None:
        """Write how far the shards are, and in the end that no other is started."""
        with self._changing:
            plain = {
                "pid": os.getpid(),
                "host": platform.node(),
                "over": over,
                "shards": {str(shard): state for shard, state in self._states.items()},
                "codes": {str(shard): code for shard, code in self._codes.items()},
            }
            write_whole(status_file(self._campaign.folder, self._attempt), json.dumps(plain).encode())

    def serve(self, device: str) -> None:
        """Measure shards on a device, one after the other, until none waits."""
        while not self.stopping:
            try:
                shard = self._waiting.get_nowait()
            except queue.Empty:
                return
            self._measure(shard, device)

    def _measure(self, shard: int, device: str) -> None:
        with shard_log(self._campaign.logs, shard).open("ab") as output:
            with self._changing:
                process = subprocess.Popen(
                    self._campaign.command(shard, device),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    # With this process gone nobody would be left to stop it.
                    preexec_fn=partial(die_with, os.getpid()),
                )
                self._processes[shard], self._states[shard] = process, RUNNING
            self.write()
            if self.stopping:
                self.stop()
            code = process.wait()
        with self._changing:
            self._states[shard], self._codes[shard] = ENDED, code
        self.write()


def devices(campaign: Campaign) -> list[str]:
    """What shards are measured on here: what the options name, else every card, else the CPU."""
    given = [str(each) for each in campaign.options.get("devices") or []]
    return given or [""]


def main(words: Sequence[str]) -> int:
    """Measure the shards that are named."""
    campaign, attempt = read_campaign(Path(words[0])), int(words[1])
    jobs = Jobs(campaign, attempt, [int(word) for word in words[2:]])
    with lock_file(campaign.folder, attempt).open("ab+") as held:
        if not take(held, WRITER):
            print("This attempt has a process of its own.", file=sys.stderr)
            return 2
        signal.signal(signal.SIGTERM, lambda number, frame: jobs.stop())
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        jobs.write()
        threads = [threading.Thread(target=jobs.serve, args=(device,)) for device in devices(campaign)]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(BEAT_S)
                # Another machine may see no lock, but sees this.
                jobs.write()
        jobs.write(over=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
