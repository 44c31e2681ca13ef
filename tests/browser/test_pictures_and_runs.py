"""Real pictures, the comparison and the page of all runs, as a person uses them."""

import io
import json
import re
import zipfile
from pathlib import Path

import duckdb
import pytest
from PIL import Image
from playwright.sync_api import expect

from profcore.storage.shipped import shipped_spools

from .conftest import LIMIT_MS, serving
from .test_dashboard import errors, settled

RUNS = len(shipped_spools())
CHARTS = {
    "1 Latency distribution": 2,
    "2 Component profiling": 2,
    "3 Vision tokens vs latency": 1,
    "4 Language tokens vs latency": 1,
    "5 FLOPs vs latency": 1,
    "6 Tiling": 2,
}


@pytest.fixture(scope="module")
def fresh(browser, tmp_path_factory):
    """A dashboard that nothing is measured on, as on a first visit."""
    with serving(tmp_path_factory.mktemp("fresh") / "data.duckdb") as address:
        yield address


@pytest.fixture
def own(browser, tmp_path):
    """A dashboard of its own, for what changes the database."""
    with serving(tmp_path / "data.duckdb") as address:
        yield address


def chosen(page, row):
    """Click a row's box in the table of runs, which is drawn on a canvas."""
    table = page.locator('[data-testid="stDataFrame"]').first
    expect(table).to_be_visible()
    box = table.bounding_box()
    page.mouse.click(box["x"] + 16, box["y"] + 35 * (row + 1) + 17)


@pytest.mark.long
def test_every_experiment_on_real_photographs_is_drawn_on_a_first_visit(fresh, page):
    page.goto(f"{fresh}/motivation")
    settled(page, "Real pictures")
    for title, number in CHARTS.items():
        page.get_by_text(title, exact=True).click()
        expect(page.locator(".vega-embed")).to_have_count(number)
        settled(page, "Real pictures")
        assert errors(page) == 0
    assert "motivation=6+Tiling" in page.url


@pytest.mark.long
def test_the_comparison_is_drawn_on_a_first_visit_of_three_pages(fresh, page):
    page.goto(f"{fresh}/compare")
    settled(page, "Sweep and pictures")
    expect(page.locator(".vega-embed")).to_have_count(4)
    expect(page.get_by_text("TTFT: the sweep's slope is 0.010").first).to_be_visible()
    # Above the comparison stand the stages; of output tokens also decode by token and by step.
    for name, title, charts in (("vision_tokens", "Vision tokens", 2), ("output_tokens", "Output tokens", 3)):
        page.goto(f"{fresh}/{name}")
        settled(page, title)
        expect(page.get_by_role("heading", name="Beside real pictures")).to_be_visible()
        expect(page.locator(".vega-embed")).to_have_count(charts)
        expect(page.get_by_text("at equal tokens").first).to_be_visible()
        assert errors(page) == 0


@pytest.mark.long
def test_every_chart_is_saved_as_png_svg_and_pdf(fresh, page):
    page.goto(f"{fresh}/compare?compared=Output+tokens")
    settled(page, "Sweep and pictures")
    expect(page.locator(".vega-embed")).to_have_count(2)
    page.get_by_role("button", name="Save figure").first.click()
    for label, start in (("PNG, 300 DPI", b"\x89PNG"), ("SVG", b"<svg"), ("PDF", b"%PDF")):
        with page.expect_download() as waiting:
            page.get_by_role("button", name=label).click()
        data = Path(waiting.value.path()).read_bytes()
        assert data.startswith(start)
        assert waiting.value.suggested_filename.startswith("output_tokens_beside_pictures_llm_decode.")
        if start == b"\x89PNG":
            assert Image.open(io.BytesIO(data)).info["dpi"] == pytest.approx((300, 300), abs=0.5)


@pytest.mark.long
def test_real_pictures_are_measured_watched_and_broken_ones_named(own, page, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    Image.new("RGB", (400, 300), "red").save(folder / "red.png")
    (folder / "questions.csv").write_text("image,question\nred.png,What?\nred.png,And?\ngone.png,Where?\n")
    page.goto(f"{own}/motivation?motivation=2+Component+profiling&dataset=folder")
    settled(page, "Real pictures")
    page.get_by_label("Folder of pictures").fill(str(tmp_path / "nowhere"))
    page.get_by_label("Folder of pictures").press("Enter")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("There is nothing at")).to_be_visible()
    page.get_by_label("Folder of pictures").fill(str(folder))
    page.get_by_label("Folder of pictures").press("Enter")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("mine: 2 questions, 1 skipped.")).to_be_visible()
    # The picture that is not there, and that there are fewer questions than the page asks for.
    expect(page.get_by_text("2 were skipped")).to_be_visible()
    # What stood there before goes when the page has been drawn to its end.
    settled(page, "Real pictures")
    expect(page.locator(".vega-embed")).to_have_count(2)
    expect(page.get_by_role("button", name="Result JSON")).to_be_visible()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Result JSON").click()
    document = json.loads(Path(waiting.value.path()).read_text())
    assert waiting.value.suggested_filename == "exp2_component_profiling.json"
    assert {row["image_id"] for row in document["results"]} == {"red.png"}
    assert len(document["results"]) == 2 * 5
    assert errors(page) == 0


@pytest.mark.long
def test_runs_are_compared_renamed_deleted_and_brought_back(own, page):
    # Vision tokens of real pictures, under eager and under compiled: the same pictures and questions.
    eager, compiled = "20261129-203518-0c8688f5", "20261129-203431-45c03511"
    page.goto(f"{own}/runs?compare={eager}")
    settled(page, "Runs")
    expect(page.get_by_text(f"{RUNS} of {RUNS} runs")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_be_visible()
    page.get_by_label("Name", exact=True).fill("the baseline")
    page.get_by_label("Name", exact=True).press("Enter")
    expect(page.get_by_role("heading", name="the baseline")).to_be_visible()
    page.goto(f"{own}/runs?compare={eager},{compiled}")
    expect(page.get_by_role("heading", name="Side by side")).to_be_visible()
    expect(page.get_by_text("engine: ").first).to_be_visible()
    expect(page.get_by_text("Verdict:").first).to_be_visible()
    page.goto(f"{own}/runs?compare={eager}")
    settled(page, "Runs")
    page.get_by_role("button", name="Delete…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("the baseline")
    dialog.get_by_role("button", name="Keep it").click()
    expect(page.get_by_text(f"{RUNS} of {RUNS} runs")).to_be_visible()
    page.get_by_role("button", name="Delete…").click()
    dialog.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text(f"{RUNS - 1} of {RUNS - 1} runs")).to_be_visible()
    page.get_by_role("button", name="Bring sample results back").click()
    expect(page.get_by_text(f"{RUNS} of {RUNS} runs")).to_be_visible()
    assert errors(page) == 0


@pytest.mark.long
def test_one_run_all_runs_and_the_database_are_downloaded(own, page, tmp_path):
    page.goto(f"{own}/runs")
    settled(page, "Runs")
    chosen(page, 3)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download, with figures").click()
    with zipfile.ZipFile(waiting.value.path()) as archive:
        endings = {name.rsplit(".", 1)[1] for name in archive.namelist()}
        assert endings == {"json", "csv", "parquet", "png", "svg", "pdf", "txt", "tex"}
    with page.expect_download() as waiting:
        page.get_by_role("button", name="DuckDB snapshot").click()
    waiting.value.save_as(tmp_path / "copy.duckdb")
    with duckdb.connect(str(tmp_path / "copy.duckdb"), read_only=True) as copy:
        assert copy.execute("SELECT count(*) FROM runs").fetchall() == [(RUNS,)]
    with page.expect_download() as waiting:
        page.get_by_role("button", name=f"Data of all {RUNS} runs").click()
    with zipfile.ZipFile(waiting.value.path()) as archive:
        assert len({name.split("/")[0] for name in archive.namelist()}) == RUNS
        assert {name.rsplit(".", 1)[1] for name in archive.namelist()} == {"json", "csv", "parquet"}
    page.get_by_role("button", name="Draw all figures").click()
    # The page goes on meanwhile.
    expect(page.get_by_text(re.compile(f"Figures of [0-9]+ of {RUNS} runs"))).to_be_visible()
    # Several seconds a run, on a busy machine.
    of_all = page.get_by_role("button", name="Data and figures of all")
    expect(of_all).to_be_visible(timeout=5 * LIMIT_MS)
    with page.expect_download() as waiting:
        of_all.click()
    with zipfile.ZipFile(waiting.value.path()) as archive:
        assert len({name.split("/")[0] for name in archive.namelist() if name.endswith(".pdf")}) == RUNS
    assert errors(page) == 0


@pytest.mark.long
def test_published_motivation_files_are_uploaded_and_bad_ones_refused(own, page, shared, tmp_path):
    page.goto(f"{own}/runs")
    settled(page, "Runs")
    page.get_by_text("Import a spool or result files").click()
    upload = page.locator('input[type="file"]')
    upload.set_input_files(str(shared / "motivation/exp3_vision_tokens_vs_latency.json"))
    expect(page.get_by_text("2 latencies of exactly 0 in this file")).to_be_visible()
    expect(page.get_by_text(f"{RUNS + 1} of {RUNS + 1} runs")).to_be_visible()
    (tmp_path / "bad.json").write_text('{"results": [{"T_total": 1}, {"T_total": -1}]}')
    upload.set_input_files(str(tmp_path / "bad.json"))
    expect(page.get_by_text("rows 2 of results: T_total -1 is no number of 0 or more")).to_be_visible()
    # A sparse file: its size is refused before any of it is sent.
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(300_000_000)
    upload.set_input_files(str(tmp_path / "large.json"))
    expect(page.get_by_text("File must be 200.0MB or smaller.")).to_be_visible()
    page.goto(f"{own}/compare")
    settled(page, "Sweep and pictures")
    page.get_by_role("combobox", name="Runs of real pictures").click()
    page.get_by_role("option", name=re.compile("exp3_vision_tokens_vs_latency.json")).click()
    expect(page.get_by_text("does not say what it was measured on")).to_be_visible()
    assert errors(page) == 0


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["motivation", "motivation?motivation=6+Tiling", "compare", "runs"])
def test_nothing_is_wider_than_a_narrow_window(fresh, new_page, name, scheme):
    page = new_page(viewport={"width": 420, "height": 900}, color_scheme=scheme)
    page.goto(f"{fresh}/{name}")
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator('[data-testid="stStatusWidget"]')).to_have_count(0)
    if "Tiling" in name:
        # Drawn at a size of its own, which is wider than the window.
        expect(page.locator(".vega-embed svg image")).to_be_visible()
    for each in ("document.documentElement", "document.querySelector('[data-testid=stMain]')"):
        assert page.evaluate(f"{each}.scrollWidth - {each}.clientWidth") <= 0, each
    assert errors(page) == 0
