"""A spool read without a database: as frames of samples, or as the store would answer for its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from profcore.spec.environments import place_of, places_of
from profcore.spec.records import ENERGY_COLUMNS, TELEMETRY, WORK_COLUMNS, Sample, of_sample
from profcore.spec.runs import RunSpec, sweep_settings
from profcore.spec.stages import State
from profcore.storage.lines import read_from
from profcore.storage.validation import environment_of, moment

if TYPE_CHECKING:
    from pathlib import Path

    from profcore.storage.lines import Record


def spool_samples(path: Path) -> pd.DataFrame:
    """A run's samples with their settings' knobs, in the order measured.

    Raises:
        FormatError: The file is no spool.
    """
    records = read_from(path).records
    settings = sweep_settings(RunSpec.from_dict(records[0]).sweep)
    places, rows = places_of(_last(records, "environment")), []
    for record in records:
        if record["type"] == "sample":
            telemetry = record.get("telemetry") or {}
            rows.append(
                {
                    **{
                        field: of_sample(record, field) for field in Sample.__dataclass_fields__ if field != "telemetry"
                    },
                    **{field: telemetry.get(field) for field in TELEMETRY},
                    **({"environment_number": place_of(places, record["sample_id"])} if len(places) > 1 else {}),
                    **settings[record["setting"]],
                }
            )
    return pd.DataFrame(rows)


def spool_environment(path: Path) -> dict[str, Any]:
    """What a spool's samples were measured on; empty where it does not say."""
    return _last(read_from(path).records, "environment")


def spool_routing(path: Path) -> dict[int, list[int]]:
    """For each top-k the distinct experts that its prompt used in each block, as far as a spool says it."""
    records = read_from(path).records
    settings = RunSpec.from_dict(records[0]).sweep.settings
    return {
        settings[record["setting"]].top_k: record["prefill_experts"]
        for record in records
        if record["type"] == "routing"
    }


class SpoolReader:
    """Answers for the one run of a spool what `storage.read.Reader` answers for every run of a database.

    For a machine that measures and has no database; what takes a database to work out is left empty.
    """

    def __init__(self, path: Path) -> None:
        """Read the spool.

        Raises:
            FormatError: The file is no spool.
        """
        self._records = read_from(path).records
        self._spec = RunSpec.from_dict(self._records[0])
        self._samples = spool_samples(path)

    def run(self, run_id: str) -> dict[str, Any] | None:
        """As `Reader.run`."""
        if run_id != self._spec.id:
            return None
        state, environment = _last(self._records, "state"), _last(self._records, "environment")
        environments = [{"number": place, **each} for place, each in enumerate(places_of(environment))]
        return {
            "id": self._spec.id,
            "experiment": self._spec.sweep.experiment,
            "source": "measured",
            "name": None,
            "state": state.get("state", str(State.QUEUED)),
            "reason": state.get("reason"),
            "created_at": moment(self._spec.created_at),
            "spec": self._spec.to_dict(),
            "environment": environment,
            "ceilings": _last(self._records, "ceilings"),
            "details": {},
            "environments": environments if len(environments) > 1 else [],
            "parts": [],
            "num_samples": len(self._samples),
        }

    def settings(self, run_id: str) -> pd.DataFrame:
        """As `Reader.settings`."""
        del run_id
        rows = [{"setting": index, **row} for index, row in enumerate(sweep_settings(self._spec.sweep))]
        for record in self._records:
            for field, column in _OF_SETTINGS.get(record["type"], {}).items():
                rows[record["setting"]][column] = record.get(field)
        columns = [column for fields in _OF_SETTINGS.values() for column in fields.values()]
        frame = pd.DataFrame(rows)
        return frame.reindex(columns=[*frame.columns, *(column for column in columns if column not in frame)])

    def samples(self, run_id: str) -> pd.DataFrame:
        """As `Reader.samples`."""
        del run_id
        return self._samples

    def measured(self, run_id: str) -> pd.DataFrame:
        """As `Reader.measured`."""
        del run_id
        knobs = [name for row in sweep_settings(self._spec.sweep)[:1] for name in row]
        return self._samples.drop(columns=["decode_steps_ms", "issue_ms", *knobs], errors="ignore")

    def steps(self, run_id: str) -> pd.DataFrame:
        """As `Reader.steps`."""
        del run_id
        return self._samples[["sample_id", "decode_steps_ms"]]

    def issue(self, run_id: str) -> pd.DataFrame:
        """Empty: see the class."""
        del run_id
        return pd.DataFrame(columns=["setting", "metric", "issue_ms"])

    def summaries(self, run_id: str) -> pd.DataFrame:
        """Empty: a spool that was measured has samples."""
        del run_id
        return pd.DataFrame(columns=["setting", "metric"])

    def ceilings(self, device_name: str | None, dtype: str | None) -> dict[str, Any]:
        """Empty: no other run is known here."""
        del device_name, dtype
        return {}

    def bad_lines(self, run_id: str) -> int:
        """0: a spool with a bad line is refused here."""
        del run_id
        return 0


_OF_SETTINGS = {
    "routing": {"prefill_experts": "prefill_experts"},
    "quality": {"kl": "kl", "accuracy": "accuracy", "queries": "quality_queries", "scores": "quality_scores"},
    "quality_failed": {"reason": "quality_failed"},
    "energy": ENERGY_COLUMNS,
    "energy_failed": {"reason": "energy_failed"},
    "work": {column: column for column in WORK_COLUMNS},
    "setting_failed": {"reason": "failed"},
    "setting_ended": {"by": "stopped_by"},
    "answer": {"text": "answer"},
}
"""The records that say something of a setting: their fields and the setting's columns."""


def _last(records: list[Record], kind: str) -> dict[str, Any]:
    """What the last record of a kind says; empty where there is none."""
    found = [record for record in records if record["type"] == kind]
    return environment_of(found[-1]) if found else {}
