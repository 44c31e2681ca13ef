"""What pages say of a run in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profcore.models.recorded import is_small_trained
from profcore.spec.environments import card_words, cards_of, uncaptured_words
from profcore.spec.stages import State
from profcore.spec.text import brief, counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_CARDS = 4


def environment_line(environment: dict[str, Any], state: State, places: Sequence[Mapping[str, Any]] = ()) -> str:
    """The machine and model of a run in a line.

    Args:
        environment: As `Reader.run`.
        state: Of the run.
        places: As `Reader.environments`.
    """
    if not environment:
        return "Measured elsewhere; the file does not say on what." if state is State.DONE else "Not begun yet."
    drawn = is_small_trained(environment)
    weights = "small, trained on drawn pictures" if drawn else f"{environment.get('weights') or 'unknown'} weights"
    parts = [
        environment.get("device_name"),
        f"{environment.get('model')} ({weights})",
        environment.get("dtype"),
        f"{environment.get('engine')} engine, experts: {_experts(environment)}",
        _uncaptured(environment),
        f"{environment.get('clock')} clock",
        f"torch {environment.get('torch')}",
        f"transformers {environment.get('transformers')}",
    ]
    if environment.get("driver"):
        parts.append(f"driver {environment['driver']}")
    return " · ".join(str(part) for part in [*parts, *_elsewhere(environment), *_cards(places)] if part)


def _cards(places: Sequence[Mapping[str, Any]]) -> list[str]:
    """The cards that share a run which was split."""
    cards = cards_of([each for each in places if each.get("shard")])
    if not cards:
        return []
    shown = [card_words(each[0]) for each in list(cards.values())[:_MOST_CARDS]]
    more = f" and {len(cards) - _MOST_CARDS:,} more" if len(cards) > _MOST_CARDS else ""
    return [f"shared by {counted(len(cards), 'card')}: {', '.join(shown)}{more}"]


def _experts(environment: dict[str, Any]) -> str:
    """Each stage's experts implementation, and why it is not what `generate` takes where it is not."""
    reason = environment.get("experts_reason")
    return f"{environment.get('experts')} ({reason})" if reason else str(environment.get("experts"))


def _uncaptured(environment: dict[str, Any]) -> str:
    """Which stages ran without a graph, and why; empty where none did."""
    words = uncaptured_words(environment)
    return f"not captured, and so bound by the host: {'; '.join(words)}" if words else ""


def _elsewhere(environment: dict[str, Any]) -> list[str]:
    """Where else a run was measured that went on in another place."""
    also = environment.get("also")
    places = [each for each in also if isinstance(each, dict)] if isinstance(also, list) else []
    if not places:
        return []
    first = f"begun on {card_words(environment)}"
    return [first, *(f"from sample {each.get('from_sample')} on {card_words(each)}" for each in places)]


def unread_line(files: Mapping[str, str], lines: int, runs: int) -> str:
    """What of the spool folder could not be read, the first file with its reason; empty where there is nothing.

    Args:
        files: Those that could not be read at all, with the reasons.
        lines: How many lines of others were left out.
        runs: Of how many runs those are.
    """
    name, reason = next(iter(files.items()), ("", ""))
    first = brief(reason if reason.startswith(name) else f"{name}: {reason}").rstrip(".")
    parts = []
    if len(files) > 1:
        parts.append(f"{counted(len(files) - 1, 'more file')} cannot be read")
    if lines:
        parts.append(f"{counted(lines, 'line')} {'was' if lines == 1 else 'were'} left out of {counted(runs, 'run')}")
    said = [f"A file of the spool folder cannot be read: {first}."] if files else []
    if parts:
        said.append(f"{' and '.join(parts)}: python -m profcore unread lists them.")
    return " ".join(said)


def rough_duration(seconds: float) -> str:
    """A length of time as a person says it: nobody waits for 1 min 43 s, but for 2 min."""
    if seconds < 8:
        return "a few seconds"
    if seconds < 55:
        return f"{max(round(seconds / 10), 1) * 10} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{max(minutes, 1)} min"
    tens = round(seconds / 600) * 10
    if tens < 24 * 60:
        return f"{tens // 60} h {tens % 60} min" if tens % 60 else f"{tens // 60} h"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h" if hours % 24 else f"{hours // 24} d"


def about(seconds: float) -> str:
    """As `rough_duration`, said as the estimate that it is."""
    return rough_duration(seconds) if seconds < 8 else f"about {rough_duration(seconds)}"


def estimate_line(seconds: float | None) -> str:
    """What a Run button says of how long it will take, as `Service.estimate_s` knows it."""
    if seconds is None:
        return "No estimate yet: nothing alike was measured here."
    text = about(seconds)
    return f"{text[0].upper()}{text[1:]}, by earlier runs here."
