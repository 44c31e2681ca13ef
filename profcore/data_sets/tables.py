"""Tables that hold pictures: Parquet files, or a directory that the `datasets` library saved as Arrow streams.

Source: the layouts of `Dataset.to_parquet`, `Dataset.save_to_disk` and of data sets on the Hugging Face hub, whose
image column is a struct of `bytes` and `path`.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from profcore.data_sets.candidates import (
    ANSWER_FIELDS,
    Candidate,
    choose,
    first_field,
    picture_and_question,
    read_answers,
)
from profcore.errors import UserError
from profcore.images.pictures import picture_size
from profcore.images.rows import _stream, read_picture
from profcore.spec.queries import Picture

if TYPE_CHECKING:
    from profcore.data_sets import DataSet
    from profcore.spec.queries import QuerySet

# Such as train-00000-of-00003.parquet.
_SHARD = re.compile(r"(?P<split>[\w.]+)-\d{5}-of-\d{5}")


def read(path: Path, data_set: DataSet) -> QuerySet:
    """The table's rows; pictures themselves are read when they are looked at.

    Raises:
        UserError: There is no table, it cannot be read, or it lacks a column.
    """
    files = _files(path, data_set.split.strip())
    candidates: list[Candidate] = []
    for file in files:
        columns = dict.fromkeys(_columns(file))
        image, question = picture_and_question(columns, file)
        answer = first_field(columns, ANSWER_FIELDS)
        wanted = [name for name in (question, "question_id", "image_id", answer) if name and name in columns]
        for row, values in enumerate(_read(file, wanted).to_pylist()):
            place = len(candidates)
            candidates.append(
                Candidate(
                    picture=Picture("row", f"{file}|{image}|{row}"),
                    question=str(values[question]),
                    image_id=str(values.get("image_id", place)),
                    query_id=str(values.get("question_id", place)),
                    answers=read_answers(values.get(answer)) if answer else (),
                )
            )
    if not candidates:
        raise UserError(f"{path} holds no row.")
    return choose(path.name, candidates, data_set, _size)


def _size(picture: Picture) -> tuple[int, int]:
    _, _, row = picture.value.rsplit("|", 2)
    return picture_size(io.BytesIO(read_picture(picture.value)), f"the picture of row {int(row) + 1}")


def _files(path: Path, split: str) -> list[Path]:
    """The files of one split."""
    if path.is_file():
        return [path]
    found = sorted(path.rglob("*.parquet")) or sorted(path.rglob("*.arrow"))
    # Files that datasets keeps of its own beside a saved directory are no part of it.
    found = [file for file in found if not file.name.startswith("cache-")]
    if not found:
        raise UserError(f"{path} holds no table: it needs .parquet files, or the .arrow files that datasets saves.")
    splits: dict[str, list[Path]] = {}
    for file in found:
        shard = _SHARD.match(file.stem)
        folder = file.parent.relative_to(path)
        # datasets saves each split in a folder of its own, with shards that are all called data.
        name = shard["split"] if shard and shard["split"] != "data" else str(folder) if folder.parts else ""
        splits.setdefault(name, []).append(file)
    if split:
        if split not in splits:
            raise UserError(f"{path} has no split {split!r}: choose from {', '.join(sorted(splits))}.")
        return splits[split]
    if len(splits) > 1:
        raise UserError(f"{path} holds several splits: choose one of {', '.join(sorted(splits))}.")
    return found


def _columns(file: Path) -> list[str]:
    try:
        return pq.read_schema(file).names if file.suffix == ".parquet" else _stream(str(file)).column_names
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file} cannot be read as a table ({str(error).splitlines()[0]}).") from None


def _read(file: Path, columns: list[str]) -> pa.Table:
    return pq.read_table(file, columns=columns) if file.suffix == ".parquet" else _stream(str(file)).select(columns)
