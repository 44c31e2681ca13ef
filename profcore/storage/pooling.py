"""Which cards of a run are pooled: those whose anchors agree, looked at again as the run grows.

What is found is kept in the database, so that whatever is asked of a run leaves the others out, and follows from the
samples alone: it is found anew whenever there are more of them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from profcore.spec.environments import cards_of
from profcore.spec.stages import MODEL_STAGES
from profcore.stats import METRIC_LABELS
from profcore.stats.cards import odd_ones
from profcore.stats.digits import written

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import pandas as pd

    from profcore.stats.cards import Difference
    from profcore.storage.store import Store

COMPARED = (*(stage.column for stage in MODEL_STAGES), "total_ms")
"""The latencies by which cards are compared."""

_EVERY_S = 5.0
_MOST_NAMED = 3


class Pooling:
    """Looks which cards of growing runs agree, of each run now and then as it grows."""

    def __init__(self, store: Store, now: Callable[[], float] = time.monotonic) -> None:
        """Look into a store, by a clock in seconds."""
        self._store, self._now = store, now
        self._changed: set[str] = set()
        self._looked: dict[str, float] = {}

    def changed(self, run_id: str) -> None:
        """Note that a run has more samples, or another environment."""
        self._changed.add(run_id)

    def look(self, now_and_then: bool = False) -> None:
        """Compare the cards of those runs that have changed.

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
        if len(cards_of(usable)) < 2 and not any(each["set_aside"] for each in environments):
            return
        reasons = odd_environments(usable, self._own(run_id), self._store.of_places(run_id, COMPARED))
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
    """The environments, by number, whose card is not to be pooled with the others, each with what it differs in.

    Args:
        environments: As `Reader.environments`.
        own: How many settings each shard has of its own: of two cards the one with more is kept.
        samples: As `Reader.of_places`.
    """
    cards = cards_of(environments)
    settings = {card: sum(own.get(each["shard"], 0) for each in places) for card, places in cards.items()}
    ordered = sorted(cards, key=lambda card: (-settings[card], cards[card][0]["number"]))
    odd = odd_ones({card: latencies_of(cards[card], samples) for card in ordered})
    return {each["number"]: _words(differing) for card, differing in odd.items() for each in cards[card]}


def latencies_of(places: Sequence[Any], samples: pd.DataFrame) -> dict[str, dict[int, np.ndarray]]:
    """A card's samples by latency and setting, as `stats.cards` takes them."""
    own = samples[samples["environment"].isin([each["number"] for each in places])]
    groups = {int(rows["setting"].iloc[0]): rows for _, rows in own.groupby("setting")}
    return {metric: {setting: rows[metric].to_numpy(float) for setting, rows in groups.items()} for metric in COMPARED}


def _words(differing: Sequence[Difference]) -> str:
    largest = sorted(differing, key=lambda each: -abs(each.share))[:_MOST_NAMED]
    return ", ".join(
        f"{METRIC_LABELS[each.metric]} {_signed(each.share)} % ({_signed(each.low)} to {_signed(each.high)} %)"
        for each in largest
    )


def _signed(share: float) -> str:
    return f"{'+' if share > 0 else '−'}{written(100 * abs(share))}"
