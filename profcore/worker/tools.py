"""What a worker does on its loaded model between runs: tools by their names, each giving plain values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.errors import UserError
from profcore.inspectors import run_inspector
from profcore.inspectors.base import Inspection
from profcore.measure.ceilings import device_ceilings
from profcore.measure.environment import describe
from profcore.measure.profile import explain
from profcore.models.config import model_shape
from profcore.models.families.shape import FamilyShape
from profcore.spec.queries import DEFAULT_PROMPT, Picture
from profcore.spec.runs import Target
from profcore.spec.settings import Setting
from profcore.spec.stages import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from profcore.worker.shelf import ModelShelf

    Tool = Callable[[ModelShelf, Target, dict[str, Any], Callable[[str], None], Callable[[], bool]], dict[str, Any]]


def profile(
    shelf: ModelShelf,
    target: Target,
    arguments: dict[str, Any],
    tell: Callable[[str], None],
    stop: Callable[[], bool],
) -> dict[str, Any]:
    """As `measure.profile.explain`, with the environment and the ceilings.

    Args:
        shelf: Where the model is kept.
        target: What to measure on.
        arguments: `setting` (as `Setting.to_dict`); `picture`, `prompt` and `trace` (a file) where not the default.
        tell: Told what is being done.
        stop: Not asked: a pass takes seconds.
    """
    del stop
    tell(f"Loading {target.model}")
    loaded, engine = shelf.get(target), shelf.engine(target)
    device = loaded.model.device
    ceilings = device_ceilings(device, loaded.model.dtype, tell)
    found = explain(
        loaded,
        engine,
        Setting.from_dict(arguments["setting"]),
        Picture(**arguments["picture"]) if arguments.get("picture") else Picture(),
        arguments.get("prompt") or DEFAULT_PROMPT,
        ceilings,
        Path(arguments["trace"]) if arguments.get("trace") else None,
        tell,
    )
    environment = describe(target, loaded, engine, Clock.EVENTS)
    return {**found, "environment": environment.to_dict(), "ceilings": ceilings.to_dict()}


def inspect(
    shelf: ModelShelf,
    target: Target,
    arguments: dict[str, Any],
    tell: Callable[[str], None],
    stop: Callable[[], bool],
) -> dict[str, Any]:
    """As `inspectors.run_inspector`, with the environment.

    Args:
        shelf: Where the model is kept.
        target: What to look at.
        arguments: `name` (a name of `inspectors.names.INSPECTORS`), and what that tool takes.
        tell: Told what is being done.
        stop: Whether to give up.
    """
    tell(f"Loading {target.model}")
    loaded, engine = shelf.get(target), shelf.engine(target)
    tell("Looking")
    found = run_inspector(arguments["name"], Inspection(loaded, target, arguments, tell, stop))
    environment = describe(target, loaded, engine, Clock.EVENTS)
    return {**found, "environment": environment.to_dict()}


def parameters(
    shelf: ModelShelf,
    target: Target,
    arguments: dict[str, Any],
    tell: Callable[[str], None],
    stop: Callable[[], bool],
) -> dict[str, Any]:
    """How many parameters a model of a family has, by part, as `models.families.counting` counts them.

    Nothing is loaded, and what the shelf holds stays.

    Args:
        shelf: Not looked at.
        target: Which model.
        arguments: None.
        tell: Told what is being done.
        stop: Not asked: it takes seconds.
    """
    from profcore.models.families.counting import count_shape

    del shelf, arguments, stop
    tell("Counting parameters")
    shape = model_shape(target.model)
    if not isinstance(shape, FamilyShape):
        raise UserError(f"The parameters of {target.model} follow from its shape.")
    return count_shape(shape)


TOOLS: dict[str, Tool] = {"profile": profile, "inspect": inspect, "parameters": parameters}


def run_tool(
    name: str,
    shelf: ModelShelf,
    target: Target,
    arguments: dict[str, Any],
    tell: Callable[[str], None],
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Run a tool by its name.

    Raises:
        UserError: There is no such tool, or it cannot do what was asked.
        PreparationError: A setting could not be compiled or captured.
    """
    if name not in TOOLS:
        raise UserError(f"There is no tool {name!r}: choose from {', '.join(TOOLS)}.")
    return TOOLS[name](shelf, target, arguments, tell, stop)
