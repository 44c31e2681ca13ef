"""What several tests share besides fixtures: where things are, how long to wait, sweeps that take no time."""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings
from profcore.models.config import PRESETS
from profcore.spec.records import Ceilings
from profcore.spec.runs import Sweep
from profcore.storage.shipped import shipped_spools, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.testing.v1 import AppTest

Value = TypeVar("Value")
ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

FAKE = (sys.executable, str(ROOT / "tests" / "worker" / "fake_worker.py"))
"""A worker without torch, which starts in a moment; it needs `ROOT` on its path."""

PATIENCE = float(os.environ.get("PROFCORE_TEST_PATIENCE", "1"))
"""How much longer than usual to wait for what would otherwise hang; a slow or busy machine may set more."""


CEILINGS = Ceilings("a CPU", "float32", 10.0, 12.0, 1.0, "2", "2026-11-25T12:00:00+00:00")
"""For tests that measure nothing of the device, which takes a second."""


def seconds(usual: float) -> float:
    """A limit that guards against hanging, never one that a test is about; generous, and scaled by `PATIENCE`."""
    return usual * PATIENCE


def until(condition: Callable[[], Value], usual: float = 300.0) -> Value:
    """Look again and again until the condition holds, and give what it gave."""
    end = time.monotonic() + seconds(usual)
    while not (value := condition()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
    return value


def sample_spool(run_id: str, folder: Path) -> Path:
    """The spool of a sample result, put into a folder."""
    with unpacked(run_id, shipped_spools()[run_id]) as spool:
        return Path(shutil.copy(spool, folder / f"{run_id}.jsonl"))


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


def unfolded(test: AppTest, *expanders: str) -> AppTest:
    """A page once expanders of these keys were opened, whose controls are made then."""
    for key in expanders:
        test.session_state[key] = True
    test.run()
    assert not test.exception
    return test


def texts(elements) -> str:
    """What elements of a page say, as `AppTest` gives them."""
    return " ".join(str(element.value) for element in elements)
