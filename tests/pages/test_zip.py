"""All runs as a zip: the page waits for no figure."""

import pytest

from profcore.service.downloads import Downloads
from tests.service.test_figures import Drawing
from tests.support import until


def labels(test):
    return [button.label for button in test.get("download_button")]


def keys(test):
    return [button.key for button in test.button]


@pytest.mark.long
def test_figures_are_drawn_in_the_background_and_then_offered_with_the_data(app, service, monkeypatch):
    drawing = Drawing()
    downloads = Downloads(service.store, service.results)
    monkeypatch.setattr(downloads.figures, "_start", lambda: drawing)
    monkeypatch.setattr(service, "downloads", downloads)
    number = len(downloads.ended_runs())
    try:
        test = app("runs")
        assert f"Data of all {number} runs" in labels(test)
        assert "Data and figures of all" not in labels(test)
        drawing.go.clear()
        test.button(key="draw-figures").click().run()
        assert f"Figures of 0 of {number} runs" in test.get("progress")[0].proto.text
        # Whoever comes next, or reloads the page, sees it too, and may stop it.
        other = app("runs")
        assert f"Figures of 0 of {number} runs" in other.get("progress")[0].proto.text
        assert "draw-figures" not in keys(other)
        other.button(key="stop-figures").click().run()
        other.run()
        test.run()
        for each in (test, other):
            assert not each.exception
            assert not each.get("progress")
            assert "stop-figures" not in keys(each)
        assert not drawing.alive
        drawing.alive = True
        drawing.go.clear()
        test.button(key="draw-figures").click().run()
        assert "stop-figures" in keys(test)
        drawing.go.set()
        runs = downloads.ended_runs()
        until(lambda: downloads.figures.progress(runs).done == len(runs))
        test.run()
        assert not test.exception
        assert "Data and figures of all" in labels(test)
        # Whoever comes next need not have them drawn.
        assert "Data and figures of all" in labels(app("runs"))
    finally:
        downloads.close()
