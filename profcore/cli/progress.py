"""Measuring a run under a progress bar."""

from __future__ import annotations

import time
from typing import Any

from profcore.spec.runs import RunSpec
from profcore.spec.stages import State

_REDRAW_S = 0.25


def measure(spec: RunSpec, writer: Any, shelf: Any) -> State:
    """Execute a run under a progress bar; Ctrl-C stops it."""
    import signal

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from profcore.measure.loop import Routing, SettingFailed, SettingQuality
    from profcore.worker.execute import execute

    stopping: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: stopping.append(number))
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    try:
        # Drawn between inferences only: a thread that draws would take the interpreter from a launch-bound one.
        with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as progress:
            drawn = [0.0]
            task = progress.add_task(spec.sweep.experiment, total=spec.sweep.num_inferences)

            def seen(result: Any) -> None:
                if isinstance(result, Routing | SettingQuality):
                    return
                if isinstance(result, SettingFailed):
                    progress.console.print(f"Setting {result.setting + 1} failed: {result.reason}")
                    progress.update(task, total=(progress.tasks[0].total or 0) - spec.sweep.num_samples)
                else:
                    progress.advance(task)
                if time.monotonic() - drawn[0] > _REDRAW_S:
                    drawn[0] = time.monotonic()
                    progress.refresh()

            def told(text: str) -> None:
                progress.update(task, description=f"{spec.sweep.experiment}: {text}")
                progress.refresh()

            return execute(spec, writer, shelf, lambda: bool(stopping), seen, told)
    finally:
        signal.signal(signal.SIGINT, before)
