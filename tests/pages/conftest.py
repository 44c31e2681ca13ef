"""The dashboard that tests of pages share, and a page of it as Streamlit runs it."""

import os
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import state as page_state
from profcore.service.service import Service
from profcore.spec.stages import State
from profcore.worker.link import WORKER
from tests.support import FAKE, ROOT, SHARED, seconds, until


@pytest.fixture(scope="module")
def database(with_samples, tmp_path_factory):
    return Path(shutil.copy(with_samples, tmp_path_factory.mktemp("pages")))


@pytest.fixture(scope="module")
def dashboard(request, database, tmp_path_factory):
    """The service that the pages of a module share, as sessions of one dashboard do.

    Its worker starts in a moment and makes its samples up, unless the module says that it `MEASURES`.
    """
    worker = WORKER if getattr(request.module, "MEASURES", False) else FAKE
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROFCORE_DB", str(database))
        patch.setenv("PYTHONPATH", str(ROOT))
        # Pages may open what tests put into their temporary directories, and what they share.
        patch.setenv("PROFCORE_ROOTS", os.pathsep.join(map(str, (tmp_path_factory.getbasetemp(), ROOT, SHARED))))
        patch.setattr(page_state, "Service", lambda database, roots: Service(database, roots, worker))
        # A page does not wait for them, but most tests are about what it offers once they are known.
        page_state.service().jobs.devices()
        yield page_state.service()
        page_state.service().close()
        page_state._service.clear()


@pytest.fixture
def service(dashboard):
    """The same, in which a test leaves no run behind: whatever the order, each finds the sample results alone."""
    before = set(dashboard.store.runs()["id"])
    yield dashboard
    for run_id in set(dashboard.store.runs()["id"]) - before:
        _end_and_remove(dashboard, run_id)


def _end_and_remove(dashboard, run_id):
    def ended():
        dashboard.store.take_in_all()
        return State(dashboard.store.run(run_id)["state"]).ended

    if not ended():
        dashboard.stop(run_id)
        until(ended)
    dashboard.remove(run_id)


@pytest.fixture
def app(service):
    """Shows a page over the sample results."""
    return _show


def _show(page="home", **query):
    test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=seconds(300))
    if page != "home":
        # As a link does: without a visit of Home before.
        test.switch_page(f"pages/{page}.py")
    for name, value in query.items():
        test.query_params[name] = value
    test.run()
    assert not test.exception, test.exception
    return test
