"""A profile pass beside its run."""

import pandas as pd

from profcore.results.profiled import beside_run, partly


def test_stages_that_a_pass_found_otherwise_are_named_decodes_by_the_step():
    rows = [("vision_encoder_ms", 7.9), ("llm_prefill_ms", 26.0), ("tpot_ms", 17.6), ("llm_decode_ms", 158.4)]
    summary = pd.DataFrame(rows, columns=["metric", "median"]).assign(setting=3)
    stages = [("vision_encoder", 11.8), ("projector", 1.0), ("llm_prefill", 27.0), ("llm_decode", 232.0)]
    profile = {"steps": 8, "stages": [{"stage": name, "measured_ms": ms} for name, ms in stages]}
    said = beside_run(profile, summary, 3)
    assert "Vision encoder 11.8 ms here, 7.90 in the run; a decode step 29.0 ms here, 17.6 in the run" in said
    assert "prefill" not in said.lower()
    alike = {"steps": 8, "stages": [{"stage": "llm_decode", "measured_ms": 8 * 17.6}]}
    assert beside_run(alike, summary, 3) == ""
    assert beside_run({"steps": 0, "stages": [{"stage": "llm_decode", "measured_ms": 0.0}]}, summary, 3) == ""


def test_a_pass_that_looks_at_some_steps_says_that_its_time_is_not_the_runs():
    assert partly({"steps": 8}, 10) == (
        "Of the 9 decode steps of this setting the pass looks at 8: what it measured is less than a whole inference."
    )
    assert partly({"steps": 8}, 9) == partly({"steps": 0}, 1) == ""
