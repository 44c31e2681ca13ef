"""Names of models in charts: short, and each another."""

import pandas as pd
import pytest

from profcore.charts.models import model_stages, models_over, short_names
from profcore.experiments.knobs import CATALOGUE


@pytest.mark.parametrize(
    ("models", "short"),
    [
        (["molmoe-1b", "mistral-small-3.1-24b"], ["molmoe-1b", "mistral-small-3.1-24b"]),
        (["/some/where/of/mine/small-moe.json", "tiny"], ["small-moe.json", "tiny"]),
        (["/some/where/of/mine/qwen/config.json", "/some/where/of/mine/llava"], ["qwen/config.json", "llava"]),
        (["/a/folder/of/some/length/x.json", "/b/folder/of/some/length/x.json"], None),
        (["", "/"], None),
    ],
)
def test_a_path_is_called_by_its_end_unless_two_are_alike(models, short):
    assert list(short_names(models).values()) == (short or models)


def _rows(models):
    return pd.DataFrame(
        [
            {"model": model, "metric": "ttft_ms", "x": x, "median": 1.0, "low": 0.9, "high": 1.1, "n": 3, "line": 0}
            for model in models
            for x in (1, 2)
        ]
    )


@pytest.mark.parametrize(
    ("models", "columns"),
    [(["tiny", "molmoe-1b"], 2), (["/some/where/of/mine/a-model-of-one's-own.json", "tiny"], 1)],
)
def test_long_names_stand_below_each_other_in_a_legend(models, columns):
    chart = models_over(_rows(models), CATALOGUE["context_scaling"], "ttft_ms").to_dict()
    legend = chart["layer"][0]["encoding"]["color"]["legend"]
    assert legend["columns"] == columns
    assert all(name in legend["labelExpr"] for name in short_names(models).values())


def test_bars_are_called_by_short_names():
    rows = pd.DataFrame(
        [{"model": "/some/where/of/mine/one.json", "stage": "Projector", "ms": 1.0, "us_per_token": 2.0}]
    )
    axis = model_stages(rows, False).to_dict()["layer"][0]["encoding"]["y"]["axis"]
    assert axis["labelExpr"].endswith(': "one.json"}[datum.label]')
