"""A profile pass beside the run that it is to explain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profcore.spec.stages import MODEL_STAGES, Stage
from profcore.stats.digits import written

if TYPE_CHECKING:
    import pandas as pd

FAR = 0.1
"""The share from which a pass that measures a stage anew is said to differ from the run."""


def partly(profile: dict[str, Any], output_tokens: int) -> str:
    """A sentence where a pass looks at some of a decode's steps alone; empty where it looks at all.

    Args:
        profile: As `measure.profile.explain` gives it.
        output_tokens: Of the setting.
    """
    steps = output_tokens - 1
    if profile["steps"] >= steps:
        return ""
    return (
        f"Of the {steps:,} decode steps of this setting the pass looks at {profile['steps']}: what it measured is less "
        "than a whole inference."
    )


def beside_run(profile: dict[str, Any], summary: pd.DataFrame, setting: int) -> str:
    """A sentence on the stages that the pass found longer or shorter than the run did; empty where there is none.

    A pass measures the setting anew, in another process and over a few inferences, so that what waits for the host may
    differ. Decodes of other lengths are compared by the step.

    Args:
        profile: As `measure.profile.explain` gives it.
        summary: As `Result.summary`.
        setting: Which of the run's settings was profiled.
    """
    medians = summary[summary["setting"] == setting].set_index("metric")["median"]
    parts = []
    for row in profile["stages"]:
        stage = next((each for each in MODEL_STAGES if each == row["stage"]), None)
        steps = profile["steps"] if stage is Stage.LLM_DECODE else 1
        metric = "tpot_ms" if stage is Stage.LLM_DECODE else f"{row['stage']}_ms"
        if stage is None or not steps or metric not in medians:
            continue
        here, there = row["measured_ms"] / steps, float(medians[metric])
        if there > 0 and abs(here / there - 1) > FAR:
            name = "a decode step" if stage is Stage.LLM_DECODE else stage.label
            parts.append(f"{name} {written(here)} ms here, {written(there)} in the run")
    if not parts:
        return ""
    return (
        f"This pass measured the setting anew, and not as the run found it: {'; '.join(parts)}. Shares of the time are "
        "of this pass; latencies to quote are the run's."
    )
