"""What an address holds, where Back leads, a run used again, runs compared, and what is handed over from there."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from tests.support import until

from .test_dashboard import QUICK, SHIPPED_RUN, errors, settled
from .test_pictures_and_runs import chosen, fresh

__all__ = ["fresh"]


def options(page, name):
    """A choice opened: what it offers."""
    page.get_by_role("combobox", name=name, exact=True).click()
    return page.get_by_role("option")


def asked(page):
    """What the address says."""
    return parse_qs(urlsplit(page.url).query)


def copied(page):
    """The address that the page offers to copy."""
    page.get_by_role("button", name="Copy link").click()
    return page.get_by_test_id("stPopoverBody").locator("code").inner_text()


@pytest.mark.long
def test_a_link_shows_its_receiver_the_same_run_and_view(fresh, page, new_page):
    page.goto(f"{fresh}/moe_topk")
    settled(page, "MoE top-k")
    page.get_by_role("radio", name="All stages").click()
    expect(page).to_have_url(re.compile("view=All"))
    # The latest is in no address, but in the link: others may be measured until it is opened.
    assert "run" not in asked(page)
    expect(page.get_by_role("button", name="Result JSON")).to_be_visible()
    link = copied(page)
    assert "run=" in link and "view=All" in link
    receiver = new_page()
    receiver.goto(link)
    settled(receiver, "MoE top-k")
    expect(receiver.get_by_role("radio", name="All stages")).to_be_checked()
    shown = page.get_by_role("combobox", name="Run", exact=True).input_value()
    called = receiver.get_by_role("combobox", name="Run", exact=True)
    expect(called).to_have_value(shown.removeprefix("Sample result: "))
    assert errors(page) == errors(receiver) == 0


@pytest.mark.long
def test_back_leads_to_the_run_before_and_from_a_run_to_the_list(fresh, page):
    page.goto(f"{fresh}/moe_topk")
    settled(page, "MoE top-k")
    field = page.get_by_role("combobox", name="Run", exact=True)
    first = field.input_value()
    options(page, "Run").nth(1).click()
    expect(page).to_have_url(re.compile("run="))
    page.go_back()
    expect(page).not_to_have_url(re.compile("run="))
    expect(field).to_have_value(first)

    page.goto(f"{fresh}/runs")
    settled(page, "Runs")
    chosen(page, 0)
    expect(page).to_have_url(re.compile("/runs.*compare="))
    listed = page.url
    page.get_by_role("link", name="Open this run").click()
    settled(page, "Vision tokens")
    expect(page).to_have_url(re.compile("/vision_tokens.*run="))
    # Once, and to the list with the same run chosen.
    page.go_back()
    settled(page, "Runs")
    expect(page).to_have_url(listed)
    expect(page.get_by_role("link", name="Open this run")).to_be_visible()
    assert errors(page) == 0


@pytest.mark.long
def test_runs_compared_are_in_the_address_and_handed_over_in_one_file(fresh, page, new_page, tmp_path):
    # The same pictures under `eager` and `compiled`.
    page.goto(f"{fresh}/runs?compare=20261129-203518-0c8688f5,20261129-203431-45c03511")
    settled(page, "Runs")
    expect(page.get_by_role("heading", name="Side by side")).to_be_visible()
    expect(page.get_by_role("heading", name="A, the reference")).to_be_visible()
    expect(page).to_have_url(re.compile("compare=.*(,|%2C)"))
    verdict = page.get_by_text(re.compile(r"^B is (slower|faster)")).first
    expect(verdict).to_be_visible()

    receiver = new_page()
    receiver.goto(page.url)
    settled(receiver, "Runs")
    expect(receiver.get_by_text(verdict.inner_text(), exact=True).first).to_be_visible()
    report = receiver.get_by_role("button", name="Report", exact=True)
    expect(report).to_be_visible()
    with receiver.expect_download() as download:
        report.click()
    download.value.save_as(tmp_path / "comparison.html")
    document = (tmp_path / "comparison.html").read_text()
    assert all(run_id in document for run_id in asked(page)["compare"][0].split(","))
    # It stands by itself: opened as a file, it draws its figures and asks nobody for anything.
    requests = []
    receiver.on("request", lambda request: requests.append(request.url))
    receiver.goto((tmp_path / "comparison.html").as_uri())
    expect(receiver.locator("figure img").first).to_be_visible()
    assert [each for each in requests if not each.startswith(("file:", "data:", "blob:"))] == []
    assert errors(page) == 0


@pytest.mark.long
def test_a_pinned_baseline_lies_over_another_run_for_whoever_has_the_link(fresh, page, new_page):
    page.goto(f"{fresh}/moe_topk?run={SHIPPED_RUN}")
    settled(page, "MoE top-k")
    page.get_by_role("button", name="Pin as baseline").click()
    expect(page).to_have_url(re.compile(f"baseline={SHIPPED_RUN}"))
    options(page, "Run").filter(has_text="eager").last.click()
    told = re.compile("Diamonds: medians of the baseline, compiled")
    expect(page.get_by_text(told)).to_be_visible()
    receiver = new_page()
    receiver.goto(page.url)
    settled(receiver, "MoE top-k")
    expect(receiver.get_by_text(told)).to_be_visible()
    assert errors(page) == errors(receiver) == 0


@pytest.mark.long
def test_a_runs_settings_are_used_again_and_it_is_repeated_and_compared(url, page):
    page.goto(f"{url}/moe_topk?run={SHIPPED_RUN}&model=tiny&samples=7&{QUICK}")
    settled(page, "MoE top-k")
    expect(page.get_by_text("Unlike the run shown")).to_be_visible()
    page.get_by_role("button", name="Use again").click()
    page.get_by_role("button", name="Use this run's settings").click()
    expect(page.get_by_role("combobox", name="Model", exact=True)).to_have_value("molmoe-1b")
    # Whether or not this machine has the memory for it, the controls are the run's.
    expect(page.get_by_role("slider", name="Samples per setting")).to_have_value("50")

    page.goto(f"{url}/moe_topk?values=1+2&model=tiny&samples=3&{QUICK}")
    settled(page, "MoE top-k")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("combobox", name="Run", exact=True)).to_have_value(re.compile("tiny, eager"))
    # Another test's run may be called alike.
    expect(page).to_have_url(re.compile("run="))
    # What the page showed before stays for a moment, marked as stale, beside the choice of the new run.
    until(lambda: [page.locator(each).count() for each in ('[data-stale="true"]', ".st-key-stop button")] == [0, 0])
    expect(page.get_by_role("button", name="Result JSON")).to_be_visible()
    first = asked(page)["run"][0]
    page.get_by_role("button", name="Use again").click()
    page.get_by_role("button", name="Repeat here and compare").click()
    settled(page, "Runs")
    expect(page.get_by_role("heading", name="Side by side")).to_be_visible()
    assert asked(page)["compare"][0].split(",")[0] == first
    assert errors(page) == 0


@pytest.mark.long
def test_a_page_left_before_it_is_drawn_does_not_break_the_next(fresh, page):
    page.goto(f"{fresh}/motivation")
    settled(page, "Real pictures")
    for _ in range(3):
        for title in ("1 Latency distribution", "3 Vision tokens vs latency", "6 Tiling"):
            page.get_by_text(title, exact=True).click()
        expect(page.locator(".vega-embed")).to_have_count(2)
        expect(page.get_by_test_id("stSlider").filter(has_text="Crops allowed")).to_be_visible()
    assert errors(page) == 0
