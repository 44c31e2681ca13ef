"""Joint knobs in a browser: a campaign uploaded as a zip is a run whose heat map is drawn, light and dark."""

import io
import json
import re
import zipfile

import pytest
from playwright.sync_api import expect

from tests.formats.joint_made import campaign

from .conftest import serving
from .test_dashboard import errors, settled


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, document in files.items():
            archive.writestr(f"campaign/{name}", json.dumps(document))
    return buffer.getvalue()


@pytest.mark.long
def test_a_campaign_is_uploaded_and_drawn(browser, new_page, tmp_path):
    with serving(tmp_path / "data.duckdb") as url:
        page = new_page()
        page.goto(url)
        settled(page, "Where does the time go?")
        page.get_by_text("Import a spool or result files").click()
        data = zipped(campaign((4, 8, 16), (8, 16), ("low", "medium")))
        page.locator("input[type=file]").set_input_files(
            {"name": "campaign.zip", "mimeType": "application/zip", "buffer": data}
        )
        expect(page.get_by_text("is in.").first).to_be_visible()
        page.goto(f"{url}/joint")
        settled(page, "Joint knobs")
        page.get_by_role("combobox", name="Run", exact=True).click()
        page.get_by_role("option", name=re.compile("campaign")).first.click()
        settled(page, "Joint knobs")
        chart = page.locator("[data-testid=stVegaLiteChart]").first
        expect(chart).to_be_visible()
        expect(chart).to_have_attribute("aria-label", re.compile("Top-k over Tier of crops; Total .ms. from"))
        page.get_by_role("combobox", name="Active blocks").click()
        page.get_by_role("option", name="each beside the other").click()
        settled(page, "Joint knobs")
        expect(page.get_by_text("Active blocks 8")).to_be_visible()
        assert errors(page) == 0
