"""What runs differ in besides what they are compared for, so that nothing is mixed silently; pure."""

from __future__ import annotations

from typing import Any

EVERYTHING = {
    "device_name": "GPU",
    "model": "model",
    "weights": "weights",
    "dtype": "dtype",
    "engine": "engine",
    "experts": "experts",
    "clock": "clock",
    "torch": "torch",
    "transformers": "transformers",
    "driver": "driver",
    "cuda": "CUDA",
    "python": "Python",
}
"""Fields of an environment that a difference in latency may come from, and what they are called."""


def find_differences(environments: dict[str, dict[str, Any]], names: dict[str, str] | None = None) -> list[str]:
    """A phrase for each field in which some environments differ, and for each that is not known.

    Args:
        environments: Environments by the names of their runs; an empty one is not known.
        names: Which fields matter, and what they are called; all unless given.
    """
    known = {name: environment for name, environment in environments.items() if environment}
    found = []
    for field, called in (EVERYTHING if names is None else names).items():
        values: dict[str, list[str]] = {}
        for name, environment in known.items():
            values.setdefault(str(environment.get(field) or "not said"), []).append(name)
        if len(values) > 1:
            found.append(f"{called}: " + "; ".join(f"{value} ({', '.join(who)})" for value, who in values.items()))
    found += [f"{name} does not say what it was measured on" for name in environments if name not in known]
    return found
