"""Tables as CSV: what a spreadsheet would run is text, and every number stays as it is."""

import csv
import io

import pandas as pd
import pytest

from profcore.formats.text_files import csv_text


@pytest.mark.parametrize("cell", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\n=1", " =1", "=HYPERLINK(1)"])
def test_a_text_that_would_be_a_formula_is_none(cell):
    (header, row) = csv.reader(io.StringIO(csv_text(pd.DataFrame({cell: [cell], "n": [1]})), newline=""))
    assert header == [f"'{cell}", "n"]
    assert row == [f"'{cell}", "1"]


def test_a_carriage_return_begins_no_row():
    text = csv_text(pd.DataFrame({"a": ["x\r=1", "\r=1", "x\r\ny"]}))
    assert "\r" not in text
    assert [row for (row,) in csv.reader(io.StringIO(text, newline=""))] == ["a", "x\n=1", "'\n=1", "x\ny"]


def test_numbers_stay_as_they_are_also_where_they_are_text():
    texts = ["-5", "+5.5", "-1e-3", "-170141183460469231731687303715884105728", "-.5", "2026-01-01", None, "a-b"]
    table = pd.DataFrame({"text": texts, "number": [-1.5, *range(-7, 0)]})
    rows = list(csv.DictReader(io.StringIO(csv_text(table))))
    assert [row["text"] for row in rows] == [text or "" for text in texts]
    assert [float(row["number"]) for row in rows] == table["number"].tolist()


def test_columns_of_one_name_and_none_at_all_are_written():
    assert csv_text(pd.DataFrame()) == "\n"
    assert csv_text(pd.DataFrame({"a": []})) == "a\n"
