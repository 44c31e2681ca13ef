"""Shards as parts of one run in the database, and the environments of a run that has several.

A shard's spool is taken in under the id of the whole run: its samples get numbers that no other shard's have, and of
what is said of a setting only what its own shard says is kept. A run that went on elsewhere has its environments here
as well, so that each sample knows where it was measured whichever way its run came to be.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from profcore.errors import FormatError
from profcore.spec.environments import places_of, uncaptured_of, unlike
from profcore.spec.runs import RunSpec, Shard
from profcore.spec.shards import same_run, state_of_run
from profcore.spec.stages import State
from profcore.storage.insert import insert_run
from profcore.storage.validation import environment_of, moment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import pyarrow as pa

    from profcore.storage.connection import Cursor
    from profcore.storage.lines import Record

_OF_RUN = ("state", "phase", "environment")


@dataclass(frozen=True)
class Part:
    """What a spool is of.

    Attributes:
        run_id: The run that it is taken in as.
        shard: Which part of it; None where the spool is all of it.
    """

    run_id: str
    shard: Shard | None


def part_of(cursor: Cursor, spool: str) -> Part:
    """What a spool that was begun is of."""
    rows = cursor.execute("SELECT run_id, shard, count, own, anchors FROM shards WHERE spool = ?", [spool]).fetchall()
    if not rows:
        return Part(spool, None)
    run_id, index, count, own, anchors = rows[0]
    return Part(run_id, Shard(run_id, index, count, tuple(own), tuple(anchors)))


def begin_shard(cursor: Cursor, spool: str, spec: RunSpec, source: str, schema: pa.Schema) -> bool:
    """Begin to take in a shard; whether its run is new.

    Args:
        cursor: In a transaction.
        spool: The spool's name.
        spec: What it measures a part of.
        source: As `insert_run`.
        schema: The columns of the table of settings.

    Raises:
        FormatError: It is no part of the run that is there by its id, or that part is there already.
        ValueError: The record holds another run.
    """
    shard = spec.shard
    assert shard
    if spec.id != spool:
        raise ValueError(f"it holds run {spec.id}")
    rows = cursor.execute("SELECT spec FROM runs WHERE id = ?", [shard.campaign]).fetchall()
    if rows:
        _check_part(cursor, spool, spec, rows[0][0])
        cursor.execute(
            "UPDATE runs SET created_at = least(created_at, ?) WHERE id = ?", [moment(spec.created_at), shard.campaign]
        )
    else:
        whole = replace(spec, id=shard.campaign, shard=None)
        insert_run(cursor, shard.campaign, {"type": "run", **whole.to_dict()}, source, schema)
        planned = spec.sweep.num_samples * (len(spec.sweep.settings) + (shard.count - 1) * len(shard.anchors))
        cursor.execute("UPDATE runs SET planned_samples = ? WHERE id = ?", [planned, shard.campaign])
    cursor.execute(
        "INSERT INTO shards (spool, run_id, shard, count, own, anchors, state) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [spool, shard.campaign, shard.index, shard.count, list(shard.own), list(shard.anchors), str(State.QUEUED)],
    )
    return not rows


def _check_part(cursor: Cursor, spool: str, spec: RunSpec, known: str | None) -> None:
    """Whether a shard is a part of the run that is there by its id.

    Raises:
        FormatError: It is not.
    """
    shard = spec.shard
    assert shard
    parts = cursor.execute(
        "SELECT spool, shard, count, own, anchors FROM shards WHERE run_id = ? ORDER BY shard", [shard.campaign]
    ).fetchall()
    named = f"{spool}.jsonl is {shard.words} of run {shard.campaign}"
    if not parts or not known:
        raise FormatError(f"{named}, but what is here by that id is no run of shards: measure it under another.")
    _, index, count, own, anchors = parts[0]
    there = replace(
        RunSpec.from_dict(json.loads(known)), shard=Shard(shard.campaign, index, count, tuple(own), tuple(anchors))
    )
    if differ := same_run(there, spec):
        raise FormatError(
            f"{named}, but asks for something else ({', '.join(differ)}): it is not taken in. Measure it anew under "
            "another id."
        )
    for other, number, _, its_own, _ in parts:
        if number == shard.index:
            raise FormatError(f"{named}, which is here already as {other}.jsonl: it is not taken in a second time.")
        if set(its_own) & set(shard.own):
            raise FormatError(f"{named}, but settings of it are those of {other}.jsonl: it is not taken in.")


def take_in_places(cursor: Cursor, spool: str, part: Part, records: Sequence[Record]) -> bool:
    """Store where a spool's samples are measured, as its records say; whether they say it.

    Args:
        cursor: In a transaction.
        spool: The spool's name.
        part: What it is of.
        records: Checked.
    """
    rows: list[tuple[int, int | None, dict[str, Any], dict[str, Any] | None]] = []
    started = _last_started(cursor, spool)
    started_by: dict[int, datetime | None] = {}
    for record in records:
        if record["type"] == "state" and record["state"] == State.RUNNING:
            started = moment(record["at"])
        elif record["type"] == "environment":
            facts = environment_of(record)
            for place, each in enumerate(places_of(facts)):
                number = part.shard.whole_number(place) if part.shard else place
                rows.append((number, part.shard.index if part.shard else None, each, facts))
                # What goes on names the places before again.
                started_by.setdefault(number, started)
        elif record["type"] == "environments":
            # Of a file that was written of such a run; it has said its facts before.
            rows += [(each["number"], each.get("shard"), each, None) for each in record["places"]]
    if not rows:
        return False
    query = "SELECT environment_number, facts FROM environments WHERE spool = ?"
    known = dict(cursor.execute(query, [spool]).fetchall())
    new = {row[0]: row for row in rows if row[0] not in known or row[3] is None}
    for number, index, each, said in new.values():
        cursor.execute("DELETE FROM environments WHERE spool = ? AND environment_number = ?", [spool, number])
        cursor.execute(
            "INSERT INTO environments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *(part.run_id, number, spool, index, each.get("from_sample") or 0),
                *(each.get(name) for name in ("host", "card", "device")),
                *(json.dumps(said or {}), each.get("refused"), each.get("set_aside"), started_by.get(number)),
            ],
        )
    told = {row[0]: json.dumps(row[3]) for row in rows if row[0] in known and row[3] is not None}
    changed = {number: text for number, text in told.items() if text != known[number]}
    for number, text in changed.items():
        cursor.execute(
            "UPDATE environments SET facts = ? WHERE spool = ? AND environment_number = ?", [text, spool, number]
        )
    if (new or changed) and part.shard:
        _refuse_unlike(cursor, part.run_id)
    return True


def _last_started(cursor: Cursor, spool: str) -> datetime | None:
    """When what a spool is of was last started, as far as it was taken in."""
    query = "SELECT started_at FROM shards WHERE spool = $1 UNION ALL SELECT started_at FROM runs WHERE id = $1"
    rows = cursor.execute(query, [spool]).fetchall()
    return rows[0][0] if rows else None


def _refuse_unlike(cursor: Cursor, run_id: str) -> None:
    """Mark the shards that were measured on what cannot be pooled with the others, and say what the run was on."""
    rows = cursor.execute(
        "SELECT environment_number, facts FROM environments WHERE run_id = ? ORDER BY environment_number", [run_id]
    ).fetchall()
    facts = [json.loads(row[1]) for row in rows]
    refused = unlike(facts)
    cursor.execute("UPDATE environments SET refused = NULL WHERE run_id = ? AND refused IS NOT NULL", [run_id])
    for place, differ in refused.items():
        cursor.execute(
            "UPDATE environments SET refused = ? WHERE run_id = ? AND environment_number = ?",
            [", ".join(differ), run_id, rows[place][0]],
        )
    pooled = [each for place, each in enumerate(facts) if place not in refused]
    # What its own shard says of going on elsewhere is said by the environments.
    whole = {name: value for name, value in pooled[0].items() if name != "also"}
    # Each shard has its own settings, of which those of one may be captured and those of another not.
    if uncaptured := {name: reason for each in pooled for name, reason in uncaptured_of(each).items()}:
        whole["uncaptured"] = uncaptured
    cursor.execute("UPDATE runs SET environment = ? WHERE id = ?", [json.dumps(whole), run_id])


def placed(cursor: Cursor, spool: str, part: Part, records: Sequence[Record]) -> list[Record]:
    """A spool's records as those of its run: each sample with its environment, and of a shard with another number.

    Of a shard, what is said of the run as a whole is left to `follow_shard`, and what is said of another's settings
    besides samples is left out.
    """
    rows = cursor.execute(
        "SELECT from_sample, environment_number FROM environments WHERE spool = ? ORDER BY ALL", [spool]
    ).fetchall()
    shard = part.shard
    if shard is None and len(rows) < 2:
        return list(records)
    # What a file says of its samples itself stays as it is.
    places = [] if shard is None and any(record.get("environment_number") is not None for record in records) else rows
    found = []
    for record in records:
        if record["type"] == "sample":
            own = record["sample_id"]
            number = next((environment for begin, environment in reversed(places) if begin <= own), None)
            more = {} if number is None else {"environment_number": number}
            found.append({**record, **more, "sample_id": shard.whole_number(own) if shard else own})
        elif shard is None or (record["type"] not in _OF_RUN and record.get("setting", shard.own[0]) in shard.own):
            found.append(record)
    return found


def follow_shard(cursor: Cursor, spool: str, part: Part, records: Sequence[Record]) -> None:
    """Note where a shard stands, and with it its run."""
    assert part.shard
    changed = False
    for record in records:
        if record["type"] == "phase":
            cursor.execute("UPDATE shards SET phase = ? WHERE spool = ?", [record["text"], spool])
            changed = True
        elif record["type"] == "state":
            state, column = record["state"], "ended_at" if State(record["state"]).ended else "started_at"
            cursor.execute(
                f"UPDATE shards SET state = ?, reason = ?, {column} = ?, phase = NULL WHERE spool = ?",
                [state, record.get("reason"), moment(record["at"]), spool],
            )
            changed = True
    if changed:
        _follow_run(cursor, part)


def end_shard(cursor: Cursor, spool: str, reason: str) -> None:
    """Note that a shard has failed whose spool does not say so."""
    cursor.execute("UPDATE shards SET state = 'failed', reason = ?, phase = NULL WHERE spool = ?", [reason, spool])
    _follow_run(cursor, part_of(cursor, spool))


def _follow_run(cursor: Cursor, part: Part) -> None:
    """Give a run the state that follows from its shards'."""
    rows = cursor.execute(
        "SELECT shard, state, reason, phase, started_at, ended_at FROM shards WHERE run_id = ? ORDER BY shard",
        [part.run_id],
    ).fetchall()
    assert part.shard
    count = part.shard.count
    state, reason = state_of_run({row[0]: (State(row[1]), row[2]) for row in rows}, count)
    phases = [f"shard {row[0]} of {count}: {row[3]}" for row in rows if row[3]] if not state.ended else []
    own = [text for text in phases if text.startswith(f"shard {part.shard.index} ")]
    phase = next(iter([*own, *phases]), None)
    started = min((row[4] for row in rows if row[4]), default=None)
    ended = max((row[5] for row in rows if row[5]), default=None) if state.ended else None
    cursor.execute(
        "UPDATE runs SET state = ?, reason = ?, phase = ?, started_at = ?, ended_at = ? WHERE id = ?",
        [str(state), reason, phase and phase[:1].upper() + phase[1:], started, ended, part.run_id],
    )
