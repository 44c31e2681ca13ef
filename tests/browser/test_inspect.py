"""The inspection tools and the choice of blocks, as a person uses them."""

import json
import re

import pytest
from playwright.sync_api import expect

from .test_dashboard import errors, settled


@pytest.mark.long
@pytest.mark.parametrize(
    "tool",
    ["Tokens", "MoE layer", "Flow", "Pooling", "Structure", "Top-k", pytest.param("Check", marks=pytest.mark.long)],
)
def test_every_tool_looks_and_shows_what_it_found(url, page, tool):
    page.goto(f"{url}/inspect?tool={tool}")
    settled(page, "Inspect")
    expect(page.get_by_role("tab", name=tool, exact=True)).to_have_attribute("aria-selected", "true")
    if tool == "Top-k":
        page.get_by_label("Values of top-k").fill("2")
        page.get_by_label("Values of top-k").press("Enter")
    if tool in ("Top-k", "Check"):
        # The others look by themselves.
        page.get_by_role("button", name="Look").click()
    expect(page.get_by_role("button", name="Look again")).to_be_enabled()
    said = {
        "Tokens": "544 vision tokens",
        "MoE layer": "64 experts, of which a token uses 8",
        "Flow": "No value is NaN.",
        "Pooling": "12×12 = 144 tokens",
        "Structure": "3,694,176 parameters",
        "Top-k": "Every token used exactly as many experts as top-k says",
        "Check": "checks passed",
    }
    expect(page.get_by_text(re.compile(re.escape(said[tool]))).first).to_be_visible()
    if tool in ("Tokens", "Pooling", "Top-k"):
        expect(page.locator(".vega-embed")).to_have_count(2 if tool == "Top-k" else 1)
    if tool == "Flow":
        # A stage is opened when it is wanted.
        decode = page.get_by_test_id("stExpander").filter(has_text=re.compile("LLM decode: .* module calls"))
        expect(decode.get_by_test_id("stDataFrame")).to_be_hidden()
        decode.locator("summary").click()
        expect(decode.get_by_test_id("stDataFrame")).to_be_visible()
    assert errors(page) == 0


@pytest.mark.long
def test_the_vision_page_leads_to_the_routing_of_a_solid_picture(url, page):
    page.goto(f"{url}/vision_tokens")
    settled(page, "Vision tokens")
    page.get_by_role("link", name="Which experts does a picture use?").click()
    settled(page, "Inspect")
    expect(page.get_by_role("tab", name="Top-k", exact=True)).to_have_attribute("aria-selected", "true")


@pytest.mark.long
def test_blocks_are_chosen_by_a_score_file_and_drawn(url, page, tmp_path):
    page.goto(f"{url}/active_blocks?way=Most+important+N")
    settled(page, "Active transformer blocks")
    page.get_by_text("from a file", exact=True).click()
    (tmp_path / "scores.json").write_text(json.dumps({str(block): block / 100 for block in range(1, 15)}))
    page.locator('input[type="file"]').first.set_input_files(str(tmp_path / "scores.json"))
    expect(page.get_by_text("2 blocks have no score and are always kept.")).to_be_visible()
    expect(page.get_by_text("15 settings")).to_be_visible()
    # The scores, the masks that follow, and the shipped run.
    expect(page.locator(".vega-embed")).to_have_count(4)
    assert errors(page) == 0
