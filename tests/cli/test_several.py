"""`run --device all`: a run shared by several cards, which ends, stops and fails as one."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter

import pytest

from profcore.cli import several
from profcore.cli.parser import parse
from profcore.cli.several import chosen_devices
from profcore.errors import UserError
from profcore.spec.shards import spread_over
from profcore.storage.lines import records_of_kinds
from profcore.storage.spool import last_state, read_spec, spool_files
from profcore.storage.store import Store
from profcore.worker.queue import Jobs
from tests.support import FAKE, ROOT, small_sweep, until

H100, A100 = "NVIDIA H100", "NVIDIA A100"
THERE = [{"id": "cuda:0", "name": H100}, {"id": "cuda:1", "name": H100}, {"id": "cuda:2", "name": A100}]
THERE += [{"id": "cpu", "name": "Xeon"}]
WORDS = ["run", "moe_topk", "--num-samples", "3", "--warmup", "0", "--top-k-values", "1", "2", "4", "8", "16", "32"]


@pytest.fixture
def fakes(monkeypatch, tmp_path):
    """Two cards whose workers start in a moment."""
    monkeypatch.setenv("FAKE_CARDS", "2")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(several, "Jobs", lambda spools, by: Jobs(spools, FAKE, by))
    return tmp_path


def run(*words: str) -> int:
    """The exit status of a command."""
    options = parse([*WORDS, *words])
    return options.command(options)


def test_all_is_every_card_like_the_first_and_the_others_are_named(capsys):
    assert chosen_devices("all", THERE) == ["cuda:0", "cuda:1"]
    assert "cuda:2 (NVIDIA A100) is left out: it is not like cuda:0." in capsys.readouterr().err
    assert chosen_devices("all", THERE[-1:]) == ["cpu"]
    assert chosen_devices("cuda:1,cuda:0", THERE) == ["cuda:1", "cuda:0"]
    assert chosen_devices("cpu,cpu", THERE) == ["cpu", "cpu"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("cuda:0,cuda:2", "are not alike"),
        ("cuda:0,cpu", "are not alike"),
        ("cuda:0,cuda:7", "There is no device 'cuda:7' here"),
        ("cuda:0,", "There is no device '' here"),
        (",".join(["cpu"] * 65), "65 devices are more"),
    ],
)
def test_devices_that_cannot_share_a_run_are_refused(given, said):
    with pytest.raises(UserError, match=said):
        chosen_devices(given, THERE)


def test_each_card_measures_its_part_and_it_is_one_run_in_the_end(fakes, capsys):
    assert run("--device", "all", "--db", str(fakes / "p.duckdb")) == 0
    spools = spool_files(fakes / "p.duckdb.spool")
    assert [read_spec(path).target.device for path in spools] == ["cuda:0", "cuda:1"]
    assert {record["by"] for path in spools for record in records_of_kinds(path, "owner")} == {"command"}
    with Store(fakes / "p.duckdb") as store:
        (listed,) = store.run_list().to_dict("records")
        assert (listed["state"], listed["num_samples"]) == ("done", 3 * 7)
        assert [each["card"] for each in store.run(listed["id"])["environments"]] == ["GPU-0", "GPU-1"]
        counts = Counter(store.samples(listed["id"])["setting"])
    (anchor,) = read_spec(spools[0]).shard.anchors
    assert counts == {each: 6 if each == anchor else 3 for each in range(6)}
    said = capsys.readouterr().out
    assert f"Run {listed['id']}, measured on 2 devices." in said
    (file,) = fakes.rglob("exp2_moe_topk_results.json")
    assert [each["card"] for each in json.loads(file.read_text())["metadata"]["environments"]] == ["GPU-0", "GPU-1"]


def test_without_a_card_all_is_the_processor(fakes, monkeypatch, capsys):
    monkeypatch.setenv("FAKE_CARDS", "0")
    assert run("--device", "all", "--spool-only", str(fakes / "spools")) == 0
    (path,) = spool_files(fakes / "spools")
    assert (read_spec(path).target.device, read_spec(path).shard) == ("cpu", None)
    assert "measured on 1 device." in capsys.readouterr().out


def test_stopping_stops_all_cards_and_what_was_measured_stays(fakes):
    folder = fakes / "spools"

    def interrupt() -> None:
        until(lambda: sum(len(records_of_kinds(path, "sample")) for path in folder.glob("*.jsonl")) > 4)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        assert run("--device", "all", "--num-samples", "100000", "--spool-only", str(folder)) == 130
    finally:
        thread.join()
    assert [str(last_state(path)) for path in spool_files(folder)] == ["stopped", "stopped"]


def test_several_sweeps_are_a_run_each(fakes):
    words = ["run", "all", "--device", "all", "--num-samples", "1", "--spool-only", str(fakes / "spools")]
    options = parse(
        [*words, "--max-grid-size", "3", "--top-k-values", "1", "2", "4", "--max-new-tokens", "1", "2", "4"]
    )
    assert options.command(options) == 0
    specs = [read_spec(path) for path in spool_files(fakes / "spools")]
    assert len({spec.shard.campaign for spec in specs}) == 4
    assert Counter(spec.target.device for spec in specs) == {"cuda:0": 4, "cuda:1": 4}


def test_a_sweep_too_small_to_be_shared_is_measured_on_one():
    from profcore.spec.runs import Target

    (only,) = spread_over(Target(device="cuda:3"), small_sweep(), ["cuda:0", "cuda:1"])
    assert (only.shard, only.target.device) == (None, "cuda:0")
    parts = spread_over(Target(), small_sweep(values=(1, 2, 4)), ["cuda:0", "cuda:1", "cuda:2"])
    assert [part.target.device for part in parts] == ["cuda:0", "cuda:1"]


@pytest.mark.parametrize(
    "words",
    [
        ["--device", "all", "--shard", "1/2"],
        ["--device", "cpu,cpu", "--series", "a"],
        ["--device", "cuda:0,cuda:9"],
        ["--device", "all", "--engine", "graph", "--device", "cpu,cpu"],
        ["--device", "cpu,cpu", "--energy"],
    ],
)
def test_what_cannot_be_shared_is_refused_before_anything_is_written(fakes, words):
    with pytest.raises(UserError):
        run(*words, "--spool-only", str(fakes / "spools"))
    assert not list((fakes / "spools").glob("*.jsonl"))


@pytest.mark.long
def test_two_workers_of_one_processor_share_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["run", "moe_topk", "--device", "cpu,cpu", "--num-samples", "2", "--warmup", "0", "--output-tokens", "2"]
    words += ["--block-mask", "1100000000000000", "--top-k-values", "1", "2", "4", "--db", str(tmp_path / "p.duckdb")]
    options = parse(words)
    assert options.command(options) == 0
    with Store(tmp_path / "p.duckdb") as store:
        (listed,) = store.run_list().to_dict("records")
        run = store.run(listed["id"])
    assert (run["state"], run["num_samples"], len(run["parts"])) == ("done", 8, 2)
    assert len({each["host"] for each in run["environments"]}) == 1
