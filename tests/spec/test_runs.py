from dataclasses import replace

import pytest

from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings, default_values, parse_values
from profcore.models.config import PRESETS
from profcore.spec.runs import RunSpec, Sweep, Target
from profcore.spec.settings import Setting, first_blocks, parse_mask
from tests.support import small_sweep

TINY = PRESETS["tiny"]
ALL = (True,) * 16


def test_a_run_spec_survives_json():
    spec = RunSpec.new(Target(), small_sweep())
    assert RunSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"grid": (1, 13)}, "1 to 12 crops"),
        ({"grid": (0, 1)}, "1 to 12 crops"),
        ({"top_k": 0}, "at least 1 expert"),
        ({"block_mask": (False,) * 16}, "no active block"),
        ({"output_tokens": 0}, "at least 1"),
    ],
)
def test_impossible_settings_say_what_would_be_right(changes, says):
    with pytest.raises(UserError, match=says):
        replace(Setting((1, 1), 8, ALL, 10), **changes)


def test_impossible_sweeps():
    with pytest.raises(UserError, match="0 samples"):
        replace(small_sweep(), num_samples=0)
    with pytest.raises(UserError, match="no setting"):
        Sweep("moe_topk", ())


def test_masks():
    assert parse_mask("101") == (True, False, True)
    assert first_blocks(2, 4) == (True, True, False, False)
    with pytest.raises(UserError, match="0s and 1s"):
        parse_mask("10a")
    with pytest.raises(UserError, match="1 to 4"):
        first_blocks(5, 4)


def test_defaults_are_the_seeds():
    assert default_values(CATALOGUE["context_scaling"], TINY) == tuple(range(1, 13))
    assert default_values(CATALOGUE["moe_topk"], TINY) == (1, 2, 4, 8, 16, 32)
    assert default_values(CATALOGUE["transformer_blocks_mask"], TINY) == tuple(range(1, 17))
    assert default_values(CATALOGUE["output_tokens"], TINY) == (1, 5, 10, 20, 50, 100, 200)
    assert default_values(CATALOGUE["moe_topk"], replace(TINY, num_experts=8)) == (1, 2, 4, 8)
    tokens = {name: base_setting(experiment, TINY).output_tokens for name, experiment in CATALOGUE.items()}
    assert (tokens["context_scaling"], tokens["moe_topk"], tokens["transformer_blocks_mask"]) == (1, 10, 10)


def test_blocks_take_numbers_and_masks():
    experiment = CATALOGUE["transformer_blocks_mask"]
    values = parse_values(experiment, "4, 1010101010101010", TINY)
    settings = build_settings(experiment, values, base_setting(experiment, TINY))
    assert [setting.active_blocks for setting in settings] == [4, 8]
    assert settings[1].mask_label == "1010101010101010"
    with pytest.raises(UserError, match="3 entries"):
        parse_values(experiment, "101", TINY)


def test_values_given_twice_or_not_numbers():
    experiment = CATALOGUE["moe_topk"]
    with pytest.raises(UserError, match="twice"):
        build_settings(experiment, (2, 2), base_setting(experiment, TINY))
    with pytest.raises(UserError, match="'two' is no value"):
        parse_values(experiment, "1 two", TINY)
