"""What several tests share: the reference material, a small model, sweeps that take no time."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

# Set before Triton is first imported: without a GPU its kernels run in its interpreter.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings
from profcore.models.config import PRESETS
from profcore.spec.runs import Sweep

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference material beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"the reference material is not at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def tiny_molmoe(shared: Path) -> Path:
    """A checkpoint in the published layout, with expected outputs."""
    return shared / "reference" / "tiny-molmoe"


@pytest.fixture(scope="session")
def shelf():
    """A model shelf that all tests take the tiny model from."""
    from profcore.worker.shelf import ModelShelf

    return ModelShelf()


@pytest.fixture(scope="session")
def tiny(shelf):
    """The tiny preset on the CPU."""
    from profcore.spec.runs import Target

    return shelf.get(Target())


def small_sweep(name: str = "moe_topk", values=(1, 2), num_samples: int = 2, **changes) -> Sweep:
    """A sweep of the tiny model that takes a fraction of a second: two blocks, few tokens."""
    experiment = CATALOGUE[name]
    config = PRESETS["tiny"]
    base = base_setting(experiment, config)
    if name != "transformer_blocks_mask":
        base = replace(base, block_mask=(True, True) + (False,) * 14)
    if name != "output_tokens":
        base = replace(base, output_tokens=min(base.output_tokens, 3))
    changes = {"warmup": 0, **changes}
    return Sweep(name, build_settings(experiment, values, base), num_samples, **changes)
