"""The commands that list what cannot be read and make a database anew."""

import json

import pytest

from profcore.cli.parser import main
from profcore.storage import store as stores
from profcore.storage.store import Store, spool_directory
from tests.storage.test_database_states import add_run


@pytest.fixture
def database(tmp_path, monkeypatch):
    (tmp_path / "samples").mkdir()
    monkeypatch.setattr(stores, "SHIPPED", tmp_path / "samples")
    path = tmp_path / "data.duckdb"
    run_id = add_run(spool_directory(path))
    with Store(path) as store:
        store.take_in_all()
        store.rename(run_id, "baseline")
    return path


def profcore(capsys, *words):
    """What a command line says, and its status."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def test_unread_lists_files_with_reasons_and_runs_with_lines(database, capsys):
    assert profcore(capsys, "unread", "--db", database)[1].startswith("Everything in")
    spools = spool_directory(database)
    (spools / "aaa.jsonl").write_text("oops\n")
    (spools / "old.jsonl.bad").touch()
    (run,) = spools.glob("2*.jsonl")
    with run.open("a") as file:
        file.write("oops\n")
    code, said, _ = profcore(capsys, "unread", "--db", database)
    assert code == 0
    listed = json.loads(profcore(capsys, "runs", "--db", database, "--json")[1])[0]
    listed = f"{listed['created_at'][:16].replace('T', ' ')}, {listed['experiment']}, {listed['engine']}"
    assert said.splitlines() == [
        "aaa.jsonl is not a spool this version reads: its first line holds no run.",
        "old.jsonl.bad: it is no spool, and was set aside",
        f"{run.stem} ({listed}): 1 line of its spool left out.",
    ]
    found = json.loads(profcore(capsys, "unread", "--db", database, "--json")[1])
    assert (list(found["files"]), found["left_out_lines"]) == (["aaa.jsonl", "old.jsonl.bad"], {run.stem: 1})


def test_every_command_says_what_is_wrong_with_a_broken_database_and_rebuild_mends_it(database, capsys):
    database.write_bytes(database.read_bytes()[:5000])
    for words in (["runs"], ["unread"], ["show", "2"], ["rename", "2", "x"], ["export", "2"], ["import", database]):
        code, _, said = profcore(capsys, *words, "--db", database)
        assert code == 2
        assert len(said.splitlines()) == 1
        assert f"python -m profcore rebuild --db {database}" in said
    code, said, _ = profcore(capsys, "rebuild", "--db", database)
    assert code == 0
    assert said.splitlines() == [
        f"{database} is new, with 1 run from the spools.",
        f"What was there is {database}.old-1 now.",
    ]
    with Store(database) as store:
        assert store.runs()["name"].tolist() == ["baseline"]


def test_rebuild_without_spools_or_of_a_held_database_is_refused(database, tmp_path, capsys, monkeypatch):
    code, _, said = profcore(capsys, "rebuild", "--db", tmp_path / "none.duckdb")
    assert (code, "No spools lie in" in said) == (2, True)
    before = database.read_bytes()

    def held(*given):
        raise stores.StoreHeldError("held")

    monkeypatch.setattr(stores, "Connection", held)
    code, _, said = profcore(capsys, "rebuild", "--db", database)
    assert (code, "its pages offer to rebuild it" in said) == (2, True)
    assert database.read_bytes() == before


def test_an_import_that_no_database_takes_in_leaves_none_of_the_others(database, tmp_path, capsys, monkeypatch):
    from profcore.formats import imports

    files = []
    for name in "ab":
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps({"results": [{"T_total": 1.0 + len(files)}]}))
    real, seen = imports.take_in_on_trial, []

    def refuse_the_second(path, run_id, name):
        seen.append(name)
        real(path, run_id, name)
        if len(seen) == 2:
            raise imports.FormatError(f"{name} is refused.")

    monkeypatch.setattr(imports, "take_in_on_trial", refuse_the_second)
    before = sorted(spool_directory(database).iterdir())
    code, _, said = profcore(capsys, "import", *files, "--db", database)
    assert (code, said) == (2, f"profcore: {files[1]} is refused.\n")
    assert sorted(spool_directory(database).iterdir()) == before
    monkeypatch.undo()
    assert profcore(capsys, "import", *files, "--db", database)[0] == 0
    assert len(sorted(spool_directory(database).iterdir())) == len(before) + 2


def test_a_run_says_beforehand_that_little_space_is_left(database, tmp_path, capsys, monkeypatch):
    from profcore.cli import run

    monkeypatch.setattr(run, "space_note", lambda folder, sweeps: f"Only 1 MB are left in {folder}.")
    monkeypatch.setattr(run, "_say_what_is_lacking", lambda *given: None)

    def stop(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr("profcore.worker.shelf.ModelShelf", stop)
    words = ["run", "moe_topk", "--device", "cpu", "--db", database, "--output-dir", tmp_path / "results"]
    code, _, said = profcore(capsys, *words)
    assert code == 130
    assert f"Only 1 MB are left in {spool_directory(database)}." in said
