"""Runs laid over each other: medians at the settings that they share, ratios there, and sentences."""

import pytest

from profcore import charts, stats
from profcore.charts.baseline import lay_over
from profcore.charts.views import metrics_of, sweep_views
from profcore.comparisons.overlay import medians_by_setting, ratios_by_setting, sentences
from profcore.comparisons.runs import compare_all
from profcore.results.pictures import load_picture_result
from profcore.results.sweep import load_result
from profcore.storage.store import Store
from tests.comparisons.stored import pictures_sweep, store_run
from tests.support import small_sweep


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("overlay") / "data.duckdb") as opened:
        yield opened


def sweep(store, factor, values=(1, 2, 4), num_samples=8, **options):
    """A run whose prefill takes `factor` times 5 ms times top-k."""
    run_id = store_run(
        store,
        small_sweep(values=values, num_samples=num_samples),
        lambda setting: factor * 5.0 * setting.top_k,
        **options,
    )
    return load_result(store, run_id)


def named(*runs):
    return {run.run["id"]: letter for run, letter in zip(runs, "ABC", strict=False)}


def test_medians_stand_at_the_settings_that_runs_share(store):
    first, second = sweep(store, 1.0), sweep(store, 2.0, values=(4, 2, 8))
    rows = medians_by_setting([first, second], named(first, second))
    prefill = rows[rows["metric"] == "llm_prefill_ms"]
    assert prefill[["run", "label"]].to_numpy().tolist() == [["A", "2"], ["B", "2"], ["A", "4"], ["B", "4"]]
    own = first.summary.query("metric == 'llm_prefill_ms' and label == '2'").iloc[0]
    drawn = prefill.iloc[0]
    assert [drawn[name] for name in ("n", "median", "low", "high")] == [
        own[name] for name in ("n", "median", "low", "high")
    ]
    found = compare_all([first, second], names=named(first, second))
    ratios = ratios_by_setting(found, first)
    assert ratios[ratios["metric"] == "llm_prefill_ms"]["label"].tolist() == ["2", "4"]
    assert ratios[ratios["metric"] == "llm_prefill_ms"]["ratio"].tolist() == pytest.approx([2.0, 2.0], rel=0.01)


def test_a_sentence_says_which_is_slower_and_by_how_much(store):
    first, second, few = sweep(store, 1.0), sweep(store, 2.0), sweep(store, 1.0, num_samples=2)
    runs = [first, second, few]
    found = compare_all(runs, names=named(*runs))
    slower, unknown = sentences(found, 0.02, named(*runs))
    ratio = found.runs[second.run["id"]].stages.set_index("metric").loc["total_ms"]
    assert slower.startswith("B is slower than A: over 3 settings its total is ")
    assert f"{ratio['ratio']:.2f} times that of A (95 % interval {ratio['low']:.3f} to " in slower
    assert unknown.startswith("Whether C is faster or slower than A cannot be told")
    back = compare_all([second, first], names=named(second, first))
    assert sentences(back, 0.02, named(second, first))[0].startswith("B is faster than A")
    same = sweep(store, 1.0)
    assert sentences(compare_all([first, same]), 0.02, named(first, same))[0].startswith("B and A are the same within")


def test_charts_of_a_comparison_hold_every_run_a_rule_at_1_and_the_margin(store):
    first, second = sweep(store, 1.0), sweep(store, 2.0)
    found = compare_all([first, second], names=named(first, second))
    names = list(found.names.values())
    medians = medians_by_setting([first, second], found.names)
    spec = charts.medians_over(medians, "total_ms", names, knob="Top-k").to_dict()
    assert spec["layer"][1]["encoding"]["color"]["scale"]["domain"] == ["A", "B"]
    assert spec["layer"][1]["encoding"]["x"]["sort"] == ["1", "2", "4"]
    assert spec["layer"][1]["encoding"]["x"]["title"] == "Top-k"
    spec = charts.ratios_over(ratios_by_setting(found, first), "total_ms", names, 0.02).to_dict()
    ((around,),) = [rows for rows in spec["datasets"].values() if "one" in rows[0]]
    assert around == {"low": 0.98, "high": 1.02, "one": 1.0}
    assert charts.medians_over(medians, "total_ms", names, log=True).to_dict()


def test_many_pictures_are_laid_over_each_other_without_labels(store):
    runs = [
        load_picture_result(store, store_run(store, pictures_sweep(number=10), lambda setting, cost=cost: cost))
        for cost in (5.0, 10.0)
    ]
    found = compare_all(runs, names=named(*runs))
    rows = medians_by_setting(runs, found.names)
    assert rows["title"].notna().all()
    axis = charts.medians_over(rows, "total_ms", ["A", "B"]).to_dict()["layer"][1]["encoding"]["x"]
    assert axis["title"].endswith("settings, in their order")
    assert not axis["axis"]["labels"]
    assert "xOffset" not in charts.medians_over(rows, "total_ms", ["A", "B"]).to_dict()["layer"][1]["encoding"]


def test_a_baseline_is_laid_over_every_chart_of_settings_and_its_clicks_stay(store):
    first, second = sweep(store, 1.0), sweep(store, 2.0, values=(4, 2, 8))
    laid = 0
    for view in sweep_views(first.experiment.knob).values():
        drawn = view(first, lambda: store.decode_steps(first.run["id"]))
        for chart, metric in zip(drawn, metrics_of(view), strict=False):
            over = lay_over(chart, first, second, metric, "Baseline: other")
            laid += 1
            assert charts.is_clickable(over)
            spec = over.to_dict()
            rows = spec["datasets"][spec["layer"][-1]["data"]["name"]]
            summary = second.summary.set_index(["label", "metric"])["median"]
            assert {row["label"]: row["median"] for row in rows} == {
                label: summary[label, metric] for label in ("2", "4")
            }
            assert spec["layer"][-1]["encoding"]["shape"]["scale"]["domain"] == ["Baseline: other"]
    assert laid == 3
    assert set(metrics_of(sweep_views("output_tokens")["Log scale"])) <= set(stats.METRICS)
    assert metrics_of(sweep_views("top_k")["Quality"]) == ()
