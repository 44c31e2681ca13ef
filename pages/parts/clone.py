"""A run's settings as a knob page's controls hold them, by the keys of their widgets; pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pages.parts import block_controls, how_often
from profcore.engines.names import engines_of
from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE, MAX_GRID
from profcore.images.pictures import PHOTOS
from profcore.models.config import PRESETS
from profcore.spec.stages import Knob

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from profcore.spec.runs import RunSpec, Sweep, Target
    from profcore.spec.settings import Setting

MOST_SAMPLES, MOST_WARMUP, MOST_TOKENS = 200, 10, 200
"""The ends of the controls; a run from elsewhere may lie beyond."""

TOP_KS = tuple(2**exponent for exponent in range(7))
LENGTHS = (*CATALOGUE["output_tokens"].values, 500, 1000)
"""What the sliders of top-k and of output tokens offer."""


def controls_of(run: RunSpec, devices: Collection[str], device: str) -> dict[str, Any]:
    """What each control is to hold, so that it asks for what a run was; what a control cannot hold is left as it is.

    Args:
        run: Of a knob.
        devices: This machine's.
        device: The one that is chosen now, and stays where the run's is not here.

    Raises:
        UserError: It has a grid of several rows, which no control has.
    """
    sweep = run.sweep
    if any(setting.grid[0] != 1 for setting in sweep.settings):
        raise UserError("it has image grids of several rows.")
    knob = CATALOGUE[sweep.experiment].knob
    return {
        **bar_of(run, devices, device),
        **_values(knob, sweep.settings),
        **_held(knob, sweep.settings[0]),
        **picture_of(sweep),
        "prompt": sweep.prompt,
        **how_often_of(sweep),
        "warmup": min(sweep.warmup, MOST_WARMUP),
        "seed": sweep.seed,
        "quality": False,
        "energy": sweep.energy,
    }


def bar_of(run: RunSpec, devices: Collection[str], device: str) -> dict[str, Any]:
    """What the bar is to hold; the device stays as it is where the run's is not here."""
    found = _bar(run.target, run.target.device if run.target.device in devices else device)
    return found | {"clock": str(run.sweep.clock)}


def how_often_of(sweep: Sweep, samples: str = "samples", prefix: str = "") -> dict[str, Any]:
    """A number of samples, or how precise; the nearest that the sliders offer.

    Args:
        sweep: What was measured.
        samples: The key of the slider of samples.
        prefix: Of the other widgets' keys.
    """
    if sweep.until is None:
        return {f"{prefix}enough": False, samples: min(sweep.num_samples, MOST_SAMPLES)}
    return {
        f"{prefix}enough": True,
        f"{prefix}precision": _nearest(how_often.PRECISIONS, 100 * sweep.until.precision),
        f"{prefix}most": _nearest(how_often.MOSTS, sweep.num_samples),
        f"{prefix}seconds": _nearest(how_often.SECONDS, sweep.until.max_seconds),
    }


def _nearest(offered: Sequence[Any], value: float) -> Any:
    return min(offered, key=lambda each: abs(math.log(each / value)))


def _bar(target: Target, device: str) -> dict[str, Any]:
    own = target.model in PRESETS
    found = {"model": target.model} if own else {"model": "checkpoint", "checkpoint": target.model}
    found |= {"device": device, "dtype": target.dtype, "experts": target.experts}
    return found | ({"engine": target.engine} if target.engine in engines_of(device) else {})


def _values(knob: Knob, settings: Sequence[Setting]) -> dict[str, Any]:
    """The knob's values by its slider where that can say them, else written out."""
    if knob is Knob.VISION_TOKENS:
        numbers = [setting.grid[1] for setting in settings]
        key, offered = "grids", tuple(range(1, MAX_GRID + 1))
    elif knob is Knob.TOP_K:
        numbers = [setting.top_k for setting in settings]
        key, offered = "topks", TOP_KS
    elif knob is Knob.OUTPUT_TOKENS:
        numbers = [setting.output_tokens for setting in settings]
        key, offered = "lengths", LENGTHS
    else:
        return _blocks(settings)
    if numbers == [each for each in offered if numbers[0] <= each <= numbers[-1]]:
        return {key: (numbers[0], numbers[-1]), "values": ""}
    return {"values": " ".join(map(str, numbers))}


def _blocks(settings: Sequence[Setting]) -> dict[str, Any]:
    """The first N blocks by the slider, others by their masks."""
    numbers = [setting.active_blocks for setting in settings]
    masks = [setting.mask_label for setting in settings]
    if any("01" in mask for mask in masks) or numbers != list(range(numbers[0], numbers[-1] + 1)):
        written = [mask if "01" in mask else str(number) for mask, number in zip(masks, numbers, strict=True)]
        return {"values": " ".join(written)}
    return {"way": block_controls.FIRST, "range": (numbers[0], numbers[-1]), "values": ""}


def _held(knob: Knob, setting: Setting) -> dict[str, Any]:
    """Where the other knobs stand; of blocks that are not the first, how many."""
    where = {
        Knob.VISION_TOKENS: ("grid", setting.grid[1]),
        Knob.TOP_K: ("topk", setting.top_k),
        Knob.ACTIVE_BLOCKS: ("blocks", setting.active_blocks),
        Knob.OUTPUT_TOKENS: (tokens_key(knob), min(setting.output_tokens, MOST_TOKENS)),
    }
    return dict(value for each, value in where.items() if each is not knob)


def tokens_key(knob: Knob) -> str:
    """What the length of an answer is called on a knob's page.

    Another name where another length is usual: what one page begins with is not to be chosen on the next.
    """
    return "answer" if knob is Knob.VISION_TOKENS else "tokens"


def picture_of(sweep: Sweep, prefix: str = "") -> dict[str, Any]:
    """The picture; one that somebody uploaded cannot be put back into its field."""
    if sweep.picture.kind == "photo" and sweep.picture.value in PHOTOS:
        return {f"{prefix}picture": "photograph", f"{prefix}photo": sweep.picture.value}
    if sweep.picture.kind == "solid":
        return {f"{prefix}picture": "solid colour", f"{prefix}colour": sweep.picture.value}
    return {}
