"""The dashboard as a person uses it."""

import csv
import gzip
import json
import re
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.support import until

from .conftest import ROOT, serving

PAGES = {
    "vision_tokens": "Vision tokens",
    "moe_topk": "MoE top-k",
    "active_blocks": "Active transformer blocks",
    "output_tokens": "Output tokens",
}
# One block, two tokens: a sample takes a few tens of milliseconds.
QUICK = "blocks=1&tokens=2&warmup=0"


def errors(page):
    """What a person must never see: Streamlit's own error box, or a traceback."""
    return page.locator('[data-testid="stException"]').count() + page.get_by_text("Traceback").count()


def settled(page, title):
    expect(page.get_by_role("heading", name=title, level=1)).to_be_visible()
    expect(page.locator('[data-testid="stStatusWidget"]')).to_have_count(0)


@pytest.mark.long
def test_the_first_request_may_be_a_link_to_a_page_with_its_choices(page, tmp_path):
    """On a server that has served nothing yet, which Streamlit treats in a way of its own."""
    with serving(tmp_path / "data.duckdb") as address:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/active_blocks?samples=9&range=3&range=5&view=All+stages")
        settled(page, "Active transformer blocks")
        expect(page.get_by_text("27 inferences")).to_be_visible()
        expect(page.get_by_text("No GPU was found")).to_be_visible()
        expect(page.locator("[data-testid='stSidebarNav']").get_by_text("MoE top-k")).to_be_visible()
        expect(page.get_by_role("radio", name="All stages")).to_be_checked()
        assert errors(page) == 0
        assert [request for request in asked if not request.startswith((address, "data:", "blob:"))] == []


@pytest.mark.long
@pytest.mark.parametrize("name", PAGES)
def test_a_first_visit_shows_a_chart_of_the_shipped_run(url, page, name):
    page.goto(f"{url}/{name}")
    settled(page, PAGES[name])
    expect(page.locator(".vega-embed").first).to_be_visible()
    expect(page.get_by_role("combobox", name="Run", exact=True)).to_have_value(
        re.compile("Sample result: .*compiled.*H200")
    )
    expect(page.get_by_text("No GPU was found")).to_be_visible()
    assert errors(page) == 0


@pytest.mark.long
def test_no_page_asks_another_host_for_anything(url, page):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for name in ("", *PAGES):
        page.goto(f"{url}/{name}")
        settled(page, PAGES.get(name, "Where does the time go?"))
    assert [address for address in asked if not address.startswith((url, "data:", "blob:"))] == []


@pytest.mark.long
def test_home_leads_to_the_knobs(url, page):
    page.goto(url)
    settled(page, "Where does the time go?")
    page.get_by_test_id("stPageLink").filter(has_text="Output tokens").click()
    settled(page, "Output tokens")
    assert errors(page) == 0


@pytest.mark.long
def test_run_watch_reload_stop_and_download(url, page, new_page, database, tmp_path):
    """The whole way: start a sweep, see it grow, reload, see it from elsewhere, stop it, compare file and store."""
    page.goto(f"{url}/moe_topk?{QUICK}&samples=200&values=1+2+4")
    settled(page, "MoE top-k")
    page.get_by_role("button", name="Run", exact=True).click()
    progress = page.locator('[data-testid="stProgress"]')
    expect(progress).to_contain_text(re.compile(r"Measuring · [1-9]\d* of 600 samples"))

    def done(where=page):
        text = where.locator('[data-testid="stProgress"]').inner_text()
        return int(re.search(r"(\d+) of 600", text).group(1))

    first = done()
    expect(page.locator(".vega-embed").first).to_be_visible()
    page.wait_for_function(f"() => +document.body.innerText.match(/(\\d+) of 600/)?.[1] > {first + 5}")
    assert "left" in progress.inner_text()

    page.reload()
    expect(page.locator('[data-testid="stProgress"]')).to_contain_text("of 600 samples")
    # Sessions share what is drawn, which may be some seconds old.
    until(lambda: done() > first)
    after_reload = done()

    other = new_page()
    other.goto(f"{url}/moe_topk")
    expect(other.locator('[data-testid="stProgress"]')).to_contain_text("of 600 samples")
    assert done(other) >= after_reload
    other.locator(".st-key-stop button").click()
    expect(other.get_by_text(re.compile(r"Stopped on request\. \d+ samples were taken"))).to_be_visible()
    expect(page.get_by_text("Stopped on request.")).to_be_visible()
    other.close()

    expect(page.get_by_role("button", name="Result JSON")).to_be_visible()
    files = {}
    for label in ("Result JSON", "Samples CSV", "Samples Parquet"):
        with page.expect_download() as download:
            page.get_by_role("button", name=label).click()
        files[label] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[label])
    assert files["Result JSON"].name == "exp2_moe_topk_results.json"
    document = json.loads(files["Result JSON"].read_text())
    rows = list(csv.DictReader(files["Samples CSV"].open()))
    table = pq.read_table(files["Samples Parquet"])
    assert len(document["all_samples"]) == len(rows) == table.num_rows > after_reload
    totals = {row["sample_id"]: row["T_total"] for row in document["all_samples"]}
    assert totals == {int(row["sample_id"]): float(row["total_ms"]) for row in rows}
    assert totals == dict(zip(table["sample_id"].to_pylist(), table["total_ms"].to_pylist(), strict=True))
    assert errors(page) == 0

    # The dashboard holds the database: the command line reads the spools, and changes nothing.
    run_id = document["metadata"]["run"]["id"]
    command = [sys.executable, "-m", "profcore"]
    shown = subprocess.run(
        [*command, "runs", "--json", "--db", str(database)], cwd=ROOT, capture_output=True, text=True
    )
    listed = {row["id"]: row["num_samples"] for row in json.loads(shown.stdout)}
    assert listed[run_id] == len(totals)
    words = ["rename", run_id, "mine", "--db", str(database)]
    held = subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True)
    assert (held.returncode, "held by another process" in held.stderr) == (2, True)
    spooled = (database.with_name(f"{database.name}.spool") / f"{document['metadata']['run']['id']}.jsonl").read_text()
    assert spooled.count('"type":"sample"') == len(totals)


@pytest.mark.long
def test_a_second_run_waits_in_the_queue(url, page):
    page.goto(f"{url}/output_tokens?{QUICK}&samples=200&values=1+2")
    settled(page, "Output tokens")
    run = page.get_by_role("button", name="Run", exact=True)
    run.click()
    expect(page.locator('[data-testid="stProgress"]')).to_contain_text("of 400 samples")
    expect(page).to_have_url(re.compile("run="))
    running = page.url
    run.click()
    # While the page is drawn anew what stood there before may stand beside it.
    expect(page.locator('[data-testid="stProgress"]', has_text="Queued: 1 before this")).to_be_visible()
    page.locator(".st-key-stop button").click()
    expect(page.get_by_text("Stopped before it began. 0 samples were taken.")).to_be_visible()
    page.goto(running)
    page.locator(".st-key-stop button").click()
    expect(page.get_by_text("Stopped on request.")).to_be_visible()
    assert errors(page) == 0


@pytest.mark.long
def test_bad_input_is_a_sentence(url, page):
    page.goto(f"{url}/moe_topk?values=65")
    settled(page, "MoE top-k")
    expect(page.get_by_text("Top-k 65 is above the model's 64 experts: give 1 to 64.")).to_be_visible()
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_disabled()
    page.goto(url)
    settled(page, "Where does the time go?")
    page.get_by_text("Import a spool or result files").click()
    page.locator('input[type="file"]').set_input_files(
        {"name": "notes.json", "mimeType": "application/json", "buffer": b"no json"}
    )
    expect(page.get_by_text("notes.json is not JSON")).to_be_visible()
    assert errors(page) == 0


@pytest.mark.long
@pytest.mark.parametrize(("width", "scheme"), [(420, "light"), (1440, "dark")])
def test_narrow_and_dark_fit_the_window(url, new_page, width, scheme):
    page = new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    for name, title in PAGES.items():
        page.goto(f"{url}/{name}")
        settled(page, title)
        expect(page.locator(".vega-embed").first).to_be_attached()
        wider = page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
        assert wider <= 0, name
        assert errors(page) == 0


@pytest.mark.long
def test_the_server_listens_on_this_machine_alone(url, database):
    log = (database.parent / "server.log").read_text()
    assert "127.0.0.1" in url
    assert "Network URL" not in log
    assert "External URL" not in log


# The sample result of top-k under the compiled engine, which is shipped with its profiles.
SHIPPED_RUN = "20261129-203616-5b199827"


@pytest.mark.long
def test_one_click_on_a_bar_leads_to_why(url, page):
    page.goto(f"{url}/moe_topk?run={SHIPPED_RUN}")
    settled(page, "MoE top-k")
    chart = page.locator(".vega-embed").nth(1)
    expect(chart).to_be_visible()
    # The tallest bar, of top-k 32: near the right edge, in the middle of the height.
    box = chart.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.93, box["y"] + box["height"] * 0.5)
    settled(page, "Why this long?")
    expect(page).to_have_url(re.compile(r"/why\?run=[\w-]+&setting=5$"))
    expect(page.get_by_text("Not launch-bound: the GPU works")).to_be_visible()
    expect(page.get_by_role("combobox", name="Setting")).to_have_value("top-k 32")
    assert errors(page) == 0
    # Going back shows the knob again and does not lead here by itself; another bar leads to its own setting.
    page.go_back()
    settled(page, "MoE top-k")
    expect(page.locator(".vega-embed").nth(1)).to_be_visible()
    box = page.locator(".vega-embed").nth(1).bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.785, box["y"] + box["height"] * 0.72)
    settled(page, "Why this long?")
    expect(page).to_have_url(re.compile(r"/why\?run=[\w-]+&setting=4$"))
    expect(page.get_by_role("combobox", name="Setting")).to_have_value("top-k 16")


class Slow:
    """Between a browser and its server: what the server says can be held back, as by a browser that is busy."""

    def __init__(self, page):
        self.holding, self.held = False, []
        page.route_web_socket(re.compile("_stcore/stream"), self._between)

    def _between(self, browser):
        self.browser, server = browser, browser.connect_to_server()
        browser.on_message(server.send)
        server.on_message(self._said)

    def _said(self, message):
        if self.holding:
            self.held.append(message)
        else:
            self.browser.send(message)

    def drawn(self):
        """Whether the server has drawn the page to its end, which the browser does not know yet."""
        return any(ForwardMsg.FromString(message).WhichOneof("type") == "script_finished" for message in self.held)

    def release(self):
        self.holding = False
        for message in self.held:
            self.browser.send(message)


@pytest.mark.long
def test_a_click_on_what_the_server_has_replaced_is_answered(url, page):
    slow = Slow(page)
    page.goto(f"{url}/moe_topk?run={SHIPPED_RUN}")
    settled(page, "MoE top-k")
    button = page.get_by_role("button", name="Result JSON")
    expect(button).to_be_visible()
    slow.holding = True
    page.get_by_role("radio", name="All stages").click()
    # Each look lets what has arrived be seen.
    until(lambda: page.evaluate("1") and slow.drawn())
    with page.expect_download() as download:
        button.click()
        slow.release()
    assert json.loads(download.value.path().read_text())["metadata"]["run"]["id"] == SHIPPED_RUN


@pytest.mark.long
def test_a_click_just_as_a_run_ends_is_answered(url, page):
    # So many that the page sees it run: one that has ended by the first look shows no Stop.
    page.goto(f"{url}/output_tokens?{QUICK}&samples=100&values=1")
    settled(page, "Output tokens")
    for _ in range(2):
        page.get_by_role("button", name="Run", exact=True).click()
        stop = page.locator(".st-key-stop button")
        expect(stop).to_be_visible()
        expect(stop).to_have_count(0)
        with page.expect_download() as download:
            page.get_by_role("button", name="Result JSON").click()
        measured = json.loads(download.value.path().read_text())["metadata"]["run"]["id"]
        assert measured in page.url
    assert errors(page) == 0


@pytest.mark.long
def test_why_offers_the_trace(url, page):
    page.goto(f"{url}/why?run={SHIPPED_RUN}")
    settled(page, "Why this long?")
    page.get_by_role("combobox", name="Setting").click()
    page.get_by_role("option", name="top-k 8").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Chrome trace").click()
    events = json.loads(gzip.decompress(download.value.path().read_bytes()))["traceEvents"]
    assert any(event.get("cat") == "kernel" for event in events)


@pytest.mark.long
def test_engines_side_by_side(url, page):
    page.goto(f"{url}/engines?knob=Active+blocks")
    settled(page, "Engines side by side")
    expect(page.locator(".vega-embed")).to_have_count(2)
    expect(page.get_by_role("heading", name="What it costs per active block")).to_be_visible()
    page.get_by_text("Log scale").click()
    expect(page).to_have_url(re.compile("log=false"))
    assert errors(page) == 0


@pytest.mark.long
def test_the_engine_is_chosen_in_the_bar_and_measured(url, page):
    page.goto(f"{url}/moe_topk?values=1&samples=2&engine=compiled&{QUICK}")
    settled(page, "MoE top-k")
    expect(page.get_by_role("combobox", name="Engine")).to_have_value("compiled")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("button", name="Measured on").click()
    expect(page.get_by_text(re.compile("compiled engine, experts: grouped_mm"))).to_be_visible()
    assert errors(page) == 0


@pytest.mark.long
def test_a_run_is_followed_and_stopped_from_another_page_and_charts_stand_in_view(url, new_page):
    page = new_page(viewport={"width": 1440, "height": 900})
    for name, title in PAGES.items():
        page.goto(f"{url}/{name}")
        settled(page, title)
        # The page's first, which is not always the first to be drawn: what stands below it may be simpler.
        first = page.get_by_test_id("stColumn").nth(1).get_by_test_id("stVegaLiteChart").first
        expect(page.get_by_role("button", name="Result JSON")).to_be_visible()
        expect(first).to_have_class(re.compile("vega-embed"))
        chart = first.bounding_box()
        assert chart["y"] + chart["height"] <= 900, name
    page.goto(f"{url}/moe_topk?{QUICK}&samples=200&values=1+2+4")
    settled(page, "MoE top-k")
    page.get_by_role("button", name="Run", exact=True).click()
    # A page that is left before it has drawn the press has begun no run.
    expect(page.locator(".st-key-stop button")).to_be_visible()
    page.get_by_test_id("stSidebarNav").get_by_text("SQL").click()
    settled(page, "SQL")
    under_way = page.locator(".st-key-under-way")
    expect(under_way).to_contain_text(re.compile(r"[1-9]\d* of 600"))
    expect(page).to_have_title(re.compile(r"^\d+/600 · SQL · profcore$"))
    page.locator(".st-key-stop-under-way button").click()
    expect(under_way).to_have_count(0)
    expect(page).to_have_title("SQL · profcore")
    assert errors(page) == 0
