"""Whether two runs differ in versions alone, so that what differs in latency is theirs; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profcore.comparisons.conditions import KNOBS, MACHINE, ORIGIN, find_differences, result_conditions
from profcore.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profcore.comparisons.conditions import Conditions
    from profcore.results.base import MeasuredRun

VERSIONS = ("torch", "transformers", "driver", "cuda", "python", "profcore")
"""Fields of an environment that are versions."""

_CALLED = tuple(MACHINE[field] for field in VERSIONS)
_PLACE = {"host": "host", "card": "card"}
BESIDES = ("commit", *_PLACE)
"""What of an environment is no version and no condition, but may be another from run to run."""


def version_differences(reference: Conditions, run: Conditions) -> list[str]:
    """What changed in versions from a reference to a run, each in a few words.

    Raises:
        UserError: Something else differs, or is not said, so that a latency that differs need not be a version's.
    """
    others = find_differences([reference, run], (*_CALLED, ORIGIN, *KNOBS.values()))
    if others:
        raise UserError(
            f"{run.run_id} and {reference.run_id} differ in more than versions: {'; '.join(others)}. "
            "Measure both alike, or ask `compare`."
        )
    return [
        f"{called}: {reference.facts.get(called, 'not said')} then, {run.facts.get(called, 'not said')} now"
        for called in _CALLED
        if reference.facts.get(called) != run.facts.get(called)
    ]


def alike_key(run: MeasuredRun) -> tuple[Any, ...]:
    """What runs have alike that differ in versions alone: all that is known of them but those, and what is held."""
    conditions = result_conditions(run)
    facts = {name: text for name, text in conditions.facts.items() if name not in (*_CALLED, ORIGIN)}
    held = tuple((knob, str(value)) for knob in KNOBS if (value := conditions.held(knob)))
    return (run.run["experiment"], tuple(sorted(facts.items())), held)


def moved_to(reference: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """Which of host and card are other ones, of those that the reference says."""
    return [word for field, word in _PLACE.items() if reference.get(field) and run.get(field) != reference.get(field)]


def place_notes(reference: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """What of the place is another, which no condition is, but which a ratio holds too.

    Args:
        reference: An environment.
        run: Another.
    """
    moved = moved_to(reference, run)
    if not moved:
        return []
    return [f"They were measured on another {' and '.join(moved)}: what these differ by is in the ratios too."]
