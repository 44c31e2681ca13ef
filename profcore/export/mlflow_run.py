"""A run as MLflow keeps one: conditions as parameters, medians as metrics, result files, samples and figures as files.

A metric is a latency's figure; its step is the setting's number, whose title is a parameter.
"""

from __future__ import annotations

import importlib.util
import io
import os
import tempfile
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from profcore import stats
from profcore.comparisons.conditions import KNOBS, result_conditions
from profcore.errors import UserError
from profcore.export.archive import figure_files, zip_runs
from profcore.results.base import most_looks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profcore.export.archive import AnyResult
    from profcore.storage.read import Reader

RUN_TAG = "profcore.run"
"""The tag by which MLflow's run names this project's."""

FIGURES = ("median", "low", "high", "p95", "p99", "n")
_MOST_AT_ONCE = 900
_MOST_PARAMETERS = 90
_LONGEST_VALUE = 5000
_LONGEST_SAID = 300
# A server that does not answer is to be said soon, and nobody is told that a run was exported.
_ENVIRONMENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_DISABLE_TELEMETRY": "true"}


def check_mlflow(tracking_uri: str | None) -> str:
    """Where MLflow keeps runs, which is asked before any is read.

    Args:
        tracking_uri: As `export_to_mlflow`.

    Raises:
        UserError: It is not said, or MLflow is not installed.
    """
    where = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not where:
        raise UserError("Say where MLflow keeps runs: --tracking-uri http://HOST:PORT, or sqlite:///mlflow.db.")
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if importlib.util.find_spec("mlflow") is None:
        raise UserError("MLflow is not installed here: `pip install 'profcore[mlflow]'`.")
    return where


def export_to_mlflow(store: Reader, result: AnyResult, tracking_uri: str | None, experiment: str | None) -> str:
    """Write a run into an MLflow server's or database's experiment; returns the id that it has there.

    Args:
        store: Where the run is.
        result: The run.
        tracking_uri: Where MLflow keeps runs; `$MLFLOW_TRACKING_URI` unless given.
        experiment: MLflow's name for what runs belong to; 'profcore/' and the run's experiment unless given.

    Raises:
        UserError: MLflow is not installed, does not answer or refuses, or has the run already.
    """
    run_id = result.run["id"]
    if not result.state.ended:
        raise UserError(f"{run_id} has not ended: export it when it has.")
    where = check_mlflow(tracking_uri)
    from mlflow.tracking import MlflowClient

    # Drawn before anything is written there: a figure that fails leaves no half run.
    files = zip_runs([result], store, figure_files)
    with _said(where):
        client = MlflowClient(tracking_uri=where)
        name = experiment or f"profcore/{result.run['experiment']}"
        found = client.get_experiment_by_name(name)
        place = found.experiment_id if found else client.create_experiment(name)
        if there := client.search_runs([place], f"tags.`{RUN_TAG}` = '{run_id}'", max_results=1):
            raise UserError(
                f"{run_id} is in MLflow's experiment {name!r} already, as {there[0].info.run_id}: delete it there, or "
                "name another with --mlflow-experiment."
            )
        return _write(client, place, result, files)


def _write(client: Any, place: str, result: AnyResult, files: bytes) -> str:
    """Write a run into an experiment of MLflow; one that could not be written whole is marked failed there."""
    run = client.create_run(
        place,
        start_time=_milliseconds(result.run["started_at"] or result.run["created_at"]),
        run_name=result.run["name"] or result.run["id"],
        tags=_tags(result),
    ).info.run_id
    try:
        _log(client, run, result, files)
    except BaseException:
        client.set_terminated(run, status="FAILED")
        raise
    client.set_terminated(run, end_time=_milliseconds(result.run["ended_at"]))
    return run


def _log(client: Any, run: str, result: AnyResult, files: bytes) -> None:
    from mlflow.entities import Metric, Param

    parameters = [Param(name, value[:_LONGEST_VALUE]) for name, value in parameters_of(result).items()]
    for start in range(0, len(parameters), _MOST_PARAMETERS):
        client.log_batch(run, params=parameters[start : start + _MOST_PARAMETERS])
    moment = _milliseconds(result.run["ended_at"] or result.run["created_at"]) or 0
    metrics = [Metric(name, value, moment, step) for name, value, step in metrics_of(result)]
    for start in range(0, len(metrics), _MOST_AT_ONCE):
        client.log_batch(run, metrics=metrics[start : start + _MOST_AT_ONCE])
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(files)) as archive:
        archive.extractall(folder)
        client.log_artifacts(run, folder)


def parameters_of(result: AnyResult) -> dict[str, str]:
    """A run's conditions, what its knobs are held at, and what each setting is called."""
    conditions = result_conditions(result)
    found = {"experiment": result.run["experiment"], "profcore run": result.run["id"], **conditions.facts}
    found |= {called: str(value) for knob, called in KNOBS.items() if (value := conditions.held(knob))}
    rows = result.settings[["setting", "title"]].itertuples(index=False, name=None)
    # An empty value is none for some of MLflow's stores.
    return {name: text for name, text in (found | {f"setting {n}": str(title) for n, title in rows}).items() if text}


def metrics_of(result: AnyResult) -> list[tuple[str, float, int]]:
    """Each latency's figures by name, with the number of the setting that they are of; those not known are left out."""
    if result.samples.empty:
        return []
    summary = stats.summarise(result.samples, stats.interval_for(most_looks(result.run["spec"])))
    return [
        (f"{row['metric']}/{figure}", float(row[figure]), int(row["setting"]))
        for row in summary.to_dict("records")
        for figure in FIGURES
        if row[figure] == row[figure]
    ]


def _tags(result: AnyResult) -> dict[str, str]:
    """What a run is told by in MLflow's lists."""
    run = result.run
    cautions = "\n".join(each.text for each in result.cautions)[:_LONGEST_VALUE]
    found = {"state": str(run["state"]), "source": run["source"], "tags": run["tags"], "cautions": cautions}
    named = {f"profcore.{name}": text for name, text in found.items() if text}
    return {RUN_TAG: run["id"], **named, **({"mlflow.note.content": run["note"]} if run["note"] else {})}


def _milliseconds(moment: Any) -> int | None:
    """A time in UTC as MLflow counts it; None where it is not known."""
    import pandas as pd

    return None if pd.isna(moment) else int(pd.Timestamp(moment, tz="UTC").timestamp() * 1000)


@contextmanager
def _said(where: str) -> Iterator[None]:
    """Let what MLflow, or who keeps its runs, refuses be one sentence."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # MLflow's own errors, those of its database and of the network are of many kinds.
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:_LONGEST_SAID].rstrip(".")
        raise UserError(f"MLflow at {_without_password(where)} does not take the run: {said}.") from None


def _without_password(where: str) -> str:
    """An address without who logs in there."""
    scheme, mark, rest = where.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"[:_LONGEST_SAID]
