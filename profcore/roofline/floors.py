"""A run beside the physical floor: what each stage could take at least, how far it is from that, and what binds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore.models.recorded import run_shape
from profcore.roofline import cost
from profcore.spec.records import WORK_COLUMNS, Ceilings
from profcore.spec.stages import MODEL_STAGES, TTFT_STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profcore.models.config import MolmoConfig

_ITEM_SIZE = {"float32": 4, "bfloat16": 2, "float16": 2}


def add_floors(
    summary: pd.DataFrame,
    settings: pd.DataFrame,
    samples: pd.DataFrame,
    issue: pd.DataFrame,
    environment: dict[str, Any],
    ceilings: dict[str, Any],
) -> pd.DataFrame:
    """The summary with a floor for each stage, for TTFT, TPOT and the total; NaN where it is not known.

    Args:
        summary: As `stats.summarise`.
        settings: As `Store.settings`.
        samples: As `Store.samples`.
        issue: As `Store.issue`.
        environment: As in `Store.run`.
        ceilings: As in `Store.run`; empty where the device was never measured.

    Returns:
        Added: `floor_ms`, `over_floor` (median / floor), `binds` (see `cost.binding`),
        `flops` and `bytes` of one inference.
    """
    shape, itemsize = run_shape(environment), _ITEM_SIZE.get(str(environment.get("dtype")))
    counted = shape is None and _is_counted(settings)
    if not ceilings or samples.empty or not (counted or (shape is not None and itemsize is not None)):
        return summary.assign(floor_ms=np.nan, over_floor=np.nan, binds=None, flops=np.nan, bytes=np.nan)
    if shape is not None and itemsize is not None:
        rows = list(_floors(shape, itemsize, settings, samples, Ceilings(**ceilings)))
    else:
        rows = list(_counted_floors(settings, samples, Ceilings(**ceilings)))
    floors = pd.DataFrame(rows, columns=["setting", "metric", "floor_ms", "floor_binds", "flops", "bytes"])
    summary = summary.merge(floors, on=["setting", "metric"], how="left")
    summary = (
        summary.merge(issue, on=["setting", "metric"], how="left") if len(issue) else summary.assign(issue_ms=np.nan)
    )
    summary["issue_ms"] = _own_issue(summary, settings)
    # Nothing is to be done in no time: a stage without work has no ratio.
    summary["over_floor"] = (summary["median"] / summary["floor_ms"]).where(summary["floor_ms"] > 0)
    summary["binds"] = [_binds(row) for row in summary.to_dict("records")]
    # A decode step is bound by what the decode is bound by.
    decode = summary[summary["metric"] == "llm_decode_ms"].set_index("setting")["binds"]
    steps = summary["metric"] == "tpot_ms"
    summary.loc[steps, "binds"] = summary.loc[steps, "setting"].map(decode)
    return summary.drop(columns=["floor_binds", "issue_ms"])


def _own_issue(summary: pd.DataFrame, settings: pd.DataFrame) -> pd.Series:
    """The host's time to issue a stage, without what it may have waited for the device meanwhile.

    Code that looks at a tensor's value waits for the device, and then issues for as long as the device computes, the
    more the larger the picture. What it issues before the first token is the same at every grid: the least of it, over
    the settings of as many experts and blocks, is nearest to what issuing takes. Decode's is found from its least step.
    """
    knobs = settings.set_index("setting")[["top_k", "active_blocks"]]
    keys = [summary["metric"], *(summary["setting"].map(knobs[name]) for name in knobs)]
    least = summary["issue_ms"].groupby(keys, dropna=False).transform("min")
    before_first = summary["metric"].isin([stage.column for stage in TTFT_STAGES])
    return summary["issue_ms"].where(~before_first, least)


def _binds(row: dict[Any, Any]) -> str | None:
    if not row["floor_ms"] > 0 or not isinstance(row["floor_binds"], str):
        return None
    known = cost.Floor(1.0, 0.0) if row["floor_binds"] == "compute" else cost.Floor(0.0, 1.0)
    issue = None if pd.isna(row["issue_ms"]) else row["issue_ms"] / row["floor_ms"]
    # In units of the floor, since only which term is the larger is kept of it.
    return cost.binding(known, row["median"] / row["floor_ms"], issue)


def _floors(
    shape: MolmoConfig, itemsize: int, settings: pd.DataFrame, samples: pd.DataFrame, ceilings: Ceilings
) -> Iterator[tuple[int, str, float, str | None, float, float]]:
    counted = samples.groupby("setting")[["num_crops", "num_input_tokens", "num_output_tokens"]].first()
    # To look a row up in a frame takes longer than to work its floor out.
    first = counted.dropna().to_dict("index")
    for row in settings.to_dict("records"):
        setting = row["setting"]
        if setting not in first:
            continue
        if pd.isna(row["top_k"]) or pd.isna(row["active_blocks"]):
            # A file may not say where the other knobs stood; then nobody knows what there was to do.
            continue
        counts = first[setting]
        routed = row.get("prefill_experts")
        # Whole numbers of Python: those of a database are narrow, and bytes overflow them.
        hit = [int(count) for count in routed] if isinstance(routed, (list, np.ndarray)) else []
        workload = cost.Workload(
            num_crops=int(counts["num_crops"]),
            num_input_tokens=int(counts["num_input_tokens"]),
            num_output_tokens=int(counts["num_output_tokens"]),
            top_k=int(row["top_k"]),
            active_blocks=int(row["active_blocks"]),
            prefill_experts=hit or None,
        )
        costs = {stage: cost.total(parts) for stage, parts in cost.stage_costs(shape, workload, itemsize).items()}
        yield from _of_setting(setting, costs, workload.num_output_tokens, ceilings)


def _of_setting(
    setting: int, costs: dict[Stage, cost.Cost], output_tokens: int, ceilings: Ceilings
) -> Iterator[tuple[int, str, float, str | None, float, float]]:
    """The floor of each stage of a setting, of TTFT, TPOT and the total."""
    floors = {stage: cost.floor(stage_cost, ceilings) for stage, stage_cost in costs.items()}
    for stage, stage_cost in costs.items():
        bound = floors[stage]
        yield setting, stage.column, bound.ms, bound.binds, stage_cost.flops, stage_cost.bytes
    for metric, stages in (("ttft_ms", TTFT_STAGES), ("total_ms", tuple(costs))):
        parts = [costs[stage] for stage in stages]
        yield (
            setting,
            metric,
            sum(floors[stage].ms for stage in stages),
            None,
            sum(part.flops for part in parts),
            sum(part.bytes for part in parts),
        )
    if (steps := output_tokens - 1) > 0:
        step, bound = costs[Stage.LLM_DECODE], floors[Stage.LLM_DECODE]
        yield setting, "tpot_ms", bound.ms / steps, bound.binds, step.flops / steps, step.bytes / steps


def _is_counted(settings: pd.DataFrame) -> bool:
    """Whether the work of some setting was counted as it ran."""
    return set(WORK_COLUMNS) <= set(settings.columns) and bool(settings[WORK_COLUMNS[0]].notna().any())


def _counted_floors(
    settings: pd.DataFrame, samples: pd.DataFrame, ceilings: Ceilings
) -> Iterator[tuple[int, str, float, str | None, float, float]]:
    """As `_floors`, of a model without formulas: from what was counted as it ran (see `measure.work`)."""
    tokens = samples.groupby("setting")["num_output_tokens"].first().dropna().to_dict()
    for row in settings.dropna(subset=list(WORK_COLUMNS)).to_dict("records"):
        if row["setting"] in tokens:
            costs = {
                stage: cost.Cost(row[f"{stage.value}_flops"], row[f"{stage.value}_bytes"]) for stage in MODEL_STAGES
            }
            yield from _of_setting(row["setting"], costs, int(tokens[row["setting"]]), ceilings)
