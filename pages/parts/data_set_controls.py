"""The choice of a data set: which kind, and where it lies on the machine that serves the dashboard."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages.parts import own_pictures
from pages.parts.state import service
from profcore.data_sets import KINDS, DataSet, usual_kind

OWN = "your own pictures"
"""What is uploaded here, and lies nowhere yet."""


def choose_or_upload(drawn: int = 100) -> DataSet | None:
    """As `choose`, with one's own pictures as well; None until they have been uploaded.

    Args:
        drawn: As `choose` takes it.
    """
    kind = st.selectbox("Data set", [*KINDS, OWN], _usual(), key="dataset", bind="query-params")
    return own_pictures.choose("") if kind == OWN else _describe(kind, "", None, drawn)


def choose(prefix: str = "", questions_asked: int | None = None, drawn: int = 100) -> DataSet:
    """Draw the choice, and give the data set as it was named.

    Args:
        prefix: Tells the widgets apart where a page has several; the link holds the kind of one alone.
        questions_asked: How many questions are drawn unless more are asked for; all of the built-in ones if not given.
        drawn: How many are drawn of another data set unless more are asked for.
    """
    bind: Any = {} if prefix else {"bind": "query-params"}
    kind = st.selectbox("Data set", list(KINDS), _usual(), key=f"{prefix}dataset", **bind)
    return _describe(kind, prefix, questions_asked, drawn)


def first(questions_asked: int) -> DataSet:
    """What `choose` gives as long as nobody has touched its widgets.

    Args:
        questions_asked: As `choose` takes it.
    """
    return DataSet(list(KINDS)[_usual()], limit=questions_asked, within=service().roots.folders)


def _usual() -> int:
    """The place of the kind that is offered first: the small trained model answers questions on its own pictures."""
    return list(KINDS).index(usual_kind(st.session_state.get("model")))


def _describe(kind: str, prefix: str, questions_asked: int | None, drawn: int) -> DataSet:
    """Draw what a kind of data set needs to be told."""
    st.caption(KINDS[kind][0].upper() + KINDS[kind][1:] + ".")
    path = questions = annotations = split = ""
    if kind in ("vqa", "folder"):
        path = st.text_input("Folder of pictures", key=f"{prefix}pictures", placeholder="/data/vqa/val2014")
    if kind == "vqa":
        questions = st.text_input("Questions JSON", key=f"{prefix}questions", placeholder="v2_…_val2014_questions.json")
        annotations = st.text_input("Annotations JSON (may be left out)", key=f"{prefix}annotations")
    if kind == "folder":
        questions = st.text_input(
            "CSV or JSONL of questions",
            key=f"{prefix}questions",
            placeholder="questions.csv in the folder",
            help="A row for each question, with the columns image and question; answer and question_id if you like.",
        )
    if kind == "table":
        path = st.text_input(
            "Parquet file or directory",
            key=f"{prefix}pictures",
            placeholder="/data/docvqa",
            help="Columns image (bytes and path, bytes, or the path of a file beside it) and question.",
        )
        split = st.text_input("Split, where there are several", key=f"{prefix}split", placeholder="validation")
    everything = st.checkbox(
        "All its questions", value=kind == "photographs" and not questions_asked, key=f"{prefix}every-{kind}"
    )
    limit = None
    if not everything:
        limit = int(
            st.number_input("Questions, drawn at random", 1, 100_000, questions_asked or drawn, key=f"{prefix}limit")
        )
    within = service().roots.folders
    return DataSet(kind, path.strip(), questions.strip(), annotations.strip(), split.strip(), limit, within=within)
