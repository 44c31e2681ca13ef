#!/usr/bin/env python
"""Stands in for the interpreter that measures a campaign: shards without torch, of latencies that are made up.

As the real command does, it goes on with its spool where that was, stops at SIGINT and keeps what it has. The options'
`--prompt` says what it does after two samples: nothing special, 'wait' (until it is asked to stop), 'fail' or 'die'.
"""

import argparse
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from profcore.spec.runs import Target
from profcore.spec.shards import parse_shard, shard_spec, split
from profcore.spec.stages import State
from profcore.storage.lines import records_of_kinds
from profcore.storage.spool import SpoolWriter, last_state, spool_path


def measure(words):
    from tests.comparisons.stored import MACHINE, made_sample
    from tests.support import small_sweep

    parser = argparse.ArgumentParser()
    for option in ("--shard", "--campaign", "--spool-only", "--prompt", "--device"):
        parser.add_argument(option)
    options, _ = parser.parse_known_args(words)
    index, count = parse_shard(options.shard)
    sweep = small_sweep(values=(1, 2, 4, 8), num_samples=3)
    spec = shard_spec(Target(), sweep, split(Target(), sweep, count, options.campaign)[index - 1])
    path = spool_path(Path(options.spool_only), spec.id)
    begun = path.exists()
    if begun and last_state(path) is State.DONE:
        return 0
    stopping = []
    signal.signal(signal.SIGINT, lambda number, frame: stopping.append(number))
    print(f"shard {index} on {options.device}", flush=True)
    what = Path(options.prompt).read_text() if options.prompt and Path(options.prompt).exists() else ""
    with SpoolWriter(path) as writer:
        if not begun:
            writer.run(spec)
        writer.owner("command")
        writer.write({"type": "environment", **MACHINE})
        writer.state(State.RUNNING)
        known = {(each["setting"], each["round"]) for each in records_of_kinds(path, "sample")}
        taken = 0
        for visit in range(sweep.num_samples):
            for setting in spec.shard.visited:
                if (setting, visit) in known:
                    continue
                sample = made_sample(len(known) + taken, setting, visit, sweep.settings[setting], 10.0)
                writer.sample(replace(sample, elapsed_s=float(len(known) + taken)))
                taken += 1
                if taken == 2 and what == "die":
                    os.kill(os.getpid(), signal.SIGKILL)
                while taken == 2 and what == "wait" and not stopping:
                    time.sleep(0.02)
                if stopping or (taken == 2 and what == "fail"):
                    writer.state(State.STOPPED if stopping else State.FAILED, "as it was told")
                    return 130 if stopping else 1
        writer.state(State.DONE)
    return 0


if __name__ == "__main__":
    if sys.argv[1:4] == ["-m", "profcore", "run"]:
        sys.exit(measure(sys.argv[4:]))
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
