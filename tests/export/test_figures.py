"""Figures as files: what they are called, their resolution, and what is drawn."""

import io
import json
import re

import pandas as pd
import pytest
from PIL import Image

from profcore import charts
from profcore.charts.views import sweep_views
from profcore.experiments.knobs import CATALOGUE
from profcore.experiments.motivation import MOTIVATION
from profcore.export.archive import figure_files, load_run, zip_runs
from profcore.export.captions import latex_escaped, of_figure, provenance, several_sources
from profcore.export.figure_files import KINDS, figure
from profcore.export.run_figures import ORDER, run_figures
from profcore.images.pictures import load_picture
from profcore.images.tiling import tile, tokens_by_bound
from profcore.roofline.parameters import Parameters
from profcore.spec.queries import Picture
from profcore.spec.stages import Knob


@pytest.fixture(scope="module")
def shipped(sample_results):
    return sample_results


def data_of(chart):
    """The rows of each data set in a chart, in the order of its layers; a chart names them by what they hold."""
    plain = chart.to_dict()
    names = dict.fromkeys(part["data"]["name"] for part in (plain, *plain.get("layer", ())) if "data" in part)
    return [plain["datasets"][name] for name in names]


@pytest.mark.parametrize(
    ("experiment", "names"),
    [
        ("context_scaling", ["exp1_vision_tokens_vs_latency_breakdown", "roofline", "energy_by_stage", ORDER]),
        pytest.param(
            "moe_topk",
            ["exp2_moe_topk_vs_latency_breakdown", "flops_scaling_analysis", "roofline", "energy_by_stage", ORDER],
            marks=pytest.mark.long,
        ),
        pytest.param(
            "transformer_blocks_mask",
            ["exp3_transformer_blocks_mask_vs_latency_breakdown", "roofline", "energy_by_stage", ORDER],
            marks=pytest.mark.long,
        ),
        pytest.param(
            "output_tokens",
            ["exp4_output_tokens_vs_latency_breakdown", "roofline", "energy_by_stage", ORDER],
            marks=pytest.mark.long,
        ),
        pytest.param("latency_distribution", ["exp1_latency_distribution", ORDER], marks=pytest.mark.long),
        pytest.param("component_profiling", ["exp2_component_profiling", ORDER], marks=pytest.mark.long),
        ("vision_tokens_vs_latency", ["exp3_vision_tokens_vs_latency", ORDER]),
        ("language_tokens_vs_latency", ["exp4_language_tokens_vs_latency_no_eos", ORDER]),
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
    svg = figure(chart, "svg", ["Card, model", "What bars are"]).decode()
    assert svg.startswith("<svg")
    assert "Card, model" in svg
    assert "What bars are" in svg
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
        # The lowest name stands above the highest bar, whose room is at least 280 pixels high.
        _, top = charts.histogram(values).to_dict()["layer"][0]["encoding"]["y"]["scale"]["domain"]
        highest = max(row["samples"] for row in rows[0])
        assert 280 * (1 - highest / top) > max(row["place"] for row in rows[1]) + 7
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


@pytest.mark.long
def test_a_zip_holds_result_files_samples_and_figures(shipped):
    import zipfile

    runs = [shipped.latest("moe_topk"), shipped.latest("component_profiling")]
    with zipfile.ZipFile(
        io.BytesIO(zip_runs([load_run(shipped, each) for each in runs], shipped, figure_files))
    ) as archive:
        names = set(archive.namelist())
        for run_id in runs:
            assert {f"{run_id}/{name}" for name in ("run.json", "samples.csv", "samples.parquet")} <= names
        assert f"{runs[0]}/moe_topk/exp2_moe_topk_results.json" in names
        assert f"{runs[0]}/moe_topk/flops_scaling_analysis.json" in names
        assert f"{runs[0]}/figures/exp2_moe_topk_vs_latency_breakdown.png" in names
        assert f"{runs[1]}/exp2_component_profiling.json" in names
        assert f"{runs[1]}/figures/exp2_component_profiling.svg" in names
        for ending in ("pdf", "txt", "tex"):
            assert f"{runs[0]}/figures/exp2_moe_topk_vs_latency_breakdown.{ending}" in names
        lines = archive.read(f"{runs[0]}/samples.csv").decode().splitlines()
        assert len(lines) == 1 + 300
        assert json.loads(archive.read(f"{runs[1]}/run.json"))["environment"]["device_name"].startswith("NVIDIA H200")


def test_file_names_are_those_of_the_published_scripts():
    for experiment in CATALOGUE.values():
        assert re.fullmatch(r"exp\d_\w+_results\.json", experiment.file)
    for experiment in MOTIVATION.values():
        assert experiment.file == f"exp{experiment.number}_{experiment.name}.json"


def test_a_saved_figure_says_where_its_figures_come_from(shipped):
    said = provenance(load_run(shipped, "20261129-203616-5b199827"))
    assert said.conditions == ("NVIDIA H200, molmoe-1b, random weights, compiled engine, bfloat16, n = 50 per setting")
    for words in ("MoE top-k", "Bars: medians; whiskers: their 95 % intervals", "Floor:", "20261129-203616-5b199827"):
        assert words in said.plain
    assert said.latex.startswith("\\caption{MoE top-k")
    assert of_figure(said, "exp2_moe_topk_vs_latency_breakdown") == said
    growth = of_figure(said, "flops_scaling_analysis")
    assert growth == of_figure(said, "FLOPs scaling")
    assert "Bars" not in growth.plain and "divided by its own value at the first setting" in growth.plain
    assert "Points: medians, joined by lines; whiskers:" in of_figure(said, "Log scale").plain
    assert "roofline of their card" in of_figure(said, "roofline").plain
    assert "95 \\% intervals" in said.latex
    pictures = provenance(load_run(shipped, shipped.latest("component_profiling")))
    assert re.search(r"\d+ pictures, n = \d+", pictures.conditions)
    assert pictures.marks.startswith("Bars: parameters")


def test_each_view_that_draws_no_bars_of_medians_says_what_its_marks_are(shipped):
    said = provenance(load_run(shipped, "20261129-203616-5b199827"))
    views = {view for knob in Knob for view in sweep_views(knob)}
    assert {view for view in views if of_figure(said, view).marks.startswith("Bars: medians")} == {
        *("Time to first token", "Stage by stage", "End to end", "Prefill and decode", "All stages", "Linear scale"),
        "Time per output token",
    }


def test_a_saved_figure_of_several_runs_says_where_each_comes_from(shipped):
    runs = [load_run(shipped, run_id) for run_id in shipped.runs("moe_topk")["id"]]
    names = {runs[0].run["id"]: "A: the first"}
    said = several_sources(runs, "Runs side by side.", "Points: medians.", names)
    assert len(said.footer) == len(runs) + 1 > 2
    model = runs[0].run["environment"]["model"]
    assert said.footer[0].startswith(f"A: the first: NVIDIA H200, {model}, random weights, ")
    for line, run in zip(said.footer, runs, strict=False):
        assert run.run["environment"]["engine"] in line and run.run["id"] in line
    assert said.plain.startswith("Runs side by side. Measured: ")
    assert said.plain.endswith("Points: medians.\n")
    assert "95 \\%" in several_sources(runs, "", "95 %").latex


def test_latex_keeps_what_is_special_as_text():
    assert latex_escaped(r"a_b 95 % $x$ {y} #1 & \cmd ~^ 2×") == (
        r"a\_b 95 \% \$x\$ \{y\} \#1 \& \textbackslash{}cmd \textasciitilde{}\textasciicircum{} 2$\times$"
    )
