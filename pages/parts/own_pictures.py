"""One's own pictures as a data set: uploaded, with a question each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from pages.parts import thumbnails
from pages.parts.state import service
from pages.parts.text import say_error
from profcore.data_sets import DataSet
from profcore.data_sets.files import PICTURE_ENDINGS
from profcore.errors import UserError
from profcore.service.own_pictures import LARGEST_BYTES, MOST, Asked
from profcore.spec.queries import DEFAULT_PROMPT, Picture

if TYPE_CHECKING:
    from collections.abc import Sequence

_THUMBNAILS = 12


def choose(prefix: str) -> DataSet | None:
    """Draw the upload and the table of questions; None until there is a picture with a question."""
    files = st.file_uploader(
        "Pictures",
        accept_multiple_files=True,
        type=[ending.removeprefix(".") for ending in PICTURE_ENDINGS],
        max_upload_size=LARGEST_BYTES // 10**6,
        key=f"{prefix}own",
        help=f"At most {MOST} pictures. They are kept beside the database, since a run that waits needs them.",
    )
    kept: list[tuple[str, Picture]] = []
    try:
        if len(files) > MOST:
            raise UserError(f"{len(files)} pictures are too many: upload at most {MOST}.")
        for file in files:
            kept.append((file.name, service().keep_picture(file.getvalue(), file.name, named=True)))
    except UserError as error:
        say_error(error)
        return None
    if not kept:
        st.caption("Upload pictures; each is then asked a question of yours.")
        return None
    for column, (_, picture) in zip(st.columns(4) * 3, kept[:_THUMBNAILS], strict=False):
        with column:
            thumbnails.draw(picture)
    names = [name for name, _ in kept]
    table = st.data_editor(
        pd.DataFrame({"picture": names, "question": DEFAULT_PROMPT}),
        hide_index=True,
        disabled=["picture"],
        # Another upload has questions of its own.
        key=f"{prefix}own-questions-{hash(tuple(names))}",
    )
    try:
        return service().keep_own_pictures(asked_of(kept, table))
    except UserError as error:
        say_error(error)
        return None


def asked_of(kept: Sequence[tuple[str, Picture]], table: pd.DataFrame) -> list[Asked]:
    """What the table asks of each picture; a cell that was emptied holds what stands for a missing text, and no text.

    Args:
        kept: The pictures by their files' names, in the table's order.
        table: With a column `question`.
    """
    questions = table["question"].fillna("").astype(str)
    return [Asked(name, picture, question) for (name, picture), question in zip(kept, questions, strict=True)]
