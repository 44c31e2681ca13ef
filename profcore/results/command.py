"""The command line that would measure a run again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from profcore.experiments.joint import strategy_of
from profcore.experiments.knobs import CATALOGUE, JOINT
from profcore.spec.queries import DEFAULT_PROMPT, Picture
from profcore.spec.runs import RunSpec, Sweep, Target
from profcore.spec.stages import Clock, Knob

if TYPE_CHECKING:
    from profcore.spec.settings import Setting


def repeat_command(spec: dict[str, Any]) -> str | None:
    """The command that asks for the same sweep on the same target.

    None where a line cannot say it all: on real pictures, with quality recorded on a data set, with grids of several
    rows, with a picture that was uploaded, or of a joint run whose settings no strategy takes of their values.

    Args:
        spec: As `RunSpec.to_dict`; empty for a run that says nothing of how it was measured.
    """
    if not spec:
        return None
    sweep, target = RunSpec.from_dict(spec).sweep, RunSpec.from_dict(spec).target
    if sweep.experiment == JOINT.name:
        return _joint_command(sweep, target)
    experiment = CATALOGUE.get(sweep.experiment)
    if experiment is None or sweep.quality or any(setting.grid[0] != 1 for setting in sweep.settings):
        return None
    words = ["python", "-m", "profcore", "run", experiment.name]
    words += _values(experiment.knob, sweep.settings) + _held(experiment.knob, sweep.settings[0])
    words += _sampling(sweep) + _target(target)
    return shlex.join(words)


def _joint_command(sweep: Sweep, target: Target) -> str | None:
    """The command of a joint sweep, where a strategy takes just its settings."""
    settings = sweep.settings
    if sweep.plan or sweep.quality or (taken := strategy_of(settings, sweep.seed)) is None:
        return None
    axes: tuple[dict[Any, str], ...] = (
        {each.grid: f"{each.grid[0]}x{each.grid[1]}" for each in settings},
        {each.top_k: str(each.top_k) for each in settings},
        {each.block_mask: _blocks(each) for each in settings},
        {each.output_tokens: str(each.output_tokens) for each in settings},
    )
    words = ["python", "-m", "profcore", "run", JOINT.name]
    options = ("--grids", "--top-k-values", "--num-active-blocks", "--max-new-tokens")
    for option, axis in zip(options, axes, strict=True):
        words += [option, *axis.values()]
    strategy, number = taken
    words += ["--strategy", strategy] if strategy != "full" else []
    words += ["--settings", str(number)] if number is not None else []
    return shlex.join([*words, *_sampling(sweep), *_target(target)])


def _values(knob: Knob, settings: tuple[Setting, ...]) -> list[str]:
    """The knob's values, in their order."""
    if knob is Knob.VISION_TOKENS:
        return ["--grids", *(str(setting.grid[1]) for setting in settings)]
    if knob is Knob.TOP_K:
        return ["--top-k-values", *(str(setting.top_k) for setting in settings)]
    if knob is Knob.OUTPUT_TOKENS:
        return ["--max-new-tokens", *(str(setting.output_tokens) for setting in settings)]
    return ["--num-active-blocks", *map(_blocks, settings)]


def _blocks(setting: Setting) -> str:
    """The first N blocks by their number, others by their mask; a mask of two looks like a number, and is one."""
    return setting.mask_label if "01" in setting.mask_label else str(setting.active_blocks)


def _held(knob: Knob, setting: Setting) -> list[str]:
    """Where the other knobs stand."""
    words = [] if knob is Knob.VISION_TOKENS else ["--grid", str(setting.grid[1])]
    words += [] if knob is Knob.TOP_K else ["--top-k", str(setting.top_k)]
    if knob is not Knob.ACTIVE_BLOCKS:
        words += ["--block-mask", setting.mask_label]
    if knob is not Knob.OUTPUT_TOKENS:
        words += ["--output-tokens", str(setting.output_tokens)]
    return words


def _sampling(sweep: Sweep) -> list[str]:
    words = [*_how_often(sweep), "--warmup", str(sweep.warmup), "--seed", str(sweep.seed)]
    words += ["--clock", str(sweep.clock)] if sweep.clock is not Clock.EVENTS else []
    words += ["--image", sweep.picture.value] if sweep.picture != Picture() else []
    words += ["--prompt", sweep.prompt] if sweep.prompt != DEFAULT_PROMPT else []
    words += ["--energy"] if sweep.energy else []
    return words


def _how_often(sweep: Sweep) -> list[str]:
    if sweep.until is None:
        return ["--num-samples", str(sweep.num_samples)]
    words = ["--until", f"{100 * sweep.until.precision:g}%", "--max-samples", str(sweep.num_samples)]
    return [*words, "--max-seconds", f"{sweep.until.max_seconds:g}"]


def _target(target: Target) -> list[str]:
    own = Target()
    words = ["--model", target.model, "--device", target.device, "--engine", target.engine]
    words += ["--dtype", target.dtype] if target.dtype != own.dtype else []
    words += ["--experts", target.experts] if target.experts != own.experts else []
    return words
