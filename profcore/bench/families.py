"""Measuring a vision-language model of transformers beside a bare `generate` of the same model."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from profcore.bench.base import Figure, at_most
from profcore.engines import make_engine
from profcore.experiments.knobs import CATALOGUE, base_setting
from profcore.images.pictures import load_picture
from profcore.measure.clock import make_clock
from profcore.models.families.shape import FamilyShape
from profcore.models.inputs import grid_inputs
from profcore.spec.queries import DEFAULT_PROMPT, Picture
from profcore.spec.stages import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from profcore.spec.runs import Target
    from profcore.worker.shelf import ModelShelf

_PAIRS = 30


def against_bare_generate(target: Target, shelf: ModelShelf) -> list[Figure]:
    """The eager engine with its clock over `generate` as it is, whole calls, alternating which goes first.

    Nothing of MolmoE, which transformers has no model of.
    """
    loaded = shelf.get(replace(target, engine="eager"))
    model = loaded.model
    if not isinstance(model.config, FamilyShape):
        return []
    setting = base_setting(CATALOGUE["moe_topk"], model.config)
    inputs: Any = grid_inputs(loaded, load_picture(Picture()), setting.grid, DEFAULT_PROMPT)
    engine, clock = make_engine("eager", model), make_clock(Clock.EVENTS, model.device)

    def measured() -> None:
        engine.infer(inputs, setting, clock)

    def bare() -> None:
        model.hf.generate(**inputs.tensors, max_new_tokens=setting.output_tokens, do_sample=False)

    works = {"measured": measured, "bare": bare}
    for work in (*works.values(), *works.values()):
        work()
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(_PAIRS):
        for name in sorted(works, reverse=bool(number % 2)):
            taken[name].append(_took(works[name], model.device))
            if name == "measured":
                clock.read()
    # The median of the pairs' ratios: neighbours share what the machine is doing at the time.
    ratio = statistics.median(one / other for one, other in zip(*taken.values(), strict=True))
    how = f"measured / bare generate, {setting.output_tokens} tokens, median of {_PAIRS} pairs"
    return [Figure("families", ratio, "ratio", how, at_most(1.02))]


def _took(work: Callable[[], None], device: torch.device) -> float:
    """Seconds of a whole call, the device waited for on both sides."""
    _wait(device)
    begin = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - begin


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
