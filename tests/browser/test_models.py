"""Other models than MolmoE in a real browser: the picker, greyed knobs, a picture's size, models side by side."""

import re

import pytest
from playwright.sync_api import expect

from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings
from profcore.models.config import model_shape
from profcore.spec.runs import Sweep
from profcore.storage.store import Store
from tests.comparisons.stored import store_run

from .conftest import serving
from .test_dashboard import errors, settled
from .test_trade_off import findings

ON = {"device_name": "NVIDIA H200", "dtype": "bfloat16", "engine": "compiled"}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A dashboard with the sample results, and a sweep of another model beside them."""
    database = tmp_path_factory.mktemp("models") / "served" / "data.duckdb"
    database.parent.mkdir()
    experiment, config = CATALOGUE["context_scaling"], model_shape("qwen3-vl-4b")
    settings = build_settings(experiment, (1, 4, 8, 12), base_setting(experiment, config))
    with Store(database) as store:
        store.take_in_shipped()
        sweep = Sweep(experiment.name, settings, num_samples=8)
        store_run(store, sweep, lambda setting: (3.0, 0.5, 2.0 * setting.grid[1], 1.0), model="qwen3-vl-4b", **ON)
    with serving(database) as found:
        yield found


@pytest.mark.long
def test_a_size_leads_to_tokens_and_milliseconds(page, address):
    page.goto(f"{address}/size_to_latency")
    settled(page, "Size to latency")
    tokens = page.get_by_test_id("stMetric").filter(has_text="Vision tokens")
    expect(tokens).to_contain_text("1,152")
    expect(page.get_by_test_id("stMetric").filter(has_text="TTFT, compiled")).to_contain_text("ms")
    width = page.get_by_role("spinbutton", name="Width in pixels")
    width.fill("336")
    width.press("Enter")
    height = page.get_by_role("spinbutton", name="Height in pixels")
    height.fill("336")
    height.press("Enter")
    expect(tokens).to_contain_text("288")
    expect(page).to_have_url(re.compile("sized-height=336"))
    assert findings(page) == []
    page.goto(f"{address}/size_to_latency?sized-model=gemma-3-4b")
    settled(page, "Size to latency")
    expect(tokens).to_contain_text("256")
    expect(page.get_by_text("Not measured yet")).to_be_visible()
    assert errors(page) == 0


@pytest.mark.long
def test_models_stand_side_by_side(page, address):
    page.goto(f"{address}/models?models-on=NVIDIA+H200%2C+compiled%2C+bfloat16")
    settled(page, "Models side by side")
    expect(page.get_by_text("The runs differ in more than the model").first).to_be_visible()
    first = page.locator(".vega-embed").first
    expect(first).to_contain_text("qwen3-vl-4b")
    expect(first).to_contain_text("molmoe-1b")
    page.get_by_test_id("stCheckbox").get_by_text("Per vision token").click()
    expect(first).to_contain_text("µs per vision token")
    assert findings(page) == []
    assert errors(page) == 0


@pytest.mark.long
def test_a_knob_that_a_model_has_not_is_grey_and_says_why(page, address):
    page.goto(f"{address}/moe_topk?model=smolvlm-2b")
    settled(page, "MoE top-k")
    expect(page.get_by_text("smolvlm-2b has no experts to choose from")).to_be_visible()
    expect(page.get_by_role("slider").first).to_be_disabled()
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_disabled()
    page.get_by_role("button", name="All models by family").click()
    expect(page.get_by_role("dialog")).to_contain_text("come on top")
    assert errors(page) == 0
