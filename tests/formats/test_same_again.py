"""Accepted is stored, stored is shown, shown is exported, and what is exported is imported again as it was."""

import json
import math
from copy import deepcopy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profcore.errors import FormatError, UserError
from profcore.export.archive import load_run, run_result_files
from profcore.export.run_figures import run_figures
from profcore.formats.imports import read_import, write_import
from profcore.spec.records import ENERGY_COLUMNS, STAGE_PEAKS, WORK_COLUMNS, Ceilings, Energy, StageWork
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import MODEL_STAGES, State
from profcore.storage.spool import SpoolWriter, spool_path
from profcore.storage.store import Store
from tests.storage.test_store import a_sample
from tests.support import small_sweep

OF_CARD = {
    "memory_clock_mhz": 2619.0,
    "memory_used_bytes": 2**35,
    "other_processes": 1,
    "others_utilisation_percent": 12.0,
    "host_probe_us": 61.25,
}
CEILINGS = Ceilings("a GPU", "bfloat16", 3000.0, 2800.0, 800.0, "2.11", "2026-01-01T00:00:00+00:00")
MASKS = ("1100000000000000", "0110000000000000", 2 + 1)


def import_file(store, data, name="file.json"):
    found = read_import(data, name, store.spools)
    write_import(found, store.spools)
    store.take_in_all()
    return found.run_id


def write_run(store, name, values):
    """A run with everything that a run may have, as its worker would write it."""
    spec = RunSpec.new(Target(), small_sweep(name, values, num_samples=8))
    with SpoolWriter(spool_path(store.spools, spec.id)) as writer:
        writer.run(spec)
        writer.write({"type": "environment", "device_name": "a GPU", "model": "tiny", "dtype": "bfloat16", "type_": 1})
        writer.ceilings(CEILINGS)
        for number in range(8 * len(values)):
            setting = number % len(values)
            sample = {**a_sample(number, setting, 100 + number / 7).__dict__, "issue_ms": (1.0, 0.1, 2.0, 3.0)}
            sample |= {"step_issue_ms": 0.5, "telemetry": {"sm_clock_mhz": 1980.0, "throttle_reasons": 4} | OF_CARD}
            sample |= dict.fromkeys(STAGE_PEAKS, 2**34 + number)
            # A sweep's one picture is read for its first sample alone.
            sample |= {"host_preprocessing_ms": 2.5, "picture_reading_ms": None if number else 9.125}
            writer.sample(type(a_sample(0))(**sample))
        writer.routing(0, (3, 4))
        writer.quality(0, 0.25, None, 3)
        writer.energy(
            0, Energy("counter", 0.1, {"llm_prefill": 1.5, "total": 9.25}, {"llm_prefill": 0.1, "total": 0.2})
        )
        writer.work(0, [StageWork(stage, 1e12 + place, 2e9 + place) for place, stage in enumerate(MODEL_STAGES)])
        writer.energy_failed(len(values) - 1, "Out of GPU memory.")
        writer.setting_failed(len(values) - 1, "Out of GPU memory")
        writer.state(State.DONE)
    store.take_in_all()
    return spec.id


def exported(store, run_id):
    result = load_run(store, run_id)
    (text, *_) = run_result_files(store, result).values()
    return result, text


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as opened:
        yield opened


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("context_scaling", (1, 2)),
        ("moe_topk", (1, 8)),
        ("transformer_blocks_mask", MASKS),
        ("output_tokens", (1, 3)),
    ],
)
def test_a_run_that_is_exported_and_imported_says_the_same(store, name, values):
    before, text = exported(store, write_run(store, name, values))
    after, again = exported(store, import_file(store, text.encode()))
    columns = ["setting", "grid_rows", "top_k", "active_blocks", "block_mask", "output_tokens", "kl", "failed", "title"]
    columns += [*ENERGY_COLUMNS.values(), "energy_failed", *WORK_COLUMNS]
    assert before.settings["llm_decode_bytes"].tolist()[0] == 2e9 + 3
    assert before.settings["total_j"].tolist()[0] == 9.25
    assert before.samples["other_processes"].eq(1).all()
    assert before.samples["picture_reading_ms"].dropna().tolist() == [9.125]
    assert before.settings[columns].equals(after.settings[columns])
    assert [list(each) for each in before.settings["prefill_experts"].dropna()] == [[3, 4]]
    assert [list(each) for each in after.settings["prefill_experts"].dropna()] == [[3, 4]]
    shared = [column for column in before.samples if column not in ("sample_id", "run_id")]
    order = ["setting", "sample_id"]
    first, second = (
        frame.sort_values(order)[shared].reset_index(drop=True) for frame in (before.samples, after.samples)
    )
    assert first.equals(second)
    assert before.summary.equals(after.summary)
    assert before.summary["floor_ms"].notna().any()
    assert (before.run["environment"], before.ceilings) == (after.run["environment"], after.ceilings)
    assert before.run["spec"] == after.run["spec"]
    documents = [json.loads(each) for each in (text, again)]
    assert documents[0]["summary"] == documents[1]["summary"]
    # Samples are numbered in the file's own order, which the first export had not.
    for rows in (document["all_samples"] for document in documents):
        for row in rows:
            row.pop("sample_id")
    assert documents[0]["all_samples"] == documents[1]["all_samples"]
    assert documents[0]["metadata"]["unsupported_percentiles"]["P99"]["samples"] == [8] * len(values)


def test_an_environment_may_have_a_key_called_type(store):
    row = {"sample_id": 0, "top_k": 1, "T_total": 3.0}
    environment = {"type": "sample", "device_name": "a GPU", "values": {"a": 1}}
    document = {"summary": [], "all_samples": [row], "metadata": {"environment": environment}}
    run_id = import_file(store, json.dumps(document).encode())
    assert store.run(run_id)["environment"] == environment


ROW = {"sample_id": 0, "top_k": 8, "T_LLM_prefill": 1.0, "T_total": 3.0, "num_output_tokens": 2}
PICTURE = {"image_id": 7, "query_id": 9, "T_total": 3.0, "image_size": [640, 480], "grid": "1×2", "num_crops": 3}


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (ROW, {"top_k": -3}),
        (ROW, {"top_k": 0}),
        (ROW, {"top_k": 7.9}),
        (ROW, {"top_k": True}),
        (ROW, {"top_k": 2**31}),
        (ROW, {"top_k": "many"}),
        (ROW, {"round": "first"}),
        (ROW, {"elapsed_s": "1"}),
        (ROW, {"elapsed_s": math.inf}),
        (ROW, {"num_crops": 2.7}),
        (ROW, {"num_output_tokens": -1}),
        (ROW, {"num_output_tokens": 2**40}),
        (ROW, {"num_vision_tokens": math.inf}),
        (ROW, {"T_total": 10**400}),
        (ROW, {"T_total": "3"}),
        (ROW, {"decode_steps_ms": "1 2"}),
        (ROW, {"decode_steps_ms": [1.0, None]}),
        (ROW, {"active_block_indices": [9], "num_total_blocks": 2}),
        (ROW, {"active_block_indices": [0, 1], "num_total_blocks": 2, "num_active_blocks": 1}),
        (ROW, {"grid": "0×0"}),
        (ROW, {"grid": "1×9999999"}),
        (PICTURE, {"image_size": "640x480"}),
        (PICTURE, {"image_size": [640]}),
        (PICTURE, {"image_size": [640, 480, 3]}),
        (PICTURE, {"image_size": [640, -480]}),
        (PICTURE, {"num_crops": 2.7}),
        (PICTURE, {"grid": 12}),
        (PICTURE, {"image_id": [1]}),
        (PICTURE, {"max_new_tokens": 0}),
        (PICTURE, {"T_vision": -1}),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_row(store, row, change):
    rows = [row, row, {**row, **change}]
    document = {"results": rows} if row is PICTURE else {"summary": [], "all_samples": rows}
    text = json.dumps(document).replace("Infinity", "1e999")
    with pytest.raises(FormatError, match=r"rows? 3"):
        import_file(store, text.encode())
    assert not list(store.spools.glob("*"))


@pytest.mark.parametrize(
    "text", ['{"summary": ' + "[" * 200_000, '{"results": [{"T_total": ' + "[" * 150 + "]" * 150 + "}]}"]
)
def test_a_bottomless_file_is_refused(store, text):
    with pytest.raises(FormatError, match="nested too deeply"):
        import_file(store, text.encode())


def test_spellings_of_one_setting_are_one_setting(store):
    rows = [{**ROW, "top_k": value, "sample_id": number} for number, value in enumerate((8, "8", 8.0))]
    run_id = import_file(store, json.dumps({"summary": [], "all_samples": rows}).encode())
    assert store.settings(run_id)["top_k"].tolist() == [8]
    rows = [{"T_LLM_prefill": 1.0, "T_total": 2.0, "grid": grid} for grid in ("1x2", "1×2")]
    run_id = import_file(store, json.dumps({"summary": [], "all_samples": rows}).encode())
    assert store.settings(run_id)["grid_columns"].tolist() == [2]


def test_half_a_character_is_replaced(store):
    rows = [{**PICTURE, "image_id": "a\ud800b"}]
    run_id = import_file(store, json.dumps({"results": rows}).encode())
    assert store.settings(run_id)["image_id"].tolist() == ["a�b"]


def test_cases_that_were_lost(store, shared):
    folder = shared / "cases" / "result-files"
    for path in sorted(folder.glob("*.json")):
        if path.name == "environment-with-a-type.json":
            run_id = import_file(store, path.read_bytes(), path.name)
            assert store.run(run_id)["environment"]["type"]
        else:
            with pytest.raises(FormatError, match="row"):
                import_file(store, path.read_bytes(), path.name)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["1×2", "1x2", "0×0", "8", "101", "NaN", "\ud800"]),
    st.lists(st.integers(-1, 3), max_size=3),
    st.dictionaries(st.sampled_from(["type", "P50", "sweep", "engine"]), st.integers(), max_size=2),
)
ENTRY = {"top_k": 8, "prefill": {"P50": 1.0, "mean": 1.0}, "decode": {"P50": 2.0}}
DOCUMENTS = (
    {"summary": [ENTRY], "all_samples": [ROW, {**ROW, "top_k": 1}], "metadata": {"environment": {"engine": "eager"}}},
    {"summary": [ENTRY, {**ENTRY, "top_k": 1}]},
    {"results": [PICTURE, {**PICTURE, "image_id": 8}], "parameters": {"llm": 7}, "metadata": {"ceilings": {}}},
    {"1": {"mean": 3.0, "median": 2.0}, "8": {"mean": 4.0, "median": 4.0}},
    [ROW, ROW],
)


def places(document, at=()):
    """Every place in a document, as the keys that lead there."""
    found = [at] if at else []
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        found += places(value, (*at, key))
    return found


@st.composite
def mutated(draw):
    """A result file with some of its values replaced, added or taken out."""
    document = deepcopy(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places(document)))
        holder = document
        for key in way:
            holder = holder[key]
        if isinstance(holder, dict) and draw(st.booleans()):
            field = draw(
                st.sampled_from(["grid", "round", "image_size", "block_mask", "num_crops", "T_vision", "setting"])
            )
            holder[field] = draw(VALUES)
        else:
            holder[last] = draw(VALUES)
        if not places(document):
            break
    return document


@pytest.mark.long
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(document=mutated())
def test_what_is_accepted_is_stored_shown_exported_and_read_again(tmp_path_factory, document):
    check_accepted(tmp_path_factory, document)


@pytest.mark.long
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(document=mutated())
def test_what_is_accepted_is_stored_at_length(tmp_path_factory, document):
    check_accepted(tmp_path_factory, document)


_STORES = {}


def check_accepted(tmp_path_factory, document):
    store = _STORES.get("store")
    if store is None:
        store = _STORES["store"] = Store(tmp_path_factory.mktemp("round-trip") / "data.duckdb")
    data = json.dumps(document).encode()
    try:
        found = read_import(data, "file.json", store.spools)
    except UserError:
        return
    write_import(found, store.spools)
    store.take_in_all()
    assert not store.unread
    try:
        result = load_run(store, found.run_id)
        assert result
        rows = document if isinstance(document, list) else document.get("all_samples") or document.get("results") or []
        assert len(result.samples) in (len(rows), 0)
        run_figures(result)
        for text in run_result_files(store, result).values() if len(result.samples) else ():
            again = read_import(text.encode(), "again.json", store.spools)
            assert again.run_id
    finally:
        store.remove(found.run_id)
