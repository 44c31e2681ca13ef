"""How runs and settings are called where several are shown."""

import pandas as pd
import pytest

from profcore import charts
from profcore.models.config import find_config
from profcore.models.picture import grid_layout_of
from profcore.models.recorded import shape_record
from profcore.results.base import run_titles
from profcore.results.sweep import load_result
from profcore.storage.store import Store
from tests.comparisons.stored import import_file, published_topk, store_run
from tests.support import small_sweep

FIRST, LAST, MORE = "1" * 4 + "0" * 12, "0" * 12 + "1" * 4, "1" * 8 + "0" * 8


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as opened:
        yield opened


def test_files_with_one_name_that_were_imported_together_are_told_apart(store):
    files = [import_file(store, published_topk(lambda top_k, cost=cost: cost), "results.json") for cost in (1.0, 2.0)]
    runs = store.run_list()
    alone = run_titles(runs.head(1))
    assert alone.tolist() == ["results.json"]
    together = run_titles(runs.assign(created_at=runs["created_at"].iloc[0]))
    assert sorted(together) == sorted(f"results.json, {run_id}" for run_id in files)
    moments = [runs["created_at"].iloc[0], runs["created_at"].iloc[0] + pd.Timedelta(seconds=5)]
    apart = run_titles(runs.assign(created_at=moments))
    assert apart.tolist() == ["results.json"] * 2


@pytest.fixture
def masked(store):
    cost = {FIRST: 10.0, LAST: 30.0, MORE: 20.0}
    sweep = small_sweep("transformer_blocks_mask", tuple(cost), num_samples=6)
    return load_result(store, store_run(store, sweep, lambda setting: cost[setting.mask_label]))


def test_masks_of_equally_many_blocks_have_labels_and_medians_of_their_own(masked):
    assert masked.settings["label"].tolist() == ["4", f"4|{LAST}", "8"]
    rows = masked.summary[masked.summary["metric"] == "llm_prefill_ms"].set_index("label")["median"]
    assert rows.to_dict() == pytest.approx({"4": 10.0, f"4|{LAST}": 30.0, "8": 20.0})


def test_masks_of_equally_many_blocks_have_bars_of_their_own(masked):
    drawn = charts.panel(masked.summary, masked.experiment, "llm_prefill_ms").to_dict()
    assert drawn["layer"][0]["encoding"]["x"]["sort"] == ["4", f"4|{LAST}", "8"]


def test_masks_of_equally_many_blocks_are_not_joined_beside_their_quality(masked):
    settings = masked.settings.assign(kl=[0.3, 0.5, 0.1], accuracy=None)
    drawn = charts.quality(masked.summary, settings, "kl").to_dict()
    (rows,) = drawn["datasets"].values()
    assert [(row["label"], row["line"]) for row in rows] == [("4", 0), (f"4|{LAST}", 1), ("8", 0)]
    line = drawn["layer"][0]["encoding"]
    assert line["detail"]["field"] == "line"


@pytest.mark.parametrize("of_run", [{}, {"shape": {"family": "Wonder-VL", "config": {}}}])
def test_grids_that_were_not_measured_stand_where_the_models_own_rule_puts_them(store, of_run):
    """Not at MolmoE's tokens, where the run measured another model; nowhere, where nobody knows that model's rule."""
    shape = shape_record(find_config("internvl3-8b"))
    sweep = small_sweep("context_scaling", (1, 2, 4), num_samples=2)
    run_id = store_run(store, sweep, lambda setting: 10.0, only=1, **{"shape": shape, **of_run})
    settings = load_result(store, run_id).settings
    tokens = [grid_layout_of(find_config("internvl3-8b"), each.grid).tokens for each in sweep.settings]
    measured, *others = settings["title"]
    assert measured == "1×1 grid, 288 vision tokens"
    if of_run:
        assert others == ["1×2 grid", "1×4 grid"]
        assert settings["label"].tolist()[1:] == ["—|1×2", "—|1×4"]
    else:
        assert others == [
            f"1×{columns} grid, {count} vision tokens" for columns, count in ((2, tokens[1]), (4, tokens[2]))
        ]
        assert settings["x"].tolist()[1:] == tokens[1:]
