"""Stages under a roofline: by numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from profcore.roofline.points import BELOW, COMPUTE, LAUNCH, MEMORY, conclusions, ridge, roof_at, roofline_points
from profcore.spec.records import Ceilings

# 2 TB/s and 400 TFLOP/s: they meet at 200 FLOPs per byte.
CEILINGS = Ceilings("a card", "bfloat16", 2000.0, 1900.0, 400.0, "2", "now")


def summary(*rows):
    names = ["setting", "metric", "median", "flops", "bytes", "binds"]
    frame = pd.DataFrame(rows, columns=names)
    return frame.assign(x=frame["setting"], title=[f"setting {number}" for number in frame["setting"]])


def test_the_roof_rises_with_memory_and_is_level_from_the_ridge_on():
    assert ridge(CEILINGS) == pytest.approx(200)
    assert roof_at(np.array([1.0, 100.0, 200.0, 5000.0]), CEILINGS) == pytest.approx([2e12, 2e14, 4e14, 4e14])


def test_points_lie_where_flops_bytes_and_time_put_them():
    given = summary(
        # 1 GFLOP over 1 GB: 0.5 ms at the least.
        *[(0, "llm_decode_ms", 0.625, 1e9, 1e9, "memory"), (1, "llm_decode_ms", 5.0, 1e9, 1e9, "launch")],
        # 400 GFLOP over 0.1 GB: 1 ms at the least.
        *[(0, "llm_prefill_ms", 1.25, 4e11, 1e8, "compute"), (1, "llm_prefill_ms", 4.0, 4e11, 1e8, None)],
        # Without work, and of several stages: no points.
        *[(0, "projector_ms", 0.0, 0.0, 0.0, None), (0, "total_ms", 2.0, 4.01e11, 1.1e9, None)],
    )
    points = roofline_points(given, CEILINGS)
    assert points["stage"].tolist() == ["LLM prefill"] * 2 + ["LLM decode"] * 2
    assert points["intensity"].tolist() == pytest.approx([4000, 4000, 1, 1])
    assert points["achieved"].tolist() == pytest.approx([3.2e14, 1e14, 1.6e12, 2e11])
    assert points["roof"].tolist() == pytest.approx([4e14, 4e14, 2e12, 2e12])
    assert points["share"].tolist() == pytest.approx([0.8, 0.25, 0.8, 0.1])
    assert points["verdict"].tolist() == [COMPUTE, BELOW, MEMORY, LAUNCH]
    prefill, decode = conclusions(points)
    assert prefill.startswith("LLM prefill: compute-bound at 1 of 2 settings, below both ceilings at 1 of 2 settings")
    assert decode.endswith("(at 10 % to 80 % of the ceiling above it).")
    (alone,) = conclusions(points[points["verdict"] == MEMORY])
    assert alone.startswith("LLM decode: memory-bound (at 80 % of the ceiling above it); it is as fast as memory")
