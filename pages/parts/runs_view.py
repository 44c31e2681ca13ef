"""The page of all runs: their table, and what can be done with those chosen in it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from pages.parts import address, compare_view, import_view, leads, marks_view, runs_table, zip_view
from pages.parts.marks_view import PROBLEM
from pages.parts.pressed import pressed
from pages.parts.run_parts import run_name
from pages.parts.state import service
from pages.parts.text import plain, say_error
from profcore.errors import UserError
from profcore.service.words import environment_line
from profcore.spec.marks import parted
from profcore.spec.stages import State
from profcore.spec.text import brief, samples_words

_MOST_NAMED = 10
_ASKED = "asked to delete"


def show() -> None:
    """Draw the table, and below it what the chosen runs allow."""
    table, below = st.container(), st.container()
    with below:
        st.divider()
        # Before the table, which is to hold what is taken in now.
        import_view.show()
    with table:
        _runs()
    with below:
        _whole()


def _runs() -> None:
    if problem := st.session_state.pop(PROBLEM, ""):
        say_error(problem)
    runs, table = runs_table.all_runs()
    if runs.empty:
        st.info(
            "Nothing has been measured or taken in yet: choose a knob in the menu and press **Run**, or import below."
        )
        return
    unknown = [run_id for run_id in address.several("compare") if run_id not in set(runs["id"])]
    if unknown:
        st.warning(f"There is no such run here as the link names: {plain(brief(', '.join(unknown)))}.")
    chosen = runs_table.show(runs, table)
    if len(chosen) == 1:
        _run_actions(runs[runs["id"] == chosen[0]].to_dict("records")[0], _known_tags(runs))
    elif len(chosen) > 1:
        marks_view.edit_all(chosen)
        compare_view.show(chosen)


def _known_tags(runs: pd.DataFrame) -> list[str]:
    return [tag for tags in runs["tags"].unique() for tag in parted(tags)]


def _run_actions(run: dict[Any, Any], known_tags: list[str]) -> None:
    """What can be done with one run."""
    heading, linking = st.columns([5, 1], vertical_alignment="bottom")
    heading.subheader(plain(run["title"]))
    with linking:
        address.offer_link()
    measured = service().store.run(run["id"])
    assert measured
    st.caption(plain(environment_line(measured["environment"], State(measured["state"]), measured["environments"])))
    naming, opening, saving, deleting = st.columns([3, 1, 1.5, 1], vertical_alignment="bottom")
    name = measured["name"] or ""
    naming.text_input(
        "Name",
        name,
        key=f"name-{run['id']}",
        placeholder="as it was measured",
        on_change=_rename,
        args=(run["id"],),
    )
    file, query = leads.lead(run["experiment"], run["id"])
    with opening:
        # A link, since a button that changes the page leaves an entry of this one with the other's query to Back.
        st.page_link(file, label="**Open this run**", icon=":material/open_in_full:", query_params=query)
    saving.download_button(
        "Download, with figures",
        lambda: service().downloads.run_zip(run["id"]),
        f"{run['id']}.zip",
        "application/zip",
        icon=":material/download:",
        on_click="ignore",
        width="stretch",
    )
    # Kept in the session and not in the press, which is lost where the page happens to be drawn anew at that moment.
    deleting.button(
        "Delete…", icon=":material/delete:", width="stretch", key="delete", on_click=_ask, args=(run["id"],)
    )
    if st.session_state.get(_ASKED) == run["id"]:
        _confirm(run)
    marks_view.edit(run, known_tags)


def _ask(run_id: str) -> None:
    st.session_state[_ASKED] = run_id


def _answered() -> None:
    st.session_state.pop(_ASKED, None)


@st.dialog("Delete this run?", on_dismiss=_answered)
def _confirm(run: dict[Any, Any]) -> None:
    st.markdown(f"**{plain(run['title_of_experiment'])}**: {plain(run['title'])}, {plain(samples_words(run))}.")
    back = " Sample results can be brought back below the table." if run["source"] == "shipped" else ""
    st.markdown(f"Its samples and its spool are deleted and cannot be restored.{back}" if not back else back.strip())
    keep, delete = st.columns(2)
    if keep.button("Keep it", width="stretch", on_click=_answered):
        st.rerun()
    if delete.button("Delete", type="primary", width="stretch", key="really-delete", on_click=_answered):
        _remove([run["id"]])
        st.rerun()


@st.dialog("Delete all empty runs?")
def _confirm_empty(run_ids: list[str]) -> None:
    runs = service().runs().set_index("id").reindex(run_ids[:_MOST_NAMED])
    st.markdown(f"{_counted(len(run_ids))} ended without a sample, such as these:")
    st.markdown(
        "\n".join(f"- {plain(run['title_of_experiment'])}: {plain(run_name(run))}" for run in runs.to_dict("records"))
    )
    st.markdown("They and their spools are deleted and cannot be restored or resumed.")
    keep, delete = st.columns(2)
    if keep.button("Keep them", width="stretch"):
        st.rerun()
    # By a callback, which is done before the page is drawn anew without this dialog.
    if delete.button(
        f"Delete {_counted(len(run_ids))}",
        type="primary",
        width="stretch",
        key="really-delete-empty",
        on_click=_remove,
        args=(run_ids,),
    ):
        st.rerun()


def _counted(number: int) -> str:
    return f"{number:,} run{'' if number == 1 else 's'}"


def _remove(run_ids: list[str]) -> None:
    """Delete runs; the first that cannot be is said where the page is drawn anew, and keeps no other."""
    for run_id in run_ids:
        try:
            service().remove(run_id)
        except UserError as error:
            st.session_state.setdefault(PROBLEM, str(error))
    st.session_state[runs_table.VERSION] += 1


def _rename(run_id: str) -> None:
    try:
        service().rename(run_id, st.session_state[f"name-{run_id}"])
    except UserError as error:
        st.session_state[PROBLEM] = str(error)


def _restore() -> None:
    try:
        service().store.restore_shipped()
    except UserError as error:
        st.session_state[PROBLEM] = str(error)


def _whole() -> None:
    """What can be done with all of them: download everything, bring sample results back."""
    first, second, third, fourth = st.columns(4)
    if not service().runs().empty:
        with first:
            zip_view.show()
    second.download_button(
        "DuckDB snapshot",
        lambda: service().downloads.snapshot(),
        "profcore-snapshot.duckdb",
        "application/octet-stream",
        icon=":material/database:",
        on_click="ignore",
        width="stretch",
        help="A copy of the whole database, made while it is in use.",
    )
    empty = service().shared.get(("empty runs",), lambda: service().store.empty_runs())
    with third:
        label, icon = f"Delete empty runs… ({len(empty):,})", ":material/delete_sweep:"
        if empty and pressed(label, "delete-empty", icon=icon, width="stretch"):
            _confirm_empty(empty)
    if service().store.removed():
        fourth.button(
            "Bring sample results back",
            icon=":material/undo:",
            width="stretch",
            on_click=_restore,
        )
