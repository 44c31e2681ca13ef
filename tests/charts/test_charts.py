import json

import pandas as pd
import pytest

from profcore import charts
from profcore.experiments.knobs import CATALOGUE
from profcore.results.sweep import load_result
from profcore.spec.stages import Stage

TTFT = (Stage.VISION_ENCODER, Stage.PROJECTOR, Stage.LLM_PREFILL)


@pytest.fixture(scope="module")
def results(sample_results):
    store = sample_results
    found = {row["experiment"]: load_result(store, row["id"]) for row in store.runs().to_dict("records")}
    return found, store.decode_steps(found["output_tokens"].run["id"])


def drawn(chart):
    """A chart's specification, and the rows of each layer."""
    spec = chart.to_dict()
    layers = spec["layer"]
    given = [layer.get("data", spec.get("data")) for layer in layers]
    rows = [spec["datasets"][data["name"]] if data else None for data in given]
    return spec, layers, rows


def test_bars_stack_the_medians_in_the_stages_order(results):
    result = results[0]["context_scaling"]
    spec, layers, rows = drawn(charts.breakdown(result.summary, result.experiment, TTFT, "ttft_ms"))
    medians = result.summary.pivot(index="setting", columns="metric", values="median")
    for row in rows[0]:
        start = sum(medians.loc[row["setting"], stage.column] for stage in TTFT[: row["order"]])
        assert row["start"] == pytest.approx(start)
        assert row["end"] - row["start"] == pytest.approx(row["median"])
    line = next(data for data in rows if data and data[0]["stage"] == "TTFT")
    assert [row["median"] for row in line] == medians["ttft_ms"].tolist()
    assert layers[0]["encoding"]["y"]["title"] == "Latency (ms)"
    assert layers[0]["encoding"]["x"]["sort"][0] == "288|1×1"
    assert layers[0]["encoding"]["x"]["sort"][-1] == "1344|1×12"
    json.dumps(spec)


def test_tooltips_name_n_median_and_interval(results):
    result = results[0]["moe_topk"]
    _, layers, _ = drawn(charts.panel(result.summary, result.experiment, "llm_decode_ms"))
    for layer in layers:
        fields = {tooltip["field"] for tooltip in layer["encoding"]["tooltip"]}
        assert {"said_n", "said_median", "said_interval", "said_floor", "said_over"} <= fields
    assert layers[0]["encoding"]["y"]["title"] == "LLM decode (ms)"


def test_a_tooltip_has_as_many_digits_as_tell_the_ends_of_an_interval_apart(results):
    result = results[0]["moe_topk"]
    summary = result.summary.assign(median=0.00012345, low=0.0001231, high=0.0001239)
    _, _, rows = drawn(charts.panel(summary, result.experiment, "llm_decode_ms"))
    assert {(row["said_median"], row["said_interval"]) for row in rows[0]} == {("0.000123", "0.000123 to 0.000124")}
    summary = summary.assign(median=12345.678, low=12345.61, high=12345.69, floor_ms=float("nan"))
    _, _, rows = drawn(charts.panel(summary, result.experiment, "llm_decode_ms"))
    assert {(row["said_median"], row["said_interval"]) for row in rows[0]} == {("12,345.7", "12,345.6 to 12,345.7")}
    assert {row["said_floor"] for row in rows[0]} == {"—"}


def test_stages_keep_their_colours(results):
    result = results[0]["output_tokens"]
    stages = (*TTFT, Stage.LLM_DECODE)
    _, layers, _ = drawn(charts.breakdown(result.summary, result.experiment, stages, "total_ms"))
    scale = layers[0]["encoding"]["color"]["scale"]
    colours = dict(zip(scale["domain"], scale["range"], strict=True))
    assert [colours[stage.label] for stage in stages] == [charts.STAGE_COLOURS[stage] for stage in stages]
    assert len(set(scale["range"])) == len(scale["range"])


def test_on_a_log_axis_nothing_is_stacked(results):
    result = results[0]["output_tokens"]
    stages = (*TTFT, Stage.LLM_DECODE)
    _, layers, rows = drawn(charts.stage_lines(result.summary, result.experiment, stages, "total_ms"))
    kinds = [layer["mark"]["type"] for layer in layers]
    lines = next(place for place, kind in enumerate(kinds) if kind == "line" and len(rows[place]) > 9)
    assert layers[lines]["encoding"]["y"]["scale"]["type"] == "log"
    assert layers[lines]["encoding"]["y"]["title"] == "Latency (ms, log scale)"
    assert all("y2" not in layer["encoding"] for layer in layers if layer["mark"]["type"] != "errorbar")
    medians = result.summary.set_index(["title", "metric"])["median"].to_dict()
    shown = {(row["title"], row["metric"]): row["median"] for row in rows[lines]}
    assert shown == {each: medians[each] for each in shown}
    assert {metric for _, metric in shown} == {*(stage.column for stage in stages), "total_ms"}
    assert min(shown.values()) > 0


def test_one_floor_a_bar_that_of_the_whole_named_in_the_legend(results):
    result = results[0]["context_scaling"]
    _, layers, rows = drawn(charts.breakdown(result.summary, result.experiment, TTFT, "ttft_ms"))
    marks = [data for layer, data in zip(layers, rows, strict=True) if layer["mark"]["type"] == "tick"]
    whole = result.summary[result.summary["metric"] == "ttft_ms"].set_index("setting")["floor_ms"].to_dict()
    assert len(marks) == 2
    for data in marks:
        assert {row["setting"]: row["floor_ms"] for row in data} == whole
        assert {row["stage"] for row in data} == {"Floor of TTFT"}
    assert layers[0]["encoding"]["color"]["scale"]["domain"][-1] == "Floor of TTFT"
    line = next(data for layer, data in zip(layers, rows, strict=True) if layer["mark"]["type"] == "line")
    assert all(row["said_floor"] != "—" and row["said_over"].endswith("×") for row in line)


def test_planned_settings_stand_on_the_axis_before_they_are_measured(results):
    result = results[0]["moe_topk"]
    measured = result.summary[result.summary["setting"] < 2]
    for chart in (
        charts.panel(measured, result.experiment, "llm_decode_ms", result.settings),
        charts.breakdown(measured, result.experiment, TTFT, "ttft_ms", result.settings),
        charts.stage_lines(measured, result.experiment, TTFT, "ttft_ms", result.settings),
    ):
        _, layers, _ = drawn(chart)
        n = int(measured["n"].max())
        expected = [f"1|n {n}", f"2|n {n}", "4|n 0", "8|n 0", "16|n 0", "32|n 0"]
        assert all(layer["encoding"]["x"]["scale"]["domain"] == expected for layer in layers)


def test_a_knob_that_is_doubled_has_its_doublings_at_equal_distances():
    rows = pd.DataFrame({"x": [1, 2, 32], "median": [1.0, 2.0, 9.0], "low": 1.0, "high": 9.0, "n": 6})
    rows = rows.assign(mask="", line=0, metric="tpot_ms", engine="eager")
    for name, kind in (("moe_topk", "log"), ("transformer_blocks_mask", None)):
        _, layers, _ = drawn(charts.engines(rows, CATALOGUE[name], "tpot_ms", log=False))
        assert layers[0]["encoding"]["x"]["scale"].get("type") == kind


def test_error_bars_only_where_there_is_an_interval(results):
    result = results[0]["moe_topk"]
    summary = result.summary.assign(low=float("nan"), high=float("nan"))
    _, layers, rows = drawn(charts.panel(result.summary, result.experiment, "llm_prefill_ms"))
    assert layers[1]["mark"]["type"] == "errorbar"
    assert len(rows[1]) == len(rows[0]) == 6
    without = charts.panel(summary, result.experiment, "llm_prefill_ms").to_dict()
    bars, errors, *_ = without["layer"]
    assert len(without["datasets"][bars["data"]["name"]]) == 6
    assert without["datasets"].get(errors["data"].get("name"), []) == []


def test_decode_steps_by_position(results):
    found, steps = results
    result = found["output_tokens"]
    spec, _, _ = drawn(charts.decode_steps(steps, result.settings, result.experiment))
    rows = next(iter(spec["datasets"].values()))
    assert {row["title"] for row in rows} == {f"{n} output tokens" for n in (5, 10, 20, 50, 100, 200)}
    longest = [row["position"] for row in rows if row["title"] == "200 output tokens"]
    assert (min(longest), max(longest)) == (2, 200)
    # From zero, or a wobble of 1 % would fill the chart.
    assert [layer["encoding"]["y"]["scale"]["zero"] for layer in spec["layer"]] == [True, True]


def test_a_missing_stage_leaves_its_part_out():
    summary = pd.DataFrame(
        {
            "setting": [0, 0],
            "metric": ["vision_encoder_ms", "llm_prefill_ms"],
            "median": [10.0, 30.0],
            "low": [9.0, 29.0],
            "high": [11.0, 31.0],
            "n": [6, 6],
            "floor_ms": [2.0, float("nan")],
            "over_floor": [5.0, float("nan")],
            "binds": ["memory", None],
            "x": [1, 1],
            "label": ["1", "1"],
            "title": ["one", "one"],
        }
    )
    chart = charts.breakdown(summary, CATALOGUE["moe_topk"], TTFT, "ttft_ms")
    _, layers, data = drawn(chart)
    assert [(row["start"], row["end"]) for row in data[0]] == [(0, 10), (10, 40)]
    # Nobody knows the floor of the whole here, so none is marked, nor named.
    assert not any(layer["mark"]["type"] == "tick" for layer in layers)
    assert "Floor of TTFT" not in layers[0]["encoding"]["color"]["scale"]["domain"]


def test_bars_are_clickable_and_steps_are_not(results):
    found, steps = results
    result = found["output_tokens"]
    assert charts.is_clickable(charts.panel(result.summary, result.experiment, "tpot_ms"))
    assert charts.is_clickable(charts.breakdown(result.summary, result.experiment, TTFT, "ttft_ms"))
    assert not charts.is_clickable(charts.decode_steps(steps, result.settings, result.experiment))


def test_blocks_are_counted_from_0_as_in_files():
    spec = charts.masks(["0101", "1000"]).to_dict()
    (rows,) = spec["datasets"].values()
    assert [row["block"] for row in rows if row["state"] == "runs"] == [1, 3, 0]
    spec = charts.importance({0: 0.25, 3: 0.5}, 4).to_dict()
    (rows,) = spec["datasets"].values()
    assert spec["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, 1, 2, 3]
    assert [(row["block"], row["score"]) for row in rows] == [(0, 0.25), (3, 0.5)]


@pytest.mark.parametrize("values", [(5.2, 5.9), (0.9, 1.1), (4.0, 21.0), (0.02, 3000.0), (7.0, 7.0), (995.0, 1004.0)])
def test_a_logarithmic_axis_marks_enough_to_read_a_height(values):
    from profcore.charts.base import log_axis

    marked = log_axis(values).to_dict()["values"]
    low, high = min(values) / 1.04, max(values) * 1.04
    assert all(low <= each <= high for each in marked)
    assert len(marked) >= (3 if max(values) / min(values) > 1.1 else 1)
    assert len(marked) <= 12


def test_a_logarithmic_axis_of_nothing_is_an_axis():
    from profcore.charts.base import log_axis

    assert log_axis([]).to_dict() == log_axis([float("nan"), -1.0, 0.0]).to_dict() == log_axis([1.0]).to_dict()


def test_a_legend_of_four_names_has_rows_that_a_narrow_window_holds():
    names = [stage.column for stage in (*TTFT, Stage.LLM_DECODE)]
    points = pd.DataFrame({"title": ["a", "b"], "n": 1, "num_vision_tokens": [288, 384], "ttft_ms": 3.0})
    points = points.assign(**dict.fromkeys(names, 1.0), **{f"flops_{name.removesuffix('_ms')}": 1e9 for name in names})
    for chart in (
        charts.over_tokens(points, "num_vision_tokens", [*names[:3], "ttft_ms"]),
        charts.flops_points(points),
    ):
        colour = next(each["encoding"]["color"] for each in chart.to_dict()["layer"])
        assert len(colour["scale"]["domain"]) == 4
        assert colour["legend"]["columns"] == 3
