"""What pages show while the worker, which names the devices, has not come up."""

import os

import pytest

from pages.parts import state as page_state
from profcore.service.service import Service
from profcore.worker.seen import remember
from tests.support import FAKE, ROOT, texts

PAGES = (
    *("home", "vision_tokens", "moe_topk", "active_blocks", "output_tokens", "motivation", "compare"),
    *("engines", "cards", "roofline", "inspect", "why", "runs", "history", "sql"),
)


@pytest.fixture(scope="module")
def gate(database, tmp_path_factory):
    """A pipe that the worker of this module's dashboard waits at."""
    path = tmp_path_factory.mktemp("gate") / "gate"
    os.mkfifo(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROFCORE_DB", str(database))
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("FAKE_GATE", str(path))
        patch.setattr(page_state, "Service", lambda database, roots: Service(database, roots, FAKE))
        page_state._service.clear()
        yield path
        page_state.service().close()
        page_state._service.clear()


@pytest.fixture
def service(gate):
    return page_state.service()


def places(test):
    """Where on the page its title and its columns stand."""
    return {place: part.type for place, part in test.main.children.items() if part.type in ("title", "flex_container")}


@pytest.mark.parametrize("page", PAGES)
def test_every_page_draws_what_is_stored(app, page):
    test = app(page)
    assert "looks for devices" in texts(test.sidebar.caption)
    assert not test.error
    assert "device" not in [box.key for box in test.selectbox]
    if page in ("vision_tokens", "moe_topk", "active_blocks", "output_tokens", "motivation", "compare", "engines"):
        assert test.get("vega_lite_chart")
    assert all(button.disabled for button in test.button if button.label in ("Run", "Measure under each"))


def test_a_device_that_was_there_last_is_offered_at_once_and_a_link_holds_until_it_is_known(app, service, gate):
    waiting = app("moe_topk", engine="compiled", topks=["2", "8"])
    assert waiting.query_params["engine"] == "compiled"
    before = places(waiting)
    remember(service.store.spools, [{"id": "cpu", "name": "the last CPU", "machine": {}}])
    assert app("moe_topk").selectbox(key="device").value == "cpu"
    assert "the last CPU" in texts(app("home").sidebar.caption)
    gate.write_text("go")
    service.jobs.devices()
    waiting.run()
    # "No GPU was found" has come above the page, which moves nothing: a widget at another place is another widget.
    assert "No GPU was found" in texts(waiting.info)
    assert places(waiting) == before
    assert waiting.selectbox(key="engine").value == "compiled"
    assert waiting.select_slider(key="topks").value == (2, 8)
    assert "fake" in texts(waiting.sidebar.caption)
    assert "looks for devices" not in texts(waiting.sidebar.caption)
