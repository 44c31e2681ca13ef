"""A chart whose tables are handed over apart says the same as Altair's own."""

import json

import pandas as pd
import pytest

from profcore import charts
from profcore.export.archive import load_run
from profcore.export.run_figures import run_figures


@pytest.fixture(scope="module")
def drawn(sample_results):
    """Every figure of the latest sample result of each experiment."""
    latest = [sample_results.latest(name) for name in sample_results.runs()["experiment"].unique()]
    figures = [run_figures(load_run(sample_results, run_id)) for run_id in latest]
    return [chart for figure in figures for several in figure.values() for chart in several]


def _without(value, *names):
    """What is drawn, without what tables and views are called."""
    if isinstance(value, dict):
        return {key: _without(each, *names) for key, each in value.items() if key not in names}
    return [_without(each, *names) for each in value] if isinstance(value, list) else value


@pytest.mark.long
def test_the_same_is_drawn_from_the_same_tables(drawn):
    assert len(drawn) > 10
    for chart in drawn:
        ours, theirs = charts.vega_lite(chart), chart.to_dict()
        called = ("data", "datasets", "name", "views", "config", "$schema")
        plain = json.loads(json.dumps({key: value for key, value in ours.items() if key != "datasets"}))
        assert _without(plain, *called) == _without(theirs, *called)
        tables = {len(table) for table in ours["datasets"].values()}
        assert tables == {len(rows) for rows in theirs["datasets"].values()}
        values = next(rows for rows in theirs["datasets"].values() if rows)
        mine = next(table for table in ours["datasets"].values() if len(table) == len(values))
        assert set(mine.column_names) == {str(column) for column in pd.DataFrame(values)}


def test_drawing_leaves_the_chart_as_it_was(drawn):
    chart = drawn[0]
    before = chart.to_dict()
    charts.vega_lite(chart)
    assert chart.to_dict() == before
