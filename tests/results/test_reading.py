"""What is said of the time that pictures' files take, in words and on the pages that show host preprocessing."""

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import motivation_view
from profcore.results.reading import reading_line


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([], ""),
        ([None, None], ""),
        ([None, 25.0, None], "which is in none of these, took 25.0 ms."),
        ([20.0, 30.0, 25.0], "which is in none of these, took 25.0 ms in the median of 3 times."),
    ],
)
def test_what_reading_took_is_a_sentence_where_it_is_known(values, says):
    line = reading_line(pd.DataFrame({"picture_reading_ms": pd.Series(values, dtype=float)}))
    assert line.endswith(says)
    assert bool(line) == bool(says)
    assert reading_line(pd.DataFrame({"total_ms": [1.0]})) == ""


def _end_to_end():
    import pandas as pd
    import streamlit as st

    from pages.parts import end_to_end_view

    class Known:
        summary = pd.DataFrame({"metric": ["host_preprocessing_ms"]})
        samples = pd.DataFrame({"picture_reading_ms": st.session_state["read"]})

    end_to_end_view.explain(Known())


def _distribution():
    import pandas as pd
    import streamlit as st

    from pages.parts import motivation_view

    class Known:
        samples = pd.DataFrame({"total_ms": [9.0, 8.0], "picture_reading_ms": st.session_state["read"]})
        points = pd.DataFrame({"picture": ["a", "b"]})

    motivation_view._distribution(Known(), "file")


def _drawn(page, read):
    test = AppTest.from_function(page, default_timeout=120)
    test.session_state["read"] = read
    test.run()
    assert not test.exception
    return test


def test_the_view_of_end_to_end_says_what_reading_took():
    assert "took 25.0 ms." in _drawn(_end_to_end, [25.0, None]).caption[0].value
    assert "Reading" not in _drawn(_end_to_end, [None, None]).caption[0].value


def test_the_distribution_over_pictures_offers_it_where_it_is_known(monkeypatch):
    monkeypatch.setattr(motivation_view, "_figure", lambda *given: None)
    assert "Reading the picture" in _drawn(_distribution, [25.0, 24.0]).button_group[0].options
    assert "Reading the picture" not in _drawn(_distribution, [None, None]).button_group[0].options
