"""Which environments of a run are pooled: those whose anchors agree, looked at again as the run grows.

Each shard is compared with all others, those of its own card too: a card is another one a day later, when it is hotter,
and in another process. What is found is kept in the database, so that whatever is asked of a run leaves the others out,
and follows from the samples alone: it is found anew whenever there are more of them.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

from profcore.spec.stages import MODEL_STAGES
from profcore.stats import METRIC_LABELS
from profcore.stats.cards import odd_ones
from profcore.stats.digits import written

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import pandas as pd

    from profcore.stats.cards import Difference
    from profcore.storage.read import PlaceConditions
    from profcore.storage.store import Store

COMPARED = (*(stage.column for stage in MODEL_STAGES), "total_ms")
"""The latencies by which environments are compared."""

_EVERY_S = 5.0
_MOST_NAMED = 3
# What is said besides of an environment that differs, from which difference on: the readings of sensors waver.
_OTHER_CLOCK, _OTHER_TEMPERATURE_C, _LATER_H = 0.01, 5.0, 1.0


class Pooling:
    """Looks which environments of growing runs agree, of each run now and then as it grows."""

    def __init__(self, store: Store, now: Callable[[], float] = time.monotonic) -> None:
        """Look into a store, by a clock in seconds."""
        self._store, self._now = store, now
        self._changed: set[str] = set()
        self._looked: dict[str, float] = {}

    def changed(self, run_id: str) -> None:
        """Note that a run has more samples, or another environment."""
        self._changed.add(run_id)

    def look(self, now_and_then: bool = False) -> None:
        """Compare the environments of those runs that have changed.

        Args:
            now_and_then: Leave for later what was compared a moment ago.
        """
        for run_id in list(self._changed):
            if now_and_then and self._now() - self._looked.get(run_id, -_EVERY_S) < _EVERY_S:
                continue
            self._changed.discard(run_id)
            self._compare(run_id)
            self._looked[run_id] = self._now()

    def _compare(self, run_id: str) -> None:
        environments = self._store.environments(run_id, counted=False)
        if not self._is_measured(run_id):
            # A file says itself what was set aside, and has no samples of that.
            return
        usable = [each for each in environments if not each["refused"]]
        if len(usable) < 2 and not any(each["set_aside"] for each in environments):
            return
        odd = odd_environments(usable, self._own(run_id), self._store.of_places(run_id, COMPARED))
        conditions = self._store.conditions_of_places(run_id) if odd else {}
        pooled = [conditions[each["number"]] for each in usable if each["number"] not in odd and conditions]
        reasons = {
            number: "; ".join([words, *differing_conditions(conditions[number], pooled)])
            for number, words in odd.items()
        }
        if reasons == {each["number"]: each["set_aside"] for each in usable if each["set_aside"]}:
            return
        with self._store.connection.transaction() as cursor:
            for each in environments:
                cursor.execute(
                    "UPDATE environments SET set_aside = ? WHERE run_id = ? AND environment_number = ?",
                    [reasons.get(each["number"]), run_id, each["number"]],
                )

    def _is_measured(self, run_id: str) -> bool:
        query = "SELECT source <> 'imported' FROM runs WHERE id = ?"
        rows = self._store.connection.cursor.execute(query, [run_id]).fetchall()
        return bool(rows and rows[0][0])

    def _own(self, run_id: str) -> dict[int, int]:
        """How many settings each shard has of its own."""
        return {each["shard"]: len(each["own"]) for each in self._store.parts(run_id)}


def odd_environments(
    environments: Sequence[dict[str, Any]], own: dict[int, int], samples: pd.DataFrame
) -> dict[int, str]:
    """The environments, by number, that are not to be pooled with the others, each with what it differs in.

    Args:
        environments: As `Reader.environments`.
        own: How many settings each shard has of its own: of two that differ the one with more is kept, and of two of
            one shard, which went on later, the one with more samples.
        samples: As `Reader.of_places`.
    """
    taken = samples["environment"].value_counts()
    first = {each["shard"]: each["number"] for each in sorted(environments, key=lambda each: -each["number"])}
    ordered = sorted(
        environments,
        key=lambda each: (
            *(-own.get(each["shard"], 0), first[each["shard"]]),
            *(-int(taken.get(each["number"], 0)), each["number"]),
        ),
    )
    latencies = latencies_of(samples)
    odd = odd_ones({each["number"]: latencies.get(each["number"], {}) for each in ordered})
    return {number: _words(differing) for number, differing in odd.items()}


def latencies_of(samples: pd.DataFrame) -> dict[int, dict[str, dict[int, np.ndarray]]]:
    """Of each environment, by its number, its samples by latency and setting, as `stats.cards` takes them."""
    found: dict[int, dict[str, dict[int, np.ndarray]]] = {}
    for _, rows in samples.groupby(["environment", "setting"]):
        number, setting = int(rows["environment"].iloc[0]), int(rows["setting"].iloc[0])
        latencies = found.setdefault(number, {metric: {} for metric in COMPARED})
        for metric in COMPARED:
            latencies[metric][setting] = rows[metric].to_numpy(float)
    return found


def differing_conditions(own: PlaceConditions, others: Sequence[PlaceConditions]) -> list[str]:
    """What else than its latencies an environment has otherwise than those that are pooled, in words.

    Args:
        own: Its conditions.
        others: Those of the environments that are pooled.
    """
    found = []
    clock, usual = own.sm_clock_mhz, _median([each.sm_clock_mhz for each in others])
    if clock and usual and abs(clock / usual - 1) > _OTHER_CLOCK:
        found.append(f"SM clock {clock:,.0f} MHz there, {usual:,.0f} MHz elsewhere")
    heat, usual = own.temperature_c, _median([each.temperature_c for each in others])
    if heat is not None and usual is not None and abs(heat - usual) >= _OTHER_TEMPERATURE_C:
        found.append(f"{heat:.0f} °C there, {usual:.0f} °C elsewhere")
    started, usual = own.started_s, _median([each.started_s for each in others])
    if started is not None and usual is not None and abs(hours := (started - usual) / 3600) >= _LATER_H:
        found.append(f"started {abs(hours):,.0f} h {'later' if hours > 0 else 'earlier'} than the others")
    return found


def _median(values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return statistics.median(known) if known else None


def _words(differing: Sequence[Difference]) -> str:
    largest = sorted(differing, key=lambda each: -abs(each.share))[:_MOST_NAMED]
    return ", ".join(
        f"{METRIC_LABELS[each.metric]} {_signed(each.share)} % ({_signed(each.low)} to {_signed(each.high)} %)"
        for each in largest
    )


def _signed(share: float) -> str:
    return f"{'+' if share > 0 else '−'}{written(100 * abs(share))}"
