"""What to know of a run where a figure of it is shown away from its own page: flagged samples, a host that binds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.results.joint import load_joint
from profcore.results.sweep import Result, launch_bound, load_result
from profcore.spec.text import counted
from profcore.stats.flags import FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from profcore.results.base import MeasuredRun
    from profcore.storage.read import Reader


def before_quoting(result: MeasuredRun) -> str:
    """A phrase, as '60 of 60 samples beside another process'; empty where nothing is.

    Args:
        result: With flags in its samples, as a run that was loaded has them.
    """
    samples = result.samples
    of_all = counted(len(samples), "sample")
    flagged = {words: int(samples[flag].sum()) for flag, words in FLAGS.items() if flag in samples}
    said = [f"{number:,} of {of_all} {words}" for words, number in flagged.items() if number]
    if isinstance(result, Result) and (words := _launching(result)):
        said.append(words)
    return "; ".join(said)


def _launching(result: Result) -> str:
    """Which stages launching binds, and at how many settings where that is not all; empty where it binds none."""
    bound, settings = launch_bound(result.summary), result.summary["setting"].nunique()
    stages = [
        stage.label if number == settings else f"{stage.label} at {number} of {counted(settings, 'setting')}"
        for stage, number in bound.items()
    ]
    there = "" if all(number == settings for number in bound.values()) else " there"
    return f"launching binds {', '.join(stages)}, whose figures are its host's{there}" if stages else ""


def quoting_lines(load: Callable[[str], MeasuredRun | None], called: Mapping[str, str]) -> list[str]:
    """A line for each run of which there is something to say.

    Args:
        load: Gives a run by its id, as `run_loader` does.
        called: What each run is called, by its id.
    """
    results = {name: load(run_id) for run_id, name in called.items()}
    found = ((name, before_quoting(result)) for name, result in results.items() if result is not None)
    return [f"{name}: {text}." for name, text in found if text]


def run_loader(store: Reader) -> Callable[[str], MeasuredRun | None]:
    """Gives sweeps and joint runs of a store by their ids."""
    return lambda run_id: load_result(store, run_id) or load_joint(store, run_id)
