"""Samples in the order taken: what is drawn of each, and the strips of what the card said."""

import numpy as np
import pandas as pd

from profcore import charts, stats
from profcore.charts.order import DRIFT, NO_DRIFT
from profcore.export.figure_files import figure

SETTINGS = pd.DataFrame({"setting": [0, 1], "title": ["top-k 1", "top-k 2"]})


def samples(totals, **columns):
    """Two settings in turn, of which the second takes ten times as long."""
    place = np.arange(len(totals))
    frame = pd.DataFrame(
        {"sample_id": place, "setting": place % 2, "total_ms": np.array(totals) * (1 + 9 * (place % 2))}
    )
    return stats.with_flags(frame.assign(outlier=False, **columns))


def rows_of(chart):
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


def test_each_total_is_over_its_settings_median():
    (chart,) = charts.in_order(samples([10.0, 11.0, 10.0, 11.0, 10.0, 11.0]), SETTINGS)
    assert {row["ratio"] for row in rows_of(chart)} == {1.0}


def test_what_a_sample_is_drawn_as_where_it_is_several():
    drawn = samples([1.0] * 4, throttle_reasons=[4, 4, 0, 0], other_processes=[1, 0, 0, 0])
    (chart,) = charts.in_order(drawn.assign(outlier=[True, True, True, False]), SETTINGS)
    found = {row["sample_id"]: (row["kind"], row["reasons"]) for row in rows_of(chart)}
    assert found[0] == ("Beside another process", "power cap")
    assert found[1] == ("Held back", "power cap")
    assert [found[place][0] for place in (2, 3)] == ["Outlier", "Sample"]


def test_a_strip_for_each_thing_the_card_said():
    drawn = samples([1.0] * 4, sm_clock_mhz=[1980, 1980, None, 1500], power_w=[None] * 4)
    stack = charts.in_order(drawn, SETTINGS)
    assert len(stack) == 2
    assert [row["sm_clock_mhz"] for row in rows_of(stack[1])] == [1980, 1980, 1500]
    assert figure(stack, "svg").startswith(b"<svg")


def test_the_running_median_says_whether_it_drifts():
    noise = np.random.default_rng(0).normal(0, 0.01, 80)
    names = []
    for slope in (0.0, 0.3):
        (chart,) = charts.in_order(samples(1 + noise + slope * np.arange(80) / 80), SETTINGS)
        names.append({row["kind"] for row in rows_of(chart)} - {"Sample"})
    assert names == [{NO_DRIFT}, {DRIFT}]


def test_pictures_that_were_measured_once_keep_their_milliseconds():
    frame = samples([5.0, 6.0]).assign(setting=[0, 1])
    (chart,) = charts.in_order(frame, SETTINGS)
    assert "ratio" not in rows_of(chart)[0]
    assert charts.in_order(frame.assign(total_ms=np.nan), SETTINGS) == []


def test_an_outlier_that_was_held_back_is_drawn_as_both():
    drawn = samples([1.0] * 4, throttle_reasons=[4, 0, 0, 0]).assign(outlier=[True, False, False, False])
    (chart,) = charts.in_order(drawn, SETTINGS)
    (row,) = [row for row in rows_of(chart) if row["outlier"]]
    assert row["words"] == "Held back, outlier"
    points, rings = chart.layer[:2]
    ring = rings.mark.to_dict()["stroke"]
    # Its ring has the colour that the legend gives to outliers.
    scale = points.encoding.color["scale"].to_dict()
    assert dict(zip(scale["domain"], scale["range"], strict=True))["Outlier"] == ring


def test_what_never_changed_has_a_tick_on_either_side():
    drawn = samples([1.0] * 4, sm_clock_mhz=[1980] * 4, temperature_c=[40, 41, 42, 43])
    _, clock, temperature = charts.in_order(drawn, SETTINGS)
    low, high = clock.layer[0].encoding.y["scale"].domain
    assert low < 1980 < high
    # The last one has the axis below it, and its title needs as much height as another's.
    assert temperature.height > clock.height
    # It alone has the numbers of all.
    assert clock.layer[0].to_dict()["encoding"]["x"]["axis"]["labels"] is False
    assert "labels" not in temperature.layer[0].to_dict()["encoding"]["x"]["axis"]


def test_a_legend_of_long_names_has_one_column_which_a_narrow_window_holds():
    noise = np.random.default_rng(0).normal(0, 0.01, 80)
    rising = list(1 + np.linspace(0, 0.3, 80) + noise)

    def columns(**marked):
        (chart, *_) = charts.in_order(samples(rising, **marked), SETTINGS)
        return chart.layer[0].encoding.color["legend"].columns

    assert columns() == 2
    assert columns(other_processes=[1] + [0] * 79) == 1
