"""A run from its spec to its end, everything written to its spool."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from profcore.engines.base import StopRequestedError
from profcore.errors import NoSpaceError, UserError
from profcore.measure.ceilings import device_ceilings
from profcore.measure.energy import EnergyFailed, SettingEnergy
from profcore.measure.environment import describe
from profcore.measure.loop import (
    Answer,
    QualityFailed,
    Result,
    Routing,
    SettingEnded,
    SettingFailed,
    SettingQuality,
    SettingWork,
    Uncaptured,
    run_sweep,
)
from profcore.measure.telemetry import Telemetry
from profcore.models.load import resolve_device
from profcore.spec.begun import Begun, begun_of, differences, extended
from profcore.spec.records import Environment, Sample
from profcore.spec.runs import RunSpec, sweep_settings
from profcore.spec.stages import State
from profcore.storage.lines import each_record
from profcore.storage.spool import SpoolWriter
from profcore.worker.device_lock import device_lock
from profcore.worker.pinning import pinned
from profcore.worker.shelf import ModelShelf

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)


def execute(
    spec: RunSpec,
    writer: SpoolWriter,
    shelf: ModelShelf,
    stop: Callable[[], bool],
    seen: Callable[[Result], None] | None = None,
    told: Callable[[str], None] | None = None,
    at: Callable[[int, bool], None] = lambda setting, preparing: None,
    stop_reason: Callable[[], str] = lambda: "Stopped on request.",
) -> State:
    """Run a spec to its end, from where its spool is, writing everything to it, and say how it ended.

    One run at a time measures on a device, whichever process asks: others wait for its lock.

    Args:
        spec: The run, already in the spool.
        writer: The spool.
        shelf: Where the model is kept.
        stop: Whether the run was asked to stop.
        seen: Called after each record of a sample, a setting's routing or quality, or a failed setting.
        told: Called with what is being done now, in words, which the spool also says.
        at: Called before each inference (see `run_sweep`).
        stop_reason: Says why, once the run was asked to stop.
    """

    def tell(text: str) -> None:
        writer.phase(text)
        if told:
            told(text)

    state, reason = State.DONE, None
    try:
        _measure(spec, writer, shelf, stop, seen, tell, at)
    except StopRequestedError:
        state, reason = State.STOPPED, stop_reason()
    except UserError as error:
        state, reason = State.FAILED, str(error)
    except Exception as error:
        # A run must end with a reason whatever happens; the trace goes to the worker's log, not to a page.
        _log.exception("run %s failed", spec.id)
        first = str(error).splitlines()[0] if str(error) else ""
        state, reason = State.FAILED, f"{type(error).__name__}: {first}"
    try:
        writer.state(state, reason)
    except NoSpaceError:
        # Whoever started this sees it has no end, and says why as soon as that can be written.
        _log.exception("how run %s ended cannot be written", spec.id)
    return state


def _measure(
    spec: RunSpec,
    writer: SpoolWriter,
    shelf: ModelShelf,
    stop: Callable[[], bool],
    seen: Callable[[Result], None] | None,
    tell: Callable[[str], None],
    at: Callable[[int, bool], None],
) -> None:
    """Load the model, say what it is measured on, and write each result as it comes."""
    device = resolve_device(spec.target.device)
    with device_lock(device, tell, stop, f"run {spec.id}"), pinned(device) as host:
        writer.state(State.RUNNING)
        tell(f"Loading {spec.target.model}")
        loaded, engine = shelf.get(spec.target), shelf.engine(spec.target)
        begun = begun_of(each_record(writer.path), len(sweep_settings(spec.sweep)))
        here = describe(spec.target, loaded, engine, spec.sweep.clock, host.cores, host.load)
        environment = _say_where(writer, begun, here, apart=spec.shard is not None)
        writer.ceilings(device_ceilings(device, loaded.model.dtype, tell))
        tell("Measuring")
        for result in run_sweep(loaded, engine, spec.sweep, Telemetry(device), stop, tell, begun, at, spec.shard):
            if isinstance(result, Uncaptured):
                # It is of the run, not of a setting, and could not be known when that was begun.
                environment = {**environment, "uncaptured": result.reasons}
                writer.write({"type": "environment", **environment})
            else:
                write_result(writer, result)
            if seen:
                seen(result)


def _say_where(writer: SpoolWriter, begun: Begun, here: Environment, apart: bool) -> dict[str, Any]:
    """Write what a run is measured on, and where it goes on in another place, that one too; returns what is said now.

    Args:
        writer: The run's spool.
        begun: What the run has.
        here: What it is measured on now.
        apart: Whether it is a shard, whose parts are compared with each other, those of one card too.

    Raises:
        UserError: It was begun on what gives other figures.
    """
    if begun.environment is None:
        writer.environment(here)
        return here.to_dict()
    differ = differences(begun.environment, here.to_dict())
    if differ:
        raise UserError(f"It cannot go on here, since what it was measured on differs: {', '.join(differ)}.")
    extended_to = extended(begun.environment, here.to_dict(), begun.next_sample, apart)
    if extended_to:
        writer.write({"type": "environment", **extended_to})
    return extended_to or begun.environment


def write_result(writer: SpoolWriter, result: Result) -> None:
    """Append what measuring gave."""
    if isinstance(result, Sample):
        writer.sample(result)
    elif isinstance(result, Routing):
        writer.routing(result.setting, result.prefill_experts)
    elif isinstance(result, SettingWork):
        writer.work(result.setting, result.work)
    elif isinstance(result, Answer):
        writer.answer(result.setting, result.text)
    elif isinstance(result, SettingQuality):
        found = result.quality
        writer.quality(result.setting, found.kl, found.accuracy, found.queries, found.scores)
    elif isinstance(result, SettingEnergy):
        writer.energy(result.setting, result.energy)
    elif isinstance(result, EnergyFailed):
        writer.energy_failed(result.setting, result.reason)
    elif isinstance(result, SettingEnded):
        writer.setting_ended(result.setting, result.by)
    elif isinstance(result, QualityFailed):
        writer.quality_failed(result.setting, result.reason)
    elif isinstance(result, SettingFailed):
        writer.setting_failed(result.setting, result.reason)
