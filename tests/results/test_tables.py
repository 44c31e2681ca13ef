"""Results as tables: a row for each setting, and figures with the digits that they deserve."""

import pandas as pd
import pytest

from profcore import stats
from profcore.results.sweep import load_result
from profcore.results.tables import (
    STATISTICS,
    display_profile_kernels,
    display_profile_stages,
    display_samples,
    display_short_summary,
    display_summary,
    display_without_flagged,
    padded,
    summary_words,
)
from profcore.storage.store import Store
from tests.support import sample_spool


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("tables") / "data.duckdb") as store:
        store.take_in(sample_spool("20261129-203616-5b199827", store.path.parent), source="shipped")
        return load_result(store, "20261129-203616-5b199827")


def test_below_a_table_stands_what_its_figures_need_and_when_sampling_stopped():
    said = summary_words({})
    assert said.endswith("needs 6 samples; P95 needs 20 and P99 needs 100.")
    until = summary_words({"sweep": {"until": {"precision": 0.01, "max_seconds": 60.0}}})
    assert until.startswith(f"{said} Each setting was sampled until the interval of its median total lay within ±1 %")


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_row_for_each_setting_with_the_floor_of_the_whole_first(result, statistic):
    table = display_summary(result, statistic)
    assert table["setting"].tolist() == [f"top-k {k}" for k in (1, 2, 4, 8, 16, 32)]
    assert table.columns[:4].tolist() == ["setting", "n", "floor of Total (ms)", "Total × floor"]
    assert not table.isna().any().any()


def test_the_cells_are_the_summarys(result):
    decode = result.summary[result.summary["metric"] == "llm_decode_ms"].set_index("setting")
    shown = display_summary(result)["LLM decode"]
    assert [float(text.replace(",", "")) for text in shown] == pytest.approx(decode["median"].tolist(), abs=5e-3)
    assert len({len(text.split(".")[1]) for text in shown}) == 1
    floors = display_summary(result, "× floor")["LLM decode"]
    assert [float(text) for text in floors] == pytest.approx(decode["over_floor"].tolist(), abs=5e-3)
    ends = [text.split(" to ") for text in display_summary(result, "95 % interval")["LLM decode"]]
    for (low, high), row in zip(ends, decode.to_dict("records"), strict=True):
        assert low != high or row["low"] == row["high"]


def test_what_launching_binds_is_this_hosts_figure_on_page_and_table(tmp_path):
    with Store(tmp_path / "data.duckdb") as store:
        store.take_in(sample_spool("20261129-201318-4af649f1", tmp_path), source="shipped")
        eager = load_result(store, "20261129-201318-4af649f1")
    (caution,) = [each.text for each in eager.cautions if each.kind == "host"]
    assert "LLM decode at 6 of 6 settings" in caution
    assert "this host's figure (Intel(R) Xeon(R) Processor), not the card's" in caution
    assert set(display_summary(eager, "Bound by")["LLM decode"]) == {"launch (this host)"}
    shown = display_short_summary(eager)
    assert set(shown[shown["latency"] == "TPOT"]["bound by"]) == {"launch (this host)"}


def test_a_terminal_gets_the_same_figures(result):
    rows = display_short_summary(result)
    tpot = rows[(rows["setting"] == "top-k 1") & (rows["latency"] == "TPOT")].iloc[0]
    low, high = tpot["95 % (ms)"].split(" to ")
    assert float(low) <= float(tpot["median (ms)"]) <= float(high)
    assert low != high


def test_a_column_of_figures_lines_up_and_sorts_as_they_do():
    texts = padded(pd.Series([1234.5, 9.871, float("nan"), 0.0, 20.3]))
    assert texts == ["1,234.50", "    9.87", "—", "    0.00", "   20.30"]
    figures = [text for text in texts if text != "—"]
    assert sorted(figures) == sorted(figures, key=lambda text: float(text.replace(",", "")))
    assert padded(pd.Series([5, 1200]), 0) == ["    5", "1,200"]
    assert padded(pd.Series(dtype=float)) == []


def test_samples_have_the_digits_of_the_summary(result):
    table = display_samples(result)
    assert len(table) == len(result.samples)
    for name in ("LLM decode (ms)", "Total (ms)", "power (W)"):
        assert len({len(text) for text in table[name]}) == 1
    assert [float(text) for text in table["Total (ms)"]] == pytest.approx(
        result.samples.sort_values("sample_id", ascending=False)["total_ms"].tolist(), abs=5e-4
    )


@pytest.mark.parametrize("on_gpu", [True, False])
def test_a_profile_names_stages_as_everything_does(on_gpu):
    stage = {"stage": "llm_decode", "measured_ms": 12.3456, "busy_ms": 6.1, "busy_share": 0.4941, "kernels": 1200}
    stage |= {"issue_ms": None, "floor_ms": 1.05, "over_floor": 11.76, "binds": None}
    first = {**stage, "stage": "vision_encoder", "measured_ms": 0.574, "kernels": 9, "binds": "memory"}
    kernel = {"stage": "llm_decode", "ms": 1.25, "count": 1600, "mean_us": 0.78125, "name": "gemm"}
    profile = {"on_gpu": on_gpu, "stages": [first, stage], "kernels": [kernel], "parts": []}
    ran = "kernels" if on_gpu else "operators"
    stages = display_profile_stages(profile)
    assert stages["stage"].tolist() == ["Vision encoder", "LLM decode"]
    assert stages["measured (ms)"].tolist() == [" 0.574", "12.346"]
    assert stages[f"in {ran} (%)"].tolist() == ["49.4", "49.4"]
    assert stages[ran].tolist() == ["    9", "1,200"]
    assert stages["bound by"].tolist() == ["memory", "—"]
    # Nothing is known of the host.
    assert not any("host" in name for name in stages)
    row = display_profile_kernels(profile).iloc[0]
    assert row.tolist() == ["LLM decode", "1.25", "1,600", "0.781", "gemm"]
    assert display_profile_kernels({**profile, "kernels": []}).empty


def test_without_flagged_samples_a_stage_that_a_setting_has_not_is_no_row():
    taken = pd.DataFrame({"total_ms": [3.0, 4.0, 5.0], "throttle_reasons": [4, 0, 0], "other_processes": 0})
    stages = {**dict.fromkeys(stats.STAGE_COLUMNS, 1.0), "llm_decode_ms": 0.0}
    taken = taken.assign(setting=0, num_output_tokens=1, **stages)
    settings = pd.DataFrame({"setting": [0], "title": ["1×1 grid"]})
    shown = display_without_flagged(stats.with_flags(taken), settings)
    assert "LLM prefill" in set(shown["latency"])
    assert "LLM decode" not in set(shown["latency"])
