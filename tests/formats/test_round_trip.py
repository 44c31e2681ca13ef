"""What is accepted is stored, shown, exported, and imported again equal: over generated and mutated files."""

import json

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE
from profcore.export.archive import load_run, run_result_files
from profcore.formats.imports import read_import, write_import
from profcore.storage.store import Store

latency = st.floats(0.01, 1e6)
count = st.integers(1, 3000)
STRANGE = st.sampled_from(
    [None, True, -3, 0, 7.9, 8.0, "8", "warm", "640x480", "1x2", "0×0", float("inf"), float("nan"), 10**19, 10**400,
     [], [1], [2, 3], {}, {"type": "sample"}, "\ud800", 2**31, 1e300, -0.5, ""]
)  # fmt: skip


def optional(strategy):
    return st.none() | strategy


STAGES = {
    "T_vision_encoder": optional(latency),
    "T_projector": optional(latency | st.just(0.0)),
    "T_vision_total": optional(latency),
    "T_LLM_prefill": optional(latency),
    "T_LLM_decode": optional(latency | st.just(0)),
    "T_total": latency,
    "num_crops": optional(st.integers(1, 13)),
    "num_vision_tokens": optional(count),
    "num_output_tokens": optional(count),
}
GRID = st.builds("{}{}{}".format, st.integers(1, 3), st.sampled_from("x×"), st.integers(1, 4))
MASKS = st.sets(st.integers(0, 15), min_size=1).map(
    lambda blocks: {
        "num_active_blocks": len(blocks),
        "num_total_blocks": 16,
        "active_block_indices": sorted(blocks),
    }
)
KNOBS = {
    "context_scaling": GRID.map(lambda grid: {"grid": grid}),
    "moe_topk": st.integers(1, 64).map(lambda top_k: {"top_k": top_k}),
    "transformer_blocks_mask": MASKS | st.integers(1, 16).map(lambda number: {"num_active_blocks": number}),
    "output_tokens": count.map(lambda tokens: {"max_new_tokens": tokens}),
}
BLOCK = st.fixed_dictionaries({"P50": latency}, optional={"P95": latency, "mean": latency, "std": latency})
ENVIRONMENT = st.fixed_dictionaries(
    {},
    optional={
        "device_name": st.text(max_size=5),
        "type": st.just("sample"),
        "model": st.sampled_from(["tiny", "molmoe-1b", "other"]),
        "dtype": st.just("bfloat16"),
    },
)
CEILINGS = {
    "device_name": "a GPU",
    "dtype": "bfloat16",
    "read_gb_s": 3000.0,
    "copy_gb_s": 2900.0,
    "matmul_tflop_s": 700.0,
    "torch": "2",
    "measured_at": "2026-01-01T00:00:00+00:00",
}
METADATA = st.fixed_dictionaries({}, optional={"environment": ENVIRONMENT, "ceilings": st.just(CEILINGS)})


@st.composite
def profiling(draw):
    experiment = draw(st.sampled_from(list(CATALOGUE.values())))
    fields = st.fixed_dictionaries({**STAGES, "num_input_text_tokens": optional(count), "round": optional(count)})
    rows = draw(st.lists(st.builds(lambda a, b: {**a, **b}, fields, KNOBS[experiment.name]), min_size=1, max_size=5))
    for number, row in enumerate(rows):
        row["sample_id"] = number
    return {"summary": [], "all_samples": rows, "metadata": draw(METADATA)}


@st.composite
def bare_list(draw):
    experiment = draw(st.sampled_from(list(CATALOGUE.values())))
    entries = draw(st.lists(KNOBS[experiment.name], min_size=1, max_size=4, unique_by=repr))
    for entry in entries:
        if experiment.blocks is None:
            entry.update(draw(BLOCK))
        else:
            entry.update({name: draw(BLOCK) for name in experiment.blocks})
    return entries


@st.composite
def motivation(draw):
    fields = st.fixed_dictionaries(
        STAGES,
        optional={
            "image_id": st.integers(0, 99) | st.text(max_size=4),
            "query_id": st.integers(0, 99),
            "image_size": st.tuples(count, count).map(list),
            "grid": GRID,
            "max_new_tokens": count,
            "num_language_tokens": count,
            "T_data_processing": latency,
            "flops_total": st.floats(1, 1e15),
        },
    )
    document = {"results": draw(st.lists(fields, min_size=1, max_size=5)), "metadata": draw(METADATA)}
    named = st.sampled_from(
        [{}, {"use_eos_token": True}, {"parameters": {"params_llm": 7, "params_projector": 2}}, {"correlation": {}}]
    )
    return document | draw(named)


SCALING = st.dictionaries(
    st.integers(1, 64).map(str),
    st.fixed_dictionaries({"mean": latency, "median": latency}, optional={"std": latency, "max": latency}),
    min_size=1,
    max_size=4,
)
FILES = st.one_of(profiling(), bare_list(), motivation(), SCALING)


@st.composite
def mutated(draw):
    """A file with one value, somewhere in it, that is another."""
    document = json.loads(json.dumps(draw(FILES)))
    place = document
    while True:
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if not (isinstance(inner, dict | list) and inner) or draw(st.integers(0, 4)) == 0:
            place[key] = draw(STRANGE)
            return document
        place = inner


def frames(store, run_id):
    """Everything that is stored of a run, as plain values; but for its id and when it was imported."""
    run = store.run(run_id)
    samples = store.sample_table(run_id).drop_columns(["run_id"])
    kept = {name: run[name] for name in ("experiment", "state", "spec", "environment", "ceilings")}
    settings = json.loads(store.settings(run_id).to_json(orient="records"))
    # FLOPs are counted anew where the model's shape is known, whatever a file says of them.
    names = [name for name in samples.column_names if not (run["environment"] and name.startswith("flops_"))]
    return kept, settings, {name: samples[name].to_pylist() for name in names}


def bring(store, data):
    found = read_import(data, "file.json", store.spools)
    write_import(found, store.spools)
    store.take_in_all()
    assert not store.unread
    assert not store.bad_lines(found.run_id)
    return found.run_id


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("files") / "data.duckdb") as opened:
        yield opened


def check(store, document):
    """Whether a document is accepted; it must then read back as it was."""
    data = json.dumps(document).encode()
    try:
        run_id = bring(store, data)
    except UserError as error:
        assert "\n" not in str(error)
        assert not list(store.spools.glob("*"))
        return False
    again = run_id
    try:
        text = next(iter(run_result_files(store, load_run(store, run_id)).values()))
        again = bring(store, text.encode())
        for ours, theirs in zip(frames(store, run_id), frames(store, again), strict=True):
            assert ours == theirs
        summaries = [store.summaries(each).to_dict("list") for each in (run_id, again)]
        assert repr(summaries[0]) == repr(summaries[1])
        assert load_run(store, again) is not None
    finally:
        store.remove(run_id)
        store.remove(again)
    return True


quick = settings(
    phases=(Phase.explicit, Phase.generate),
    max_examples=15,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.long
@quick
@given(FILES)
def test_what_is_well_formed_is_accepted_and_reads_back_as_it_was(store, document):
    assert check(store, document)


@quick
@given(mutated())
def test_what_is_accepted_reads_back_as_it_was_whatever_was_changed_in_it(store, document):
    check(store, document)


@pytest.mark.long
@settings(quick, max_examples=100)
@given(FILES | mutated())
def test_many_files_read_back_as_they_were(store, document):
    check(store, document)
