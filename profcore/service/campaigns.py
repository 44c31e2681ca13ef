"""The shards of a run that was submitted: how far each is, what it printed, and the commands that act on them."""

from __future__ import annotations

import shlex
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from profcore.errors import UserError
from profcore.spec.stages import State
from profcore.stats.digits import MISSING
from profcore.worker.campaigns import read_campaign
from profcore.worker.launchers import launcher_of
from profcore.worker.shard_states import MEASURING, log_tail, shard_states
from profcore.worker.spool_progress import SpoolProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from profcore.storage.store import Store
    from profcore.worker.campaigns import Campaign
    from profcore.worker.shard_states import ShardState

_EVERY_S, _WAITS_S = 5.0, 0.3
_NOT_HERE = "not here yet"


@dataclass(frozen=True)
class Submitted:
    """A run's campaign as it was last seen.

    Attributes:
        campaign: What was submitted.
        states: How far each shard is; none where that is not known.
        problem: Why it is not known; empty where it is.
    """

    campaign: Campaign
    states: tuple[ShardState, ...] = ()
    problem: str = ""

    @property
    def commands(self) -> dict[str, str]:
        """Commands that act on it now, by what they do, as a shell takes them from any folder."""
        more = ["--folder", str(self.campaign.folder.parent)]
        known = {"How far each shard is": "jobs"}
        if any(each.active for each in self.states):
            known["End what waits or is measured; what was measured stays"] = "cancel"
        if any(not each.is_done and not each.active for each in self.states):
            known["Go on with what is left"] = "resubmit"
        return {
            what: shlex.join(["python", "-m", "profcore", command, self.campaign.id, *more])
            for what, command in known.items()
        }


class Campaigns:
    """Looks at campaigns for all who watch: every few seconds, and in a thread of its own, since a scheduler is asked.

    A run is known to be of a campaign by the links that lead to its spools, or by where campaigns usually lie.
    """

    def __init__(self, store: Store, now: Callable[[], float] = time.monotonic) -> None:
        """Look for campaigns of runs of a store, by a clock in seconds."""
        self._store, self._now = store, now
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, Submitted | None]] = {}
        self._coming: dict[str, Future[Submitted | None]] = {}
        self._progress = SpoolProgress()
        self._worker = ThreadPoolExecutor(1, "campaigns")

    def close(self) -> None:
        """Look at no other."""
        self._worker.shutdown(cancel_futures=True)

    def of(self, run_id: str) -> Submitted | None:
        """A run's campaign as it was seen some seconds ago; None where there is none, or none was seen yet."""
        with self._lock:
            at, last = self._seen.get(run_id, (None, None))
            if at is not None and self._now() - at < _EVERY_S:
                return last
            if run_id not in self._coming:
                self._coming[run_id] = self._worker.submit(self._look, run_id)
            coming = self._coming[run_id]
        try:
            return coming.result(_WAITS_S)
        except NotYetError:
            return last

    def _look(self, run_id: str) -> Submitted | None:
        try:
            found = self._submitted(run_id)
        finally:
            with self._lock:
                self._coming.pop(run_id, None)
        with self._lock:
            self._seen[run_id] = (self._now(), found)
        return found

    def _submitted(self, run_id: str) -> Submitted | None:
        campaign = self._find(run_id)
        if campaign is None:
            return None
        try:
            return Submitted(campaign, tuple(shard_states(campaign, launcher_of(campaign.launcher), self._progress)))
        except UserError as error:
            return Submitted(campaign, problem=str(error))

    def _find(self, run_id: str) -> Campaign | None:
        folders = [self._store.path.parent / "campaigns" / run_id]
        for link in sorted(self._store.spools.glob(f"{run_id}-s*.jsonl")):
            if link.is_symlink():
                folders.insert(0, link.readlink().parent.parent)
                break
        for folder in folders:
            with suppress(UserError, OSError):
                if (campaign := read_campaign(folder.absolute())).id == run_id:
                    return campaign
        return None


def printed(submitted: Submitted, shard: int) -> list[str]:
    """The last lines that a shard printed; none where it has not, or where its log lies outside of its campaign."""
    log = next((each.log for each in submitted.states if each.shard == shard), None)
    if log is None or not log.resolve().is_relative_to(submitted.campaign.folder.resolve()):
        return []
    return log_tail(log)


def shard_rows(run: Mapping[str, Any], submitted: Submitted | None) -> pd.DataFrame:
    """A row for each shard of a run, in words; none of a run that was not split.

    Args:
        run: As `Reader.run`.
        submitted: Its campaign, where it is known.
    """
    parts = {each["shard"]: each for each in run["parts"]}
    if not parts:
        return pd.DataFrame()
    known = {each.shard: each for each in submitted.states} if submitted else {}
    count = next(iter(parts.values()))["count"]
    rows = [_row(number, parts.get(number), known.get(number), run) for number in range(1, count + 1)]
    frame = pd.DataFrame(rows)
    return frame if known else frame.drop(columns="job")


def _row(
    number: int, part: Mapping[str, Any] | None, known: ShardState | None, run: Mapping[str, Any]
) -> dict[str, str]:
    places = [each for each in run["environments"] if each["shard"] == number]
    if not places and part and len(run["parts"]) == 1 and run["environment"]:
        places = [run["environment"]]
    counts = [each["samples"] for each in places if "samples" in each]
    taken = known.samples if known else sum(counts) if counts else None
    return {
        "shard": str(number),
        "state": known.word if known else _word(part),
        "samples": MISSING if taken is None else f"{taken:,}",
        "why": (known.reason if known else "") or _said(part),
        "host": _all_of(places, "host"),
        "card": _all_of(places, "card"),
        "job": (known.job or "") if known else "",
    }


def _all_of(places: list[Any], field: str) -> str:
    """Where a shard was measured, one place after another."""
    return ", ".join(dict.fromkeys(str(each[field]) for each in places if each.get(field))) or MISSING


def _word(part: Mapping[str, Any] | None) -> str:
    if part is None:
        return _NOT_HERE
    return (
        MEASURING if part["state"] == State.RUNNING else "waiting" if part["state"] == State.QUEUED else part["state"]
    )


def _said(part: Mapping[str, Any] | None) -> str:
    """Why a shard ended before it was done, or what it is at."""
    if part is None or part["state"] == State.DONE:
        return ""
    return part["reason"] or part["phase"] or ""
