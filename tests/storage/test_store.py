import gzip
import json
import math
import signal
import subprocess
import sys
import threading

import duckdb
import pytest

from profcore.engines.names import ENGINES
from profcore.errors import StoreError
from profcore.experiments.knobs import CATALOGUE
from profcore.export.archive import load_run
from profcore.formats.imports import read_import, write_import
from profcore.results.pictures import load_picture_result
from profcore.results.sweep import Result, load_result
from profcore.spec.records import STAGE_PEAKS, Sample
from profcore.spec.runs import RunSpec, Target
from profcore.spec.sound import SAMPLE_COLUMNS
from profcore.spec.stages import State
from profcore.storage import spool
from profcore.storage.frames import spool_samples
from profcore.storage.lines import Chunk, read_from
from profcore.storage.migrations import MIGRATIONS
from profcore.storage.shipped import shipped_spools
from profcore.storage.store import Store
from tests.support import ROOT, seconds, small_sweep


def a_sample(number, setting=0, total=100.0):
    return Sample(number, setting, number, number * 1.0, 10, 1, 39, 49, 1, total, (24.5, 24.5), 2, 288, 355, 3)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as opened:
        yield opened


@pytest.fixture
def run(store):
    """A run's spec and its spool's path, with the run and one sample in it."""
    spec = RunSpec.new(Target(), small_sweep())
    path = spool.spool_path(store.spools, spec.id)
    with spool.SpoolWriter(path) as writer:
        writer.run(spec)
        writer.state(State.RUNNING)
        writer.sample(a_sample(0))
    return spec, path


def test_a_spool_is_read_on_from_its_offset_and_half_a_line_waits(run):
    _, path = run
    first = read_from(path)
    assert [record["type"] for record in first.records] == ["run", "state", "sample"]
    line = json.dumps({"type": "phase", "text": "Measuring"})
    with path.open("a") as file:
        file.write(line[:10])
        file.flush()
        assert read_from(path, first.offset) == Chunk([], first.offset)
        file.write(line[10:] + "\n")
    assert read_from(path, first.offset).records == [json.loads(line)]


def test_samples_are_taken_in_once_however_often(store, run):
    spec, path = run
    assert store.take_in(path) == 1
    assert store.take_in(path) == 0
    with spool.SpoolWriter(path) as writer:
        writer.sample(a_sample(1, setting=1))
        writer.setting_failed(1, "Out of GPU memory")
        writer.state(State.DONE)
    assert store.take_in(path) == 1
    samples = store.samples(spec.id)
    assert samples["sample_id"].tolist() == [0, 1]
    assert samples["top_k"].tolist() == [1, 2]
    assert samples["total_ms"].tolist() == [100, 100]
    described = store.run(spec.id)
    assert (described["state"], described["num_samples"], described["planned_samples"]) == ("done", 2, 4)
    assert described["ended_at"] is not None
    assert store.settings(spec.id)["failed"].tolist()[1] == "Out of GPU memory"


def test_every_field_of_a_sample_is_kept(store, run):
    spec, path = run
    given = {**a_sample(1).__dict__, "peak_memory_bytes": 7, "telemetry": {"sm_clock_mhz": 1980, "power_w": 300.5}}
    given |= {"host_preprocessing_ms": 12.5, "picture_reading_ms": 3.25, **dict.fromkeys(STAGE_PEAKS, 2**35)}
    with spool.SpoolWriter(path) as writer:
        writer.sample(Sample(**given))
    store.take_in(path)
    row = store.sample_table(spec.id).to_pylist()[1]
    for field, value in given.items():
        if field == "telemetry":
            assert (row["sm_clock_mhz"], row["power_w"], row["temperature_c"]) == (1980, 300.5, None)
        else:
            assert row[field] == (list(value) if isinstance(value, tuple) else value)


GOOD_LINE = json.dumps({"type": "sample", **a_sample(5).to_dict()})


@pytest.mark.parametrize(
    "line",
    [
        '{"type":"sample","sample_id":1,"setting":"no number"}',
        GOOD_LINE.replace('"setting": 0', '"setting": 2'),
        GOOD_LINE.replace('"sample_id": 5', f'"sample_id": {2**70}'),
        GOOD_LINE.replace('"sample_id": 5', '"sample_id": -1'),
        GOOD_LINE.replace('"num_crops": 2', '"num_crops": 2.5'),
        GOOD_LINE.replace('"num_crops": 2', f'"num_crops": {2**31}'),
        GOOD_LINE.replace('"total_ms": 100.0', '"total_ms": "100"'),
        GOOD_LINE.replace('"total_ms": 100.0', '"total_ms": -1'),
        GOOD_LINE.replace('"total_ms": 100.0', '"total_ms": Infinity'),
        GOOD_LINE.replace("24.5", '"x"'),
        '{"type":"environment","engine":[1]}',
        '{"type":"environment","values":{"shape":7}}',
        '{"type":"ceilings","device_name":"a"}',
        '{"type":"state","state":"asleep","at":"2026-01-01T00:00:00+00:00"}',
        '{"type":"state","state":"done","at":"0001-01-01T00:00:00+09:00"}',
        '{"type":"routing","setting":0,"prefill_experts":"many"}',
        '{"type":"quality","setting":0,"kl":"low","accuracy":null,"queries":1}',
        '{"type":"setting_failed","setting":0,"reason":7}',
        '{"type":"phase"}',
        "oops",
        "[1]",
        "[" * 200_000,
        '{"type":["sample"]}',
    ],
)
def test_one_bad_line_loses_a_line_and_not_the_run(store, run, line):
    spec, path = run
    path.write_bytes(path.read_bytes() + f"{line}\n{GOOD_LINE}\n".encode())
    assert store.take_in_all() == 2
    assert store.unread == {}
    assert store.samples(spec.id)["sample_id"].tolist() == [0, 5]
    assert store.bad_lines(spec.id) == 1
    assert store.take_in_all() == 0


def test_a_sample_that_is_written_twice_is_one_sample(store, run):
    spec, path = run
    path.write_bytes(path.read_bytes() + f"{GOOD_LINE}\n{GOOD_LINE}\n".encode())
    assert store.take_in_all() == 2
    path.write_bytes(path.read_bytes() + f"{GOOD_LINE}\n".encode())
    assert store.take_in_all() == 0
    assert store.run(spec.id)["num_samples"] == 2


IMPORT = {"type": "import", "name": "a", "created_at": "2026-01-01T00:00:00+00:00", "experiment": "moe_topk"}
TWO = [{"top_k": 1}, {"top_k": 2}]


@pytest.mark.parametrize(
    "first",
    [
        "oops",
        "{}",
        '{"type":"run"}',
        json.dumps(IMPORT),
        json.dumps({**IMPORT, "settings": []}),
        json.dumps({**IMPORT, "settings": [7]}),
        json.dumps({**IMPORT, "settings": [{"top_k": 2**31}]}),
        json.dumps({**IMPORT, "settings": [{"top_k": math.inf}]}),
        json.dumps({**IMPORT, "settings": TWO, "name": 7}),
        json.dumps({**IMPORT, "settings": TWO, "experiment": "cats"}),
        json.dumps({**IMPORT, "settings": TWO, "created_at": "0001-01-01T00:00:00+09:00"}),
        json.dumps({**IMPORT, "settings": TWO, "details": {"a": [math.inf]}}),
        json.dumps({**IMPORT, "settings": TWO, "details": {"zeros": "many"}}),
        json.dumps({**IMPORT, "settings": TWO, "details": [1]}),
        json.dumps({**IMPORT, "settings": [{"top_k": 1}, {"grid_columns": 2}]}),
        json.dumps({**IMPORT, "settings": TWO, "spec": {"sweep": 7}}),
        json.dumps({**IMPORT, "settings": TWO, "spec": "all"}),
        None,
    ],
)
def test_a_file_that_is_no_spool_keeps_no_other_out_and_is_remembered(store, run, first):
    spec, _ = run
    path = store.spools / "aaa.jsonl"
    if first is None:
        path.mkdir()
    else:
        path.write_text(f"{first}\n")
    (store.spools / "empty.jsonl").touch()
    assert store.take_in_all() == 1
    assert list(store.unread) == ["aaa.jsonl", "empty.jsonl"]
    assert store.run("aaa") is None
    assert store.run(spec.id)["num_samples"] == 1


@pytest.mark.long
def test_what_another_process_holds_is_read_from_the_spools(store, run):
    spec, _ = run
    store.take_in_all()
    code = (
        "import sys\nfrom pathlib import Path\nfrom profcore.storage.store import open_for_reading\n"
        "with open_for_reading(Path(sys.argv[1])) as store:\n"
        "    runs = store.runs()\n    print(len(runs) > 10, store.run(sys.argv[2])['num_samples'])"
    )
    command = [sys.executable, "-c", code, str(store.path), spec.id]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds(120), check=False)
    assert done.stdout.split() == ["True", "1"], done.stderr


def test_a_killed_owner_neither_loses_nor_doubles(store, run, tmp_path):
    """A process takes a growing spool in and is killed at some moment; the next takes in the rest."""
    store.close()
    spec, path = run
    code = (
        "import sys; from pathlib import Path; from profcore.storage.store import Store\n"
        "store = Store(sys.argv[1]); path = Path(sys.argv[2]); print('ready', flush=True)\n"
        "while True: store.take_in(path)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "data.duckdb"), str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as owner, spool.SpoolWriter(path) as writer:
        owner.stdout.readline()
        for number in range(1, 400):
            writer.sample(a_sample(number))
        owner.send_signal(signal.SIGKILL)
    with Store(tmp_path / "data.duckdb") as reopened:
        reopened.take_in(path)
        assert reopened.samples(spec.id)["sample_id"].tolist() == list(range(400))


def test_a_database_that_another_process_holds(store):
    code = f"from profcore.storage.store import Store; Store({str(store.path)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "StoreHeldError" in done.stderr


@pytest.mark.long
def test_files_that_are_no_database_of_ours(tmp_path):
    (tmp_path / "text.duckdb").write_text("not a database, but long enough to be looked at " * 100)
    with pytest.raises(StoreError, match="no DuckDB database"):
        Store(tmp_path / "text.duckdb")
    with pytest.raises(StoreError):
        Store(tmp_path)
    with duckdb.connect(str(tmp_path / "other.duckdb")) as other:
        other.execute("CREATE TABLE cats (name VARCHAR)")
    with pytest.raises(StoreError, match="another program"):
        Store(tmp_path / "other.duckdb")
    Store(tmp_path / "newer.duckdb").close()
    with duckdb.connect(str(tmp_path / "newer.duckdb")) as newer:
        newer.execute("UPDATE profcore_version SET version = ?", [len(MIGRATIONS) + 1])
    with pytest.raises(StoreError, match="newer profcore"):
        Store(tmp_path / "newer.duckdb")


@pytest.mark.long
def test_threads_read_and_write_side_by_side(store, run):
    spec, path = run
    problems = []

    def read():
        try:
            for _ in range(50):
                samples = store.samples(spec.id)
                assert samples["sample_id"].tolist() == list(range(len(samples)))
                store.runs()
        except Exception as error:
            problems.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    with spool.SpoolWriter(path) as writer:
        for number in range(1, 100):
            writer.sample(a_sample(number))
            store.take_in(path)
    for reader in readers:
        reader.join()
    assert problems == []
    assert len(store.samples(spec.id)) == 100


def test_an_abandoned_spool_is_marked_and_a_live_one_is_not(run):
    _, path = run
    with spool.SpoolWriter(path):
        assert not spool.end_abandoned(path, "gone")
    with path.open("a") as file:
        file.write('{"type":"sam')
    assert spool.end_abandoned(path, "gone")
    last = read_from(path).records[-1]
    assert (last["state"], last["reason"]) == ("failed", "gone")
    assert not spool.end_abandoned(path, "gone")


def of_model(store, own):
    """The sample results of MolmoE-1B, or those of other models."""
    runs = store.runs()
    models = runs["id"].map(lambda run_id: store.run(run_id)["environment"]["model"])
    return runs[(models == "molmoe-1b") == own]


@pytest.mark.long
def test_samples_of_other_models_are_of_the_two_engines_that_they_have(sample_results):
    store = sample_results
    runs = of_model(store, own=False)
    assert set(runs["source"]) == {"shipped"}
    found = set()
    for run_id in runs[runs["experiment"] != "joint"]["id"]:
        result = load_result(store, run_id)
        environment = result.run["environment"]
        found.add((environment["model"], environment["engine"], result.experiment.name))
        assert (environment["weights"], environment["device_name"]) == ("random", "NVIDIA H200")
        assert len(result.samples) == result.planned
        assert not result.settings["vision_encoder_flops"].isna().any()
    models, no_experts = ("smolvlm-2b", "internvl3-8b", "qwen3-vl-8b"), set(CATALOGUE) - {"moe_topk"}
    expected = {(model, engine, name) for model in models for engine in ("eager", "graph") for name in no_experts}
    expected |= {("qwen3-vl-30b-a3b", engine, name) for engine in ("eager", "graph") for name in CATALOGUE}
    assert found == expected
    with_energy = store.runs_with_energy()
    assert set(runs[runs["experiment"] == "context_scaling"]["id"]) <= with_energy


def test_the_sample_of_the_small_trained_model_has_quality_at_every_setting(sample_results):
    store = sample_results
    (run_id,) = of_model(store, own=False).query("experiment == 'joint'")["id"]
    run, settings = store.run(run_id), store.settings(run_id)
    assert (run["environment"]["model"], run["environment"]["weights"]) == ("shapes", "real")
    assert len(settings) == 48 and settings["accuracy"].notna().all() and (settings["quality_queries"] == 200).all()
    # Where quality can be weighed against latency, a first visit shows that.
    assert store.latest("joint") == run_id
    best = settings.loc[settings["accuracy"].idxmax()]
    assert best["accuracy"] > 0.85 > 0.6 > settings["accuracy"].min()


def test_shipped_samples_are_full_shape_runs_of_all_experiments(sample_results):
    store = sample_results
    runs = of_model(store, own=True)
    pictures = {"latency_distribution": 1, "vision_tokens_vs_latency": 2}
    pictures |= {"component_profiling": 1, "language_tokens_vs_latency": 1}
    others = pictures | {"joint": 1}
    # Each knob under each engine, and but for top-k the joules of a few settings under eager by themselves.
    assert runs.groupby("experiment").size().to_dict() == dict.fromkeys(CATALOGUE, 4) | {"moe_topk": 3} | others
    assert set(runs["source"]) == {"shipped"}
    assert set(runs["state"]) == {"done"}
    engines = set()
    for run_id in runs["id"]:
        result = load_run(store, run_id)
        if isinstance(result, Result):
            engines.add((result.experiment.name, result.run["environment"]["engine"]))
        assert result.run["environment"]["weights"] == "random"
        assert result.run["environment"]["model"] == "molmoe-1b"
        assert "H200" in result.run["environment"]["device_name"]
        assert len(result.samples) == result.planned
        stages = result.samples[["vision_encoder_ms", "projector_ms", "llm_prefill_ms", "llm_decode_ms", "other_ms"]]
        assert (stages.sum(axis=1) - result.samples["total_ms"]).abs().max() < 1e-6
    assert engines == {(name, engine) for name in CATALOGUE for engine in ENGINES}
    for name in (*CATALOGUE, *others):
        assert store.run(store.latest(name))["environment"]["engine"] == "compiled"


def test_nothing_that_was_measured_lies_below_its_floor(sample_results):
    """On every sample result and stage; the floors of eager runs are from another run on the same card model."""
    store = sample_results
    for run_id in [run_id for name in CATALOGUE for run_id in store.runs(name)["id"]]:
        result = load_result(store, run_id)
        work = result.summary[result.summary["floor_ms"] > 0]
        expected = {"vision_encoder_ms", "projector_ms", "llm_prefill_ms", "ttft_ms", "total_ms"}
        assert expected <= set(work["metric"])
        assert (work["min"] > work["floor_ms"]).all(), work[work["min"] <= work["floor_ms"]]
        assert not [caution for caution in result.cautions if caution.kind == "floor"]


def test_transactions_within_another_are_kept_or_dropped_with_it(store):
    def rename(name):
        with store.connection.transaction() as cursor:
            cursor.execute("INSERT INTO removed VALUES (?)", [name])

    with store.connection.transaction():
        rename("one")
        rename("two")
    assert store.removed() == {"one", "two"}
    with pytest.raises(RuntimeError, match="too bad"), store.connection.transaction():
        rename("three")
        raise RuntimeError("too bad")
    assert store.removed() == {"one", "two"}
    rename("four")
    assert "four" in store.removed()


def test_a_sample_result_that_cannot_be_read_keeps_no_other_out(store, tmp_path):
    first, *_ = shipped_spools().values()
    (tmp_path / first.name).write_bytes(first.read_bytes())
    (tmp_path / "20990101-000000-00000000.jsonl").write_text("oops\n")
    (tmp_path / "20990101-000000-00000001.jsonl.gz").write_bytes(gzip.compress(b"[]\n"))
    store.take_in_shipped(tmp_path)
    assert len(store.runs()) == 1
    assert len(store.unread) == 2


def test_floors_of_a_shipped_run_by_hand(sample_results):
    """MolmoE-1B at top-8 with every block: a decode step reads 2.4 GB, at 4,571 GB/s in no less than 0.53 ms."""
    store = sample_results
    result = load_result(store, store.latest("moe_topk"))
    setting = result.settings.loc[result.settings["top_k"] == 8, "setting"].item()
    rows = result.summary[result.summary["setting"] == setting].set_index("metric")
    assert rows.loc["tpot_ms", "bytes"] == pytest.approx(2.405e9, rel=5e-3)
    assert rows.loc["tpot_ms", "floor_ms"] == pytest.approx(0.526, rel=0.01)
    assert rows.loc["tpot_ms", "over_floor"] == pytest.approx(0.856 / 0.526, rel=0.02)
    # Between half of the experts and all of them are hit: 16 blocks of 64 of 12.6 MB each, and what else is read.
    assert 16 * 32 * 12.58e6 < rows.loc["llm_prefill_ms", "bytes"] < 16 * 64 * 12.58e6 + 1e9
    assert rows.loc["llm_decode_ms", "binds"] == "memory"
    # 2.4 and 2.6 times what memory and arithmetic allow, with kernels that were launched in time.
    assert rows.loc["llm_prefill_ms", "binds"] == rows.loc["vision_encoder_ms", "binds"] == "neither"


def test_what_launching_takes_names_what_binds(sample_results):
    store = sample_results
    runs = store.runs("moe_topk")
    bound = {}
    for run_id in runs["id"]:
        result = load_result(store, run_id)
        stages = result.summary[result.summary["metric"].isin(["llm_decode_ms", "tpot_ms"])]
        bound[result.run["environment"]["engine"]] = set(stages["binds"])
    # Captured as they are, transformers' kernels keep far from what memory allows; fused ones come near it.
    assert bound == {"eager": {"launch"}, "graph": {"neither"}, "compiled": {"memory", "neither"}}


def test_the_latest_run_is_one_with_something_to_show(store, run):
    spec, path = run
    store.take_in(path)
    empty = RunSpec.new(Target(), small_sweep())
    with spool.SpoolWriter(spool.spool_path(store.spools, empty.id)) as writer:
        writer.run(empty)
        writer.state(State.QUEUED)
        store.take_in_all()
        assert store.latest("moe_topk") == empty.id
        writer.state(State.STOPPED, "Stopped before it began.")
    store.take_in_all()
    assert store.latest("moe_topk") == spec.id
    assert store.latest("output_tokens") is None


def test_decode_steps_by_position(store, run):
    spec, path = run
    with spool.SpoolWriter(path) as writer:
        writer.sample(Sample(**{**a_sample(1).__dict__, "decode_steps_ms": (25.5, 23.5)}))
    store.take_in(path)
    steps = store.decode_steps(spec.id)
    assert steps[["position", "n", "median"]].to_numpy().tolist() == [[2, 2, 25.0], [3, 2, 24.0]]


def test_remaining_time_counts_unvisited_settings_and_their_warm_up(store):
    spec = RunSpec.new(Target(), small_sweep(values=(1, 2), num_samples=3, warmup=2))
    path = spool.spool_path(store.spools, spec.id)
    with spool.SpoolWriter(path) as writer:
        writer.run(spec)
        writer.state(State.RUNNING)
        writer.sample(a_sample(0, setting=0, total=1000.0))
    store.take_in(path)
    # Two more at the setting seen, three and two to warm up at the other, a second each.
    assert load_result(store, spec.id).remaining_s == pytest.approx(7.0)


def test_a_database_of_the_first_version_is_brought_up_to_date(tmp_path):
    path = tmp_path / "old.duckdb"
    with duckdb.connect(str(path)) as old:
        old.execute("CREATE TABLE profcore_version (version INTEGER NOT NULL)")
        old.execute("INSERT INTO profcore_version VALUES (1)")
        old.execute(MIGRATIONS[0])
        old.execute(
            "INSERT INTO runs (id, experiment, source, state, created_at) "
            "VALUES ('before', 'moe_topk', 'measured', 'done', '2026-01-01')"
        )
        old.execute("INSERT INTO settings VALUES ('before', 0, 1, 1, 8, 16, '1111111111111111', 10, NULL)")
        old.execute("INSERT INTO samples (run_id, sample_id, setting, total_ms) VALUES ('before', 0, 0, 12.5)")
    with Store(path) as store:
        assert store.samples("before")["total_ms"].tolist() == [12.5]
        assert store.run("before")["ceilings"] == {}
        store.take_in_shipped()
        assert load_result(store, store.latest("output_tokens")).routing_counted


class TestChanging:
    """Renaming, removing, and copying a database that is in use."""

    def test_a_name_is_kept_and_taken_back(self, store, run):
        spec, path = run
        store.take_in(path)
        store.rename(spec.id, "baseline")
        assert store.run(spec.id)["name"] == "baseline"
        store.rename(spec.id, None)
        assert store.run(spec.id)["name"] is None

    def test_a_removed_run_is_gone_with_its_spool_and_others_stay(self, store, run):
        spec, path = run
        store.take_in(path)
        other = RunSpec.new(Target(), small_sweep())
        with spool.SpoolWriter(spool.spool_path(store.spools, other.id)) as writer:
            writer.run(other)
            writer.sample(a_sample(0))
        store.take_in_all()
        store.remove(spec.id)
        assert not path.exists()
        store.take_in_all()
        assert store.runs()["id"].tolist() == [other.id]
        assert store.run(spec.id) is None
        assert store.samples(spec.id).empty
        assert store.settings(spec.id).empty
        assert len(store.samples(other.id)) == 1

    def test_a_removed_sample_result_stays_away_until_it_is_brought_back(self, store):
        store.take_in_shipped()
        number, run_id = len(store.runs()), store.latest("moe_topk")
        samples = len(store.samples(run_id))
        store.remove(run_id)
        store.take_in_shipped()
        assert len(store.runs()) == number - 1
        assert store.removed() == {run_id}
        store.restore_shipped()
        assert len(store.runs()) == number
        assert len(store.samples(run_id)) == samples
        assert store.removed() == set()

    def test_a_file_that_was_removed_can_be_taken_in_again(self, store):
        data = b'{"results": [{"T_total": 1.0}]}'
        for _ in range(2):
            imported = read_import(data, "file.json", store.spools)
            assert imported.new
            write_import(imported, store.spools)
            assert store.take_in_all() == 1
            store.remove(imported.run_id)

    def test_a_snapshot_is_the_whole_database_and_the_live_one_stays_locked(self, store, run, tmp_path):
        spec, path = run
        store.take_in(path)
        copy = tmp_path / "it's a copy.duckdb"
        store.connection.snapshot(copy)
        with Store(copy) as opened:
            assert opened.runs()["id"].tolist() == [spec.id]
            assert opened.sample_table(spec.id).equals(store.sample_table(spec.id))
        code = "import sys, profcore.storage.store as s; s.Store(sys.argv[1])"
        done = subprocess.run([sys.executable, "-c", code, str(store.path)], cwd=ROOT, capture_output=True, text=True)
        assert "StoreHeldError" in done.stderr
        # And it can be written to, and copied again.
        store.rename(spec.id, "later")
        store.connection.snapshot(tmp_path / "second.duckdb")
        with Store(tmp_path / "second.duckdb") as opened:
            assert opened.run(spec.id)["name"] == "later"


def test_a_database_of_the_version_before_pictures_is_brought_up_to_date(tmp_path):
    path = tmp_path / "old.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE profcore_version (version INTEGER NOT NULL)")
        connection.execute("INSERT INTO profcore_version VALUES (2)")
        for script in MIGRATIONS[:2]:
            connection.execute(script)
        connection.execute(
            "INSERT INTO runs (id, experiment, source, state, created_at) "
            "VALUES ('old', 'moe_topk', 'measured', 'done', '2026-01-01')"
        )
        connection.execute("INSERT INTO settings (run_id, setting, top_k) VALUES ('old', 0, 1)")
        connection.execute("INSERT INTO samples (run_id, sample_id, setting, total_ms) VALUES ('old', 0, 0, 5.0)")
    with Store(path) as opened:
        assert opened.run("old")["details"] == {}
        assert load_result(opened, "old").samples["total_ms"].tolist() == [5.0]
        opened.take_in_shipped()
        assert load_picture_result(opened, opened.latest("latency_distribution")) is not None


def test_preprocessing_keeps_its_values_under_its_new_name(tmp_path):
    path = tmp_path / "old.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE profcore_version (version INTEGER NOT NULL)")
        connection.execute("INSERT INTO profcore_version VALUES (6)")
        for script in MIGRATIONS[:6]:
            connection.execute(script)
        connection.execute(
            "INSERT INTO runs (id, experiment, source, state, created_at) "
            "VALUES ('old', 'moe_topk', 'measured', 'done', '2026-01-01')"
        )
        connection.execute("INSERT INTO settings (run_id, setting, top_k) VALUES ('old', 0, 1)")
        connection.execute(
            "INSERT INTO samples (run_id, sample_id, setting, total_ms, processing_ms) VALUES ('old', 0, 0, 5.0, 42.5)"
        )
    with Store(path) as opened:
        found = load_result(opened, "old").summary.set_index("metric")["median"]
        assert (found["host_preprocessing_ms"], found["end_to_end_ms"]) == (42.5, 47.5)


def test_a_spool_of_before_preprocessing_had_its_name(store, run):
    spec, path = run
    written = a_sample(1).to_dict()
    del written["host_preprocessing_ms"]
    with spool.SpoolWriter(path) as writer:
        writer.write({"type": "sample", **written, "processing_ms": 42.5})
    store.take_in(path)
    assert store.samples(spec.id)["host_preprocessing_ms"].tolist()[1] == 42.5
    assert spool_samples(path)["host_preprocessing_ms"].tolist()[-1] == 42.5


def test_a_spool_and_a_database_of_before_pictures_reading_was_taken_do_not_have_it(store, run, tmp_path):
    spec, path = run
    written = a_sample(1).to_dict()
    del written["picture_reading_ms"]
    with spool.SpoolWriter(path) as writer:
        writer.write({"type": "sample", **written, "host_preprocessing_ms": 2.5})
    store.take_in(path)
    assert store.samples(spec.id)["picture_reading_ms"].isna().all()
    assert "picture_reading_ms" not in store.sample_table(spec.id).column_names
    before = next(place for place, script in enumerate(MIGRATIONS) if "picture_reading_ms" in script)
    old = tmp_path / "old.duckdb"
    with duckdb.connect(str(old)) as connection:
        for script in MIGRATIONS[:before]:
            connection.execute(script)
        connection.execute(f"CREATE TABLE profcore_version AS SELECT {before} AS version")
        connection.execute(
            "INSERT INTO runs (id, experiment, source, state, created_at) "
            "VALUES ('old', 'moe_topk', 'measured', 'done', '2026-01-01')"
        )
        connection.execute("INSERT INTO settings (run_id, setting, top_k) VALUES ('old', 0, 1)")
        connection.execute(
            "INSERT INTO samples (run_id, sample_id, setting, total_ms, host_preprocessing_ms) "
            "VALUES ('old', 0, 0, 5.0, 2.5)"
        )
    with Store(old) as opened:
        found = load_result(opened, "old")
        assert found.samples["picture_reading_ms"].isna().all()
        assert "picture_reading_ms" not in set(found.summary["metric"])
        assert found.summary.set_index("metric")["median"]["end_to_end_ms"] == 7.5


def test_what_is_checked_of_a_sample_are_the_columns_of_its_table(store):
    kinds = {"int32": "int32", "int64": "int64", "double": "number", "list<l: double>": "numbers"}
    columns = [column for column in store.connection.schema("samples") if column.name != "run_id"]
    assert {column.name: kinds[str(column.type)] for column in columns} == SAMPLE_COLUMNS


def test_a_whole_number_that_no_float_is_becomes_the_nearest(tmp_path):
    spec = RunSpec.new(Target(), small_sweep())
    sample = {**a_sample(0, 0).to_dict(), "elapsed_s": 2**53 + 1, "decode_steps_ms": [2**53 + 1, 24.5]}
    with Store(tmp_path / "data.duckdb") as store:
        with spool.SpoolWriter(spool.spool_path(store.spools, spec.id)) as writer:
            writer.run(spec)
            writer.write({"type": "sample", **sample})
        store.take_in_all()
        assert not store.unread
        assert store.steps(spec.id)["decode_steps_ms"][0].tolist() == [float(2**53), 24.5]


@pytest.mark.parametrize("record", [{"type": "state", "state": []}, {"type": "setting_ended", "setting": 0, "by": {}}])
def test_a_word_that_is_a_list_is_one_bad_line(tmp_path, record):
    spec = RunSpec.new(Target(), small_sweep())
    with Store(tmp_path / "data.duckdb") as store:
        with spool.SpoolWriter(spool.spool_path(store.spools, spec.id)) as writer:
            writer.run(spec)
            writer.write({"at": "2026-01-01T00:00:00+00:00", **record})
            writer.sample(a_sample(0, 0))
        store.take_in_all()
        assert not store.unread
        assert store.bad_lines(spec.id) == 1
        assert len(store.samples(spec.id)) == 1
