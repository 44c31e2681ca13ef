"""A click on a download button is answered, though the page was drawn anew meanwhile."""

import pytest
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.media_file_storage import MediaFileStorageError
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from pages.parts import replaced_files

BUTTON = "0.3"


class Dashboard:
    """A session's files, as Streamlit keeps them, and a clock that is set by hand."""

    def __init__(self, patient=True):
        self.time = 0.0
        self.files = MediaFileManager(MemoryMediaFileStorage("/media"))
        if patient:
            self.files.remove_orphaned_files = replaced_files.Removal(self.files, lambda: self.time)

    def draw(self, text="samples"):
        """Draw the page with one button; gives the id that the browser clicks on."""
        self.files.clear_session_refs()
        file_id = self.files.add_deferred(lambda: text, "text/csv", BUTTON)
        self.files.remove_orphaned_files()
        return file_id

    def click(self, file_id):
        """What the browser then fetches."""
        return self.files.execute_deferred(file_id).removeprefix("/media/")


@pytest.fixture
def dashboard():
    return Dashboard()


def test_streamlit_alone_loses_a_click_on_what_was_just_replaced():
    """Once this fails, Streamlit does what `replaced_files` is there for, and it can go."""
    dashboard = Dashboard(patient=False)
    shown = dashboard.draw()
    dashboard.draw()
    with pytest.raises(MediaFileStorageError):
        dashboard.click(shown)


def test_a_click_on_what_was_replaced_is_answered(dashboard):
    shown = dashboard.draw("as it was drawn")
    for _ in range(20):
        dashboard.time += 0.5
        dashboard.draw("later")
    file = dashboard.click(shown)
    assert dashboard.files.read_file(file).content == b"as it was drawn"


def test_a_file_that_was_made_waits_for_the_browser(dashboard):
    file = dashboard.click(dashboard.draw())
    for _ in range(20):
        dashboard.time += 0.5
        dashboard.draw()
    assert dashboard.files.read_file(file).content == b"samples"


def test_what_nobody_shows_is_forgotten_in_the_end(dashboard):
    shown = dashboard.draw()
    file = dashboard.click(shown)
    latest = dashboard.draw()
    dashboard.time += replaced_files.KEPT_S
    dashboard.files.remove_orphaned_files()
    with pytest.raises(MediaFileStorageError):
        dashboard.click(shown)
    assert dashboard.files.read_file(file) is None
    assert dashboard.files.read_file(dashboard.click(latest))


def test_what_is_shown_again_is_kept_from_then_on(dashboard):
    dashboard.draw()
    file = dashboard.files.add(b"same", "text/csv", BUTTON, is_for_static_download=True).removeprefix("/media/")
    dashboard.draw()
    dashboard.time += replaced_files.KEPT_S / 2
    dashboard.files.add(b"same", "text/csv", BUTTON, is_for_static_download=True)
    dashboard.files.remove_orphaned_files()
    dashboard.draw()
    dashboard.time += replaced_files.KEPT_S / 2
    dashboard.files.remove_orphaned_files()
    assert dashboard.files.read_file(file).content == b"same"
