"""What a run says of energy, as rows and as a table for people; pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from profcore.results.tables import padded
from profcore.spec.records import ENERGY_PARTS
from profcore.spec.stages import MODEL_STAGES, Stage
from profcore.stats.digits import MISSING, written

if TYPE_CHECKING:
    from profcore.results.sweep import Result

PART_LABELS = {str(stage): stage.label for stage in MODEL_STAGES} | {"total": "Inference"}
"""What the parts of `spec.records.ENERGY_PARTS` are called."""

METHODS = {
    "counter": "the card's own counter",
    "power": "the card's power, added up, since it has no counter",
}


def has_energy(result: Result) -> bool:
    """Whether a run measured any setting's energy."""
    return bool(result.settings["energy_method"].notna().any())


def energy_rows(settings: pd.DataFrame) -> pd.DataFrame:
    """A row for each setting and part that has joules: the settings' columns, `part`, `joules`, `resolution`."""
    rows = []
    for part in ENERGY_PARTS:
        known = settings[settings[f"{part}_j"].notna()]
        found = known.assign(part=part, joules=known[f"{part}_j"], resolution=known[f"{part}_resolution_j"])
        rows.append(found.astype({"joules": float, "resolution": float}))
    return pd.concat(rows, ignore_index=True)


def with_ratios(settings: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """The settings with `token_j` and `tokens_per_joule`, NaN where energy was not measured.

    A token's joules are decode's over its steps, as TPOT is; tokens per joule are all output tokens over the whole
    inference's joules.

    Args:
        settings: As `Result.settings`.
        samples: As `Result.samples`, which say how many tokens came.
    """
    tokens = settings["setting"].map(samples.groupby("setting")["num_output_tokens"].median()).astype(float)
    decode, total = settings["llm_decode_j"].astype(float), settings["total_j"].astype(float)
    steps = (tokens - 1).where(tokens > 1)
    return settings.assign(token_j=decode / steps, tokens_per_joule=tokens / total.where(total > 0), steps=steps)


def display_energy(result: Result) -> pd.DataFrame:
    """Joules of each setting by stage with their resolution, per output token, and tokens per joule."""
    rows = with_ratios(result.settings, result.samples).sort_values(["x", "setting"])
    rows = rows[rows["energy_method"].notna()]
    frame = pd.DataFrame({"setting": rows["title"]})
    for part in ENERGY_PARTS:
        pairs = zip(rows[f"{part}_j"].astype(float), rows[f"{part}_resolution_j"].astype(float), strict=True)
        frame[f"{PART_LABELS[part]} (J)"] = [written_energy(*pair) for pair in pairs]
    of_token = zip(rows["token_j"], rows["llm_decode_resolution_j"].astype(float) / rows["steps"], strict=True)
    frame["decode per output token (J)"] = [written_energy(*pair) for pair in of_token]
    frame["tokens per joule"] = padded(rows["tokens_per_joule"])
    return frame[[name for name in frame if (frame[name] != MISSING).any()]].reset_index(drop=True)


def energy_words(result: Result) -> str:
    """How a run's joules were got and how coarse the meter was, in a sentence."""
    known = result.settings.dropna(subset=["energy_method"])
    method, step = known["energy_method"].iloc[0], float(known["energy_step_s"].max())
    return (
        f"By {METHODS.get(method, method)}, of the whole card, waiting included: each stage was repeated by itself, in "
        f"a pass after all samples. What NVML shows changed every {written(step * 1000, 0)} ms at the longest; ± is "
        f"what that leaves open.{_missing(known)}"
    )


def _missing(known: pd.DataFrame) -> str:
    """Which stages have no joules by themselves though the inference has, in a sentence; empty where all have."""
    decoded = known[known["output_tokens"].astype(float) > 1]
    asked = {stage: decoded if stage is Stage.LLM_DECODE else known for stage in MODEL_STAGES}
    lacking = [stage.label for stage, rows in asked.items() if len(rows) and rows[f"{stage}_j"].isna().all()]
    return f" Of {' and '.join(lacking)} none were taken apart from the inference's." if lacking else ""


def energy_failures(settings: pd.DataFrame) -> list[tuple[str, int]]:
    """Why no energy was found, with of how many settings."""
    return [
        (str(reason), len(rows)) for reason, rows in settings.dropna(subset=["energy_failed"]).groupby("energy_failed")
    ]


def written_energy(joules: float, resolution: float) -> str:
    """A figure with its resolution, as '12.31 ± 0.12'; a dash where there is none."""
    if not math.isfinite(joules):
        return MISSING
    if not math.isfinite(resolution) or resolution <= 0:
        return written(joules)
    places = min(max(1 - math.floor(math.log10(resolution)), 0), 6)
    return f"{written(joules, places)} ± {written(resolution, places)}"
