"""A run beside its floors: what binds a stage whose host waited for the device while it issued it."""

import pandas as pd

from profcore.models.config import PRESETS
from profcore.models.recorded import shape_record
from profcore.roofline.floors import add_floors

CEILINGS = {"device_name": "a card", "dtype": "float32", "read_gb_s": 1e5, "copy_gb_s": 1e5, "matmul_tflop_s": 1e5}


def binds(medians, issued, metric="vision_encoder_ms", blocks=(16, 16, 16), output_tokens=1):
    """What binds a stage of a sweep under ceilings that are far away."""
    shape, numbers = PRESETS["tiny"], range(len(medians))
    settings = pd.DataFrame({"setting": numbers, "top_k": shape.top_k, "active_blocks": blocks[: len(medians)]})
    samples = pd.DataFrame(
        {"setting": numbers, "num_crops": 2, "num_input_tokens": 300, "num_output_tokens": output_tokens}
    )
    summary = pd.DataFrame({"setting": numbers, "metric": metric, "median": medians})
    issue = pd.DataFrame({"setting": numbers, "metric": metric, "issue_ms": issued})
    environment = {"model": "tiny", "dtype": "float32", "shape": shape_record(shape)}
    ceilings = {**CEILINGS, "torch": "2", "measured_at": "2026-01-01T00:00:00+00:00"}
    found = add_floors(summary, settings, samples, issue, environment, ceilings)
    return found["binds"].tolist()


def test_a_host_that_waits_for_the_device_is_not_bound_by_launching():
    # As long to issue as to run at each size, and twice as long at the largest: that is the device's time.
    assert binds([15.0, 16.0, 32.0], [15.0, 16.0, 31.8]) == ["launch", "launch", "neither"]


def test_fewer_blocks_are_issued_in_less_time():
    assert binds([5.0, 15.0], [5.0, 15.0], "llm_prefill_ms", blocks=(4, 16)) == ["launch", "launch"]
    assert binds([5.0, 15.0], [5.0, 15.0], "llm_prefill_ms") == ["launch", "neither"]


def test_a_decode_is_judged_by_its_own_steps():
    assert binds([9.0, 90.0], [9.0, 90.0], "llm_decode_ms", output_tokens=5) == ["launch", "launch"]
