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
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

    from profcore.worker.execute import execute

    stopping: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: stopping.append(number))
    columns: tuple[ProgressColumn, ...] = (MofNCompleteColumn(), TimeRemainingColumn())
    if spec.sweep.until:
        # How many it will take nobody knows, and so how long.
        columns = (TextColumn("{task.completed:,.0f} of at most {task.total:,.0f}"),)
    columns = (TextColumn("{task.description}"), BarColumn(), *columns)
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
        self._task = progress.add_task(spec.sweep.experiment, total=spec.num_inferences)
        self._given: Counter[int] = Counter()
        self._drawn = 0.0

    def seen(self, result: Any) -> None:
        """Count a sample; take a failed setting's missing ones out of the total."""
        from profcore.measure.energy import EnergyFailed
        from profcore.measure.loop import QualityFailed, SettingEnded, SettingFailed
        from profcore.spec.records import Sample

        if isinstance(result, SettingFailed):
            self._progress.console.print(f"Setting {result.setting + 1} failed: {result.reason}")
            self._lower(result.setting)
        elif isinstance(result, SettingEnded):
            self._lower(result.setting)
        elif isinstance(result, EnergyFailed):
            self._progress.console.print(f"No energy of setting {result.setting + 1}: {result.reason}")
        elif isinstance(result, QualityFailed):
            self._progress.console.print(f"No quality of setting {result.setting + 1}: {result.reason}")
        elif isinstance(result, Sample):
            self._given[result.setting] += 1
            self._progress.advance(self._task)
        if time.monotonic() - self._drawn > _REDRAW_S:
            self._drawn = time.monotonic()
            self._progress.refresh()

    def _lower(self, setting: int) -> None:
        """Take the samples that a setting will not have out of the total."""
        missing = self._spec.sweep.num_samples - self._given[setting]
        self._progress.update(self._task, total=(self._progress.tasks[0].total or 0) - missing)

    def told(self, text: str) -> None:
        """Say what is being done."""
        self._progress.update(self._task, description=f"{self._spec.sweep.experiment}: {text}")
        self._progress.refresh()
