"""A joint run as a page shows it: a point for each combination of knobs, with latency and quality.

A point is one setting of the sweep; where pictures choose their own tiling within a tier of crops, it is all settings,
one for each picture, of one tier, top-k, mask and number of output tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore import stats
from profcore.experiments.knobs import JOINT, Named
from profcore.formats import zeros_note
from profcore.results.base import MeasuredRun, most_looks, run_cautions
from profcore.spec.points import OF_POINT, is_picture, point_key
from profcore.spec.text import counted

if TYPE_CHECKING:
    from profcore.storage.frames import SpoolReader
    from profcore.storage.read import Reader

_COUNTS = ("num_crops", "num_vision_tokens", "num_input_tokens")


@dataclass(frozen=True)
class JointResult(MeasuredRun):
    """A joint run with its points.

    Attributes:
        settings: With `point`, `label` and `title`.
        samples: With `point`, and `decode_steps_ms` where these were asked for; without their settings' knobs.
        points: A row for each point in the order of the sweep, numbered by its index: `label`, `tier`, `grid` ('1×6'),
            `least_crops`, `most_crops`, `num_crops`, `num_vision_tokens`, `num_input_tokens` (medians over samples,
            the global view included), `top_k`, `active_blocks`, `block_mask`, `output_tokens` (asked for), `samples`,
            `accuracy` (0 to 1), `kl` (nats), `quality_queries`, `scores` (a list, one a question), `total_j` (joules
            per inference), `prefill_experts` (a list, one an active block) and `failed`; None or NaN where not known.
        ceilings: As `Result.ceilings`.
    """

    points: pd.DataFrame
    ceilings: dict[str, Any]

    @property
    def experiment(self) -> Named:
        """What it is of."""
        return JOINT

    @property
    def metadata(self) -> dict[str, Any]:
        """As `MeasuredRun.metadata`, with the ceilings that floors are computed from."""
        return {**super().metadata, "ceilings": self.ceilings}

    @cached_property
    def summary(self) -> pd.DataFrame:
        """As `stats.summarise`, of points in place of settings: `point`, `metric`, `median` and so on."""
        if self.samples.empty:
            return pd.DataFrame(columns=["point", "metric", "n", "median", "low", "high"])
        of_points = self.samples.assign(setting=self.samples["point"])
        rows = stats.summarise(of_points, stats.interval_for(most_looks(self.run["spec"])))
        return rows.rename(columns={"setting": "point"})

    @property
    def notes(self) -> list[str]:
        """What to know of the files it came from, in sentences."""
        found = [zeros_note(int(self.run["details"].get("zeros", 0)))]
        found += [str(note) for note in self.run["details"].get("notes") or ()]
        return [note for note in found if note]


def load_joint(store: Reader | SpoolReader, run_id: str, steps: bool = False) -> JointResult | None:
    """Everything a page shows of a joint run, or None where there is no such run.

    Args:
        store: Where it is.
        run_id: Its id.
        steps: Whether samples have their `decode_steps_ms` too, which of a million samples takes seconds.
    """
    run = store.run(run_id)
    if run is None or run["experiment"] != JOINT.name:
        return None
    environment = run["environment"]
    samples = store.measured(run_id)
    settings = _named(store.settings(run_id), samples)
    if not samples.empty:
        if steps:
            samples = samples.merge(store.steps(run_id), on="sample_id", how="left")
        point = samples["setting"].map(settings.set_index("setting")["point"])
        samples = stats.with_flags(samples.assign(point=point, outlier=stats.label_outliers(samples)))
    else:
        samples = samples.assign(point=pd.Series(dtype="int64"))
    return JointResult(
        run=run,
        settings=settings,
        samples=samples,
        cautions=[*run_cautions(run, samples), *(stats.cautions(samples, pd.DataFrame()) if len(samples) else [])],
        points=_points(settings, samples),
        ceilings=run["ceilings"] or store.ceilings(environment.get("device_name"), environment.get("dtype")),
    )


def load_points(store: Reader, run_id: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The settings and points of a joint run, as `JointResult` has them, without its samples."""
    counts = store.counts(run_id)
    settings = _named(store.settings(run_id), counts)
    of_setting = settings.set_index("setting")["point"]
    counts = counts.assign(point=counts["setting"].map(of_setting))
    points = _points(settings, counts)
    taken = counts.groupby("point")["samples"].sum().reindex(points.index).fillna(0).astype(int)
    return settings, points.assign(samples=taken)


def _named(settings: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """The settings with `point`, and with `label` and `title`, what points and settings are called."""
    columns = (*OF_POINT, "grid_rows", "grid_columns", "least_crops", "most_crops", "image_id", "query_id")
    given = settings.reindex(columns=["setting", *columns])
    given = given.astype(object).where(given.notna(), None)
    crops = _crops_where_unknown(given, samples)
    rows = given.to_dict("records")
    labels = [_label(row, crops.get(row["setting"])) for row in rows]
    points: dict[Any, int] = {}
    of_setting = [points.setdefault(point_key(row), len(points)) for row in rows]
    titles = [
        f"{label} · {row['query_id'] or row['image_id']}" if is_picture(row) else label
        for label, row in zip(labels, rows, strict=True)
    ]
    return settings.assign(point=of_setting, label=labels, title=titles)


def _crops_where_unknown(given: pd.DataFrame, samples: pd.DataFrame) -> dict[int, float]:
    """The median crops of the grid of settings that say neither their grid nor their bound."""
    silent = given.loc[given["grid_rows"].isna() & given["most_crops"].isna() & given["tier"].isna(), "setting"]
    if samples.empty or silent.empty:
        return {}
    known = samples[samples["setting"].isin(silent)].groupby("setting")["num_crops"].median()
    return {int(setting): crops - 1 for setting, crops in known.dropna().items()}  # type: ignore[call-overload]


def _label(row: dict[Any, Any], crops: float | None) -> str:
    """What a point is called, such as '1×6 · top-8 · 12 blocks · 10 tokens'; what is not known is left out."""
    parts = [_crops_label(row, crops)]
    if row["top_k"] is not None:
        parts.append(f"top-{int(row['top_k'])}")
    if row["active_blocks"] is not None:
        parts.append(blocks_label(int(row["active_blocks"]), row["block_mask"]))
    if row["output_tokens"] is not None:
        parts.append(counted(int(row["output_tokens"]), "token"))
    return " · ".join(part for part in parts if part) or f"setting {row['setting']}"


def blocks_label(number: int, mask: object) -> str:
    """What the blocks that run are called: by their number, and where they are not the first, by their mask."""
    named = counted(number, "block")
    return f"{named} {mask}" if isinstance(mask, str) and "01" in mask else named


def _crops_label(row: dict[Any, Any], crops: float | None) -> str:
    if row["tier"] is not None:
        return str(row["tier"])
    if row["grid_rows"] is not None:
        return f"{int(row['grid_rows'])}×{int(row['grid_columns'])}"
    if row["most_crops"] is not None:
        return f"up to {counted(int(row['most_crops']), 'crop')}"
    return "" if crops is None else f"{crops:g} crops"


def _points(settings: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    columns = [*OF_POINT, "grid_rows", "grid_columns", "least_crops", "most_crops", "label", "image_id", "query_id"]
    columns += ["accuracy", "kl", "quality_queries", "quality_scores", "total_j", "prefill_experts", "failed"]
    given = settings.reindex(columns=["setting", "point", *columns])
    given = given.astype(object).where(given.notna(), None)
    by_point: dict[int, list[dict[Any, Any]]] = {}
    for row in given.to_dict("records"):
        by_point.setdefault(row["point"], []).append(row)
    points = pd.DataFrame([_point(by_point[point]) for point in sorted(by_point)], columns=_POINT_COLUMNS)
    if samples.empty:
        return points.assign(samples=0, **dict.fromkeys(_COUNTS, np.nan))
    grouped = samples.groupby("point")
    medians = grouped[list(_COUNTS)].median().reindex(points.index)
    taken = grouped.size().reindex(points.index).fillna(0).astype(int)
    return points.assign(samples=taken, **{name: medians[name] for name in _COUNTS})


def _point(rows: list[dict[Any, Any]]) -> dict[str, Any]:
    """What the settings of one point say together."""
    first = rows[0]
    alone = len(rows) == 1 and not is_picture(first)
    grid = (
        None if not alone or first["grid_rows"] is None else f"{int(first['grid_rows'])}×{int(first['grid_columns'])}"
    )
    judged = [row for row in rows if row["quality_queries"]]
    scores = [each for row in judged if (each := _plain_list(row["quality_scores"])) is not None]
    failed = [row["failed"] for row in rows if row["failed"]]
    joules = [row["total_j"] for row in rows if row["total_j"] is not None]
    return {
        **{name: first[name] for name in (*OF_POINT, "least_crops", "most_crops", "label")},
        "grid": grid,
        "accuracy": _weighted(judged, "accuracy"),
        "kl": _weighted(judged, "kl"),
        "quality_queries": sum(int(row["quality_queries"]) for row in judged) if judged else None,
        "scores": [score for each in scores for score in each] if judged and len(scores) == len(judged) else None,
        "total_j": float(np.mean(joules)) if joules else None,
        "prefill_experts": _mean_experts([_plain_list(row["prefill_experts"]) for row in rows]),
        "failed": failed[0] if len(failed) == len(rows) else None,
    }


_POINT_COLUMNS = [
    *("label", "tier", "grid", "least_crops", "most_crops", *_COUNTS, "top_k", "active_blocks", "block_mask"),
    *(
        "output_tokens",
        "samples",
        "accuracy",
        "kl",
        "quality_queries",
        "scores",
        "total_j",
        "prefill_experts",
        "failed",
    ),
]
"""The columns of points, in the order in which a table of them reads."""


def _weighted(rows: list[dict[Any, Any]], name: str) -> float | None:
    """The mean over questions of a measure of quality."""
    known = [(row[name], int(row["quality_queries"])) for row in rows if row[name] is not None]
    return sum(value * weight for value, weight in known) / sum(weight for _, weight in known) if known else None


def _plain_list(values: Any) -> list[Any] | None:
    return list(values) if isinstance(values, list | tuple | np.ndarray) else None


def _mean_experts(counts: list[list[Any] | None]) -> list[Any] | None:
    """The distinct experts of each active block, the mean over pictures; None where they were not counted."""
    known = [each for each in counts if each]
    if len(known) < 2:
        return known[0] if known else None
    return np.mean(known, axis=0).tolist() if len({len(each) for each in known}) == 1 else None
