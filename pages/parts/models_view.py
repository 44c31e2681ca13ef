"""The parts of the page that sets models side by side."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from pages.parts import bar, figure_view, how_often, size_curves
from pages.parts.folded import folded
from pages.parts.pressed import pressed
from pages.parts.state import service
from pages.parts.text import plain, say_error
from profcore import charts
from profcore.comparisons import engines, models_beside
from profcore.comparisons.before_quoting import quoting_lines
from profcore.comparisons.size_to_latency import EXPERIMENTS
from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings, default_values, why_not
from profcore.export.captions import several_sources
from profcore.models.config import catalogued, model_shape
from profcore.models.families.versions import why_not_here
from profcore.models.names import NAMED
from profcore.spec.runs import Sweep

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from profcore.comparisons.models_beside import ModelGroup
    from profcore.experiments.knobs import Experiment

_LARGEST = 20_000


def show() -> None:
    """Draw the choices and what is known of the models."""
    titles = {experiment.title: experiment for experiment in CATALOGUE.values()}
    left, right = st.columns([1, 2.6], gap="large")
    with left:
        chosen = st.selectbox("Knob", list(titles), key="models-knob", bind="query-params")
        experiment = titles[chosen]
        width = st.number_input("Picture's width", 1, _LARGEST, 1024, key="models-width", bind="query-params")
        height = st.number_input("Picture's height", 1, _LARGEST, 768, key="models-height", bind="query-params")
        folded("Measure models", "measure-models", ("models-measured",), lambda: _measure(experiment), None)
    # Tables and pairs of charts need the page's width.
    _show_measured(experiment, (int(width), int(height)), right, st.container())


def _measure(experiment: Experiment) -> None:
    """Draw what queues the same sweep for each of several models, on what the bar says."""
    if not bar.has_devices():
        st.caption(plain(bar.problem()))
        return
    shapes = {name: catalogued(name) for name in NAMED}
    reasons = {name: why_not_here(shape.kind) if shape else "" for name, shape in shapes.items()}
    models = st.multiselect("Models", [name for name in NAMED if not reasons[name]], key="models-measured")
    for name in NAMED:
        if reasons[name]:
            st.caption(plain(f"Not {name}: {reasons[name]}"))
    often = how_often.choose("Samples of each setting", 100, 20, "models-samples")
    if pressed(
        "Measure each", "run-models", type="primary", icon=":material/play_arrow:", width="stretch", disabled=not models
    ):
        for model in models:
            _start(model, experiment, often)
    st.caption("One run after another, on the device and by the engine of the bar on the left.")


def _start(model: str, experiment: Experiment, often: how_often.HowOften) -> None:
    """Queue the knob's own sweep of a model; say why where it has not that knob."""
    try:
        config = model_shape(model)
        if why := why_not(experiment, config):
            raise UserError(why)
        settings = build_settings(experiment, default_values(experiment, config), base_setting(experiment, config))
        sweep = often.of(Sweep(experiment.name, settings, clock=bar.clock()))
        service().start(replace(bar.target(), model=model), sweep)
    except UserError as error:
        say_error(error)


def _show_measured(experiment: Experiment, size: tuple[int, int], right: DeltaGenerator, below: DeltaGenerator) -> None:
    """Draw what is known of the models: the picture's stages beside the choices, all else below."""
    store = service().store
    name = experiment.name
    groups = service().results.among(
        ("model groups", name), [name], lambda: models_beside.find_model_groups(store, name)
    )
    with right:
        if not groups:
            st.info("Nothing has been measured here yet: choose models under **Measure models**.")
            return
        titles = {group.title: group for group in groups}
        group = titles[st.selectbox("Measured on", list(titles), key="models-on", bind="query-params")]
        found = _show_picture(group, size)
    with below:
        said = _show_pictures_table(found)
        _show_knob(experiment, group, said)


def _show_picture(group: ModelGroup, size: tuple[int, int]) -> list[models_beside.OnePicture]:
    """Draw the stages of one picture as each model sees it; gives what is known of each."""
    store, results = service().store, service().results
    # Those that were not measured say how many tokens they would make of it.
    models = list(dict.fromkeys([*group.runs, *NAMED]))

    def find() -> list[models_beside.OnePicture]:
        curves = models_beside.curves_from(store, group.conditions, size_curves.kept)
        joules = models_beside.curves_from(store, group.conditions, size_curves.kept, energy=True)
        return models_beside.one_picture(curves, models, size, joules)

    found = results.among(("one picture", size, group.conditions), EXPERIMENTS, find)
    st.subheader(f"One picture of {size[0]:,} × {size[1]:,} pixels, to the first token")
    rows = models_beside.stage_rows(found)
    if len(rows):
        per = st.toggle("Per vision token", key="models-per-token", bind="query-params")
        chart, spec = figure_view.drawn_once(
            ("model stages", size, per), list(models_beside.picture_runs(found)), lambda: charts.model_stages(rows, per)
        )
        figure_view.draw(chart, "model_stages", "model-stages", spec=spec)
        st.caption("Medians of each stage, which need not add up to the median of the whole.")
    else:
        st.info("Nothing was measured near this size under these conditions: choose another size, or measure models.")
    return found


def _show_pictures_table(found: list[models_beside.OnePicture]) -> list[str]:
    """Draw one picture in figures, a row for each model; gives what was said to know of these."""
    table = models_beside.display_pictures(found, charts.short_names([each.model for each in found]))
    figures = {
        name: st.column_config.Column(alignment="right") for name in table.columns if name not in ("model", "how")
    }
    st.dataframe(table, hide_index=True, column_config=figures)
    st.caption(
        "Each at its own rule's tokens, read off what was measured of it (see the page *Size to latency*); joules "
        "where energy was measured. *A token uses* leaves out the experts that are not its own."
    )
    if of_others := models_beside.joules_words(found):
        st.caption(f":material/info: {plain(of_others)}")
    store, results = service().store, service().results
    ids = list(models_beside.picture_runs(found))
    differences = results.follows("picture differences", ids, lambda: models_beside.picture_differences(store, found))
    _say_differences(differences)
    refused = tuple((each.model, each.reason) for each in found if each.reason)
    notes = results.follows(("picture notes", refused), ids, lambda: models_beside.picture_notes(store, found))
    for note in notes:
        st.caption(f":material/info: {plain(note)}")
    said = quoting_lines(results.any, models_beside.picture_runs(found))
    for line in said:
        st.caption(f":material/warning: {plain(line)}")
    return [*differences, *notes, *said]


def _say_differences(differences: list[str]) -> None:
    if differences:
        st.caption(":material/warning: The runs differ in more than the model:")
        st.markdown("\n".join(f"- {plain(difference)}" for difference in differences))


def _show_knob(experiment: Experiment, group: ModelGroup, said: list[str]) -> None:
    """Draw the same knob turned on each model; what was `said` above of the same runs is not repeated."""
    results, ids = service().results, list(group.runs.values())
    found = results.follows(
        ("models", experiment.name),
        ids,
        lambda: models_beside.load_models_beside(results.sweep, experiment.name, group),
    )
    st.subheader(f"{plain(experiment.title)}, model by model")
    _say_differences([each for each in found.differences if each not in said])
    for note in (each for each in found.notes if each not in said):
        st.caption(f":material/info: {plain(note)}")
    if found.rows.empty:
        return
    if len(group.runs) == 1:
        st.caption(
            f":material/info: Only {plain(next(iter(group.runs)))} was measured so; others would stand beside it."
        )
    if len(group.runs) > charts.MOST_MODELS:
        st.caption(f":material/info: The charts show the first {charts.MOST_MODELS} models; the table has all of them.")
    source = several_sources(found.results, f"{experiment.title}: medians of each model.", "Points: medians.")
    metrics = engines.compared_metrics(experiment)
    for start in range(0, len(metrics), 2):
        for column, metric in zip(st.columns(2), metrics[start : start + 2], strict=False):
            with column:
                draw = partial(charts.models_over, found.rows, experiment, metric)
                chart, spec = figure_view.drawn_once(("models over", experiment.name, metric), ids, draw)
                name = f"models_{experiment.name}_{metric.removesuffix('_ms')}"
                figure_view.draw(chart, name, f"models-{metric}", source=source, spec=spec)
    slopes = models_beside.display_slopes(found.sensitivities, charts.short_names(list(group.runs)))
    figures = {name: st.column_config.Column(alignment="right") for name in slopes.columns[2:]}
    st.dataframe(slopes, hide_index=True, column_config=figures)
    st.caption(
        f"Per step: the slope of the medians, {plain(experiment.per)}; its low and high end are the ends of the sweep."
    )
