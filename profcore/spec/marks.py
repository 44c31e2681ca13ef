"""What people note of a run besides its name: a text, tags, a star, and whether it is put away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from profcore.errors import UserError

LONGEST_NOTE, LONGEST_TAG, MOST_TAGS = 2000, 40, 20
_BETWEEN = ", "


@dataclass(frozen=True)
class Marks:
    """What is noted of one run.

    Attributes:
        note: A text of several lines at most; empty for none.
        tags: Words to find it by, each once; none holds a comma.
        starred: Whether it stands out.
        archived: Whether lists leave it out unless they are asked for all.
    """

    note: str = ""
    tags: tuple[str, ...] = ()
    starred: bool = False
    archived: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "tags": list(self.tags)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Marks:
        """What `to_dict` gave.

        Raises:
            UserError: A text or the tags are too long.
            TypeError: A value is of another kind.
        """
        if not isinstance(values, Mapping):
            raise TypeError("marks are no object")
        given = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        kinds = {"note": str, "tags": list, "starred": bool, "archived": bool}
        for name, value in given.items():
            if not isinstance(value, kinds[name]):
                raise TypeError(f"{name} is no {kinds[name].__name__}")
        return cls(
            checked_note(given.get("note", "")),
            checked_tags(given.get("tags", ())),
            given.get("starred", False),
            given.get("archived", False),
        )


def checked_note(text: str) -> str:
    """A note as it is kept.

    Raises:
        UserError: It is too long.
    """
    text = text.strip()
    if len(text) > LONGEST_NOTE:
        raise UserError(f"A note of {len(text):,} letters is too long: at most {LONGEST_NOTE:,}.")
    return text


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags as they are kept: each on one line, once, in the order given; a comma parts two.

    Raises:
        UserError: They are too many, or one is too long.
    """
    words = (" ".join(str(word).split()) for tag in tags for word in str(tag).split(","))
    kept = tuple(dict.fromkeys(word for word in words if word))
    for tag in kept:
        if len(tag) > LONGEST_TAG:
            raise UserError(f"A tag of {len(tag)} letters is too long: at most {LONGEST_TAG}.")
    if len(kept) > MOST_TAGS:
        raise UserError(f"{len(kept)} tags are too many for a run: at most {MOST_TAGS}.")
    return kept


def joined(tags: Iterable[str]) -> str:
    """Tags as a database and lists write them."""
    return _BETWEEN.join(tags)


def parted(text: str | None) -> tuple[str, ...]:
    """What `joined` gave."""
    return tuple(tag for tag in (text or "").split(_BETWEEN) if tag)
