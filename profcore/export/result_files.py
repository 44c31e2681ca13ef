"""The result files of a run, in the published formats, whichever experiment it is of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profcore.comparisons.flops_latency import correlations
from profcore.comparisons.flops_scaling import counted_scaling, counted_work, flops_scaling, shape_of
from profcore.experiments.knobs import CATALOGUE, JOINT
from profcore.experiments.motivation import MOTIVATION, Motivation
from profcore.formats import known_scaling_json, motivation_json, profiling_json, scaling_json
from profcore.formats.fields import LATENCIES
from profcore.formats.joint_out import joint_files
from profcore.formats.scaling import FILE as SCALING_FILE
from profcore.formats.values import plain
from profcore.models.recorded import family_of_run, run_shape
from profcore.roofline.flops import with_flops
from profcore.roofline.parameters import Parameters, count_parameters
from profcore.spec.stages import Stage

if TYPE_CHECKING:
    import pandas as pd

    from profcore.models.config import MolmoConfig


def result_files(
    experiment: str,
    samples: pd.DataFrame,
    metadata: dict[str, Any],
    routed: dict[int, list[int]] | None = None,
    summaries: pd.DataFrame | None = None,
) -> dict[str, str]:
    """A run's result files by their paths below `results/profiling/` or `results/motivation/`.

    Args:
        experiment: A name as of `find_experiment`.
        samples: As `Store.sample_table(run_id).to_pandas()` gives them.
        metadata: Where the figures come from: `run`, `environment` and more.
        routed: As `scaling.flops_scaling` takes it.
        summaries: As `Store.summaries`, of a run that came without samples.
    """
    if experiment == JOINT.name:
        return joint_files(samples, metadata)
    if experiment in MOTIVATION:
        return _motivation(MOTIVATION[experiment], samples, metadata)
    profiling = CATALOGUE[experiment]
    scaling_path = f"{profiling.folder}/{SCALING_FILE}"
    if summaries is not None and (metadata.get("details") or {}).get("scaling"):
        return {scaling_path: known_scaling_json(summaries, metadata)}
    files = {f"{profiling.folder}/{profiling.file}": profiling_json(profiling, samples, metadata, summaries)}
    if experiment == "moe_topk" and len(samples) and samples["top_k"].nunique() > 1:
        scaling = _scaling(samples, metadata, routed)
        if scaling is not None:
            files[scaling_path] = scaling_json(samples, scaling, metadata)
    return files


def _scaling(
    samples: pd.DataFrame, metadata: dict[str, Any], routed: dict[int, list[int]] | None
) -> pd.DataFrame | None:
    """None of a model that there are no formulas of and whose work was not counted."""
    environment = metadata.get("environment") or {}
    if not family_of_run(environment):
        return flops_scaling(samples, shape_of(environment)[0], routed)
    work = counted_work({**each, **(each.get("work") or {})} for each in metadata.get("settings") or [])
    return counted_scaling(samples, work) if work else None


def _motivation(experiment: Motivation, samples: pd.DataFrame, metadata: dict[str, Any]) -> dict[str, str]:
    environment = metadata.get("environment") or {}
    samples = with_flops(samples, environment)
    name, more = experiment.file, dict(metadata.get("details") or {})
    for key in ("zeros", "means"):
        more.pop(key, None)
    if experiment.name == "language_tokens_vs_latency":
        stops = more.get("use_eos_token", _sweep(metadata).get("stop_at_eos", False))
        more["use_eos_token"] = bool(stops)
        name = name.replace(".json", "_with_eos.json" if stops else "_no_eos.json")
    elif experiment.name == "component_profiling":
        shape = run_shape(environment)
        if shape:
            parameters = count_parameters(shape)
            more["parameters"] = published_parameters(parameters, shape)
            more["parameters_by_component"] = {each.component: each.total for each in parameters}
            more["active_parameters"] = {each.component: each.active for each in parameters}
        columns = {field: column for field, column in LATENCIES.items() if column != Stage.LLM_DECODE.column}
        means = {field: samples[column].mean() for field, column in columns.items()}
        more["average_latencies"] = {field: plain(value) for field, value in means.items()}
    elif experiment.name == "flops_vs_latency":
        found = correlations(samples).set_index("metric")
        more["correlation"] = {metric: plain(value) for metric, value in found["r"].items()}
        more["r_squared"] = {metric: plain(value) for metric, value in found["r_squared"].items()}
    return {name: motivation_json(experiment, samples, metadata, more=more)}


def _sweep(metadata: dict[str, Any]) -> dict[str, Any]:
    return (metadata.get("spec") or {}).get("sweep") or {}


def published_parameters(parameters: list[Parameters], shape: MolmoConfig) -> dict[str, int]:
    """Parameters by component as the published scripts name them."""
    total = {each.component: each.total for each in parameters}
    vision, projector = total["Vision encoder"], total["Projector"]
    everything, active = sum(total.values()), sum(each.active for each in parameters)
    return {
        "params_vision_encoder": vision,
        "params_projector": projector,
        "params_llm": everything - vision - projector,
        "params_llm_active": active - vision - projector,
        "params_total": everything,
        "params_active": active,
        "moe_num_experts": shape.num_experts,
        "moe_top_k": shape.top_k,
    }
