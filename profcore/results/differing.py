"""What a sweep that is asked for differs in from a run that is shown, in words; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profcore.experiments.knobs import CATALOGUE
from profcore.spec.runs import RunSpec, Sweep, Target
from profcore.spec.stages import Knob

if TYPE_CHECKING:
    from profcore.spec.settings import Setting

_KNOBS = {
    Knob.VISION_TOKENS: "image grid",
    Knob.TOP_K: "top-k",
    Knob.ACTIVE_BLOCKS: "active blocks",
    Knob.OUTPUT_TOKENS: "output tokens",
}
_SWEEP = {
    "num_samples": "samples per setting",
    "warmup": "warm-up",
    "seed": "seed",
    "clock": "clock",
}


def differing(target: Target, sweep: Sweep, shown: dict[str, Any]) -> list[str]:
    """Each of what differs, with what the shown run has in brackets.

    Args:
        target: On what the sweep is asked for.
        sweep: What is asked for.
        shown: The other's spec, as `RunSpec.to_dict`; of a run without one nothing can be said.
    """
    if not shown:
        return []
    other = RunSpec.from_dict(shown)
    asked, had = target.to_dict(), other.target.to_dict()
    found = [_said(name, asked[name], had[name]) for name in asked if asked[name] != had[name]]
    found += _settings(sweep, other.sweep)
    for field, called in _SWEEP.items():
        mine, its = getattr(sweep, field), getattr(other.sweep, field)
        if mine != its:
            found.append(_said(called, mine, its))
    if sweep.until != other.sweep.until:
        found.append(
            _said("precision", *(one.until.words if one.until else "not asked for" for one in (sweep, other.sweep)))
        )
    if sweep.picture != other.sweep.picture:
        found.append(_said("picture", sweep.picture.value, other.sweep.picture.value))
    if sweep.prompt != other.sweep.prompt:
        found.append("prompt")
    if (sweep.quality is None) != (other.sweep.quality is None):
        found.append("quality recorded" if sweep.quality else "no quality recorded")
    if sweep.energy != other.sweep.energy:
        found.append("energy measured" if sweep.energy else "no energy measured")
    return found


def _said(name: str, mine: object, its: object) -> str:
    return f"{name} {mine} ({its})"


def _settings(sweep: Sweep, other: Sweep) -> list[str]:
    """The knobs whose values differ; of the one that is turned, that they do."""
    found = []
    turned = CATALOGUE[sweep.experiment].knob
    for knob, called in _KNOBS.items():
        mine, its = ([_value(knob, each) for each in one.settings] for one in (sweep, other))
        if knob is turned:
            if mine != its:
                found.append(f"values of {called}")
        elif set(mine) != set(its):
            found.append(_said(called, ", ".join(dict.fromkeys(mine)), ", ".join(dict.fromkeys(its))))
    return found


def _value(knob: Knob, setting: Setting) -> str:
    """Where a knob stands; the first N blocks by their number, others by their mask."""
    if knob is Knob.VISION_TOKENS:
        return setting.grid_label
    if knob is Knob.TOP_K:
        return str(setting.top_k)
    if knob is Knob.OUTPUT_TOKENS:
        return str(setting.output_tokens)
    return setting.mask_label if "01" in setting.mask_label else str(setting.active_blocks)
