"""Whether a file could be taken in, asked before any of it is: of a person's upload, or of an import."""

from __future__ import annotations

import itertools
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from profcore.errors import FormatError
from profcore.spec.stages import State
from profcore.storage.connection import IN_MEMORY, Connection
from profcore.storage.lines import split_parts
from profcore.storage.store import Store
from profcore.storage.validation import BadRecordError, check_first, check_records, is_good

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from profcore.storage.lines import Record

_MOST_LEFT_OUT = 100_000


def check_storable(records: list[Record], name: str) -> None:
    """Whether a database can hold every record of a file, so that the file is taken in whole or not at all.

    Raises:
        FormatError: It cannot; `name` and the first few places are said.
    """
    check_records(records, _settings_schema(), name)


class CheckedSpool(NamedTuple):
    """What a spool that can be stored holds.

    Attributes:
        first: Its first record.
        left_out: How many of its lines cannot be stored.
        state: The last that its run was in; None where it does not say.
    """

    first: Record
    left_out: int
    state: State | None


def check_spool(data: bytes, name: str) -> CheckedSpool:
    """Whether a spool holds a run that can be stored.

    Args:
        data: Its content.
        name: What the file is called.

    Raises:
        FormatError: Its first line holds no run that this version knows.
    """
    parts = split_parts(data)
    records = next(parts, [])
    try:
        if not records or records[0] is None:
            raise BadRecordError("its first line holds no run")
        first = records[0]
        number = check_first(first, _settings_schema())
    except BadRecordError as error:
        raise FormatError(f"{name} is not a spool this version reads: {error}.") from None
    left_out, state = 0, None
    for record in itertools.chain(records[1:], itertools.chain.from_iterable(parts)):
        if record is None or not is_good(record, number):
            left_out += 1
        elif record["type"] == "state":
            state = State(record["state"])
        if left_out > _MOST_LEFT_OUT:
            raise FormatError(f"{name} holds more than {_MOST_LEFT_OUT:,} lines that cannot be read.")
    return CheckedSpool(first, left_out, state)


def take_in_on_trial(path: Path, run_id: str, name: str) -> None:
    """Whether a database takes a spool in, tried on an empty one.

    Args:
        path: The spool, under whatever name.
        run_id: The run it holds.
        name: What a person calls it.

    Raises:
        FormatError: It does not.
    """
    with Store(IN_MEMORY, path.parent) as store:
        try:
            store.take_in(path, run_id=run_id)
        except FormatError as error:
            raise FormatError(str(error).replace(path.name, name)) from None


@cache
def _settings_schema() -> pa.Schema:
    """The columns of a database's table of settings, asked of an empty one."""
    connection = Connection(IN_MEMORY)
    try:
        return connection.schema("settings")
    finally:
        connection.close()
