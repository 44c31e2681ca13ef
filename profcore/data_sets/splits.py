"""Which files of a directory make up a split of a table: told by folders, by the names of files, and by shards.

Source: the names that the Hugging Face hub and `datasets` give files: `train-00000-of-00003.parquet`, `test.parquet`,
`<configuration>/validation/0000.parquet`, and a folder for each split of a saved `DatasetDict`.
"""

from __future__ import annotations

import re
from pathlib import Path

from profcore.errors import UserError
from profcore.spec.text import some

_SHARD = re.compile(r"(?P<split>.+?)-(?P<number>\d{5})-of-(?P<count>\d{5})")
_WORDS = re.compile(r"(?<![a-z])(train|training|validation|valid|val|dev|test|testing|eval)(?![a-z])", re.IGNORECASE)
_TABLES = (".parquet", ".arrow")


def files_of_split(path: Path, split: str) -> list[Path]:
    """The files of one split below a path; a path that is a file is all there is.

    Raises:
        UserError: There is no table, no such split, one of several must be chosen, or a shard of it is missing.
    """
    if path.is_file():
        return [path]
    splits: dict[str, list[Path]] = {}
    for file in _tables(path):
        splits.setdefault(_split_of(file.relative_to(path)), []).append(file)
    names = _short_names(splits)
    if split:
        if split not in names and split not in splits:
            raise UserError(f"{path} has no split {split!r}: choose from {', '.join(sorted(names))}.")
        files = splits[names.get(split, split)]
    elif len(splits) > 1:
        raise UserError(f"{path} holds several splits: choose one of {', '.join(sorted(names))}.")
    else:
        (files,) = splits.values()
    _check_complete(files)
    return files


def _tables(path: Path) -> list[Path]:
    for ending in _TABLES:
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() == ending and file.is_file())
        # Files that datasets keeps of its own beside a saved directory are no part of it.
        if found := [file for file in found if not file.name.startswith("cache-")]:
            return found
    raise UserError(f"{path} holds no table: it needs .parquet files, or the .arrow files that datasets saves.")


def _split_of(file: Path) -> str:
    """The split of a file as its path tells: its folder, which may be a configuration's, and what its name says."""
    shard = _SHARD.fullmatch(file.stem)
    name = shard["split"] if shard else re.sub(r"[-_.]?\d+$", "", file.stem)
    if name == "data" or not (shard or _WORDS.search(name)):
        name = ""
    return "/".join(part for part in (*file.parent.parts, name) if part)


def _short_names(splits: dict[str, list[Path]]) -> dict[str, str]:
    """Splits by the last part of their name where that tells them apart, else by the whole."""
    last = [split.rpartition("/")[2] for split in splits]
    return {(short if last.count(short) == 1 else split): split for short, split in zip(last, splits, strict=True)}


def _check_complete(files: list[Path]) -> None:
    """Whether a numbered set of shards is whole.

    Raises:
        UserError: Some are missing, or the set is mixed from two.
    """
    sets: dict[tuple[Path, str], dict[int, set[int]]] = {}
    for file in files:
        if shard := _SHARD.fullmatch(file.stem):
            counts = sets.setdefault((file.parent, shard["split"]), {})
            counts.setdefault(int(shard["count"]), set()).add(int(shard["number"]))
    for (folder, split), counts in sets.items():
        if len(counts) > 1:
            raise UserError(f"{folder} mixes sets of {some(sorted(counts))} shards of {split}: keep one of them.")
        ((count, numbers),) = counts.items()
        if missing := sorted(set(range(count)) - numbers):
            names = some([f"{split}-{number:05}-of-{count:05}" for number in missing])
            raise UserError(f"{folder} lacks {len(missing)} of {count} shards: {names}.")
