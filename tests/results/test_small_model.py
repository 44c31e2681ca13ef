"""A run of the small trained model says what that is, wherever a run is told of."""

import dataclasses
import json
from datetime import UTC, datetime

import pandas as pd
import pytest

from profcore.export.captions import run_provenance
from profcore.models.config import PRESETS
from profcore.models.shapes.shape import SHAPES_CONFIG, WHAT
from profcore.results.base import run_cautions
from profcore.service.words import environment_line
from profcore.spec.stages import State

DRAWN = "small, trained on drawn pictures"


def run_of(shape, weights):
    # As a spool or a file holds it.
    written = json.loads(json.dumps(dataclasses.asdict(shape)))
    environment = {"device_name": "a card", "model": "checkpoints/mine", "weights": weights, "shape": written}
    return {"id": "a-run", "created_at": datetime.now(UTC), "environment": environment, "num_samples": 3}


def test_the_small_trained_model_is_named_by_its_shape_whatever_it_is_called():
    run = run_of(SHAPES_CONFIG, "real")
    assert f"checkpoints/mine ({DRAWN})" in environment_line(run["environment"], State.DONE)
    assert [each.text for each in run_cautions(run, pd.DataFrame())] == [WHAT]
    assert "small and trained on drawn pictures" in run_provenance(run, "What.", "Marks.").conditions


@pytest.mark.parametrize(
    ("shape", "weights", "said"),
    [
        (SHAPES_CONFIG, "random", "random weights"),
        (PRESETS["molmoe-1b"], "real", "real weights"),
        (PRESETS["tiny"], None, "unknown weights"),
    ],
)
def test_of_other_models_nothing_of_the_kind_is_said(shape, weights, said):
    run = run_of(shape, weights)
    assert f"checkpoints/mine ({said})" in environment_line(run["environment"], State.DONE)
    assert run_cautions(run, pd.DataFrame()) == []
    assert "drawn" not in run_provenance(run, "What.", "Marks.").conditions
