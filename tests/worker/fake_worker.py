"""A worker without torch, which starts in a moment: a real process on the real line, with samples that are made up.

What it does at a setting its run's prompt says: `hang:1` stops at setting 1, `deaf` goes on whatever it is told.
With `FAKE_CARDS` it names as many cards besides the CPU.
`fake_worker.py broken FILE` does not start while there is such a file. Where `FAKE_GATE` names a pipe, it starts once
somebody writes into that.
"""

import os
import platform
import signal
import sys
import time
from pathlib import Path

if sys.argv[1] == "broken" and Path(sys.argv[2]).exists():
    print("starting", file=sys.stderr)
    raise ImportError("libtorch.so is damaged")

if "FAKE_GATE" in os.environ:
    Path(os.environ["FAKE_GATE"]).read_bytes()

from profcore.spec.begun import begun_of
from profcore.spec.records import Sample
from profcore.spec.stages import State
from profcore.storage.lines import each_record
from profcore.storage.spool import SpoolWriter, read_spec
from profcore.worker.serving import Line

MACHINE = {"device_name": "fake", "torch": os.environ.get("FAKE_TORCH", "1"), "host": platform.node(), "card": None}


CARDS = int(os.environ.get("FAKE_CARDS", "0"))


def machine_of(device):
    return MACHINE if device == "cpu" else {**MACHINE, "device_name": "a fake card", "card": f"GPU-{device[5:]}"}


def measure(command, stop):
    path = Path(command["spool"])
    spec = read_spec(path)
    with SpoolWriter(path) as writer:
        writer.state(State.RUNNING)
        begun = begun_of(each_record(path), len(spec.sweep.settings))
        if begun.environment is None:
            writer.write({"type": "environment", **machine_of(command["device"]), "device": command["device"]})
        number = begun.next_sample
        for visit in range(spec.sweep.num_samples):
            for index, setting in enumerate(spec.sweep.settings):
                if spec.shard and index not in spec.shard.visited:
                    continue
                if begun.fails(index, visit) or begun.has(index, visit):
                    continue
                line.beat.at(index, False)
                if f"hang:{index}" in spec.sweep.prompt:
                    os.kill(os.getpid(), signal.SIGSTOP)
                if "deaf" in spec.sweep.prompt and number:
                    while True:
                        line.beat.sign()
                        time.sleep(0.01)
                if stop():
                    writer.state(State.STOPPED, stop.reason())
                    return {"state": "stopped"}
                steps = (0.1,) * (setting.output_tokens - 1)
                writer.sample(
                    Sample(number, index, visit, number / 100, 1, 1, 1, 0.2, 0, 3.2, steps, 2, 9, 9, len(steps) + 1)
                )
                line.beat.took(3.2)
                number += 1
                time.sleep(0.003)
        writer.state(State.DONE)
    return {"state": "done"}


line = Line(sys.argv[3:] if sys.argv[1] == "broken" else sys.argv[1:])
cards = [f"cuda:{number}" for number in range(CARDS)]
devices = [{"id": card, "name": "a fake card", "machine": machine_of(card)} for card in cards]
line.tell("ready", devices=[*devices, {"id": "cpu", "name": "fake", "machine": MACHINE}], torch="1")
line.serve(measure)
