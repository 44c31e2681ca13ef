"""A report is one file that says everything, and trusts no text."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from profcore.errors import UserError
from profcore.export.archive import load_run
from profcore.export.report import report_html, report_latex, report_markdown, table_latex, table_markdown
from profcore.storage.store import Store

COMPILED = "20261129-203616-5b199827"
HOSTILE = "<script>alert(1)</script> & ![x](http://evil.example/a.png)\n\n# b"


@pytest.fixture(scope="module")
def store(with_samples, tmp_path_factory):
    with Store(Path(shutil.copy(with_samples, tmp_path_factory.mktemp("report")))) as store:
        yield store


class _Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.found = [], []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def elements(text):
    parser = _Elements()
    parser.feed(text)
    assert parser.open == []
    return parser.found


def test_a_run_with_its_figures_tables_conditions_method_and_command(store):
    result = load_run(store, COMPILED)
    text = report_html([result])
    found = elements(text)
    assert sum(tag == "img" for tag, _ in found) == 5
    assert sum(tag == "table" for tag, _ in found) == 5
    for words in (
        "NVIDIA H200",
        "random",
        "compiled",
        "top-k 32",
        "warmed 2 times",
        "--top-k-values 1 2 4 8",
    ):
        assert words in text
    assert all(caution.text.replace("'", "&#39;") in text for caution in result.cautions)


def test_it_asks_nobody_for_anything_and_prints(store):
    text = report_html([load_run(store, store.latest("component_profiling"))])
    for _, attributes in elements(text):
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")
    assert "url(" not in text
    assert "@media print" in text


@pytest.mark.long
def test_names_are_text(store):
    store.rename(COMPILED, HOSTILE)
    try:
        result = load_run(store, COMPILED)
    finally:
        store.rename(COMPILED, None)
    text = report_html([result])
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    (heading,) = [line for line in report_markdown([result]).splitlines() if "script" in line]
    assert heading.startswith("## ") and heading.endswith("# b")
    assert "\\<script\\>" in heading and "\\!\\[x\\]" in heading


@pytest.mark.long
def test_several_runs_are_compared_with_the_first(store):
    runs = store.runs("moe_topk")["id"].tolist()
    text = report_html([load_run(store, run) for run in runs])
    assert "Comparison" in text and "Reference:" in text
    assert re.search(r">(faster|slower|same)", text)
    mixed = report_html([load_run(store, runs[0]), load_run(store, store.latest("component_profiling"))])
    assert "Reference:" not in mixed


def test_tables_to_copy(store):
    results = [load_run(store, COMPILED)]
    markdown, latex = report_markdown(results), report_latex(results)
    assert "| top-k 32 |" in markdown
    assert markdown.count("### ") == latex.count("\\toprule") == 4
    assert "top-k 32 & 50 &" in latex


def test_cells_cannot_break_a_table():
    frame = pd.DataFrame({"a|b": ["x|y\nz", "50 % & more"], "n": [1.5, float("nan")]})
    assert table_markdown(frame).splitlines() == [
        "| a\\|b | n |",
        "| --- | ---: |",
        "| x\\|y z | 1.5 |",
        "| 50 % \\& more | — |",
    ]
    assert "50 \\% \\& more & --- \\\\" in table_latex(frame)


def test_what_cannot_be_reported_is_said(store):
    with pytest.raises(UserError, match="needs a run"):
        report_html([])
