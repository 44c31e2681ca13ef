import io
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from profcore import formats
from profcore.errors import FormatError, UserError
from profcore.experiments.knobs import CATALOGUE
from profcore.formats.fields import LATENCIES
from profcore.formats.imports import read_import, write_import
from profcore.formats.profiling import _COUNTS
from profcore.results.sweep import load_result
from profcore.spec.records import Sample
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage import spool
from profcore.storage.frames import spool_samples
from profcore.storage.store import Store
from tests.support import small_sweep

VALUES = {
    "context_scaling": (1, 2),
    "moe_topk": (1, 8),
    "transformer_blocks_mask": (1, 16),
    "output_tokens": (1, 5),
}
FIELDS = {"T_vision_encoder", "T_projector", "T_vision_total", "T_LLM_prefill", "T_LLM_decode", "T_total"}
FIELDS |= {"sample_id", "num_vision_tokens", "num_input_text_tokens", "num_output_tokens"}


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as opened:
        yield opened


def write_run(directory, name):
    """A run with made-up samples, as its worker would write it."""
    spec = RunSpec.new(Target(), small_sweep(name, VALUES[name], num_samples=3))
    draw = np.random.default_rng(3)
    path = spool.spool_path(directory, spec.id)
    with spool.SpoolWriter(path) as writer:
        writer.run(spec)
        for number in range(6):
            setting = spec.sweep.settings[number % 2]
            steps = tuple(draw.uniform(20, 30, setting.output_tokens - 1).round(6))
            stages = (*draw.uniform(1, 50, 3), sum(steps), 0.5)
            crops = setting.grid[1] + 1
            tokens = (8 * setting.grid[1] + 4) * 12 + 144
            writer.sample(
                Sample(
                    number,
                    number % 2,
                    number // 2,
                    float(number),
                    *stages,
                    sum(stages),
                    steps,
                    crops,
                    tokens,
                    tokens + 60,
                    setting.output_tokens,
                )
            )
        writer.state(State.DONE)
    return spec, path


@pytest.mark.parametrize("name", CATALOGUE)
def test_written_and_read_back_is_equal(store, name):
    spec, path = write_run(store.spools, name)
    store.take_in(path)
    ours = store.sample_table(spec.id).to_pandas()
    text = formats.profiling_json(CATALOGUE[name], ours, {"environment": {"device_name": "a GPU"}})
    write_import(imported := read_import(text.encode(), "results.json", store.spools), store.spools)
    store.take_in_all()
    theirs = store.sample_table(imported.run_id).to_pandas()
    key = ["grid_rows", "grid_columns"] if name == "context_scaling" else [CATALOGUE[name].knob.value]
    columns = [*key, *LATENCIES.values(), *_COUNTS.values(), "other_ms", "round", "decode_steps_ms"]
    # Each sample keeps its number, and with it the order in which they were taken.
    assert ours["sample_id"].tolist() == theirs["sample_id"].tolist()
    for column in columns:
        assert [np.asarray(v).tolist() for v in ours[column]] == [np.asarray(v).tolist() for v in theirs[column]]
    assert store.run(imported.run_id)["environment"] == {"device_name": "a GPU"}


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_published_fields_are_there(tmp_path, name):
    _, path = write_run(tmp_path, name)
    document = json.loads(formats.profiling_json(CATALOGUE[name], spool_samples(path), {}))
    assert len(document["summary"]) == 2
    assert len(document["all_samples"]) == 6
    statistics = {"P50", "P95", "P99", "mean", "std", "min", "max"}
    for row in document["all_samples"]:
        assert row.keys() >= FIELDS | {CATALOGUE[name].field}
        assert row["T_vision_total"] == pytest.approx(row["T_vision_encoder"] + row["T_projector"])
    entry = document["summary"][1]
    if name == "context_scaling":
        assert entry.keys() >= statistics
        assert (entry["grid"], entry["resolution"], entry["num_crops"]) == ("1×2", "560x336", 3)
        assert entry["num_vision_tokens"] == 384
    else:
        blocks = {"output_tokens": ("decode", "total")}.get(name, ("prefill", "decode"))
        assert all(entry[block].keys() == statistics for block in blocks)
    rows = pd.DataFrame(document["all_samples"])
    chosen = rows[rows[CATALOGUE[name].field] == entry[CATALOGUE[name].field]]
    block = {"context_scaling": entry, "output_tokens": entry.get("total")}.get(name, entry.get("prefill"))
    field = "T_total" if name == "output_tokens" else "T_LLM_prefill"
    assert block["P50"] == pytest.approx(chosen[field].median())


@pytest.mark.parametrize(
    ("file", "experiment", "rows", "zeros"),
    [
        ("exp2_moe_topk_results.json", "moe_topk", 18, True),
        ("exp3_transformer_blocks_mask_results.json", "transformer_blocks_mask", 12, True),
    ],
)
def test_published_files_are_taken_in(store, shared, file, experiment, rows, zeros):
    data = (shared / "motivation" / file).read_bytes()
    document = json.loads(data)
    expected = sum(row["T_projector"] == 0 for row in document["all_samples"])
    imported = read_import(data, file, store.spools)
    assert (f"{expected} latencies of exactly 0" in imported.note) is zeros
    write_import(imported, store.spools)
    store.take_in_all()
    result = load_result(store, imported.run_id)
    assert result.experiment.name == experiment
    assert len(result.samples) == rows
    assert result.samples["projector_ms"].isna().sum() == expected
    again = read_import(data, "other-name.json", store.spools)
    assert (again.run_id, again.new) == (imported.run_id, False)


def test_the_older_form_is_the_summary_alone(store, shared):
    document = json.loads((shared / "motivation" / "exp2_moe_topk_results.json").read_text())
    imported = read_import(json.dumps(document["summary"]).encode(), "old.json", store.spools)
    write_import(imported, store.spools)
    store.take_in_all()
    result = load_result(store, imported.run_id)
    assert result.samples.empty
    decode = result.summary[result.summary["metric"] == "llm_decode_ms"]
    assert decode["median"].tolist() == [entry["decode"]["P50"] for entry in document["summary"]]
    assert decode["label"].tolist() == ["1", "2", "4", "8", "16", "32"]


ROW = {"sample_id": 0, "top_k": 1, "T_LLM_prefill": 1.0, "T_total": 3.0, "num_output_tokens": 2}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"no json", "not JSON"),
        (b"PK\x03\x04 a zip", "is a zip, which may hold several runs"),
        ({"a": 1}, "list called summary or results"),
        (3, "list called summary"),
        ({"results": []}, "holds no result"),
        ({"summary": [], "all_samples": []}, "holds no result"),
        ({"summary": [1]}, "lists of objects"),
        ({"summary": [], "all_samples": [{"T_total": 1}]}, "none of the fields"),
        ({"summary": [], "all_samples": [ROW, {**ROW, "T_total": -1}]}, "rows 2 of all_samples"),
        ({"summary": [], "all_samples": [ROW, ROW, {**ROW, "T_total": "x"}]}, "rows 3 of all_samples"),
        ({"summary": [], "all_samples": [ROW, {"top_k": 1}]}, "rows 2 of all_samples"),
        ({"summary": [], "all_samples": [ROW, {"T_total": 1}]}, "rows 2 lack the field top_k"),
        (b'{"summary": [], "all_samples": [{"top_k": 1, "T_total": NaN}]}', "rows 1 of all_samples"),
        ([{"top_k": 1, "prefill": {"mean": 1}}], "rows 1 of summary"),
        ([{"top_k": "many", "prefill": {}}], "rows 1 of summary: top_k 'many' is no whole number"),
    ],
)
def test_files_that_are_none_say_what_is_wrong_and_store_nothing(tmp_path, document, says):
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(FormatError, match=says):
        read_import(data, "file.json", tmp_path)
    assert list(tmp_path.iterdir()) == []


class TestSpoolsFromElsewhere:
    """Spools that come back from another machine."""

    def test_taken_in_whole_and_once(self, store, tmp_path):
        spec, path = write_run(tmp_path / "elsewhere", "moe_topk")
        imported = read_import(path.read_bytes(), path.name, store.spools)
        assert imported.new
        write_import(imported, store.spools)
        assert store.take_in_all() == 6
        assert not read_import(path.read_bytes(), path.name, store.spools).new
        assert len(store.samples(spec.id)) == 6

    def test_a_longer_one_of_the_same_run_brings_the_rest(self, store, tmp_path):
        spec, path = write_run(tmp_path / "elsewhere", "moe_topk")
        whole = path.read_bytes()
        early = b"".join(whole.splitlines(keepends=True)[:4])
        imported = read_import(early + b'{"type":"sam', path.name, store.spools)
        assert imported.note == "The run in it has not ended."
        write_import(imported, store.spools)
        assert store.take_in_all() == 3
        write_import(read_import(whole, path.name, store.spools), store.spools)
        assert store.take_in_all() == 3
        assert len(store.samples(spec.id)) == 6

    def test_one_that_differs_is_refused(self, store, tmp_path):
        _, path = write_run(tmp_path / "elsewhere", "moe_topk")
        write_import(read_import(path.read_bytes(), path.name, store.spools), store.spools)
        changed = path.read_bytes().replace(b'"round":2', b'"round":9')
        with pytest.raises(FormatError, match="differs from what is already here"):
            read_import(changed, path.name, store.spools)

    def test_ids_that_are_no_file_names_and_unknown_experiments_are_refused(self, store, tmp_path):
        spec, path = write_run(tmp_path / "elsewhere", "moe_topk")
        data = path.read_bytes()
        with pytest.raises(FormatError, match="no run id"):
            read_import(data.replace(spec.id.encode(), b"../../outside"), path.name, store.spools)
        with pytest.raises(UserError, match="no experiment 'cats'"):
            read_import(data.replace(b'"experiment":"moe_topk"', b'"experiment":"cats"'), path.name, store.spools)

    def test_broken_lines_are_left_out_and_counted(self, store, tmp_path):
        spec, path = write_run(tmp_path / "elsewhere", "moe_topk")
        lines = path.read_bytes().splitlines(keepends=True)
        sample = next(line for line in lines if b'"type":"sample"' in line)
        whole = b"".join([*lines[:2], b"oops\n", sample.replace(b'"setting":', b'"setting":7'), *lines[2:]])
        found = read_import(whole, path.name, store.spools)
        assert "2 lines of it are left out" in found.note
        write_import(found, store.spools)
        store.take_in_all()
        assert store.bad_lines(spec.id) == 2
        said = [caution.text for caution in load_result(store, spec.id).cautions]
        assert "2 lines of this run's spool could not be read and were left out." in said
        with pytest.raises(FormatError, match="not a spool this version reads"):
            read_import(whole.replace(b'"num_samples":3', b'"num_samples":0'), path.name, store.spools)


def test_csv_and_parquet_hold_every_sample(store):
    spec, path = write_run(store.spools, "output_tokens")
    store.take_in(path)
    table = store.sample_table(spec.id)
    csv = pd.read_csv(io.StringIO(formats.samples_csv(table)))
    assert csv["total_ms"].tolist() == table["total_ms"].to_pylist()
    assert [json.loads(steps) for steps in csv["decode_steps_ms"]] == table["decode_steps_ms"].to_pylist()
    read = pq.read_table(io.BytesIO(formats.samples_parquet(table, {"run": spec.id})))
    assert read.drop_columns([]).to_pydict() == table.to_pydict()
    assert json.loads(read.schema.metadata[b"profcore"]) == {"run": spec.id}
