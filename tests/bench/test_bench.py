"""What `bench` says of figures beside what was asked of them."""

import pytest

from profcore.bench import pages
from profcore.bench.base import Bound, Figure, at_least, at_most
from profcore.bench.report import lines


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(6.0, "MISSES ITS MUST"), (5.5, "as it must, not as aimed at"), (4.5, "as aimed at"), (1.0, "as aimed at")],
)
def test_a_figure_says_in_words_what_became_of_its_must_and_its_aim(value, verdict):
    figure = Figure("prefill 1×6", value, "ms", "one token", at_most(5.5), at_most(4.5))
    assert figure.verdict == verdict
    assert figure.to_dict()["must"] == {"low": None, "high": 5.5}
    assert figure.to_dict()["verdict"] == verdict


def test_bounds_hold_at_their_ends_and_are_said():
    assert [Bound(0.99, 1.01).holds(value) for value in (0.98, 0.99, 1.01, 1.02)] == [False, True, True, False]
    assert [bound.words for bound in (at_most(5), at_least(0.85), Bound(0.99, 1.01))] == [
        "≤ 5",
        "≥ 0.85",
        "0.99 to 1.01",
    ]


def test_the_table_has_every_figure_and_names_each_must_that_is_missed():
    table = lines(
        [
            Figure("import", 6.0, "s", "100,000 rows", at_most(5)),
            Figure("duty", 0.9, "share", "warm", at_least(0.85)),
            Figure("page-huge", 900.0, "ms", "one run"),
        ]
    )
    assert [line.split()[0] for line in table[:4]] == ["benchmark", "import", "duty", "page-huge"]
    assert "≤ 5" in table[1]
    assert "MISSES ITS MUST" in table[1]
    assert "as it must" in table[2]
    assert "—" in table[3]
    assert table[-1] == "1 of 2 miss their must: import."
    # Such as families of MolmoE, or what needs a GPU without one: no empty table.
    assert lines([])[0].startswith("None of these is measured")
    assert lines([Figure("duty", 0.9, "share", "warm", at_least(0.85))])[-1] == "Every must is met."


def test_pages_are_measured_by_the_scripts_and_the_slowest_is_told(monkeypatch):
    said = "page   first   again   seconds\nhome   6.589   0.031\nvision_tokens   0.657   0.434\n"

    class Done:
        returncode, stdout, stderr = 0, said, ""

    monkeypatch.setattr(pages.subprocess, "run", lambda *given, **more: Done)
    (figure,) = pages.reruns(None, None)
    assert (figure.value, figure.verdict) == (0.434, "MISSES ITS MUST")
    assert figure.how.startswith("vision_tokens, the slowest of 2: ")
    Done.returncode, Done.stderr = 1, "ImportError: no playwright"
    assert pages.first_bar(None, None) == []
