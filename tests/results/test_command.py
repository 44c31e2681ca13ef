"""The command that measures a run again asks for the very same."""

import shlex
from dataclasses import replace

import pytest

from profcore.cli.parser import build_parser
from profcore.cli.sweeps import plan_sweeps
from profcore.experiments.joint import chosen_masks, joint_sweep, joint_values, strategy_of
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings
from profcore.models.config import PRESETS
from profcore.results.command import repeat_command
from profcore.spec.queries import Picture, QuerySet
from profcore.spec.runs import RunSpec, Sweep, Target
from profcore.spec.stages import Clock
from profcore.spec.until import Until

CONFIG = PRESETS["tiny"]
VALUES = {
    "context_scaling": (3, 5, 4),
    "moe_topk": (32, 1),
    "transformer_blocks_mask": (4, "1010101010101010", 1, 11),
    "output_tokens": (1, 7),
}


def asked_again(spec):
    """The target and sweep that the command of a run asks for, and its words."""
    words = shlex.split(repeat_command(spec.to_dict()))
    assert words[:3] == ["python", "-m", "profcore"]
    options = build_parser().parse_args(words[3:])
    (sweep,) = plan_sweeps(options, None, CONFIG)
    target = Target(options.model, options.device, options.dtype, options.engine, options.experts)
    return target, sweep


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_same_settings_and_sampling(name):
    base = base_setting(CATALOGUE[name], CONFIG)
    for held, target, rest in (
        (base, Target(), {}),
        (
            replace(base, grid=(1, 2), top_k=4, block_mask=(True, False) * 8, output_tokens=3),
            Target("/models/a b", "cuda:1", "float16", "graph", "eager"),
            {
                "num_samples": 7,
                "warmup": 0,
                "seed": 5,
                "clock": Clock.PUBLISHED,
                "picture": Picture("photo", "coffee"),
                "prompt": 'What\'s "this"; rm -rf?',
            },
        ),
    ):
        sweep = Sweep(name, build_settings(CATALOGUE[name], VALUES[name], held), **rest)
        spec = RunSpec.new(target, sweep)
        if name == "transformer_blocks_mask" and held is not base:
            continue
        assert asked_again(spec) == (target, sweep)


def test_blocks_are_asked_for_with_the_others_held():
    experiment = CATALOGUE["transformer_blocks_mask"]
    held = replace(base_setting(experiment, CONFIG), grid=(1, 3), top_k=2, output_tokens=5)
    spec = RunSpec.new(Target(), Sweep(experiment.name, build_settings(experiment, (2, 16), held)))
    assert asked_again(spec) == (spec.target, spec.sweep)


def test_a_solid_picture_is_named_by_its_colour():
    experiment = CATALOGUE["moe_topk"]
    settings = build_settings(experiment, (1,), base_setting(experiment, CONFIG))
    spec = RunSpec.new(Target(), Sweep(experiment.name, settings, picture=Picture("solid", "#ff0000")))
    assert asked_again(spec) == (spec.target, spec.sweep)


def test_as_many_samples_as_it_takes_are_asked_for_again():
    experiment = CATALOGUE["moe_topk"]
    settings = build_settings(experiment, (1,), base_setting(experiment, CONFIG))
    sweep = Sweep(experiment.name, settings, num_samples=70, until=Until(0.005, 2.5))
    assert asked_again(RunSpec.new(Target(), sweep)) == (Target(), sweep)


def test_what_a_line_cannot_say_has_none():
    experiment = CATALOGUE["moe_topk"]
    settings = build_settings(experiment, (1,), base_setting(experiment, CONFIG))
    sweep = Sweep(experiment.name, settings, quality=QuerySet("some", ()))
    assert repeat_command(RunSpec.new(Target(), sweep).to_dict()) is None
    tall = Sweep(experiment.name, (replace(settings[0], grid=(2, 1)),))
    assert repeat_command(RunSpec.new(Target(), tall).to_dict()) is None
    assert repeat_command({}) is None


def test_a_joint_run_of_every_combination_and_of_a_sparse_choice():
    masks = chosen_masks([4, 8, 12], "random", CONFIG.n_layers, seed=3)
    values = joint_values(CONFIG, grids=((1, 1), (2, 3)), top_ks=(2, 8), masks=masks, output_tokens=(1, 5))
    sweep = joint_sweep(values, num_samples=3, seed=7)
    assert asked_again(RunSpec.new(Target(), sweep)) == (Target(), sweep)
    sparse = joint_sweep(values, strategy="lhs", number=9, seed=7)
    assert asked_again(RunSpec.new(Target(), sparse)) == (Target(), sparse)
    by_hand = replace(sparse, settings=sparse.settings[:-1])
    assert repeat_command(RunSpec.new(Target(), by_hand).to_dict()) is None


def test_a_strategy_is_known_by_the_settings_that_it_takes():
    values = joint_values(CONFIG, grids=((1, 1), (2, 3)), top_ks=(1, 2, 3, 4, 5, 8), output_tokens=(1, 5))
    assert strategy_of(joint_sweep(values).settings, 0) == ("full", None)
    # Every combination of the three values of top-k that it left.
    assert strategy_of(joint_sweep(values, strategy="stratified").settings, 0) == ("full", None)
    drawn = joint_sweep(values, strategy="lhs", number=13, seed=4).settings
    assert strategy_of(drawn, 4) == ("lhs", 13)
    assert strategy_of(drawn, 5) is None
