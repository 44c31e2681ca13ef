"""A joint run whose latencies and quality are known, stored as a measured one is."""

from __future__ import annotations

from profcore.experiments.joint import joint_sweep, joint_values
from profcore.models.config import PRESETS
from profcore.spec.settings import first_blocks
from tests.comparisons.stored import store_run

QUESTIONS = 8
"""Questions of the made-up quality."""


def made_up_sweep(
    grids=((1, 1), (1, 2), (2, 2)), top_ks=(1, 2, 4), blocks=(8, 16), output_tokens=(3,), num_samples=6, **options
):
    """A joint sweep of the tiny model; with `strategy`, `number`, `seed` and further fields of a sweep."""
    config = PRESETS["tiny"]
    values = joint_values(
        config,
        grids=grids,
        top_ks=top_ks,
        masks=[first_blocks(number, config.n_layers) for number in blocks],
        output_tokens=output_tokens,
    )
    return joint_sweep(values, num_samples=num_samples, **options)


def made_up_cost(setting):
    """Milliseconds of vision encoder, projector, prefill and a decode step, each by the knobs that it depends on."""
    crops = setting.grid[0] * setting.grid[1] + 1
    work = setting.active_blocks * (1 + 0.25 * setting.top_k)
    return 2.0 * crops, 0.5 * crops, 0.5 + 0.05 * crops * work, 0.2 + 0.02 * work


def made_up_scores(setting):
    """A score of 0 or 1 for each question: more are right with more crops, experts and blocks."""
    worth = min(setting.grid[0] * setting.grid[1], 4) + setting.top_k / 2 + setting.active_blocks / 8
    return [1.0 if place < min(worth, QUESTIONS) else 0.0 for place in range(QUESTIONS)]


def store_joint(store, sweep=None, cost=made_up_cost, quality=made_up_scores, **more):
    """Store a joint run; returns its id.

    Args:
        store: Where.
        sweep: What was asked; the made-up one unless given.
        cost: From a setting to milliseconds, as `made_up_cost`.
        quality: From a setting to the score of each question; None for a run without quality.
        more: As `store_run`.
    """
    return store_run(store, sweep or made_up_sweep(), cost, quality=quality, **more)
