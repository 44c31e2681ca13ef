"""A run from its spec to its end, everything written to its spool."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from profcore.engines.base import StopRequestedError
from profcore.errors import UserError
from profcore.measure.ceilings import device_ceilings
from profcore.measure.environment import describe
from profcore.measure.loop import QualityFailed, Result, Routing, SettingQuality, run_sweep
from profcore.measure.telemetry import Telemetry
from profcore.models.load import resolve_device
from profcore.spec.records import Sample
from profcore.spec.runs import RunSpec
from profcore.spec.stages import State
from profcore.storage.spool import SpoolWriter
from profcore.worker.device_lock import device_lock
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
) -> State:
    """Run a spec to its end, writing everything to its spool, and say how it ended.

    One run at a time measures on a device, whichever process asks: others wait for its lock.

    Args:
        spec: The run, already in the spool.
        writer: The spool.
        shelf: Where the model is kept.
        stop: Whether the run was asked to stop.
        seen: Called after each record of a sample, a setting's routing or quality, or a failed setting.
        told: Called with what is being done now, in words, which the spool also says.
    """

    def tell(text: str) -> None:
        writer.phase(text)
        if told:
            told(text)

    state, reason = State.DONE, None
    try:
        _measure(spec, writer, shelf, stop, seen, tell)
    except StopRequestedError:
        state, reason = State.STOPPED, "Stopped on request."
    except UserError as error:
        state, reason = State.FAILED, str(error)
    except Exception as error:
        # A run must end with a reason whatever happens; the trace goes to the worker's log, not to a page.
        _log.exception("run %s failed", spec.id)
        first = str(error).splitlines()[0] if str(error) else ""
        state, reason = State.FAILED, f"{type(error).__name__}: {first}"
    writer.state(state, reason)
    return state


def _measure(
    spec: RunSpec,
    writer: SpoolWriter,
    shelf: ModelShelf,
    stop: Callable[[], bool],
    seen: Callable[[Result], None] | None,
    tell: Callable[[str], None],
) -> None:
    """Load the model, say what it is measured on, and write each result as it comes."""
    device = resolve_device(spec.target.device)
    with device_lock(device, tell, stop):
        writer.state(State.RUNNING)
        tell(f"Loading {spec.target.model}")
        loaded, engine = shelf.get(spec.target), shelf.engine(spec.target)
        telemetry = Telemetry(device)
        writer.environment(describe(spec.target, loaded, engine, spec.sweep.clock, telemetry.driver))
        writer.ceilings(device_ceilings(device, loaded.model.dtype, tell))
        tell("Measuring")
        for result in run_sweep(loaded, engine, spec.sweep, telemetry, stop, tell):
            _write(writer, result)
            if seen:
                seen(result)


def _write(writer: SpoolWriter, result: Result) -> None:
    if isinstance(result, Sample):
        writer.sample(result)
    elif isinstance(result, Routing):
        writer.routing(result.setting, result.prefill_experts)
    elif isinstance(result, SettingQuality):
        found = result.quality
        writer.quality(result.setting, found.kl, found.accuracy, found.queries)
    elif isinstance(result, QualityFailed):
        writer.quality_failed(result.setting, result.reason)
    else:
        writer.setting_failed(result.setting, result.reason)
