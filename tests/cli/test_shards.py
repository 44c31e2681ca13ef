"""`run --shard`: a part of a run measured by itself, gone on with, and never measured twice."""

from __future__ import annotations

import json

import pytest

from profcore.errors import UserError
from profcore.spec.stages import State
from profcore.storage.lines import records_of_kinds
from profcore.storage.spool import SpoolWriter, last_state, read_spec, spool_files

SMALL = ["run", "moe_topk", "--device", "cpu", "--num-samples", "2", "--warmup", "0", "--output-tokens", "2"]
SMALL += ["--block-mask", "1100000000000000", "--top-k-values", "1", "2", "4", "8"]


def run(*words: str) -> int:
    """The exit status of a command."""
    from profcore.cli.parser import parse

    options = parse([*SMALL, *words])
    return options.command(options)


@pytest.fixture
def spools(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "spools"


def visited(path) -> list[int]:
    """The settings of a spool's samples."""
    return [record["setting"] for record in records_of_kinds(path, "sample")]


def test_two_parts_measure_each_setting_once_and_the_anchor_twice(spools, capsys):
    assert run("--shard", "1/2", "--campaign", "friday", "--spool-only", str(spools)) == 0
    assert run("--shard", "2/2", "--campaign", "friday", "--spool-only", str(spools)) == 0
    first, second = spool_files(spools)
    assert (first.name, second.name) == ("friday-s001.jsonl", "friday-s002.jsonl")
    (anchor,) = read_spec(first).shard.anchors
    seen = visited(first) + visited(second)
    assert sorted(seen) == sorted([*range(4)] * 2 + [anchor] * 2)
    assert "Shard 2 of 2 of run friday" in capsys.readouterr().out
    # A result file is of a whole run.
    assert not list(spools.parent.rglob("*_results.json"))


def test_a_part_that_is_done_is_not_measured_again(spools, capsys):
    words = ("--shard", "1/2", "--spool-only", str(spools))
    assert run(*words) == 0
    (path,) = spool_files(spools)
    before = path.read_bytes()
    assert run(*words) == 0
    assert path.read_bytes() == before
    assert "nothing is left to measure" in capsys.readouterr().err


def test_a_part_that_was_killed_goes_on_where_it_was(spools):
    words = ("--shard", "1/2", "--spool-only", str(spools))
    assert run(*words) == 0
    (path,) = spool_files(spools)
    lines = path.read_text().splitlines(keepends=True)
    samples = [place for place, line in enumerate(lines) if json.loads(line)["type"] == "sample"]
    # Killed in the middle of a line.
    path.write_text("".join(lines[: samples[1]]) + lines[samples[1]][:40])
    assert run(*words) == 0
    assert last_state(path) is State.DONE
    found = [(each["setting"], each["round"]) for each in records_of_kinds(path, "sample")]
    assert len(found) == len(set(found)) == len(samples)


@pytest.mark.long
def test_a_part_is_resumed_by_its_own_name_and_a_run_of_parts_says_so(spools, tmp_path):
    from profcore.cli.parser import parse

    database = tmp_path / "p.duckdb"
    assert run("--shard", "1/2", "--campaign", "friday", "--db", str(database)) == 0
    (path,) = spool_files(tmp_path / "p.duckdb.spool")
    lines = path.read_text().splitlines(keepends=True)
    last = max(place for place, line in enumerate(lines) if json.loads(line)["type"] == "sample")
    path.write_text("".join(lines[:last]))
    database.unlink()
    options = parse(["run", "--resume", "friday", "--db", str(database)])
    with pytest.raises(UserError, match=r"in shards: resume each that is not done by itself, such as friday-s001\."):
        options.command(options)
    options = parse(["run", "--resume", "friday-s001", "--db", str(database)])
    assert options.command(options) == 0
    assert last_state(path) is State.DONE


def test_a_part_of_something_else_under_the_same_id_is_refused(spools):
    assert run("--shard", "1/2", "--campaign", "friday", "--spool-only", str(spools)) == 0
    with pytest.raises(UserError, match=r"friday-s001.jsonl was begun with something else \(seed\)"):
        run("--shard", "1/2", "--campaign", "friday", "--seed", "7", "--spool-only", str(spools))


def test_a_part_that_another_process_measures_is_refused(spools):
    assert run("--shard", "1/2", "--spool-only", str(spools)) == 0
    (path,) = spool_files(spools)
    with SpoolWriter(path), pytest.raises(UserError, match="being measured by another process"):
        run("--shard", "1/2", "--spool-only", str(spools))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shard", "1/9"], "4 settings cannot be split into 9"),
        (["--campaign", "friday"], "--campaign is of a run that is split"),
        (["--anchors", "1"], "--anchors is of a run that is split"),
        (["--shard", "1/2", "--anchors", "3"], "with 3 anchors"),
    ],
)
def test_what_cannot_be_split_is_refused_before_anything_is_written(spools, words, said):
    with pytest.raises(UserError, match=said):
        run(*words, "--spool-only", str(spools))
    assert not list(spools.glob("*.jsonl"))


def test_a_shell_completes_the_run_and_not_its_parts(tmp_path):
    from argparse import Namespace

    from profcore.cli.completion import runs

    folder = tmp_path / "p.duckdb.spool"
    folder.mkdir()
    for name in ("friday-s001", "friday-s002", "friday-alone"):
        (folder / f"{name}.jsonl").touch()
    assert runs("fri", Namespace(db=tmp_path / "p.duckdb")) == ["friday-alone", "friday"]
