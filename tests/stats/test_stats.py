import json
import math

import numpy as np
import pandas as pd
import pytest

from profcore import stats
from profcore.formats.values import published_block


def frame(totals_by_setting, **columns):
    rows = [
        {"setting": setting, "total_ms": total, "sample_id": number}
        for setting, totals in totals_by_setting.items()
        for number, total in enumerate(totals)
    ]
    data = pd.DataFrame(rows)
    for stage in stats.STAGE_COLUMNS:
        data[stage] = data["total_ms"] / 5
    return data.assign(num_output_tokens=5, **columns)


@pytest.mark.parametrize(("n", "ranks"), [(5, None), (6, (0, 5)), (10, (1, 8)), (20, (5, 14)), (50, (17, 32))])
def test_ranks_of_the_medians_interval_are_the_textbooks(n, ranks):
    # One-based 1-6, 2-9, 6-15 and 18-33 in tables of the sign test's interval.
    assert stats.median_ranks(n) == ranks


def test_end_to_end_is_the_total_with_what_the_host_did_before():
    samples = stats.add_derived(frame({0: [100.0, 110.0]}, host_preprocessing_ms=[40.0, None]))
    assert samples["end_to_end_ms"].iloc[0] == 140.0
    assert math.isnan(samples["end_to_end_ms"].iloc[1])
    unknown = stats.summarise(frame({0: [100.0, 110.0]}, host_preprocessing_ms=None))
    assert not {"host_preprocessing_ms", "end_to_end_ms"} & set(unknown["metric"])


def test_reading_the_picture_is_in_no_other_latency():
    totals = {0: [100.0, 110.0], 1: [120.0]}
    without = stats.summarise(frame(totals, host_preprocessing_ms=40.0))
    found = stats.summarise(frame(totals, host_preprocessing_ms=40.0, picture_reading_ms=[25.0, None, None]))
    read = found[found["metric"] == stats.READING]
    assert read[["setting", "n", "median"]].to_numpy().tolist() == [[0, 1, 25.0]]
    pd.testing.assert_frame_equal(found[found["metric"] != stats.READING].reset_index(drop=True), without)


def test_ranks_of_many_samples_agree_with_the_exact_ones():
    for n in (1000, 1001, 2500):
        low, high = stats.median_ranks(n)
        covered = sum(math.comb(n, rank) for rank in range(low + 1, high + 1)) / 2**n
        assert 0.95 <= covered < 0.96


def test_the_interval_covers_the_median_as_often_as_it_says():
    draws = np.random.default_rng(0).lognormal(size=(4000, 25))
    low, high = stats.median_ranks(25)
    ordered = np.sort(draws, axis=1)
    covered = ((ordered[:, low] <= 1) & (ordered[:, high] >= 1)).mean()
    assert 0.95 <= covered <= 0.97


def test_summary_of_known_values():
    summary = stats.summarise(frame({0: [10, 20, 30, 40, 50, 60], 1: [5]}))
    row = summary[(summary["setting"] == 0) & (summary["metric"] == "total_ms")].iloc[0]
    assert (row["n"], row["median"], row["low"], row["high"], row["mean"]) == (6, 35, 10, 60, 35)
    assert row["std"] == pytest.approx(np.std([10, 20, 30, 40, 50, 60], ddof=1))
    ttft = summary[(summary["setting"] == 0) & (summary["metric"] == "ttft_ms")].iloc[0]
    assert ttft["median"] == pytest.approx(21)
    tpot = summary[(summary["setting"] == 0) & (summary["metric"] == "tpot_ms")].iloc[0]
    assert tpot["median"] == pytest.approx(35 / 5 / 4)
    single = summary[(summary["setting"] == 1) & (summary["metric"] == "total_ms")].iloc[0]
    assert math.isnan(single["low"])
    assert math.isnan(single["std"])


def test_one_output_token_has_no_tpot():
    summary = stats.summarise(
        frame(
            {0: [1.0, 2.0]},
        ).assign(num_output_tokens=1)
    )
    assert "tpot_ms" not in set(summary["metric"])


@pytest.mark.parametrize(
    ("n", "p95", "p99"), [(19, False, False), (20, True, False), (99, True, False), (100, True, True)]
)
def test_percentiles_are_shown_where_samples_support_them(n, p95, p99):
    row = stats.summarise(frame({0: list(range(1, n + 1))})).iloc[0]
    assert (not math.isnan(row["p95"])) is p95
    assert (not math.isnan(row["p99"])) is p99


def test_percentiles_are_numpys():
    draw = np.random.default_rng(0)
    for n in (1, 2, 3, 10, 101):
        values = np.sort(draw.normal(size=n))
        for share in (0, 5, 25, 50, 95, 99, 100):
            assert stats.percentile(values, share) == pytest.approx(np.percentile(values, share), rel=1e-12)


def test_missing_values_are_left_out():
    data = frame({0: [10, 20, 30]})
    data.loc[1, "projector_ms"] = np.nan
    summary = stats.summarise(data).set_index("metric")
    assert summary.loc["projector_ms", "n"] == 2
    assert summary.loc["total_ms", "n"] == 3


def test_outliers_are_labelled_not_dropped():
    data = frame({0: [10, 10.1, 10.2, 9.9, 10, 10.1, 9.8, 30]})
    assert stats.label_outliers(data).tolist() == [False] * 7 + [True]
    row = stats.summarise(data).set_index("metric").loc["total_ms"]
    assert (row["n"], row["outliers"], row["max"]) == (8, 1, 30)


def test_cautions():
    def kinds(data):
        return {caution.kind for caution in stats.cautions(data, summary(data))}

    def summary(data):
        return pd.DataFrame() if data.empty else stats.summarise(data)

    steady = list(100 + np.random.default_rng(1).normal(size=40))
    assert kinds(frame({0: steady}, elapsed_s=range(40))) == set()
    assert "few" in kinds(frame({0: [1.0, 2.0]}))
    assert "spread" in kinds(frame({0: list(np.linspace(50, 150, 40))}))
    assert "outliers" in kinds(frame({0: [*steady, 500]}))
    drifting = [100 + step / 10 for step in range(40)]
    assert "drift" in kinds(frame({0: drifting}, elapsed_s=range(40)))
    # As sure as that one, but of a tenth of a percent.
    assert "drift" not in kinds(frame({0: [100 + step / 400 for step in range(40)]}, elapsed_s=range(40)))
    assert kinds(pd.DataFrame()) == set()
    impossible = pd.DataFrame({"over_floor": [0.9, 1.1, float("nan")]})
    data = frame({0: steady}, elapsed_s=range(40))
    (caution,) = stats.cautions(data, impossible)
    assert (caution.kind, caution.text.split()[0]) == ("floor", "1")


def test_published_blocks_are_those_of_published_files(shared):
    document = json.loads((shared / "motivation" / "exp2_moe_topk_results.json").read_text())
    rows = pd.DataFrame(document["all_samples"])
    for entry in document["summary"]:
        group = rows[rows["top_k"] == entry["top_k"]]
        for block, field in (("prefill", "T_LLM_prefill"), ("decode", "T_LLM_decode")):
            ours = published_block(group[field])
            assert ours == pytest.approx(entry[block])
