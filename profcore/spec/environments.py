"""The environments that one run has where it went on elsewhere, or where several cards share it. Standard library only.

An environment is numbered within its run, and each sample has the number of the one that it was measured in. Only what
tells cards and machines of one kind apart differs between them (see `profcore.spec.begun.differences`).
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from profcore.spec.begun import differences
from profcore.spec.stages import Stage
from profcore.spec.text import some

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

PLACE = ("host", "card", "device", "cores", "load")
"""Fields of an environment that may be others in another of the same run."""

MOST = 100_000
"""More environments than a run can have."""

_MOST = 2**31
"""More samples than a run can have."""


def places_of(environment: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Where a spool's samples were measured, in the order in which it went on: `PLACE` and `from_sample` of each."""
    also = environment.get("also")
    places = [each for each in also if isinstance(each, dict)] if isinstance(also, list) else []
    begun = {name: environment.get(name) for name in PLACE} | {"from_sample": 0}
    rest = [{name: each.get(name) for name in (*PLACE, "from_sample")} for each in places]
    # What no sample can be told to be of is no place of one.
    return [begun, *(each for each in rest if _is_number(each["from_sample"]))]


def _is_number(value: Any) -> bool:
    """Whether a sample can have a number."""
    return type(value) is int and 0 <= value < _MOST


def place_of(places: Sequence[Mapping[str, Any]], sample: int) -> int:
    """The number of the environment, of those of `places_of`, that a sample was measured in."""
    return max((number for number, each in enumerate(places) if each["from_sample"] <= sample), default=0)


def without_place(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same in all environments of a run."""
    return {name: value for name, value in environment.items() if name not in (*PLACE, "also", "type")}


def unlike(environments: Sequence[Mapping[str, Any]]) -> dict[int, list[str]]:
    """The environments, by their place, that cannot be of one run with most of the others, each with what differs.

    Most others agree with the one that counts; of several as many agree with, the first.
    """
    texts = [json.dumps(without_place(each), sort_keys=True, default=str) for each in environments]
    first = {text: texts.index(text) for text in dict.fromkeys(texts)}
    number = Counter(texts)
    if len(first) < 2:
        return {}

    def agreeing(text: str) -> int:
        one = environments[first[text]]
        return sum(number[other] for other, place in first.items() if not differences(one, environments[place]))

    counts = max(first, key=lambda text: (agreeing(text), -first[text]))
    reference = environments[first[counts]]
    found = {text: differences(reference, environments[place], ("there", "here")) for text, place in first.items()}
    return {place: found[text] for place, text in enumerate(texts) if found[text]}


def uncaptured_of(environment: Mapping[str, Any]) -> dict[str, str]:
    """Why stages ran without a graph, by the stage; what is no such thing, which a file may hold, is left out."""
    found = environment.get("uncaptured")
    pairs = found.items() if isinstance(found, dict) else ()
    return {name: reason for name, reason in pairs if name in set(Stage) and isinstance(reason, str)}


def uncaptured_words(environment: Mapping[str, Any]) -> list[str]:
    """As `uncaptured_of`, in words: the stages of each reason together, then the reason."""
    reasons = uncaptured_of(environment)
    found: dict[str, list[str]] = {}
    for stage in Stage:
        if stage in reasons:
            found.setdefault(reasons[stage], []).append(stage.label)
    return [f"{' and '.join(stages)} ({reason})" for reason, stages in found.items()]


def uncaptured_note(environment: Mapping[str, Any]) -> str:
    """What a reader must know of a run some stages of which ran without a graph; empty where none did."""
    words = uncaptured_words(environment)
    if not words:
        return ""
    return (
        f"Under graph not captured: {'; '.join(words)}. What these take follows the host, which launches their kernels "
        "one by one as under eager."
    )


def card_words(place: Mapping[str, Any]) -> str:
    """A card, or the machine whose processor it is, in words."""
    card = f"{place['card']} of " if place.get("card") else ""
    return f"{card}{place.get('host') or 'a machine that is not named'}"


def cards_of(environments: Sequence[Mapping[str, Any]]) -> dict[tuple[Any, Any], list[Mapping[str, Any]]]:
    """The environments of each card, by its host and UUID, in their order."""
    found: dict[tuple[Any, Any], list[Mapping[str, Any]]] = {}
    for each in environments:
        found.setdefault(card_of(each), []).append(each)
    return found


def set_aside_words(environments: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each environment of a run whose samples are in no figure, and why."""
    found = []
    for each in environments:
        if each.get("refused"):
            found.append(
                f"{_part_words(each)}, measured on {card_words(each)}, is left out of every figure, since what it was "
                f"measured on differs: {each['refused']}."
            )
    cards = cards_of(environments)
    for each in (one for one in environments if one.get("set_aside")):
        alone = len(cards[card_of(each)]) == 1
        called = card_words(each) if alone else f"{_part_words(each)}, measured on {card_words(each)},"
        found.append(
            f"{called} is left out of every figure: at the settings that others measured as well it differs from them "
            f"by more than 1 % and more than chance: {each['set_aside']}."
        )
    return list(dict.fromkeys(found))


def not_compared_words(environments: Sequence[Mapping[str, Any]], alone: Collection[int], least: int) -> str:
    """What to know of parts of a run that are in its figures though none could be compared with them; empty of none.

    Args:
        environments: As `Reader.environments`.
        alone: The numbers of those that share no setting with another.
        least: Samples that a setting needs on either side.
    """
    parts = [_part_words(each) for each in environments if each["number"] in alone]
    if not parts:
        return ""
    was, whose = ("was", "its card differs") if len(parts) == 1 else ("were", "their cards differ")
    return (
        f"{some(parts)} {was} pooled with the rest without being compared, since no setting has {least} samples or "
        f"more there and elsewhere: whether {whose} is not known."
    )


def _part_words(environment: Mapping[str, Any]) -> str:
    """Which part of a run was measured in an environment."""
    if environment.get("shard"):
        later = f" from its sample {environment['from_sample']:,} on" if environment.get("from_sample") else ""
        return f"Shard {environment['shard']}{later}"
    return f"What follows sample {environment['from_sample']:,}" if environment.get("from_sample") else "A part"


def card_of(environment: Mapping[str, Any]) -> tuple[Any, Any]:
    """What tells the card of an environment from others: its host and its own id."""
    return environment.get("host"), environment.get("card")
