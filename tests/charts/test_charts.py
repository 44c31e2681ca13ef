import json

import pandas as pd
import pytest

from profcore import charts
from profcore.experiments.knobs import CATALOGUE
from profcore.paths import SHIPPED
from profcore.results.sweep import load_result
from profcore.spec.stages import Stage
from profcore.storage.store import Store

TTFT = (Stage.VISION_ENCODER, Stage.PROJECTOR, Stage.LLM_PREFILL)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("charts") / "data.duckdb") as store:
        store.take_in_shipped(SHIPPED)
        found = {row["experiment"]: load_result(store, row["id"]) for row in store.runs().to_dict("records")}
        steps = store.decode_steps(found["output_tokens"].run["id"])
        yield found, steps


def drawn(chart):
    """A chart's specification, and the rows of each layer."""
    spec = chart.to_dict()
    layers = spec["layer"]
    rows = [spec["datasets"][layer["data"]["name"]] if "data" in layer else None for layer in layers]
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
        assert {"n", "median", "low", "high"} <= fields
    assert layers[0]["encoding"]["y"]["title"] == "LLM decode (ms)"


def test_stages_keep_their_colours(results):
    result = results[0]["output_tokens"]
    stages = (*TTFT, Stage.LLM_DECODE)
    _, layers, _ = drawn(charts.breakdown(result.summary, result.experiment, stages, "total_ms"))
    scale = layers[0]["encoding"]["color"]["scale"]
    colours = dict(zip(scale["domain"], scale["range"], strict=True))
    assert [colours[stage.label] for stage in stages] == [charts.STAGE_COLOURS[stage] for stage in stages]
    assert len(set(scale["range"])) == len(scale["range"])


def test_a_log_axis_has_no_bar_at_zero(results):
    result = results[0]["output_tokens"]
    stages = (*TTFT, Stage.LLM_DECODE)
    _, layers, rows = drawn(charts.breakdown(result.summary, result.experiment, stages, "total_ms", log=True))
    assert layers[0]["encoding"]["y"]["scale"]["type"] == "log"
    assert layers[0]["encoding"]["y"]["title"] == "Latency (ms, log scale)"
    assert min(row["start"] for row in rows[0]) > 0


def test_error_bars_only_where_there_is_an_interval(results):
    result = results[0]["moe_topk"]
    summary = result.summary.assign(low=float("nan"), high=float("nan"))
    _, layers, rows = drawn(charts.panel(result.summary, result.experiment, "llm_prefill_ms"))
    assert layers[-1]["mark"]["type"] == "errorbar"
    assert len(rows[-1]) == len(rows[0]) == 6
    without = charts.panel(summary, result.experiment, "llm_prefill_ms").to_dict()
    bars, *_, errors = without["layer"]
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
    # The floor is marked inside the stage that it belongs to, and only where it is known.
    ticks = [rows for layer, rows in zip(layers, data, strict=True) if layer["mark"]["type"] == "tick"]
    assert [[row["floor_end"] for row in rows] for rows in ticks] == [[2.0], [2.0]]


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
