"""A Motivation run as a page shows it: what each picture cost, and what the pictures say together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore import stats
from profcore.experiments.motivation import MOTIVATION, Motivation
from profcore.formats import zeros_note
from profcore.models.recorded import run_shape
from profcore.results.base import MeasuredRun, run_cautions
from profcore.roofline.flops import with_flops
from profcore.roofline.parameters import Parameters, count_parameters
from profcore.spec.text import counted

if TYPE_CHECKING:
    from profcore.storage.frames import SpoolReader
    from profcore.storage.read import Reader

_PUBLISHED_PARAMETERS = {
    "params_vision_encoder": "Vision encoder",
    "params_projector": "Projector",
    "params_llm": "LLM",
}
_COUNTS = ["num_crops", "num_vision_tokens", "num_input_tokens", "num_output_tokens"]
_NAMES = ["image_id", "query_id", "image_width", "image_height", "grid_rows", "grid_columns", "output_tokens"]


@dataclass(frozen=True)
class PictureResult(MeasuredRun):
    """A Motivation run with what each picture cost.

    Attributes:
        settings: A row for each picture at each of its settings, with `title`.
        points: A row for each setting measured: the medians of its samples (`stats.METRICS`), its counts of tokens and
            crops, `flops.COLUMNS`, `picture` (what tells pictures apart) and `title`.
        skipped: What was not measured and why: `name`, `reason`.
        parameters: Of each component, where the model's shape is known.
        notes: What to know of the file it came from, in sentences.
    """

    experiment: Motivation
    points: pd.DataFrame
    skipped: pd.DataFrame
    parameters: list[Parameters]
    notes: list[str]

    @property
    def stops_at_eos(self) -> bool:
        """Whether answers ended at the end-of-text token."""
        sweep = self.run["spec"].get("sweep", {})
        return bool(sweep.get("stop_at_eos") or self.run["details"].get("use_eos_token"))


def load_picture_result(store: Reader | SpoolReader, run_id: str) -> PictureResult | None:
    """Everything a page shows of a Motivation run, or None where there is no such run."""
    run = store.run(run_id)
    if run is None or run["experiment"] not in MOTIVATION:
        return None
    environment, sweep = run["environment"], run["spec"].get("sweep", {})
    settings = store.settings(run_id)
    settings = settings.assign(title=_titles(settings))
    samples = with_flops(stats.add_derived(store.samples(run_id)), environment)
    points = _points(samples, settings)
    if sweep:
        samples = samples.assign(outlier=stats.label_outliers(samples) if len(samples) else False)
    samples = stats.with_flags(samples)
    skipped = [tuple(each) for each in sweep.get("queries", {}).get("skipped", ())]
    failed = settings.dropna(subset="failed")
    skipped += list(zip(failed["title"], failed["failed"], strict=True))
    shape = run_shape(environment)
    return PictureResult(
        run=run,
        settings=settings,
        samples=samples,
        cautions=[*run_cautions(run, samples), *_cautions(samples, sweep)],
        experiment=MOTIVATION[run["experiment"]],
        points=points,
        skipped=pd.DataFrame(skipped, columns=["name", "reason"]),
        parameters=count_parameters(shape) if shape else _file_parameters(run["details"]),
        notes=_notes(run["details"]),
    )


def _titles(settings: pd.DataFrame) -> list[str]:
    """What each setting is: its picture and question, grid and length of answer, as far as they are known."""
    titles = []
    for row in settings[_NAMES].astype(object).where(settings[_NAMES].notna(), None).to_dict("records"):
        parts = [str(row["query_id"] or row["image_id"] or "")]
        if row["query_id"] and row["image_id"] and str(row["image_id"]) not in str(row["query_id"]):
            parts[0] = f"{row['image_id']}, question {row['query_id']}"
        if row["grid_rows"] is not None:
            parts.append(f"{int(row['grid_rows'])}×{int(row['grid_columns'])} grid")
        if row["output_tokens"] is not None and row["output_tokens"] > 1:
            parts.append(f"{int(row['output_tokens'])} output tokens")
        titles.append(", ".join(part for part in parts if part) or "a row of the file")
    return titles


def _points(samples: pd.DataFrame, settings: pd.DataFrame) -> pd.DataFrame:
    metrics = [metric for metric in stats.METRICS if metric in samples]
    more = [column for column in samples if str(column).startswith("flops_")]
    grouped = samples.groupby("setting")
    points = grouped[[*metrics, *more, *_COUNTS]].median()
    points = points.assign(n=grouped.size()).reset_index()
    points = points.merge(settings[["setting", "title", *_NAMES]], on="setting", how="left")
    # A row that does not name its picture is one of its own.
    alone = "row " + points["setting"].astype(str)
    return points.assign(picture=points["image_id"].fillna(points["query_id"]).fillna(alone).astype(str))


def _file_parameters(details: dict[str, Any]) -> list[Parameters]:
    """The parameters that a file gives, all of them taken for active; empty where it gives none."""
    given = details.get("parameters")
    if not isinstance(given, dict):
        return []
    known = {name: number for name, number in given.items() if isinstance(number, int | float)}
    if "params_llm" in known:
        # As the published scripts name them: sums over the components stand beside the components.
        active = {"params_llm": int(known.get("params_llm_active", known["params_llm"]))}
        return [
            Parameters(title, int(known[name]), active.get(name, int(known[name])))
            for name, title in _PUBLISHED_PARAMETERS.items()
            if name in known
        ]
    return [Parameters(str(name), int(number), int(number)) for name, number in known.items()]


def _cautions(samples: pd.DataFrame, sweep: dict[str, Any]) -> list[stats.Caution]:
    """What a knob's sweep is cautious of as well, where the same setting was measured often enough to tell."""
    found = stats.cautions(samples, pd.DataFrame())
    often = sweep.get("num_samples", 1) > 1
    return [each for each in found if each.kind == "flags" or (often and each.kind != "few")]


def _notes(details: dict[str, Any]) -> list[str]:
    notes = [zeros_note(int(details.get("zeros", 0)))]
    if details.get("means"):
        notes.append("Each row of this file is the mean over the runs at one grid: how much they varied is not known.")
    return [note for note in notes if note]


def distribution_line(values: np.ndarray) -> str:
    """A distribution's percentiles in words, as far as the number of samples supports them."""
    ordered = np.sort(values[~np.isnan(values)])
    if not ordered.size:
        return "No latency is known."
    parts = [f"P50 {stats.percentile(ordered, 50):,.1f} ms"]
    for share, least in ((95, stats.SMALLEST_FOR_P95), (99, stats.SMALLEST_FOR_P99)):
        if ordered.size >= least:
            parts.append(f"P{share} {stats.percentile(ordered, share):,.1f} ms")
        else:
            parts.append(f"P{share} needs {least} samples")
    return f"{', '.join(parts)}; {counted(ordered.size, 'sample')}."
