"""Motivation files in both directions: written, read back and equal; told by what they hold."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from profcore import formats
from profcore.data_sets import DataSet, read_data_set
from profcore.errors import FormatError
from profcore.experiments.motivation import MOTIVATION, plan
from profcore.export.result_files import result_files
from profcore.formats.fields import FLOPS as _FLOPS
from profcore.formats.fields import LATENCIES, MORE_LATENCIES
from profcore.formats.imports import read_import, write_import
from profcore.formats.motivation import _COUNTS
from profcore.models.config import PRESETS
from profcore.results.pictures import load_picture_result
from profcore.results.sweep import load_result
from profcore.roofline.flops import COLUMNS
from profcore.spec.records import Sample
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage import spool
from profcore.storage.store import Store

_LATENCIES = {**LATENCIES, **MORE_LATENCIES}
MEASURED = [name for name in MOTIVATION if name != "flops_vs_latency"]
SHAPE = PRESETS["molmoe-1b"]


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as opened:
        yield opened


def write_run(store, name):
    """A run with made-up samples, as its worker would write it."""
    found = read_data_set(DataSet())
    options = {"output_tokens": [8, 16]} if name == "language_tokens_vs_latency" else {}
    found = replace(found, queries=found.queries[:6])
    sweep = plan(MOTIVATION[name], found, SHAPE, num_samples=2, max_grid=2, **options)
    spec = RunSpec.new(Target(model="molmoe-1b"), sweep)
    draw = np.random.default_rng(7)
    with spool.SpoolWriter(spool.spool_path(store.spools, spec.id)) as writer:
        writer.run(spec)
        writer.write({"type": "environment", "model": "molmoe-1b", "device_name": "a GPU"})
        for number in range(2 * len(sweep.settings)):
            index = number % len(sweep.settings)
            setting = sweep.settings[index]
            stages = tuple(draw.uniform(1, 50, 3))
            decode = 0.0 if setting.output_tokens == 1 else float(draw.uniform(10, 20))
            crops = setting.grid[0] * setting.grid[1] + 1
            tokens = (8 * setting.grid[0] + 4) * (8 * setting.grid[1] + 4) + 144
            writer.sample(
                Sample(
                    number,
                    index,
                    number // len(sweep.settings),
                    float(number),
                    *stages,
                    decode,
                    0.5,
                    sum(stages) + decode + 0.5,
                    (),
                    crops,
                    tokens,
                    tokens + 60,
                    setting.output_tokens,
                    host_preprocessing_ms=float(draw.uniform(20, 30)),
                    picture_reading_ms=float(draw.uniform(5, 30)),
                )
            )
        writer.state(State.DONE)
    store.take_in_all()
    return spec


def take_in(store, data, name="file.json"):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    imported = read_import(data, name, store.spools)
    write_import(imported, store.spools)
    store.take_in_all()
    return imported


@pytest.mark.parametrize("name", MEASURED)
def test_written_and_read_back_is_equal(store, name):
    spec = write_run(store, name)
    ours = store.sample_table(spec.id).to_pandas()
    metadata = {"run": spec.to_dict(), "environment": store.run(spec.id)["environment"]}
    ((file, text),) = result_files(name, ours, metadata).items()
    imported = take_in(store, text.encode(), file)
    theirs = store.sample_table(imported.run_id).to_pandas()
    # Each sample keeps its number, and with it the order in which they were taken.
    assert ours["sample_id"].tolist() == theirs["sample_id"].tolist()
    columns = ["image_id", "query_id", "image_width", "image_height", "grid_rows", "grid_columns", "output_tokens"]
    columns += [*_COUNTS.values(), *(column for column in _LATENCIES.values() if column in ours)]
    columns += ["picture_reading_ms"]
    for column in columns:
        assert ours[column].tolist() == theirs[column].tolist(), column
    assert (theirs["flops_total"] > 0).all()
    run = store.run(imported.run_id)
    assert (run["experiment"], run["source"], run["environment"]["device_name"]) == (name, "imported", "a GPU")
    # And once more: what was read is written as it was.
    again = result_files(name, theirs, {"environment": run["environment"], "details": run["details"]})
    assert [json.loads(each)["results"] for each in again.values()] == [json.loads(text)["results"]]


def test_the_published_fields_are_there(store):
    for name in MEASURED:
        spec = write_run(store, name)
        metadata = {"run": spec.to_dict(), "environment": {"model": "molmoe-1b"}}
        ((file, text),) = result_files(name, store.sample_table(spec.id).to_pandas(), metadata).items()
        document = json.loads(text)
        fields = {*_LATENCIES, *_COUNTS, *_FLOPS, "T_vision", "grid", "resolution", "image_size", "image_id"}
        for row in document["results"]:
            assert row.keys() >= fields | {"query_id", "max_new_tokens", "num_total_tokens"}
            assert row["T_vision_total"] == pytest.approx(row["T_vision_encoder"] + row["T_projector"])
            assert (row["T_LLM_decode"] is None) is (row["num_output_tokens"] == 1)
        if name == "vision_tokens_vs_latency":
            assert [(row["grid"], row["resolution"]) for row in document["results"]] == [
                ("1×1", "336x336"),
                ("1×2", "560x336"),
            ]
            rows = pd.DataFrame(document["all_samples"])
            mean = rows[rows["grid"] == "1×2"]["T_LLM_prefill"].mean()
            assert document["results"][1]["T_LLM_prefill"] == pytest.approx(mean)
        if name == "component_profiling":
            components, published = document["parameters_by_component"], document["parameters"]
            assert sum(components.values()) == published["params_total"] == 7_221_875_712
            assert document["active_parameters"]["LLM experts"] * 8 == components["LLM experts"]
            parts = ("params_vision_encoder", "params_projector", "params_llm")
            assert sum(published[part] for part in parts) == published["params_total"]
            assert document["average_latencies"].keys() == {*STAGES, "T_total"}
        if name == "language_tokens_vs_latency":
            assert (file, document["use_eos_token"]) == ("exp4_language_tokens_vs_latency_no_eos.json", False)


def test_flops_vs_latency_is_written_and_read_back(store):
    runs = [write_run(store, name) for name in ("vision_tokens_vs_latency", "language_tokens_vs_latency")]
    frames = [store.sample_table(run.id).to_pandas() for run in runs]
    samples = pd.concat([frames[0], frames[1].assign(setting=frames[1]["setting"] + 1000)], ignore_index=True)
    ((file, text),) = result_files("flops_vs_latency", samples, {"environment": {"model": "molmoe-1b"}}).items()
    document = json.loads(text)
    assert file == "exp5_flops_vs_latency.json"
    x, y = (np.array([row[field] for row in document["results"]]) for field in ("flops_llm_prefill", "T_LLM_prefill"))
    expected = np.corrcoef(x.astype(float), y.astype(float))[0, 1]
    assert document["correlation"]["llm_prefill_ms"] == pytest.approx(expected)
    assert document["r_squared"]["llm_prefill_ms"] == pytest.approx(expected**2)
    imported = take_in(store, text.encode())
    result = load_picture_result(store, imported.run_id)
    assert result.experiment.name == "flops_vs_latency"
    assert len(result.samples) == len(samples)
    assert result.run["details"]["correlation"] == document["correlation"]


PUBLISHED = {
    "exp3_vision_tokens_vs_latency.json": ("vision_tokens_vs_latency", 12),
    "exp4_language_tokens_vs_latency_no_eos.json": ("language_tokens_vs_latency", 12),
}


@pytest.mark.parametrize("file", PUBLISHED)
def test_published_files_are_taken_in_and_zeros_count_as_missing(store, shared, file):
    data = (shared / "motivation" / file).read_bytes()
    rows = json.loads(data)["results"]
    zeros = sum(row[field] == 0 for row in rows for field in ("T_projector", "T_LLM_decode"))
    assert zeros
    imported = take_in(store, data, "renamed.json")
    assert f"{zeros} latencies of exactly 0" in imported.note
    result = load_picture_result(store, imported.run_id)
    name, number = PUBLISHED[file]
    assert (result.experiment.name, len(result.points)) == (name, number)
    assert result.samples["projector_ms"].isna().sum() == zeros
    assert f"{zeros} latencies of exactly 0" in " ".join(result.notes)
    assert result.samples["flops_total"].tolist() == [float(row["flops_total"]) for row in rows]
    # Where the projector is missing, the published sum of both vision stages still gives the time to first token.
    expected = [row["T_vision_total"] + row["T_LLM_prefill"] for row in rows]
    assert result.samples["ttft_ms"].tolist() == pytest.approx(expected)
    assert not take_in(store, data, "again.json").new


ROW = {"T_total": 100.0, "image_id": 5, "query_id": 50}
STAGES = {"T_vision_encoder": 1.0, "T_projector": 1.0, "T_LLM_prefill": 5.0}


@pytest.mark.parametrize(
    ("document", "experiment"),
    [
        ({"results": [{**ROW, "T_LLM_prefill": None}, ROW]}, "latency_distribution"),
        ([ROW, {**ROW, "image_id": 6}], "latency_distribution"),
        ({"results": [{**ROW, **STAGES}], "parameters": {"llm": 7, "vit": 3}}, "component_profiling"),
        ([{**ROW, **STAGES, "T_LLM_decode": None}], "component_profiling"),
        ({"results": [{"grid": "1x2", "T_total": 3.0, **STAGES}], "more": 1}, "vision_tokens_vs_latency"),
        ([{"grid": "1×2", **STAGES, "T_LLM_decode": None, "image_id": None}], "vision_tokens_vs_latency"),
        ({"results": [ROW], "use_eos_token": True}, "language_tokens_vs_latency"),
        ([{**ROW, "max_new_tokens": 8}, {**ROW, "max_new_tokens": 16}], "language_tokens_vs_latency"),
        ({"results": [{**ROW, "flops_total": 1e9}], "correlation_total": 0.9}, "flops_vs_latency"),
    ],
)
def test_the_experiment_is_told_by_what_a_file_holds(store, document, experiment):
    result = load_picture_result(store, take_in(store, document, "any-name.json").run_id)
    assert result.experiment.name == experiment
    assert len(result.samples) == len(document["results"] if isinstance(document, dict) else document)


def test_what_a_file_says_beyond_its_rows_is_kept(store):
    document = {"results": [{**ROW, **STAGES, "unknown": [1]}], "parameters": {"llm": 7, "vit": 3}, "other": {}}
    result = load_picture_result(store, take_in(store, document).run_id)
    assert [(each.component, each.total) for each in result.parameters] == [("llm", 7), ("vit", 3)]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"results": []}, "holds no result"),
        ({"results": 3}, "must be a list of objects"),
        ({"results": [ROW, 3]}, "must be a list of objects"),
        ({"results": [ROW, {"a": 1}, {"num_crops": 2}]}, "rows 2, 3 of results have no known field"),
        ({"results": [ROW, {**ROW, "T_total": -1}]}, "rows 2 of results: T_total -1 is no number"),
        ({"results": [{**ROW, "T_total": None}, ROW]}, "rows 1 of results"),
        ({"results": [{**ROW, "T_total": "fast"}]}, "rows 1 of results"),
        ({"results": [{**ROW, "num_crops": "many"}]}, "rows 1 of results"),
        ({"results": [{**ROW, "grid": "wide"}]}, "rows 1 of results"),
        (b'{"results": [{"T_total": NaN}]}', "rows 1 of results"),
        (b'{"results": [{"T_total": 1', "is not JSON"),
        (b"PK\x03\x04", "is a zip"),
        ({"1": {"mean": -1, "median": 2}}, "top-k 1 has a statistic that is no number"),
        ([], "holds no result"),
        ([{"a": 1}], "none of the fields"),
    ],
)
def test_files_that_are_none_say_what_is_wrong_and_store_nothing(tmp_path, document, says):
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(FormatError, match=says) as error:
        read_import(data, "file.json", tmp_path)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_hundred_bad_rows_are_not_all_listed(tmp_path):
    with pytest.raises(FormatError, match="rows 1, 2, 3, 4, 5 and 95 more of results"):
        read_import(json.dumps({"results": [{"T_total": -1}] * 100}).encode(), "file.json", tmp_path)


def test_flops_scaling_files_in_both_directions(store):
    published = {
        "1": {"mean": 10.0, "median": 9.0, "std": 1.0, "min": 8.0, "max": 12.0},
        "8": {"mean": 20.0, "median": 18},
    }
    imported = take_in(store, {**published, "note": "x"})
    result = load_result(store, imported.run_id)
    assert result.experiment.name == "moe_topk"
    totals = result.summary[result.summary["metric"] == "total_ms"]
    assert totals["median"].tolist() == [9.0, 18.0]
    assert totals["label"].tolist() == ["1", "8"]
    samples = pd.DataFrame(
        {
            "top_k": [1, 1, 8, 8],
            "llm_prefill_ms": [1.0, 3, 4, 6],
            "llm_decode_ms": [2.0, 2, 4, 4],
            "total_ms": [5.0, 7, 10, 12],
        }
    )
    text = formats.scaling_json(samples, pd.DataFrame({"metric": ["x"]}), {"environment": {"device_name": "a GPU"}})
    document = json.loads(text)
    assert (document["8"]["median"], document["8"]["mean"], document["8"]["std"]) == (11.0, 11.0, 1.0)
    back = load_result(store, take_in(store, text.encode()).run_id)
    medians = back.summary.set_index(["setting", "metric"])["median"]
    assert medians[(1, "llm_prefill_ms")] == 5.0
    assert medians[(0, "llm_decode_ms")] == 2.0
    assert back.run["environment"] == {"device_name": "a GPU"}


def test_our_own_flops_are_counted_from_the_models_shape(store):
    spec = write_run(store, "vision_tokens_vs_latency")
    result = load_picture_result(store, spec.id)
    assert set(COLUMNS) <= set(result.points)
    by_grid = result.points.groupby("num_crops")["flops_vision_encoder"].first()
    assert by_grid[3] / by_grid[2] == pytest.approx(1.5)
