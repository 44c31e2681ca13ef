"""Queries over the results: what is answered, and a list of attacks, none of which is."""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path

import duckdb
import pytest

from profcore.errors import UserError
from profcore.service.sql_examples import EXAMPLES
from profcore.storage.ask import Limits, asking
from profcore.storage.rebuild import rebuild_open
from profcore.storage.sql_rules import TABLES, QueryError, check_tree
from profcore.storage.store import Store
from tests.comparisons.stored import store_run
from tests.support import ROOT, seconds, small_sweep

# Ways to files, to the network and to extensions, and to change anything.
OUTWARD = [
    "SELECT * FROM read_csv('{secret}')",
    "SELECT * FROM read_text('{secret}')",
    "SELECT * FROM read_blob('{secret}')",
    "SELECT * FROM read_json_objects('{secret}')",
    "SELECT * FROM parquet_scan('{secret}')",
    "SELECT * FROM read_duckdb('{secret}')",
    "SELECT * FROM sniff_csv('{secret}')",
    "SELECT * FROM '{secret}'",
    'FROM "{secret}"',
    "SELECT * FROM glob('/*')",
    "SELECT * FROM read_csv('https://example.invalid/a.csv')",
    "SELECT * FROM 's3://bucket/a.parquet'",
    "COPY runs TO '{out}'",
    "COPY (SELECT 1) TO '{out}'",
    "COPY runs FROM '{secret}'",
    "EXPORT DATABASE '{out}'",
    "IMPORT DATABASE '{out}'",
    "ATTACH '{out}' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "FORCE INSTALL httpfs FROM 'https://example.invalid'",
    "CREATE SECRET (TYPE s3)",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET memory_limit",
    "CALL enable_logging()",
    "SELECT * FROM (SELECT (SELECT max(content) FROM read_text('{secret}')))",
    "SELECT 1; COPY runs TO '{out}'",
    "INSERT INTO runs VALUES (1)",
    "UPDATE runs SET name = 'a'",
    "DELETE FROM runs",
    "DROP TABLE runs",
    "CREATE TABLE a AS SELECT 1",
    "CREATE MACRO a() AS 1",
    "WITH gone AS (DELETE FROM runs RETURNING *) SELECT * FROM gone",
]
# What tells of the database that answers and its settings, ways around a look at the text, and what is no query.
INWARD = [
    "DETACH memory",
    "USE memory",
    "PRAGMA database_list",
    "PRAGMA enable_external_access",
    "SELECT current_setting('home_directory')",
    "SELECT main.current_setting('home_directory')",
    "SELECT x.current_setting() FROM (SELECT 'threads' AS x) AS x",
    "SELECT getenv('SECRET')",
    "SELECT getvariable('a')",
    "SELECT write_log('a')",
    "SHOW memory_limit",
    "SHOW DATABASES",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM pg_settings",
    "SELECT * FROM pg_catalog.pg_settings",
    "SELECT * FROM system.main.duckdb_databases",
    "FROM (WITH pg_settings AS (SELECT 1) FROM pg_settings), pg_settings",
    "SELECT * FROM query('SELECT * FROM duckdb_settings()')",
    "SELECT * FROM query_table('pg_settings')",
    "FROM histogram(pg_settings, name)",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT 1; SELECT 2",
    "PREPARE a AS SELECT 1",
    "EXECUTE a",
    "BEGIN",
    "CHECKPOINT",
    "VACUUM",
    "EXPLAIN ANALYZE SELECT 1",
    "SELECT ?",
    "",
    "-- nothing",
    "SELEC 1",
    "SELECT '\ud800'",
    "x" * 30_000,
    "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
]
ATTACKS = [*OUTWARD, *INWARD]
# Not told from a plain query by its text: the process is limited.
BOMBS = [
    "SELECT count(*) FROM generate_series(1, 1000000000000)",
    "WITH RECURSIVE t(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM t) SELECT max(a) FROM t",
    "SELECT sleep_ms(100000)",
]
LARGE = [
    "SELECT list(a) FROM range(1000000000) AS t(a)",
    "SELECT repeat('x', 2000000000)",
    "SELECT string_agg(repeat('x', 1000000), '') FROM range(1000000)",
    "SELECT count(*) FROM (SELECT DISTINCT random() FROM range(1000000000))",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("sql") / "data.duckdb") as opened:
        store_run(opened, small_sweep(values=(1, 2), num_samples=3), lambda setting: 10.0 * setting.top_k)
        yield opened


@pytest.fixture(scope="module")
def questioner(store):
    with asking(store, Limits(seconds=seconds(60))) as opened:
        yield opened


def _filled(attack: str, folder: Path) -> str:
    return attack.replace("{secret}", str(folder / "secret.csv")).replace("{out}", str(folder / "out"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret.csv").write_text("secret\n42\n")
    return tmp_path


def test_a_query_gives_a_table_of_the_results(questioner):
    answer = questioner.ask(
        "/* é */ SELECT top_k, count(*) AS n, avg(llm_prefill_ms) AS ms, list(sample_id ORDER BY sample_id) AS ids, "
        "max(created_at) AS at FROM samples JOIN settings USING (run_id, setting) JOIN runs ON runs.id = run_id "
        "GROUP BY top_k ORDER BY top_k; -- one; more"
    )
    assert answer.table["top_k"].tolist() == [1, 2]
    assert answer.table["n"].tolist() == [3, 3]
    assert answer.table["ms"].tolist() == pytest.approx([10.0, 20.0])
    assert answer.table["ids"].tolist() == ["[0, 2, 4]", "[1, 3, 5]"]
    assert answer.table["at"].tolist() == ["2026-01-01 00:00:00"] * 2
    assert not answer.more


def test_values_keep_what_they_say_and_columns_their_names(questioner):
    answer = questioner.ask(
        "SELECT 1 AS a, 2 AS a, 0.1 AS b, 170141183460469231731687303715884105727 AS large, NULL AS none, "
        "9007199254740993 AS whole, 'nan'::DOUBLE AS nan, sum(i) AS total, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS at "
        "FROM range(3) AS t(i)"
    )
    (row,) = answer.table.to_dict("records")
    assert (row["a"], row["a_2"], row["b"], row["whole"], row["total"]) == (1, 2, 0.1, 9007199254740993, 3)
    assert row["large"] == "170141183460469231731687303715884105727"
    assert row["none"] is None
    assert row["nan"] != row["nan"]
    assert row["at"] == "2026-01-01 00:00:00+00"


def test_more_rows_than_are_given_are_said(questioner):
    answer = questioner.ask("SELECT * FROM range(100000000000)")
    assert (len(answer.table), answer.more) == (questioner.limits.rows, True)
    assert len(questioner.ask("SELECT id FROM runs WHERE false").table) == 0


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_answered(questioner, name):
    assert len(questioner.ask(EXAMPLES[name]).table.columns) > 3


def test_the_copy_is_made_anew_where_the_results_have_changed_and_only_there(store, questioner):
    count = "SELECT count(*) AS n FROM runs"
    before = questioner.ask(count)
    assert questioner.ask("SHOW TABLES").copied_at == before.copied_at
    assert set(questioner.ask("SHOW TABLES").table["name"]) == set(TABLES)
    store_run(store, small_sweep(values=(1,), num_samples=1), lambda setting: 1.0)
    after = questioner.ask(count)
    assert after.copied_at > before.copied_at
    assert after.table["n"][0] == before.table["n"][0] + 1


def test_a_rebuilt_store_is_asked_anew(tmp_path):
    count = "SELECT count(*) AS n FROM runs"
    with Store(tmp_path / "data.duckdb") as opened, asking(opened, Limits(seconds=seconds(60))) as questioner:
        first = store_run(opened, small_sweep(values=(1,), num_samples=1), lambda setting: 1.0)
        before, changes = questioner.ask(count), opened.connection.changes
        (opened.spools / f"{first}.jsonl").unlink()
        rebuild_open(opened)
        assert opened.connection.changes != changes
        after = questioner.ask(count)
        assert after.copied_at > before.copied_at


def _refusal(attack: str) -> str:
    """What the rules say of a query, read as the process reads it."""
    connection = duckdb.connect()
    views = {name for (name,) in connection.execute("SELECT view_name FROM duckdb_views()").fetchall()}
    ((tree,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [attack]).fetchall()
    with pytest.raises(QueryError) as refused:
        check_tree(json.loads(tree), views)
    return str(refused.value)


def test_no_attack_passes_the_rules(folder):
    for attack in ATTACKS:
        if (
            attack.isascii()
            and attack.strip("-? \n").startswith(("SELECT", "FROM", "SHOW", "WITH"))
            and "?" not in attack
        ):
            said = _refusal(_filled(attack, folder))
            assert "\n" not in said and len(said) < 400, attack


@pytest.mark.parametrize("few", [pytest.param(True, id="some"), pytest.param(False, marks=pytest.mark.long, id="all")])
def test_no_attack_is_answered_and_each_is_refused_in_one_sentence(questioner, folder, few):
    before = questioner.ask("SELECT count(*) AS n FROM runs").table["n"][0]
    for attack in ATTACKS[::12] if few else ATTACKS:
        with pytest.raises(QueryError) as refused:
            questioner.ask(_filled(attack, folder))
        said = str(refused.value)
        assert "\n" not in said and len(said) < 400, attack
        assert "42" not in said, attack
    assert [path.name for path in folder.iterdir()] == ["secret.csv"]
    assert questioner.ask("SELECT count(*) AS n FROM runs").table["n"][0] == before


def test_what_passes_the_rules_meets_a_process_that_can_open_nothing(store, folder):
    """Each again, handed to DuckDB as it is, and then the process's own attempts."""
    code = """
import json, os, socket, subprocess, sys
import duckdb
from profcore.storage.sandbox import _limit_process, _open_shut_in
database, attacks, secret = json.loads(sys.stdin.readline())
limits = {"seconds": 100, "megabytes": 256}
_limit_process(limits)
connection = _open_shut_in(database, limits)
passed = []
for attack in attacks:
    try:
        connection.execute(attack)
        passed.append(attack)
    except duckdb.Error:
        pass
for attempt in (lambda: open(secret), lambda: socket.socket(), lambda: os.listdir("/"), lambda: os.open(secret, 0),
                lambda: subprocess.run(["true"])):
    try:
        attempt()
        passed.append("attempt")
    except OSError:
        pass
print(json.dumps(passed))
os._exit(0)
"""
    path = folder / "copy.duckdb"
    store.connection.snapshot(path, TABLES)
    attacks = [_filled(attack, folder) for attack in OUTWARD]
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([str(path), attacks, str(folder / "secret.csv")]) + "\n",
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=seconds(120),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
    assert sorted(each.name for each in folder.iterdir()) == ["copy.duckdb", "secret.csv"]


def test_what_is_no_select_is_said_as_what_it_is_and_a_pivot_of_named_values_is_answered(questioner):
    for query in (
        "EXPLAIN SELECT 1",
        "PIVOT runs ON state USING count(*)",
        "FROM (PIVOT runs ON state USING count(*))",
    ):
        with pytest.raises(QueryError, match="no EXPLAIN, no PIVOT without IN"):
            questioner.ask(query)
    pivot = "SELECT done FROM (PIVOT (SELECT state FROM runs) ON state IN ('done') USING count(*))"
    assert questioner.ask(pivot).table["done"][0] > 0


def test_the_time_until_the_process_is_ready_is_none_of_the_query(store, tmp_path, monkeypatch):
    """As on a busy machine: here it waits for a pipe longer than a query may take."""
    os.mkfifo(tmp_path / "gate")
    (tmp_path / "sitecustomize.py").write_text(f"open({str(tmp_path / 'gate')!r}).read()")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    late = threading.Timer(1.5, lambda: (tmp_path / "gate").write_text("go"))
    with asking(store, Limits(seconds=1)) as questioner:
        late.start()
        assert len(questioner.ask("SELECT 1").table) == 1


def test_a_query_that_runs_away_is_ended_and_leaves_no_process(store):
    with asking(store, Limits(seconds=1)) as questioner:
        for query in BOMBS:
            with pytest.raises(QueryError, match="longer than 1 s"):
                questioner.ask(query)
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    if children.exists():
        running = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children.read_text().split()]
        assert not [line for line in running if b"profcore.storage.sandbox" in line]


@pytest.mark.parametrize("query", LARGE)
def test_a_query_that_takes_too_much_memory_is_refused(store, query):
    limits = Limits(seconds=seconds(60), megabytes=64)
    with asking(store, limits) as questioner, pytest.raises(QueryError, match="more than 64 MB"):
        questioner.ask(query)


def test_an_answer_is_bounded_in_columns_and_size(questioner):
    many = "SELECT " + ", ".join(f"1 AS c{number}" for number in range(300))
    with pytest.raises(QueryError, match="300 columns"):
        questioner.ask(many)
    with pytest.raises(QueryError, match="larger than 10 MB"):
        questioner.ask("SELECT repeat('x', 1000000) FROM range(100)")


def test_a_process_that_dies_is_said_and_the_next_query_answered(store, monkeypatch):
    with asking(store, Limits(seconds=seconds(60))) as questioner:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", "/bin/false")
            with pytest.raises(QueryError, match="ended the process"):
                questioner.ask("SELECT 1")
        assert len(questioner.ask("SELECT 1").table) == 1


def test_a_process_whose_asker_is_gone_ends_by_itself(store, tmp_path):
    """Nobody waits for it any more, so that it must not go on for ever."""
    path = tmp_path / "copy.duckdb"
    store.connection.snapshot(path, TABLES)
    limits = {**asdict(Limits()), "seconds": 1}
    request = json.dumps({"database": str(path), "query": "SELECT sleep_ms(1000000)", "limits": limits})
    command = [sys.executable, "-m", "profcore.storage.sandbox"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        process.stdin.write(request.encode() + b"\n")
        process.stdin.close()
        assert process.wait(seconds(60)) == -signal.SIGALRM


def test_results_that_cannot_be_copied_are_a_sentence(store, monkeypatch):
    with asking(store) as questioner:
        monkeypatch.setattr(store.connection, "snapshot", _full)
        with pytest.raises(UserError, match="cannot be copied"):
            questioner.ask("SELECT 1")


def _full(*_):
    raise OSError(28, "No space left on device")
