"""The sweep beside pictures and runs side by side, against values worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from profcore import stats
from profcore.comparisons.conditions import find_differences
from profcore.comparisons.runs import compare_runs, run_differences, verdict
from profcore.comparisons.sweep_and_pictures import Pictures, display_slopes, set_beside
from profcore.experiments.knobs import CATALOGUE
from profcore.results.pictures import load_picture_result
from profcore.results.sweep import load_result
from profcore.storage.store import Store


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (0.99, 1.01, "same"),
        (1.001, 1.015, "same"),
        (0.5, 0.6, "faster"),
        (0.97, 0.995, "faster"),
        (1.01, 1.5, "slower"),
        (0.9, 1.01, "undecided"),
        (0.99, 1.03, "undecided"),
        (math.nan, math.nan, "undecided"),
    ],
)
def test_a_verdict_follows_from_the_interval_and_the_margin(low, high, says):
    assert verdict(stats.Ratio(1.0, low, high, 5), 0.02) == says


def sweep(slope=0.02, at_zero=10.0):
    """Samples of a sweep over vision tokens whose stages are known lines, with a spread of 1 % around them."""
    rows = []
    for setting, tokens in enumerate((288, 384, 480)):
        for spread in (0.99, 0.99, 1.0, 1.0, 1.01, 1.01):
            prefill = (at_zero + slope * tokens) * spread
            row = {"setting": setting, "num_vision_tokens": tokens, "num_crops": 2 + setting, "num_output_tokens": 1}
            row |= {"vision_encoder_ms": 2.0, "projector_ms": 1.0, "llm_prefill_ms": prefill, "llm_decode_ms": 0.0}
            rows.append({**row, "total_ms": prefill + 3})
    return pd.DataFrame(rows)


def points(factor, crops=0, metrics=("vision_encoder_ms", "projector_ms", "llm_prefill_ms")):
    """Six pictures whose latencies are the sweep's times a factor."""
    rows = []
    for number, tokens in enumerate((288, 320, 352, 384, 432, 480)):
        stages = dict(zip(metrics, np.array([2.0, 1.0, 10 + 0.02 * tokens]) * factor, strict=True))
        row = {"picture": f"p{number}", "title": f"p{number}", "num_vision_tokens": tokens, "num_output_tokens": 1}
        rows.append({**row, **stages, "ttft_ms": sum(stages.values()), "num_crops": 2 + (tokens - 288) / 96 + crops})
    return pd.DataFrame(rows)


def test_sentences_say_slopes_and_the_share_at_equal_tokens():
    here = {"device_name": "one GPU", "engine": "eager"}
    found = set_beside(CATALOGUE["context_scaling"], "sweep", sweep(), here, [Pictures("pictures", points(1.05), here)])
    slopes = found.slopes.set_index(["name", "metric"])["slope"]
    assert slopes["sweep", "llm_prefill_ms"] == pytest.approx(0.02)
    assert slopes["pictures", "llm_prefill_ms"] == pytest.approx(0.021)
    ratios = found.ratios.set_index("metric")
    assert ratios["ratio"].tolist() == pytest.approx([1.05] * 4)
    assert ratios["n"].tolist() == [6] * 4
    (prefill,) = [text for text in found.sentences["pictures"] if text.startswith("LLM prefill")]
    assert "the sweep's slope is 0.02 [" in prefill
    assert "ms per vision token, the pictures' 0.021 [" in prefill
    assert "at equal tokens the pictures are 5.0 % slower [" in prefill
    assert found.differences == []
    lines = found.lines[(found.lines["name"] == "pictures") & (found.lines["metric"] == "llm_prefill_ms")]
    assert lines["y"].tolist() == pytest.approx([1.05 * (10 + 0.02 * 288), 1.05 * (10 + 0.02 * 480)])
    table = display_slopes(found)
    assert table["run"].tolist() == ["sweep", "pictures"] * 4


def test_faster_pictures_no_difference_and_other_crops_are_said():
    def sentences(each):
        return set_beside(CATALOGUE["context_scaling"], "sweep", sweep(), {"engine": "a"}, [each]).sentences["pictures"]

    faster = sentences(Pictures("pictures", points(0.9), {"engine": "a"}))
    assert any("the pictures are 10.0 % faster [" in text for text in faster)
    same = sentences(Pictures("pictures", points(1.0), {"engine": "a"}))
    assert any("no difference can be told (+0.0 % [" in text for text in same)
    assert not any("crops in the mean" in text for text in same)
    more = sentences(Pictures("pictures", points(1.0, crops=1), {"engine": "a"}))
    assert any("have 3.9 crops in the mean where the sweep has 2.9" in text for text in more)


def test_differences_are_named_and_an_unknown_origin_too():
    mine = {"device_name": "one GPU", "dtype": "bfloat16", "engine": "eager", "clock": "events"}
    found = find_differences({"a": mine, "b": {**mine, "device_name": "another", "clock": "published"}, "c": {}})
    assert found == [
        "GPU: one GPU (a); another (b)",
        "clock: events (a); published (b)",
        "c does not say what it was measured on",
    ]
    assert find_differences({"a": mine, "b": dict(mine)}) == []


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("shipped") / "data.duckdb") as store:
        store.take_in_shipped()
        yield store


def by_engine(store, experiment, load):
    found = [load(store, run_id) for run_id in store.runs(experiment)["id"]]
    return {result.run["environment"]["engine"]: result for result in found}


def test_runs_are_compared_setting_by_setting(shipped):
    runs = by_engine(shipped, "moe_topk", load_result)
    found = compare_runs(runs["graph"], runs["compiled"])
    stages = found.stages.set_index("metric")
    assert stages.loc["llm_decode_ms", "verdict"] == "faster"
    assert stages.loc["llm_decode_ms", "settings"] == 6
    assert found.unmatched == 0
    rows = found.settings[found.settings["metric"] == "tpot_ms"]
    by_hand = [
        runs["compiled"].summary.query("metric == 'tpot_ms' and label == @label")["median"].iloc[0]
        / runs["graph"].summary.query("metric == 'tpot_ms' and label == @label")["median"].iloc[0]
        for label in ("1", "2", "4", "8", "16", "32")
    ]
    assert rows["ratio"].tolist() == pytest.approx(by_hand)
    assert stages.loc["tpot_ms", "ratio"] == pytest.approx(np.exp(np.mean(np.log(by_hand))))
    itself = compare_runs(runs["graph"], runs["graph"]).stages.set_index("metric")
    assert itself.loc["total_ms", "ratio"] == 1
    assert itself.loc["total_ms", "verdict"] == "same"
    assert "engine: graph (a); compiled (b)" in run_differences({"a": runs["graph"], "b": runs["compiled"]})


def test_settings_without_a_counterpart_are_counted_and_pictures_match_by_question(shipped):
    pictures = by_engine(shipped, "latency_distribution", load_picture_result)
    found = compare_runs(pictures["eager"], pictures["compiled"])
    assert found.stages["settings"].max() == 36
    assert found.stages.set_index("metric").loc["llm_prefill_ms", "verdict"] == "faster"
    grids = by_engine(shipped, "vision_tokens_vs_latency", load_picture_result)
    other = compare_runs(pictures["eager"], grids["eager"])
    assert other.stages.empty
    assert other.unmatched == 36 + 120
    tops = by_engine(shipped, "moe_topk", load_result)
    blocks = by_engine(shipped, "transformer_blocks_mask", load_result)
    # The one setting that both sweeps have: top-8 and all sixteen blocks.
    assert compare_runs(tops["graph"], blocks["graph"]).stages["settings"].tolist()[0] == 1
