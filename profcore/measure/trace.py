"""A profiler's trace (Chrome format) as kernels with their stage and part; pure.

Kernels are attributed through what launched them: a range named `stage:…` or `part:…` that was open on the host when
the launch was issued. A captured graph is launched as a whole, so its kernels know their stage but not their part;
they are matched in order with those of the same work launched one by one.
"""

from __future__ import annotations

import bisect
import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

OTHER = "other"
PARTS = ("attention", "router", "experts", "mlp", "matrix products", "activation", "norms", OTHER)
"""What time is told of; matrix products and activation alone are those of no other part.

So where a whole block is one compiled function, as the vision encoder's under `compiled`, and the names of its kernels
are all that tells them apart.
"""

_GPU_WORK = ("kernel", "gpu_memcpy", "gpu_memset")
_NORM = re.compile(r"(rms|layer|batch)_?norm", re.IGNORECASE)
_BY_NAME = {
    "attention": re.compile(r"attention|sdpa|flash|fmha|_attend|softmax", re.IGNORECASE),
    "norms": _NORM,
    # Inductor names what it fuses after all of that, so that a pointwise kernel may name a product that it follows.
    "matrix products": re.compile(
        r"^(?!triton_(poi|per|red)_).*(nvjet|cutlass|xmma|gemm|gemv|cublas|splitk"
        r"|(^|::|_)(mm|bmm|addmm|baddbmm|matmul|linear)(_|$))",
        re.IGNORECASE,
    ),
    "activation": re.compile(r"sigmoid|silu|gelu|relu", re.IGNORECASE),
}
"""How kernels are called that do most of one thing; the first that fits, since a fused one does several."""


@dataclass(frozen=True)
class Kernel:
    """One piece of work on the device (on a CPU, one operator), in microseconds of the trace's clock."""

    name: str
    stage: str
    part: str
    start: float
    duration: float

    @property
    def end(self) -> float:
        """When it ended."""
        return self.start + self.duration


@dataclass(frozen=True)
class _Range:
    start: float
    end: float
    name: str


def kernels(events: Iterable[dict[str, Any]]) -> list[Kernel]:
    """The work that a trace holds, in order of its start; work outside of any stage is left out.

    On a GPU these are kernels and copies; where the trace has none, operators with their own time.
    """
    complete = [event for event in events if event.get("ph") == "X"]
    ranges = [
        _Range(event["ts"], event["ts"] + event["dur"], event["name"])
        for event in complete
        if event.get("cat") == "user_annotation" and event["name"].startswith(("stage:", "part:"))
    ]
    stages = _Enclosing([each for each in ranges if each.name.startswith("stage:")])
    parts = _Enclosing([each for each in ranges if each.name.startswith("part:")])
    device = [event for event in complete if event.get("cat") in _GPU_WORK]
    if device:
        launches = {
            event["args"]["correlation"]: event["ts"]
            for event in complete
            if event.get("cat") in ("cuda_runtime", "cuda_driver") and "correlation" in event.get("args", {})
        }
        work = [(event, launches.get(event.get("args", {}).get("correlation"))) for event in device]
    else:
        work = [(event, event["ts"]) for event in _own_time(complete)]
    found = []
    for event, launched in work:
        if launched is None or (stage := stages.at(launched)) is None:
            continue
        part = parts.at(launched) or f"part:{OTHER}"
        name = event["name"]
        found.append(
            Kernel(
                name, stage.removeprefix("stage:"), _part(name, part.removeprefix("part:")), event["ts"], event["dur"]
            )
        )
    return sorted(found, key=lambda kernel: kernel.start)


def stage_spans(events: Iterable[dict[str, Any]]) -> dict[str, float]:
    """How long each stage's ranges were open on the host, in microseconds."""
    spans: dict[str, float] = {}
    for event in events:
        if event.get("ph") == "X" and event.get("cat") == "user_annotation" and event["name"].startswith("stage:"):
            stage = event["name"].removeprefix("stage:")
            spans[stage] = spans.get(stage, 0.0) + event["dur"]
    return spans


def scaled(found: Sequence[Kernel], factors: dict[str, float]) -> list[Kernel]:
    """Kernels with each stage's durations times a factor."""
    return [replace(kernel, duration=kernel.duration * factors[kernel.stage]) for kernel in found]


def name_parts(replayed: Sequence[Kernel], launched: Sequence[Kernel]) -> list[Kernel]:
    """A graph's kernels with the parts of the same kernels launched one by one.

    Args:
        replayed: Kernels of a captured inference.
        launched: Kernels of the same work, uncaptured, with their parts.
    """
    named: list[Kernel] = []
    for stage in dict.fromkeys(kernel.stage for kernel in replayed):
        ours = [kernel for kernel in replayed if kernel.stage == stage]
        theirs = [kernel for kernel in launched if kernel.stage == stage]
        parts = [kernel.part for kernel in ours]
        names = [kernel.name for kernel in ours], [kernel.name for kernel in theirs]
        for ours_at, theirs_at, size in difflib.SequenceMatcher(None, *names, autojunk=False).get_matching_blocks():
            for offset in range(size):
                parts[ours_at + offset] = theirs[theirs_at + offset].part
        named += [replace(kernel, part=part) for kernel, part in zip(ours, parts, strict=True)]
    return sorted(named, key=lambda kernel: kernel.start)


def exclusive(found: Sequence[Kernel]) -> list[Kernel]:
    """Kernels with the time that each adds: from the end of those that began before it, to its own end.

    A kernel may begin before its predecessor's end and wait for it (programmatic dependent launch); that wait is not
    its work. The durations add up to the time in which at least one kernel ran.
    """
    until, cut = float("-inf"), []
    for kernel in sorted(found, key=lambda each: each.start):
        start = max(kernel.start, until)
        cut.append(replace(kernel, start=start, duration=max(kernel.end - start, 0.0)))
        until = max(until, kernel.end)
    return cut


def by_part(found: Sequence[Kernel]) -> list[dict[str, Any]]:
    """Time and number of kernels for each stage and part, in milliseconds; stages in order of their start."""
    rows = []
    for stage in dict.fromkeys(kernel.stage for kernel in found):
        times: dict[str, list[float]] = {}
        for kernel in found:
            if kernel.stage == stage:
                times.setdefault(kernel.part, []).append(kernel.duration)
        rows += [
            {"stage": stage, "part": part, "ms": sum(times[part]) / 1e3, "kernels": len(times[part])}
            for part in PARTS
            if part in times
        ]
    return rows


def top_kernels(found: Sequence[Kernel], most: int = 20) -> list[dict[str, Any]]:
    """The names that take the most time in each stage they run in."""
    times: dict[tuple[str, str], list[float]] = {}
    for kernel in found:
        times.setdefault((kernel.stage, kernel.name), []).append(kernel.duration)
    rows: list[dict[str, Any]] = [
        {"stage": stage, "name": name, "count": len(each), "ms": sum(each) / 1e3, "mean_us": sum(each) / len(each)}
        for (stage, name), each in times.items()
    ]
    return sorted(rows, key=lambda row: -row["ms"])[:most]


def _part(name: str, part: str) -> str:
    """The part that a range says, or, where none does, the kernel's name; a norm by itself is one in any range."""
    if part != OTHER:
        return "norms" if _NORM.search(name) and not _BY_NAME["attention"].search(name) else part
    return next((named for named, pattern in _BY_NAME.items() if pattern.search(name)), OTHER)


def _own_time(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Operators with the time that they spend outside of the operators they call."""
    operators = sorted((e for e in events if e.get("cat") == "cpu_op"), key=lambda e: (e["tid"], e["ts"], -e["dur"]))
    found: list[dict[str, Any]] = []
    open_now: list[dict[str, Any]] = []
    for event in operators:
        while open_now and (
            open_now[-1]["tid"] != event["tid"] or event["ts"] >= open_now[-1]["ts"] + open_now[-1]["whole"]
        ):
            open_now.pop()
        if open_now:
            open_now[-1]["dur"] -= event["dur"]
        own = {**event, "whole": event["dur"]}
        found.append(own)
        open_now.append(own)
    return found


class _Enclosing:
    """Which of some ranges was open at a time: the innermost, which began last."""

    def __init__(self, ranges: list[_Range]) -> None:
        self._ranges = sorted(ranges, key=lambda each: each.start)
        self._starts = [each.start for each in self._ranges]

    def at(self, time: float) -> str | None:
        place = bisect.bisect_right(self._starts, time) - 1
        # Ranges are nested or apart, so few before the nearest can still be open.
        for each in reversed(self._ranges[max(place - 8, 0) : place + 1]):
            if each.end >= time:
                return each.name
        return None
