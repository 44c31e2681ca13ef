"""Two joint runs beside each other: settings matched knob by knob, conditions said, a report of both."""

from __future__ import annotations

import pytest

from profcore.comparisons.overlay import medians_by_setting
from profcore.comparisons.runs import compare_all
from profcore.export.report import report_markdown
from profcore.formats.imports import reading_path, write_imports
from profcore.results.joint import load_joint
from profcore.storage.store import Store
from tests.formats.joint_made import campaign, write
from tests.results.stored_joint import made_up_cost, made_up_sweep, store_joint


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "joint.duckdb") as opened:
        yield opened


def test_settings_are_matched_knob_by_knob_and_conditions_said(store):
    first = store_joint(store, made_up_sweep(output_tokens=(1, 3)))
    slower = store_joint(
        store,
        made_up_sweep(top_ks=(2, 4, 8), output_tokens=(1, 3)),
        lambda setting: tuple(2 * each for each in made_up_cost(setting)),
        engine="compiled",
        hour=1,
    )
    runs = [load_joint(store, run_id) for run_id in (first, slower)]
    found = compare_all(runs)
    (compared,) = found.runs.values()
    stages = compared.stages.set_index("metric")
    assert stages.loc["llm_prefill_ms", "ratio"] == pytest.approx(2, rel=0.01)
    assert stages.loc["total_ms", ["settings", "verdict"]].tolist() == [24, "slower"]
    # Top-k 1 of the one and 8 of the other, at each of 3 grids, 2 masks and 2 lengths.
    assert compared.unmatched == 24
    assert any(said.startswith("engine: eager") for said in found.differences)
    assert any(said.startswith("top-k: 1, 2, 4") for said in found.differences)
    medians = medians_by_setting(runs, found.names)
    assert set(medians["title"]) <= set(runs[0].points["label"])


def test_tiers_of_files_are_matched_by_their_tier(store, tmp_path):
    runs = []
    for name, tiers in (("one", ("low", "medium")), ("two", ("medium",))):
        files = campaign(tiers=tiers, task=name)
        with reading_path(write(tmp_path / name, files), store.spools) as found:
            write_imports(found, store.spools)
        store.take_in_all()
        runs.append(load_joint(store, found[0].run_id))
    (compared,) = compare_all(runs).runs.values()
    assert compared.stages.set_index("metric").loc["total_ms", ["settings", "ratio"]].tolist() == [4, 1.0]
    assert (compared.unmatched, compared.ambiguous) == (4, 0)


def test_a_report_has_the_settings_and_how_the_runs_compare(store):
    runs = [load_joint(store, store_joint(store, hour=hour)) for hour in (0, 1)]
    text = report_markdown(runs)
    assert "## Comparison" in text
    assert "| 1×1 · top-1 · 8 blocks · 3 tokens |" in text
