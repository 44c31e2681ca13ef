"""Heat maps of two knobs: a colour with its unit for each cell, one scale for all panels, empty cells seen as empty."""

from __future__ import annotations

import pandas as pd
import pytest

from profcore import charts
from profcore.export.archive import load_run
from profcore.export.captions import of_figure, provenance
from profcore.export.figure_files import figure
from profcore.export.run_figures import run_figures
from profcore.results.joint import load_joint
from profcore.results.joint_cells import heat_cells, joint_knobs, measures_of
from profcore.spec.stages import State
from profcore.stats import FLAGS
from profcore.storage.store import Store
from tests.results.stored_joint import made_up_cost, made_up_sweep, store_joint


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "joint.duckdb") as opened:
        yield opened


def test_cells_are_the_medians_of_their_settings_the_others_held(store):
    sweep = made_up_sweep()
    result = load_joint(store, store_joint(store, sweep))
    cells = heat_cells(result, "crops", "top_k", "llm_prefill_ms", {"blocks": "8"})
    expected = {
        (setting.grid_label, str(setting.top_k)): made_up_cost(setting)[2]
        for setting in sweep.settings
        if setting.active_blocks == 8
    }
    found = {(row["x"], row["y"]): row["value"] for row in cells.to_dict("records")}
    assert found == pytest.approx(expected)
    assert cells["n"].tolist() == [6] * 9
    assert "1×1" in cells["title"][0]
    assert heat_cells(result, "crops", "top_k", "accuracy", {"blocks": "8"})["value"].between(0, 1).all()


def test_a_sparse_or_unfinished_run_has_cells_that_say_why_they_are_empty(store):
    result = load_joint(store, store_joint(store, made_up_sweep(strategy="lhs", number=6), quality=None))
    cells = heat_cells(result, "crops", "top_k", "total_ms", {"blocks": "16"})
    assert set(cells.loc[cells["value"].isna(), "why"]) == {"not among the settings"}
    assert 0 < cells["value"].isna().sum() < len(cells)
    stopped = load_joint(store, store_joint(store, quality=None, state=State.STOPPED, only=2))
    cells = heat_cells(stopped, "crops", "top_k", "total_ms", {"blocks": "8"})
    assert set(cells["why"]) == {"", "no sample yet"}


def test_panels_share_a_scale_whose_legend_has_the_unit(store):
    result = load_joint(store, store_joint(store))
    knobs, measures = joint_knobs(result.points), measures_of(result)
    assert [name for name, knob in knobs.items() if knob.varies] == ["crops", "top_k", "blocks"]
    panels = {
        number: heat_cells(result, "crops", "top_k", "llm_prefill_ms", {"blocks": number})
        for number in knobs["blocks"].order
    }
    titles = ("Image grid", "Top-k", measures["llm_prefill_ms"])
    drawn = [
        chart.to_dict() for chart in charts.heat_maps(panels, titles, (knobs["crops"].order, knobs["top_k"].order))
    ]
    assert [chart["title"] for chart in drawn] == ["8", "16"]
    colours = [chart["layer"][1]["encoding"]["color"] for chart in drawn]
    assert colours[0]["title"] == "LLM prefill (ms)"
    assert colours[0]["scale"] == colours[1]["scale"]
    assert charts.chart_words(drawn[0]).startswith("Chart: Top-k over Image grid; LLM prefill (ms) from ")
    axis = drawn[0]["layer"][1]["encoding"]["x"]
    assert (axis["title"], axis["scale"]["domain"]) == ("Image grid", ["1×1", "1×2", "2×2"])


@pytest.mark.long
def test_the_figures_of_a_run_are_saved_with_where_they_come_from(store):
    run = load_run(store, store_joint(store))
    figures = run_figures(run)
    assert {"heat_map_total_ms", "heat_map_tpot_ms", "heat_map_accuracy", "samples_in_order"} <= set(figures)
    said = of_figure(provenance(run), "heat_map_total_ms")
    assert "two knobs against each other" in said.what
    assert "n = 6 per setting" in said.conditions
    assert figure(figures["heat_map_total_ms"], "svg", said.footer).startswith(b"<svg")


def test_of_a_million_samples_a_few_thousand_are_drawn_in_their_order():
    number = 50_001
    samples = pd.DataFrame({"sample_id": range(number), "setting": 0, "total_ms": 1.0, **dict.fromkeys(FLAGS, False)})
    (drawn,) = charts.in_order(samples, pd.DataFrame({"setting": [0], "title": ["one"]}))
    rows = drawn.layer[0].data
    assert 5_000 < len(rows) <= 10_000
    assert rows["sample_id"].is_monotonic_increasing
