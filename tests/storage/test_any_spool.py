"""Whatever a spool holds: it is read or remembered, what is kept is whole, and nothing is there twice."""

import json
from copy import deepcopy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profcore.results.sweep import load_result
from profcore.spec.begun import begun_of
from profcore.spec.records import WORK_COLUMNS, Ceilings
from profcore.spec.runs import RunSpec, Target
from profcore.storage.lines import read_lines
from profcore.storage.spool import run_record
from profcore.storage.store import Store
from tests.storage.test_store import a_sample
from tests.support import small_sweep

SPEC = RunSpec.new(Target(), small_sweep())
CEILINGS = Ceilings("a GPU", "float32", 3000.0, 2800.0, 800.0, "2.11", "2026-01-01T00:00:00+00:00")
RECORDS = [
    {"type": "environment", "device_name": "a GPU", "model": "tiny", "engine": "eager", "dtype": "float32"},
    {"type": "ceilings", **CEILINGS.to_dict()},
    {"type": "state", "state": "running", "at": "2026-01-01T00:00:00+00:00", "reason": None},
    *({"type": "sample", **a_sample(number, number % 2).to_dict()} for number in range(4)),
    {"type": "routing", "setting": 0, "prefill_experts": [3, 4]},
    {"type": "work", "setting": 0, **dict.fromkeys(WORK_COLUMNS, 1e9)},
    {"type": "quality", "setting": 1, "kl": 0.5, "accuracy": None, "queries": 2},
    {"type": "setting_failed", "setting": 1, "reason": "Out of GPU memory"},
    {"type": "state", "state": "done", "at": "2026-01-01T00:01:00+00:00", "reason": None},
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["\ud800", "done", "sample", "0001-01-01T00:00:00+09:00", [1.5], [None], {"a": 1}]),
)


@st.composite
def spools(draw):
    """The lines of a spool, some of them changed, left out, doubled or cut off."""
    lines = []
    for record in deepcopy(RECORDS):
        what = draw(st.sampled_from(["keep"] * 6 + ["change", "drop", "double", "cut"]))
        if what == "change":
            record[draw(st.sampled_from([*record, "values", "telemetry"]))] = draw(VALUES)
        line = json.dumps(record)
        lines += {"drop": [], "double": [line, line], "cut": [line[: len(line) // 2]]}.get(what, [line])
    return lines


def check(store, lines):
    path = store.spools / f"{SPEC.id}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([json.dumps(run_record(SPEC)), *lines]) + "\n")
    try:
        store.take_in_all()
        assert not store.unread
        samples = store.samples(SPEC.id)
        assert samples["sample_id"].is_unique
        assert store.bad_lines(SPEC.id) <= len(lines)
        # What goes on with a run counts what is stored, and nothing else.
        begun = begun_of(read_lines(path).records, len(SPEC.sweep.settings))
        kept = samples.dropna(subset="round")
        assert {
            (setting, visit) for setting, visits in begun.taken.items() for visit in visits if visit is not None
        } == {*zip(kept["setting"], kept["round"], strict=True)}
        assert begun.next_sample > max((number for number in samples["sample_id"] if number < 10**9), default=-1)
        result = load_result(store, SPEC.id)
        assert len(result.samples) == len(samples) == store.run(SPEC.id)["num_samples"]
        assert store.take_in_all() == 0
    finally:
        store.remove(SPEC.id)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("spools") / "data.duckdb") as opened:
        yield opened


quiet = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.mark.long
@settings(quiet, max_examples=15)
@given(spools())
def test_any_lines_are_kept_or_left_out(store, lines):
    check(store, lines)


@pytest.mark.long
@settings(quiet, max_examples=1500)
@given(spools())
def test_any_lines_at_length(store, lines):
    check(store, lines)
