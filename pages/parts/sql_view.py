"""A query over the results: the box, examples to begin from, and the table that it gives."""

from __future__ import annotations

import streamlit as st

from pages.parts.pressed import acting, pressed
from pages.parts.state import service
from pages.parts.text import plain, say_error
from profcore.errors import UserError
from profcore.formats.text_files import csv_text
from profcore.service.sql_examples import EXAMPLES
from profcore.spec.text import counted
from profcore.storage.ask import Answer
from profcore.storage.sql_rules import LONGEST_QUERY, TABLES

_ANSWER = "sql-answer"


def show() -> None:
    """Draw the box, and below it what the query gave."""
    limits = service().sql.limits
    st.selectbox(
        "Begin from an example", list(EXAMPLES), index=None, key="sql-example", placeholder="none", on_change=_take_over
    )
    query = st.text_area(
        "Query",
        key="sql",
        bind="query-params",
        max_chars=LONGEST_QUERY,
        height=220,
        placeholder="SELECT … FROM samples JOIN runs ON runs.id = run_id",
    )
    st.caption(
        f"One SELECT, in DuckDB's SQL, over the tables {', '.join(TABLES)}; `DESCRIBE samples` "
        f"lists a table's columns. It may take {limits.seconds:g} s, {limits.megabytes:,} MB and gives at most "
        f"{limits.rows:,} rows."
    )
    if pressed("Ask", "ask-sql", type="primary", icon=":material/play_arrow:"):
        _ask(query or "")
    asked, answer = st.session_state.get(_ANSWER, ("", None))
    if isinstance(answer, Answer):
        if asked != query:
            st.caption(":material/info: The query has been changed since this answer.")
        _table(answer, limits.rows)
    elif answer:
        say_error(answer)


def _take_over() -> None:
    """Put the chosen example into the box."""
    if name := st.session_state["sql-example"]:
        st.session_state["sql"] = EXAMPLES[name]


def _ask(query: str) -> None:
    with acting("ask-sql", "Asking…"):
        try:
            st.session_state[_ANSWER] = (query, service().sql.ask(query))
        except UserError as error:
            st.session_state[_ANSWER] = (query, str(error))


def _table(answer: Answer, most: int) -> None:
    st.dataframe(answer.table, hide_index=True)
    number = len(answer.table)
    rows = f"The first {most:,} rows; there are more" if answer.more else counted(number, "row")
    when = answer.copied_at.strftime("%Y-%m-%d %H:%M:%S")
    st.caption(
        f"{plain(rows)}, in {answer.seconds:.2f} s, of the results as they stood at {plain(when)} UTC. Times are UTC."
    )
    st.download_button(
        "CSV",
        lambda: csv_text(answer.table),
        "profcore-query.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="sql-csv",
    )
