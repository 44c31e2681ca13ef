"""A run as a page shows it: what was asked, what was measured, and what the samples say."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore import stats
from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE, Experiment
from profcore.images.geometry import grid_tokens
from profcore.models.picture import grid_layout_of
from profcore.models.recorded import family_of_run, recorded_shape
from profcore.results.base import MeasuredRun, most_looks, run_cautions
from profcore.results.energy_sum import sum_words
from profcore.roofline import floors
from profcore.spec.stages import MODEL_STAGES, Knob, Stage
from profcore.spec.text import counted
from profcore.stats.digits import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable

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
    environment = run["environment"]
    settings = _name_settings(experiment, settings, samples, environment)
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
    if apart := sum_words(settings):
        cautions.append(stats.Caution("energy", apart))
    return Result(run, settings, samples, cautions, experiment, summary, ceilings)


def launch_bound(summary: pd.DataFrame) -> dict[Stage, int]:
    """The stages that launching binds, each with at how many settings: there a figure is the host's, not the card's."""
    bound = summary[summary["binds"] == "launch"].groupby("metric")["setting"].nunique()
    return {stage: int(bound[stage.column]) for stage in MODEL_STAGES if stage.column in bound}


def _of_this_host(summary: pd.DataFrame, environment: dict[str, Any]) -> list[stats.Caution]:
    """A caution where launching binds a stage."""
    settings = counted(summary["setting"].nunique(), "setting")
    parts = [f"{stage.label} at {number} of {settings}" for stage, number in launch_bound(summary).items()]
    if not parts:
        return []
    host = environment.get("cpu") or "its processor is not recorded"
    text = f"Launching binds {', '.join(parts)}: what is measured there is this host's figure ({host}), not the card's."
    return [stats.Caution("host", text)]


def _published_summary(summaries: pd.DataFrame) -> pd.DataFrame:
    """A summary that came without samples: its median has no interval of its own."""
    return summaries.rename(columns={"p50": "median"}).assign(n=np.nan, low=np.nan, high=np.nan, outliers=0)


def _name_settings(
    experiment: Experiment, settings: pd.DataFrame, samples: pd.DataFrame, environment: dict[str, Any]
) -> pd.DataFrame:
    """The settings with `x`, `label` and `title` (see `Result.settings`)."""
    tokens = samples.groupby("setting")["num_vision_tokens"].first()
    rows = settings.to_dict("records")
    if experiment.knob is Knob.VISION_TOKENS:
        rule = _rule_of(environment)
        named = [_name_grid(row, _measured(tokens, row) or rule(_grid(row))) for row in rows]
    else:
        named = [_name_setting(experiment, row) for row in rows]
    return settings.assign(
        x=[name[0] for name in named], label=[name[1] for name in named], title=[name[2] for name in named]
    )


def _grid(row: dict[Any, Any]) -> tuple[int, int]:
    return int(row["grid_rows"]), int(row["grid_columns"])


def _measured(tokens: pd.Series, row: dict[Any, Any]) -> int | None:
    """The vision tokens that a setting was measured with; None where it was not."""
    count = tokens.get(row["setting"])
    return None if count is None or pd.isna(count) else int(count)


def _rule_of(environment: dict[str, Any]) -> Callable[[tuple[int, int]], int | None]:
    """How many vision tokens a grid gives by the rule of the model that a run measures; None where that is not known.

    What is not measured yet stands where it will, so that no bar moves when it comes.
    """
    if family_of_run(environment) is None:
        # Each of MolmoE's shapes has the same; a run that does not say yet what it measures is taken for one of them.
        return lambda grid: grid_tokens(*grid)

    @cache
    def tokens(grid: tuple[int, int]) -> int | None:
        shape = recorded_shape(environment)
        try:
            return grid_layout_of(shape, grid).tokens if shape else None
        except UserError:
            return None

    return tokens


def _name_grid(row: dict[Any, Any], tokens: int | None) -> tuple[int, str, str]:
    rows, columns = _grid(row)
    grid = f"{rows}×{columns}"
    if tokens is None:
        return rows * columns, f"{MISSING}|{grid}", f"{grid} grid"
    return tokens, f"{tokens}|{grid}", f"{grid} grid, {tokens} vision tokens"


def _name_setting(experiment: Experiment, row: dict[Any, Any]) -> tuple[int, str, str]:
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
