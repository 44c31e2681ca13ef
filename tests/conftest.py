"""What several tests share: the reference material, a small model, sweeps that take no time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# Set before Triton is first imported: without a GPU its kernels run in its interpreter.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

from tests.support import SHARED


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
