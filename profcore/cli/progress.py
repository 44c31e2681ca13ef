"""Measuring a run under a progress bar."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

    from profcore.spec.runs import RunSpec
    from profcore.spec.stages import State

_REDRAW_S = 0.25


def measure(spec: RunSpec, writer: Any, shelf: Any) -> State:
    """Execute a run under a progress bar; Ctrl-C stops it."""
    import signal

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from profcore.worker.execute import execute

    stopping: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: stopping.append(number))
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    try:
        # Drawn between inferences only: a thread that draws would take the interpreter from a launch-bound one.
        with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as progress:
            bar = _Bar(progress, spec)
            return execute(spec, writer, shelf, lambda: bool(stopping), bar.seen, bar.told)
    finally:
        signal.signal(signal.SIGINT, before)


class _Bar:
    """A run's progress, drawn a few times a second at most."""

    def __init__(self, progress: Progress, spec: RunSpec) -> None:
        self._progress, self._spec = progress, spec
        self._task = progress.add_task(spec.sweep.experiment, total=spec.sweep.num_inferences)
        self._given: Counter[int] = Counter()
        self._drawn = 0.0

    def seen(self, result: Any) -> None:
        """Count a sample; take a failed setting's missing ones out of the total."""
        from profcore.measure.loop import QualityFailed, SettingFailed
        from profcore.spec.records import Sample

        if isinstance(result, SettingFailed):
            self._progress.console.print(f"Setting {result.setting + 1} failed: {result.reason}")
            missing = self._spec.sweep.num_samples - self._given[result.setting]
            self._progress.update(self._task, total=(self._progress.tasks[0].total or 0) - missing)
        elif isinstance(result, QualityFailed):
            self._progress.console.print(f"No quality of setting {result.setting + 1}: {result.reason}")
        elif isinstance(result, Sample):
            self._given[result.setting] += 1
            self._progress.advance(self._task)
        if time.monotonic() - self._drawn > _REDRAW_S:
            self._drawn = time.monotonic()
            self._progress.refresh()

    def told(self, text: str) -> None:
        """Say what is being done."""
        self._progress.update(self._task, description=f"{self._spec.sweep.experiment}: {text}")
        self._progress.refresh()
