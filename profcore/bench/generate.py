"""The eager engine beside transformers' own `generate` on the same modules: is it what a user of transformers gets."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

from profcore.bench.base import Figure, at_most
from profcore.experiments.knobs import CATALOGUE, base_setting
from profcore.images.pictures import load_picture
from profcore.measure.clock import make_clock
from profcore.models.families.shape import FamilyShape
from profcore.models.inputs import grid_inputs
from profcore.spec.queries import DEFAULT_PROMPT, Picture
from profcore.spec.stages import Clock

if TYPE_CHECKING:
    from profcore.engines.base import Engine, StageClock
    from profcore.models.inputs import ModelInputs
    from profcore.spec.runs import Target
    from profcore.spec.settings import Setting
    from profcore.worker.shelf import ModelShelf

_PAIRS = 30


def against_generate(target: Target, shelf: ModelShelf) -> list[Figure]:
    """Decode per token of the eager engine over that of `generate`, alternating which goes first; of MolmoE."""
    from profcore.engines.eager import EagerEngine
    from profcore.engines.generate import GenerateEngine

    loaded = shelf.get(replace(target, engine="eager"))
    model = loaded.model
    if isinstance(model.config, FamilyShape):
        return []
    setting = base_setting(CATALOGUE["moe_topk"], model.config)
    inputs = grid_inputs(loaded, load_picture(Picture()), setting.grid, DEFAULT_PROMPT)
    engines: dict[str, Engine] = {"eager": EagerEngine(model), "generate": GenerateEngine(model, cache=None)}
    clock = make_clock(Clock.EVENTS, model.device)
    for engine in (*engines.values(), *engines.values()):
        engine.infer(inputs, setting, clock)
    taken: dict[str, list[float]] = {name: [] for name in engines}
    for number in range(_PAIRS):
        for name in sorted(engines, reverse=bool(number % 2)):
            taken[name].append(_per_token(engines[name], inputs, setting, clock))
    # The median of the pairs' ratios: neighbours share what the machine is doing at the time.
    ratio = statistics.median(ours / theirs for ours, theirs in zip(*taken.values(), strict=True))
    how = f"eager / generate, decode per token, experts: {model.experts}, median of {_PAIRS} pairs"
    figures = [Figure("generate", ratio, "ratio", how, at_most(1.03))]
    for name, values in taken.items():
        how = f"decode per token at top-{setting.top_k}, {setting.output_tokens} tokens"
        figures.append(Figure(f"generate {name}", statistics.median(values), "ms", how))
    return figures


def _per_token(engine: Engine, inputs: ModelInputs, setting: Setting, clock: StageClock) -> float:
    """Milliseconds of the mean decode step of an answer."""
    engine.infer(inputs, setting, clock)
    return statistics.fmean(clock.read().steps)
