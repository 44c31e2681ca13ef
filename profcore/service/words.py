"""What pages say of a run in words."""

from __future__ import annotations

from typing import Any

from profcore.spec.stages import State


def environment_line(environment: dict[str, Any], state: State) -> str:
    """The machine and model of a run in a line."""
    if not environment:
        return "Measured elsewhere; the file does not say on what." if state is State.DONE else "Not begun yet."
    weights = "random weights" if environment.get("weights") == "random" else "real weights"
    parts = [
        environment.get("device_name"),
        f"{environment.get('model')} ({weights})",
        environment.get("dtype"),
        f"{environment.get('engine')} engine, experts: {environment.get('experts')}",
        f"{environment.get('clock')} clock",
        f"torch {environment.get('torch')}",
        f"transformers {environment.get('transformers')}",
    ]
    if environment.get("driver"):
        parts.append(f"driver {environment['driver']}")
    return " · ".join(str(part) for part in parts if part)
