"""Figures as files: what they are called, their resolution, and what is drawn."""

import io
import json
import re

import pandas as pd
import pytest
from PIL import Image

from profcore import charts
from profcore.experiments.knobs import CATALOGUE
from profcore.experiments.motivation import MOTIVATION
from profcore.export.archive import load_run, zip_runs
from profcore.export.figure_files import KINDS, figure
from profcore.export.run_figures import run_figures
from profcore.images.pictures import load_picture
from profcore.images.tiling import tile, tokens_by_bound
from profcore.roofline.parameters import Parameters
from profcore.spec.queries import Picture
from profcore.storage.store import Store


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("shipped") / "data.duckdb") as store:
        store.take_in_shipped()
        yield store


def data_of(chart):
    """The rows of each data set in a chart."""
    return list(json.loads(chart.to_json())["datasets"].values())


@pytest.mark.parametrize(
    ("experiment", "names"),
    [
        ("context_scaling", ["exp1_vision_tokens_vs_latency_breakdown"]),
        ("moe_topk", ["exp2_moe_topk_vs_latency_breakdown", "flops_scaling_analysis"]),
        ("transformer_blocks_mask", ["exp3_transformer_blocks_mask_vs_latency_breakdown"]),
        ("output_tokens", ["exp4_output_tokens_vs_latency_breakdown"]),
        ("latency_distribution", ["exp1_latency_distribution"]),
        ("component_profiling", ["exp2_component_profiling"]),
        ("vision_tokens_vs_latency", ["exp3_vision_tokens_vs_latency"]),
        ("language_tokens_vs_latency", ["exp4_language_tokens_vs_latency_no_eos"]),
    ],
)
def test_every_experiments_figures_have_their_names_and_draw(shipped, experiment, names):
    figures = run_figures(load_run(shipped, shipped.latest(experiment)))
    assert list(figures) == names
    for drawn in figures.values():
        png = Image.open(io.BytesIO(figure(drawn, "png")))
        assert png.info["dpi"] == pytest.approx((300, 300), abs=0.5)
        # A figure fills a column of a paper at that resolution, and is not blank.
        assert png.width > 5 * 300
        assert len(png.convert("RGB").getcolors(1 << 24)) > 20


def test_each_kind_of_file_is_what_it_says():
    chart = charts.histogram(pd.Series([1.0, 2, 2, 3]).to_numpy())
    assert figure(chart, "png").startswith(b"\x89PNG")
    assert figure(chart, "pdf").startswith(b"%PDF")
    svg = figure(chart, "svg", "A title").decode()
    assert svg.startswith("<svg")
    assert "A title" in svg
    assert "Samples" in svg
    assert set(KINDS) == {"png", "svg", "pdf"}


def test_clickable_bars_are_saved_without_what_a_click_selects(shipped):
    result = load_run(shipped, shipped.latest("moe_topk"))
    panels = [charts.panel(result.summary, result.experiment, f"llm_{name}_ms") for name in ("prefill", "decode")]
    assert all(charts.is_clickable(panel) for panel in panels)
    assert figure(panels, "svg").startswith(b"<svg")
    assert all(charts.is_clickable(panel) for panel in panels)


def test_a_histogram_counts_every_sample_and_marks_supported_percentiles():
    few, many = pd.Series(range(19), dtype=float).to_numpy(), pd.Series(range(100), dtype=float).to_numpy()
    for values, names in ((few, ["P50"]), (many, ["P50", "P95", "P99"])):
        rows = data_of(charts.histogram(values))
        assert sum(row["samples"] for row in rows[0]) == len(values)
        assert [row["name"] for row in rows[1]] == names
    marks = {row["name"]: row["latency"] for row in data_of(charts.cumulative(many))[1]}
    assert marks == {"P50": 49.5, "P95": pytest.approx(94.05), "P99": pytest.approx(98.01)}
    steps = data_of(charts.cumulative(many))[0]
    assert (steps[0]["share"], steps[-1]["share"], steps[49]) == (0.01, 1.0, {"latency": 49.0, "share": 0.5})


def test_a_hundred_thousand_samples_are_not_sent_to_the_browser():
    values = pd.Series(range(100_000), dtype=float).to_numpy()
    assert len(charts.cumulative(values).to_json()) < 100_000
    assert len(charts.histogram(values).to_json()) < 20_000
    points = pd.DataFrame({"title": "a", "n": 1, "num_vision_tokens": 288, "ttft_ms": values})
    assert len(charts.over_tokens(points, "num_vision_tokens", ["ttft_ms"]).to_json()) < 600_000


def test_parameters_are_split_into_used_and_other():
    rows = data_of(charts.parameter_bars([Parameters("LLM experts", 100, 12), Parameters("LLM head", 5, 5)]))[0]
    found = {(row["component"], row["part"]): row["number"] for row in rows}
    assert found[("LLM experts", "other experts")] == 88
    assert found[("LLM head", "other experts")] == 0


def test_a_tiling_is_drawn_over_the_picture_itself():
    picture = load_picture(Picture("photo", "coffee"))
    tiles = tile(*picture.size, 12)
    spec = charts.tiling(picture, tiles).to_dict()
    # The picture keeps its shape: drawn is what the picture and its crops take together.
    wide = max(600, tiles.crops["right"].max()) - min(0, tiles.crops["left"].min())
    tall = max(400, tiles.crops["bottom"].max()) - min(0, tiles.crops["top"].min())
    assert spec["width"] / spec["height"] == pytest.approx(wide / tall)
    assert "data:image/jpeg;base64," in json.dumps(spec)
    saved = Image.open(io.BytesIO(figure(charts.tiling(picture, tiles), "png"))).convert("RGB")
    colours = {colour for _, colour in saved.getcolors(1 << 24)}
    assert (0xF0, 0xE4, 0x42) in colours
    assert len(colours) > 1000
    assert figure(charts.bounds(tokens_by_bound(600, 400), 12), "svg").startswith(b"<svg")


def test_a_zip_holds_result_files_samples_and_figures(shipped):
    import zipfile

    runs = [shipped.latest("moe_topk"), shipped.latest("component_profiling")]
    told = []
    with zipfile.ZipFile(io.BytesIO(zip_runs(shipped, runs, told.append))) as archive:
        names = set(archive.namelist())
        for run_id in runs:
            assert {f"{run_id}/{name}" for name in ("run.json", "samples.csv", "samples.parquet")} <= names
        assert f"{runs[0]}/moe_topk/exp2_moe_topk_results.json" in names
        assert f"{runs[0]}/moe_topk/flops_scaling_analysis.json" in names
        assert f"{runs[0]}/figures/exp2_moe_topk_vs_latency_breakdown.png" in names
        assert f"{runs[1]}/exp2_component_profiling.json" in names
        assert f"{runs[1]}/figures/exp2_component_profiling.svg" in names
        lines = archive.read(f"{runs[0]}/samples.csv").decode().splitlines()
        assert len(lines) == 1 + 300
        assert json.loads(archive.read(f"{runs[1]}/run.json"))["environment"]["device_name"].startswith("NVIDIA H100")
    assert told == [1, 2]


def test_file_names_are_those_of_the_published_scripts():
    for experiment in CATALOGUE.values():
        assert re.fullmatch(r"exp\d_\w+_results\.json", experiment.file)
    for experiment in MOTIVATION.values():
        assert experiment.file == f"exp{experiment.number}_{experiment.name}.json"
