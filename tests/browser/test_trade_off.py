"""The page Trade-off as a person uses it."""

import re
from importlib.resources import files

import pytest
from playwright.sync_api import expect

from profcore.storage.store import Store
from tests.results.stored_joint import made_up_sweep, store_joint

from .conftest import serving
from .test_accessibility import LOOK, STREAMLITS_OWN
from .test_dashboard import errors, settled

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def findings(page):
    """What is hard to read or without a name, as axe-core finds it."""
    expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-script-state", "notRunning")
    page.evaluate(AXE)
    return page.evaluate(LOOK, STREAMLITS_OWN)


@pytest.mark.long
def test_a_click_on_a_point_shows_its_setting_and_a_budget_finds_one(page, tmp_path):
    database = tmp_path / "served" / "data.duckdb"
    database.parent.mkdir()
    with Store(database) as store:
        run_id = store_joint(store, made_up_sweep(top_ks=(1, 2, 4, 8), blocks=(4, 8, 16)))
    with serving(database) as address:
        page.goto(f"{address}/trade_off")
        settled(page, "Trade-off")
        expect(page.get_by_text("are on the frontier").first).to_be_visible()
        setting = page.get_by_role("combobox", name="Setting", exact=True)
        expect(setting).to_have_value("1×1 · top-1 · 4 blocks · 3 tokens")
        points = page.locator(".vega-embed").first.locator("[aria-roledescription='circle']")
        points.last.click()
        expect(setting).to_have_value(re.compile("2×2 · top-8 · 16 blocks · 3 tokens"))
        assert findings(page) == []
        page.get_by_role("radio", name="Budget").click()
        expect(page.get_by_text(re.compile("^Within .* ms of TTFT at P95"))).to_be_visible()
        # Before the slider is touched: the figures at its ends fade, which is Streamlit's own.
        assert findings(page) == []
        slider = page.get_by_role("slider").first
        slider.focus()
        slider.press("End")
        expect(page.get_by_text("More milliseconds buy nothing")).to_be_visible()
        page.get_by_role("radio", name="Latency model").click()
        expect(page.get_by_text("How many settings are enough?")).to_be_visible()
        assert findings(page) == []
        with page.expect_download() as download:
            page.get_by_role("button", name="Python function").click()
        assert "def predict(" in download.value.path().read_text()
        assert download.value.suggested_filename == f"latency_model_{run_id}.py"
        assert errors(page) == 0
