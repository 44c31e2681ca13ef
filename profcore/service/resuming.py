"""Whether and where a run that ended before it was done can go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profcore.errors import UserError
from profcore.spec.begun import differences
from profcore.spec.stages import State
from profcore.storage.spool import read_spec, spool_path

if TYPE_CHECKING:
    from pathlib import Path

    from profcore.storage.store import Store
    from profcore.worker.queue import Jobs


def resume(store: Store, jobs: Jobs, run_id: str) -> None:
    """Queue what is left of a run on the card that it was measured on, else on another of its model.

    Raises:
        UserError: It cannot go on; nothing is changed then.
    """
    run = resumable(store, run_id)
    devices = jobs.devices()
    if not run["parts"]:
        jobs.resume(run_id, _device(run["environment"], run["spec"]["target"]["device"], devices))
        return
    left = [part for part in run["parts"] if part["state"] != State.DONE]
    places = {each["shard"]: each for each in run["environments"]}
    # Each where it was, as far as that is told, and all of them told before any is begun.
    chosen = {}
    for part in left:
        asked = read_spec(spool_path(store.spools, part["spool"])).target.device
        place = places.get(part["shard"]) or {}
        there = {**run["environment"], "card": place.get("card"), "host": place.get("host")}
        chosen[part["spool"]] = _device(there, asked, devices)
    for spool, device in chosen.items():
        jobs.resume(spool, device)


def resumable(store: Store, run_id: str) -> dict[str, Any]:
    """A run that can go on, as `Store.run` gives it.

    Raises:
        UserError: It is done, not ended, not measured here, or its spool is gone.
    """
    run = store.run(run_id)
    if run is None:
        raise UserError(f"There is no run {run_id}.")
    if run["source"] != "measured" or not run["spec"]:
        raise UserError("Only what was measured here can go on: this run was taken in from elsewhere.")
    if not State(run["state"]).ended:
        raise UserError("This run has not ended: there is nothing to resume.")
    if run["state"] == State.DONE:
        raise UserError("This run is done: it has every sample that was asked for.")
    for spool in store.spools_of(run_id):
        path: Path = spool_path(store.spools, spool)
        if not path.exists():
            raise UserError(f"This run cannot go on: its spool {path.name} is gone.")
    parts = run["parts"]
    if parts and all(part["state"] == State.DONE for part in parts):
        raise UserError("What is here of this run is done: its other shards go on where they are measured.")
    return run


def _device(there: dict[str, Any], asked: str, devices: list[dict[str, Any]]) -> str:
    """The device on which a run, or a part of one, goes on.

    Args:
        there: What it was measured on so far.
        asked: The device that it was asked for.
        devices: Those of this machine.

    Raises:
        UserError: None of this machine gives the same figures.
    """
    # Its own card first, then the number that it was asked for.
    ordered = sorted(
        devices,
        key=lambda each: (each["machine"].get("card") != there.get("card"), each["id"] != asked),
    )
    kind = [each for each in ordered if (each["id"] == "cpu") == (asked == "cpu")]
    if not kind:
        raise UserError(f"This run cannot go on here: it was measured on {asked}, and there is none.")
    differing = [differences(there, each["machine"]) for each in kind]
    for device, differ in zip(kind, differing, strict=True):
        if not differ:
            return str(device["id"])
    raise UserError(
        f"This run cannot go on here, since what it was measured on differs: {', '.join(differing[0])}. "
        "Measure it anew, or where it was."
    )
