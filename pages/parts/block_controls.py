"""Which blocks run: the first N, the most important N, those above a threshold, or a mask drawn block by block."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING

import streamlit as st

from pages.parts import bar, data_set_controls, figure_view
from pages.parts.folded import folded
from pages.parts.pressed import pressed
from pages.parts.run_parts import waiting
from pages.parts.state import fragment, service
from pages.parts.text import plain, say_error
from profcore import charts
from profcore.errors import UserError
from profcore.experiments.block_choice import (
    METHODS,
    Scores,
    above,
    measured_scores,
    most_important,
    read_scores,
    write_scores,
)
from profcore.inspectors.report import importance_lines
from profcore.service.questions import inspection_key
from profcore.spec.text import are, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.models.shape import Shape

_POLL_S = 0.5
_PREFIX, _QUESTIONS = "importance-", 8
FIRST, _IMPORTANT, _THRESHOLD, _DRAWN = "First N", "Most important N", "Score threshold", "Drawn"


def choose(config: Shape) -> Sequence[int | str]:
    """Draw the choice of blocks, and give the values of the knob that it stands for: numbers of first blocks, or masks.

    Raises:
        UserError: There are no scores yet, or no block would be active.
    """
    total = config.n_layers
    way = st.selectbox("Which blocks", [FIRST, _IMPORTANT, _THRESHOLD, _DRAWN], key="way", bind="query-params")
    if way == _DRAWN:
        chosen = st.pills(
            "Active blocks",
            range(total),
            default=range(total),
            selection_mode="multi",
            wrap=True,
            key="drawn",
        )
        if not chosen:
            raise UserError("The block mask has no active block: at least one must run.")
        return ["".join("1" if block in chosen else "0" for block in range(total))]
    if way in (_IMPORTANT, _THRESHOLD):
        scores = choose_scores(config)
        if way == _THRESHOLD:
            ordered = sorted(scores.values())
            threshold = st.number_input(
                "Blocks that score at least", value=ordered[len(ordered) // 2], format="%.5f", key="threshold"
            )
            return [above(scores, float(threshold), total)]
        least = max(total - len(scores), 1)
        first, last = st.slider("Most important blocks, from and to", least, total, (least, total), key="important")
        return [most_important(scores, number, total) for number in range(first, last + 1)]
    first, last = st.slider(
        "Active blocks, first N from and to", 1, total, (1, total), key="range", bind="query-params"
    )
    return range(first, last + 1)


def choose_scores(config: Shape) -> Scores:
    """Draw where scores come from, and give them.

    Raises:
        UserError: There are none yet.
    """
    source = st.radio("Scores", ["measured here", "from a file"], horizontal=True, key="scores-from")
    if source == "from a file":
        uploaded = st.file_uploader("Score file", key="score-file", help='A JSON object such as {"1": 0.0381}.')
        if uploaded is None:
            raise UserError("Upload a file of scores, or measure them here.")
        scores = read_scores(uploaded.getvalue(), uploaded.name, config.n_layers)
        kept = config.n_layers - len(scores)
        if kept:
            have = "has" if kept == 1 else "have"
            st.caption(f"{counted(kept, 'block')} {have} no score and {are(kept)} always kept.")
        _draw(scores, config.n_layers)
        return scores
    return _measured(config)


def _measured(config: Shape) -> Scores:
    method = st.selectbox("Method", list(METHODS), key="method")
    st.caption(METHODS[method][0].upper() + METHODS[method][1:] + ".")
    data_set = folded(
        "Questions that scores are taken on",
        "folded-importance",
        (f"{_PREFIX}dataset",),
        lambda: data_set_controls.choose(_PREFIX, _QUESTIONS),
        data_set_controls.first(_QUESTIONS),
    )
    target = bar.target()
    arguments = {"name": "importance", "method": method, "data_set": asdict(data_set)}
    key = inspection_key(target, arguments)
    found = service().questions.inspection(key)
    under_way = found is not None and found["state"] in ("queued", "working")
    if pressed("Measure importance", "measure-scores", icon=":material/search:", width="stretch", disabled=under_way):
        service().questions.ask_inspection(target, arguments)
        st.rerun()
    if under_way:
        fragment(run_every=_POLL_S)(_follow)(key)
    elif found and found["state"] == "failed":
        say_error(found["text"])
    if not found or found["state"] != "done":
        raise UserError("Blocks have no scores by this method yet: press Measure importance.")
    result = found["result"]
    for line in importance_lines(result)[1:]:
        show = st.warning if "mean nothing" in line else st.caption
        show(plain(line))
    scores = measured_scores(result)
    _draw(scores, config.n_layers)
    return scores


def _draw(scores: Scores, total: int) -> None:
    figure_view.draw(charts.importance(scores, total), "block_importance", "importance")
    st.download_button(
        "Score file",
        lambda: write_scores(scores),
        "block_importance.json",
        "application/json",
        icon=":material/download:",
        on_click="ignore",
    )


def _follow(key: str) -> None:
    found = service().questions.inspection(key)
    if found is None or found["state"] in ("done", "failed"):
        st.rerun()
        return
    text = waiting(key) if found["state"] == "queued" else found["text"]
    done = re.search(r"(\d+) of (\d+)", text)
    st.progress((int(done[1]) - 1) / int(done[2]) if done and found["state"] == "working" else 0.0, plain(text))
    st.button("Stop", icon=":material/stop:", key="stop-scores", on_click=_stop, args=(key,))


def _stop(key: str) -> None:
    service().jobs.stop(key)
