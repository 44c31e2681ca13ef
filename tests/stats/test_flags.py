"""Which samples are flagged, and what leaving them out would do."""

import numpy as np
import pandas as pd
import pytest

from profcore import stats
from profcore.stats.flags import flag_sentences, with_flags, without_flagged


def frame(reasons, others, totals=None, setting=0):
    totals = range(1, len(reasons) + 1) if totals is None else totals
    data = pd.DataFrame({"total_ms": totals, "throttle_reasons": reasons, "other_processes": others})
    return data.assign(setting=setting, num_output_tokens=1, **dict.fromkeys(stats.STAGE_COLUMNS, 1.0))


@pytest.mark.parametrize(
    ("bits", "held_back"),
    [(0, False), (0x1, False), (0x2, False), (0x100, False), (0x4, True), (0x60, True), (0x5, True), (None, False)],
)
def test_a_limit_that_was_met_counts_and_an_idle_or_set_clock_does_not(bits, held_back):
    assert with_flags(frame([bits], [None]))["throttled"].tolist() == [held_back]


def test_another_process_flags_a_sample_and_no_answer_does_not():
    assert with_flags(frame([0, 0, 0], [0, 2, None]))["shared"].tolist() == [False, True, False]


def test_samples_of_a_cpu_have_no_flag():
    samples = with_flags(frame([0], [0]).drop(columns=["throttle_reasons", "other_processes"]))
    assert not samples[["throttled", "shared"]].to_numpy().any()
    assert flag_sentences(samples) == []
    assert without_flagged(samples).empty


def test_sentences_say_how_many_and_why():
    assert flag_sentences(with_flags(frame([4, 0x24, 1, 0], [0, 0, 0, 1]))) == [
        "2 of 4 samples were taken while the card was held back (power cap, thermal slowdown (driver)).",
        "1 of 4 samples was taken beside another process on the card.",
    ]


def on_hosts(*probes, hosts=None):
    """Samples with so many microseconds of the host's probe each."""
    samples = frame([0] * len(probes), [0] * len(probes)).assign(host_probe_us=probes)
    return with_flags(samples if hosts is None else samples.assign(environment_number=hosts))


def test_a_host_that_takes_longer_for_the_same_work_flags_a_sample():
    samples = on_hosts(80, 100, 103, 160, 80, 200, None)
    assert samples["slowed"].tolist() == [False, False, False, True, False, True, False]
    (sentence,) = flag_sentences(samples)
    assert sentence.startswith("2 of 7 samples were taken while the host was slowed (the same work took 2.2 times")
    assert without_flagged(samples)["flagged"].max() == 2


def test_each_host_of_a_run_has_a_best_of_its_own():
    assert not on_hosts(80, 81, 200, 201, hosts=[0, 0, 1, 1])["slowed"].any()
    assert on_hosts(80, 81, 200, 400, hosts=[0, None, 1, 1])["slowed"].tolist() == [False, False, False, True]


def test_what_leaving_them_out_would_do_to_each_median():
    samples = pd.concat([frame([4, 0, 0], [0, 0, 0], [30, 10, 12]), frame([0], [0], [5], setting=1)], ignore_index=True)
    table = without_flagged(with_flags(samples)).set_index("metric")
    # The setting without a flag is not in the table.
    assert set(table["setting"]) == {0}
    total = table.loc["total_ms"]
    assert (total["n"], total["flagged"], total["median"], total["median_without"]) == (3, 1, 12, 11)
    assert total["change"] == pytest.approx(11 / 12 - 1)
    assert table.loc["llm_prefill_ms", "change"] == 0


def test_where_every_sample_is_flagged_none_is_left_to_say():
    table = without_flagged(with_flags(frame([4, 4], [0, 0])))
    assert table["median_without"].isna().all()
    assert np.isnan(table["change"]).all()
