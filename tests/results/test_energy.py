"""What a run says of energy: joules with their resolution, per token, and as charts and files."""

from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from profcore import charts
from profcore.charts.views import ENERGY, sweep_views
from profcore.export.report import report_markdown
from profcore.export.run_figures import run_figures
from profcore.results.command import repeat_command
from profcore.results.described import describe_run
from profcore.results.energy import display_energy, energy_words, has_energy, written_energy
from profcore.results.energy_sum import sum_words
from profcore.results.sweep import load_result
from profcore.spec.begun import begun_of
from profcore.storage.lines import each_record
from profcore.storage.parquet import write_parquet
from profcore.storage.spool import spool_path
from profcore.storage.store import Store
from tests.comparisons.stored import store_run
from tests.support import small_sweep


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("energy") / "data.duckdb") as opened:
        yield opened


@pytest.fixture(scope="module")
def result(store):
    sweep = small_sweep("output_tokens", (1, 3, 5), num_samples=6, energy=True)
    run_id = store_run(store, sweep, lambda setting: 1.0, joules=lambda setting: 4.0 * (setting.output_tokens - 1))
    return load_result(store, run_id)


def test_joules_by_stage_and_per_token(result):
    table = display_energy(result).set_index("setting")
    row = table.loc["5 output tokens"]
    assert row["LLM decode (J)"] == "16.00 ± 0.10"
    assert row["Inference (J)"] == "26.00 ± 0.10"
    assert row["decode per output token (J)"] == "4.000 ± 0.025"
    assert float(row["tokens per joule"]) == pytest.approx(5 / 26, abs=5e-4)
    assert table.loc["1 output token", "decode per output token (J)"] == "—"


def test_the_words_say_the_method_and_the_meters_step(result):
    assert energy_words(result).startswith("By the card's own counter")
    assert "every 100 ms" in energy_words(result)
    assert "none were taken" not in energy_words(result)
    lacking = replace(result, settings=result.settings.assign(projector_j=float("nan")))
    assert energy_words(lacking).endswith("Of Projector none were taken apart from the inference's.")


@pytest.mark.parametrize(
    ("joules", "resolution", "says"),
    [
        (12.3456, 0.12, "12.35 ± 0.12"),
        (1234.5, 30, "1,234 ± 30"),
        (0.0123, 0.0004, "0.01230 ± 0.00040"),
        (5.0, 0.0, "5.00"),
        (float("nan"), 0.1, "—"),
    ],
)
def test_a_figure_has_the_digits_of_its_resolution(joules, resolution, says):
    assert written_energy(joules, resolution) == says


def test_stages_that_do_not_add_up_to_the_inference_are_said(store, result):
    assert sum_words(result.settings) == ""
    assert "energy" not in {caution.kind for caution in result.cautions}
    # A projector measured with the encoder that it lies inside of.
    twice = result.settings.assign(projector_j=result.settings["projector_j"] + 4)
    assert sum_words(twice).startswith("At 3 of 3 settings the stages' joules add up to 115 to 140 % of the whole")
    one = twice["output_tokens"] == 1
    assert sum_words(twice[one]).startswith("At 1 of 1 setting the stages' joules add up to 140 % of the whole")
    # Within what the meter leaves open, or where a stage has none, nothing can be told.
    assert sum_words(twice.assign(total_resolution_j=5.0)) == ""
    assert sum_words(twice.assign(projector_j=float("nan"))) == ""


def test_a_report_has_its_table(result):
    assert "26.00 ± 0.10" in report_markdown([result])


def test_bars_stack_to_the_sum_of_the_stages(result):
    (chart,) = sweep_views(result.experiment.knob)[ENERGY](result, lambda: None)
    tables = chart.to_dict()["datasets"].values()
    bars = next(rows for rows in tables if "end" in rows[0])
    assert max(row["end"] for row in bars if row["title"] == "5 output tokens") == 26
    assert "energy_by_stage" in run_figures(result)
    assert charts.chart_words(chart.to_dict()).startswith("Chart: Energy (J) over")


def test_a_run_that_measured_none_has_no_chart(store):
    other = load_result(store, store_run(store, small_sweep(num_samples=2), lambda setting: 1.0))
    assert not has_energy(other)
    assert sweep_views(other.experiment.knob)[ENERGY](other, lambda: None) == []
    assert "energy_by_stage" not in run_figures(other)


def test_tables_for_other_programs_have_the_joules(store, result, tmp_path):
    write_parquet(store, tmp_path, [result.run["id"]])
    table = pq.read_table(tmp_path / "settings.parquet").to_pandas().sort_values("setting")
    assert table["llm_decode_j"].tolist() == [0.0, 8.0, 16.0]
    assert table["total_resolution_j"].tolist() == [0.1] * 3
    assert set(table["energy_method"]) == {"counter"}


def test_a_run_that_goes_on_does_not_measure_it_again(store, result):
    begun = begun_of(each_record(spool_path(store.spools, result.run["id"])), 3)
    assert begun.energy == {0, 1, 2}


def test_the_command_and_the_conditions_say_that_it_was_asked_for(result):

    assert "--energy" in repeat_command(result.run["spec"]).split()
    described = describe_run(result.run).set_index("name")["value"]
    assert described["Energy measured after the samples"] == "yes"
