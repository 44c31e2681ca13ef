"""CSV and JSON for other programs."""

import csv
import enum
import io
import json
import math
from collections import OrderedDict
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profcore.formats import samples_csv, samples_parquet
from profcore.formats.text_files import csv_text, json_text


def read(text):
    return list(csv.reader(io.StringIO(text)))


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-cmd", "@SUM(A1)", "\t=1", "\r=1", "\r\n=1", " =1", '=HYPERLINK("http://a")', "\n=1"]
)
@pytest.mark.parametrize("kind", ["object", "str", "category"])
def test_no_cell_is_a_formula(text, kind):
    column = pd.Series([text, "usual", None], dtype=object).astype(kind)
    shown = text.replace("\r\n", "\n").replace("\r", "\n")
    rows = read(csv_text(pd.DataFrame({"name": column, text: [1.0, -2.5, 3.0]})))
    assert rows[0] == ["name", f"'{shown}"]
    assert [row[0] for row in rows[1:]] == [f"'{shown}", "usual", ""]


def test_no_cell_is_a_formula_in_wide_letters_or_behind_what_nobody_sees():
    texts = ["\uff1d1", "\uff0b1", "\uff0d1", "\uff20x", "\ufe661"]
    texts += [f"{unseen}=1" for unseen in ("\ufeff", "\u00a0", "\u200b", "\u3000", "\x0b", "\x1f", "\u2028", "\x00")]
    rows = read(csv_text(pd.DataFrame({"a": texts, "\ufeff=1": range(len(texts))})))
    assert rows[0][1] == "'\ufeff=1"
    assert [row[0] for row in rows[1:]] == [f"'{text}" for text in texts]
    usual = ["\u00a0x", "\u524d=1", "\ufeffname", ""]
    assert [row[0] for row in read(csv_text(pd.DataFrame({"a": usual, "b": 1})))[1:]] == usual


def test_a_return_within_a_text_begins_no_row():
    assert read(csv_text(pd.DataFrame({"a": ["x\r=1"]})))[1:] == [["x\n=1"]]


def test_numbers_stay_as_they_are():
    frame = pd.DataFrame({"a": [-1, 2], "b": [-1.5e-300, float("nan")], "c": pd.array([-3, None], dtype="Int64")})
    assert csv_text(frame) == frame.to_csv(index=False)
    mixed = pd.DataFrame({"d": pd.Series([-1, "-1"], dtype=object)})
    assert read(csv_text(mixed))[1:] == [["-1"], ["-1"]]


def test_json_holds_no_nan():
    found = json.loads(
        json_text({"a": [float("nan"), {"b": (float("inf"), -1.5)}], "c": "NaN"}), parse_constant=pytest.fail
    )
    assert found == {"a": [None, {"b": [None, -1.5]}], "c": "NaN"}


class _Kind(enum.StrEnum):
    ONE = "one"


class _Number(enum.IntEnum):
    TWO = 2


_ODD = [np.float64(0.1), np.float64("nan"), np.int64(3), np.str_("a"), np.bool_(True), _Kind.ONE, _Number.TWO]
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from([*_ODD, datetime(2026, 1, 2)])
)
_KEYS = st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False))
_VALUES = st.recursive(
    _SCALARS,
    lambda held: st.one_of(
        st.lists(held, max_size=5),
        st.tuples(held, held),
        st.dictionaries(_KEYS, held, max_size=5),
        st.dictionaries(_KEYS, held, max_size=5).map(OrderedDict),
    ),
    max_leaves=30,
)


def plain_json(value, indent):
    """As `json_text`, by the standard library alone."""
    return json.dumps(_no_nan(value), indent=indent, ensure_ascii=False, allow_nan=False, default=str)


def _no_nan(value):
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _no_nan(each) for key, each in value.items()}
    return [_no_nan(each) for each in value] if isinstance(value, list | tuple) else value


@given(_VALUES, st.sampled_from([None, 1, 2, 0]))
def test_quick_json_is_that_of_the_standard_library(value, indent):
    assert json_text(value, indent) == plain_json(value, indent)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("key", [float("nan"), float("inf")])
def test_a_key_that_is_no_number_is_refused_as_the_standard_library_does(indent, key):
    with pytest.raises(ValueError):
        plain_json({key: 1}, indent)
    for value in ({key: 1}, {key: [1]}, [{key: {}}]):
        with pytest.raises(ValueError):
            json_text(value, indent)


def test_samples_hold_neither():
    steps = pa.array([[1.0, float("nan")], None], pa.list_(pa.float64()))
    table = pa.table(
        {"setting_title": ["=1", "b"], "total_ms": [-1.0, 2.0], "decode_steps_ms": steps, "issue_ms": steps}
    )
    rows = read(samples_csv(table))
    assert rows[1] == ["'=1", "-1.0", "[1.0, null]", "[1.0, null]"]
    metadata = pq.read_schema(io.BytesIO(samples_parquet(table, {"x": float("nan")}))).metadata
    assert json.loads(metadata[b"profcore"], parse_constant=pytest.fail) == {"x": None}
