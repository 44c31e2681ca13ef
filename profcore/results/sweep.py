"""A run as a page shows it: what was asked, what was measured, and what the samples say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore import stats
from profcore.experiments.knobs import CATALOGUE, Experiment
from profcore.images.geometry import grid_tokens
from profcore.results.base import MeasuredRun, most_looks, run_cautions
from profcore.roofline import floors
from profcore.spec.stages import MODEL_STAGES, Knob
from profcore.spec.text import counted

if TYPE_CHECKING:
    from profcore.storage.frames import SpoolReader
    from profcore.storage.read import Reader


@dataclass(frozen=True)
class Result(MeasuredRun):
    """A knob's sweep with its samples and their summary.

    Attributes:
        settings: Named by `x` (the knob's value), `label` (as axes write it; a '|' breaks the line) and `title` (as
            tooltips write it).
        summary: As `stats.summarise` and `floors.add_floors`, with the settings' `x`, `label` and `title`.
        ceilings: What the floors are computed from (`spec.Ceilings`); empty where that was never measured.
    """

    experiment: Experiment
    summary: pd.DataFrame
    ceilings: dict[str, Any]

    @property
    def routing_counted(self) -> bool:
        """Whether it was counted which experts the prompts used, as their floor depends on it, or there are none."""
        return self.run["environment"].get("experts") == "none" or bool(self.settings["prefill_experts"].notna().any())

    @property
    def metadata(self) -> dict[str, Any]:
        """As `MeasuredRun.metadata`, with the ceilings that the floors were computed from."""
        return {**super().metadata, "ceilings": self.ceilings}


def load_result(store: Reader | SpoolReader, run_id: str) -> Result | None:
    """Everything a page shows of a knob's sweep, or None where there is no such run."""
    run = store.run(run_id)
    if run is None or run["experiment"] not in CATALOGUE:
        return None
    experiment = CATALOGUE[run["experiment"]]
    settings, samples = store.settings(run_id), store.samples(run_id)
    settings = _name_settings(experiment, settings, samples)
    environment = run["environment"]
    # A run from before its device was measured is judged by what another such device can do.
    ceilings = run["ceilings"] or store.ceilings(environment.get("device_name"), environment.get("dtype"))
    if samples.empty:
        summary = _published_summary(store.summaries(run_id))
    else:
        summary = stats.summarise(samples, stats.interval_for(most_looks(run["spec"])))
        samples = stats.with_flags(samples.assign(outlier=stats.label_outliers(samples)))
    summary = floors.add_floors(summary, settings, samples, store.issue(run_id), environment, ceilings)
    summary = summary.merge(settings[["setting", "x", "label", "title"]], on="setting")
    cautions = [*run_cautions(run, samples), *stats.cautions(samples, summary), *_of_this_host(summary, environment)]
    return Result(run, settings, samples, cautions, experiment, summary, ceilings)


def _of_this_host(summary: pd.DataFrame, environment: dict[str, Any]) -> list[stats.Caution]:
    """A caution where launching binds a stage: its figure is then the host's and not the card's."""
    settings = summary["setting"].nunique()
    bound = summary[summary["binds"] == "launch"].groupby("metric")["setting"].nunique()
    parts = [
        f"{stage.label} at {bound[stage.column]} of {counted(settings, 'setting')}"
        for stage in MODEL_STAGES
        if stage.column in bound
    ]
    if not parts:
        return []
    host = environment.get("cpu") or "its processor is not recorded"
    text = f"Launching binds {', '.join(parts)}: what is measured there is this host's figure ({host}), not the card's."
    return [stats.Caution("host", text)]


def _published_summary(summaries: pd.DataFrame) -> pd.DataFrame:
    """A summary that came without samples: its median has no interval of its own."""
    return summaries.rename(columns={"p50": "median"}).assign(n=np.nan, low=np.nan, high=np.nan, outliers=0)


def _name_settings(experiment: Experiment, settings: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """The settings with `x`, `label` and `title` (see `Result.settings`)."""
    tokens = samples.groupby("setting")["num_vision_tokens"].first()
    named = [_name_setting(experiment, row, tokens) for row in settings.to_dict("records")]
    return settings.assign(
        x=[name[0] for name in named], label=[name[1] for name in named], title=[name[2] for name in named]
    )


def _name_setting(experiment: Experiment, row: dict[Any, Any], tokens: pd.Series) -> tuple[int, str, str]:
    if experiment.knob is Knob.VISION_TOKENS:
        grid = f"{row['grid_rows']}×{row['grid_columns']}"
        count = tokens.get(row["setting"])
        if count is None or pd.isna(count):
            # Not measured yet: it stands where it will, so that no bar moves when it comes.
            count = grid_tokens(int(row["grid_rows"]), int(row["grid_columns"]))
        return int(count), f"{int(count)}|{grid}", f"{grid} grid, {int(count)} vision tokens"
    if experiment.knob is Knob.TOP_K:
        return int(row["top_k"]), str(row["top_k"]), f"top-k {row['top_k']}"
    if experiment.knob is Knob.OUTPUT_TOKENS:
        return int(row["output_tokens"]), str(row["output_tokens"]), counted(int(row["output_tokens"]), "output token")
    # A file may know the mask of some settings alone; a frame then holds NaN for the others.
    blocks, mask = int(row["active_blocks"]), row["block_mask"] if isinstance(row["block_mask"], str) else ""
    # Only a mask that is not simply the first N needs naming.
    if "01" in mask:
        return int(blocks), f"{blocks}|{mask}", f"{counted(blocks, 'active block')}, mask {mask}"
    return int(blocks), str(blocks), counted(blocks, "active block")
