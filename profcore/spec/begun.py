"""How far a run is, as its spool says: what is measured of it, and what it was measured on. Standard library only."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from profcore.spec.sound import OF_SETTINGS, BadRecordError, check_measured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LARGEST_NUMBER = 10**9
_MAY_DIFFER = {"type", "device", "host", "card", "also", "cores", "load", "uncaptured"}
"""What of an environment may be another where a run goes on: the same card has another number, or is another's."""


@dataclass(frozen=True)
class Begun:
    """What a run has, so that it can go on where it was.

    Attributes:
        taken: The rounds of each setting that were measured.
        totals: The totals of each setting that were measured, in milliseconds, by their rounds.
        failed: The settings that give no further sample, each with the reason.
        ended: The settings of which it was recorded that they have enough samples.
        routed: The settings whose experts were counted.
        quality: The settings whose quality was recorded, or could not be.
        energy: The settings whose energy was, or could not be.
        worked: The settings whose work was counted.
        next_sample: The number of the next sample.
        elapsed_s: Seconds of measuring so far.
        environment: What it was measured on; None before that was known.
    """

    taken: Mapping[int, frozenset[int]] = field(default_factory=dict)
    totals: Mapping[int, Mapping[int, float]] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)
    ended: frozenset[int] = frozenset()
    routed: frozenset[int] = frozenset()
    quality: frozenset[int] = frozenset()
    energy: frozenset[int] = frozenset()
    next_sample: int = 0
    elapsed_s: float = 0.0
    environment: dict[str, Any] | None = None
    worked: frozenset[int] = frozenset()

    def has(self, setting: int, visit: int) -> bool:
        """Whether a setting was measured in a round."""
        return visit in self.taken.get(setting, ())

    def fails(self, setting: int, visit: int) -> bool:
        """Whether a setting had failed when its turn came in a round."""
        return setting in self.failed and visit > max(self.taken.get(setting, ()), default=-1)


def begun_of(records: Iterable[dict[str, Any] | None], num_settings: int) -> Begun:
    """How far a run is.

    Args:
        records: Of its spool; None for a line that cannot be read. What it held is measured again, and so is what the
            store leaves out.
        num_settings: How many settings the run has.
    """
    found = _Found()
    for record in records:
        with suppress(BadRecordError):
            if record and record["type"] in OF_SETTINGS:
                check_measured(record, num_settings)
                found.add(record)
            elif record and record["type"] == "environment":
                found.environment = {key: value for key, value in record.items() if key != "type"}
    rounds = {setting: frozenset(visits) for setting, visits in found.taken.items()}
    return Begun(
        rounds,
        found.totals,
        found.failed,
        frozenset(found.ended),
        frozenset(found.routed),
        frozenset(found.quality),
        frozenset(found.energy),
        found.next_sample,
        found.elapsed_s,
        found.environment,
        frozenset(found.worked),
    )


class _Found:
    """What a spool's records have said so far."""

    def __init__(self) -> None:
        self.numbers: set[int] = set()
        self.taken: dict[int, set[int]] = defaultdict(set)
        self.totals: dict[int, dict[int, float]] = defaultdict(dict)
        self.failed: dict[int, str] = {}
        self.ended: set[int] = set()
        self.routed: set[int] = set()
        self.quality: set[int] = set()
        self.energy: set[int] = set()
        self.worked: set[int] = set()
        self.next_sample, self.elapsed_s = 0, 0.0
        self.environment: dict[str, Any] | None = None

    def add(self, record: dict[str, Any]) -> None:
        """Take in a record of a setting that can be stored."""
        kind, setting = record["type"], record["setting"]
        if kind == "sample":
            self._add_sample(record)
        elif kind == "setting_failed":
            self.failed[setting] = record["reason"]
        elif kind == "setting_ended":
            self.ended.add(setting)
        elif kind == "routing":
            self.routed.add(setting)
        elif kind == "work":
            self.worked.add(setting)
        elif kind in ("quality", "quality_failed"):
            self.quality.add(setting)
        elif kind in ("energy", "energy_failed"):
            self.energy.add(setting)

    def _add_sample(self, record: dict[str, Any]) -> None:
        number = record["sample_id"]
        if number in self.numbers:
            # Kept once, by whoever takes spools in, too.
            return
        self.numbers.add(number)
        if record.get("round") is not None:
            self.taken[record["setting"]].add(record["round"])
            if record.get("total_ms") is not None:
                self.totals[record["setting"]][record["round"]] = record["total_ms"]
        # No run takes as many: what bears such a number shall not set the next one's, which may be beyond what is.
        if number < _LARGEST_NUMBER:
            self.next_sample = max(self.next_sample, number + 1)
        self.elapsed_s = max(self.elapsed_s, (record.get("elapsed_s") or 0.0) + (record.get("total_ms") or 0.0) / 1e3)


def differences(
    there: Mapping[str, Any], here: Mapping[str, Any], called_by: tuple[str, str] = ("then", "now")
) -> list[str]:
    """What differs between two environments so that one run cannot be measured in both, each in a few words.

    What one of them does not say is not compared, nor is what tells one card of a model, or one machine, from another.
    """
    found = []
    # Tuples are lists once they were written.
    for name, value in json.loads(json.dumps(dict(here))).items():
        before = there.get(name)
        if name in _MAY_DIFFER or value is None or before is None or before == value:
            continue
        called, (of_there, of_here) = name.replace("_", " "), called_by
        found.append(called if isinstance(value, dict) else f"{called} ({before} {of_there}, {value} {of_here})")
    return found


def extended(
    there: dict[str, Any], here: Mapping[str, Any], next_sample: int, apart: bool = False
) -> dict[str, Any] | None:
    """The environment of a run that goes on elsewhere, which names that too; None where it goes on where it was.

    Args:
        there: What the run was measured on so far.
        here: What it is measured on now.
        next_sample: The first sample that is.
        apart: Whether going on later on the same card is told apart as well, as in another process and another heat.
    """
    also = [each for each in there.get("also") or [] if isinstance(each, dict)]
    last = also[-1] if also else there
    same = all(last.get(name) == here.get(name) for name in ("host", "card"))
    # Where nothing was measured since, it has only begun anew.
    if same and (not apart or last.get("from_sample", 0) == next_sample):
        return None
    place = {name: here.get(name) for name in ("host", "card", "device")}
    return {**there, "also": [*also, {**place, "from_sample": next_sample}]}
