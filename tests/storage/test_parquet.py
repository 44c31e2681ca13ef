"""The whole store as Parquet files, read again."""

import re

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from profcore.cli.parser import main
from profcore.storage import store as stores
from profcore.storage.parquet import TABLES, write_parquet
from profcore.storage.store import Store
from tests.support import ROOT, sample_spool

RUNS = ("20261129-201600-9b5321e6", "20261129-203616-5b199827")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("parquet") / "data.duckdb") as store:
        for run_id in RUNS:
            store.take_in(sample_spool(run_id, store.path.parent), source="shipped")
        yield store


@pytest.fixture(scope="module")
def folder(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("it's here")
    assert write_parquet(store, folder) == [folder / f"{name}.parquet" for name in TABLES]
    return folder


def test_what_is_read_again_is_what_is_stored(store, folder):
    samples = pd.read_parquet(folder / "samples.parquet")
    assert samples["run_id"].drop_duplicates().tolist() == sorted(RUNS)
    for run_id in RUNS:
        own = store.samples(run_id)
        read = samples[samples["run_id"] == run_id]
        assert read["total_ms"].tolist() == own["total_ms"].tolist()
        assert len(pd.read_parquet(folder / "settings.parquet").query("run_id == @run_id")) == len(
            store.settings(run_id)
        )
    runs = pd.read_parquet(folder / "runs.parquet").set_index("id")
    for row in store.run_list().to_dict("records"):
        assert runs.loc[row["id"], "engine"] == row["engine"]
        assert runs.loc[row["id"], "created_at_utc"] == row["created_at"]


def test_columns_are_typed_and_named_by_their_units(folder):
    schemas = {name: pq.read_schema(folder / f"{name}.parquet") for name in TABLES}
    assert schemas["samples"].field("decode_steps_ms").type.value_type == pa.float64()
    assert pa.types.is_timestamp(schemas["runs"].field("created_at_utc").type)
    assert schemas["settings"].field("top_k").type == pa.int32()
    assert {"kl_nats"} <= set(schemas["settings"].names)
    assert {"p50_ms", "std_ms"} <= set(schemas["summaries"].names)
    floats = [field.name for field in schemas["samples"] if field.type == pa.float64()]
    assert all(name.startswith("flops_") or re.search("_(ms|us|s|mhz|c|w|percent)$", name) for name in floats)


def test_the_documented_queries_give_what_the_store_says(store, folder, monkeypatch):
    text = (ROOT / "docs/files.md").read_text(encoding="utf-8")
    (query,) = re.findall("```sql\n(.*?)```", text, re.DOTALL)
    (code,) = re.findall("```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(folder)
    found = duckdb.sql(query.replace("DIR/", "")).df()
    names = {"pd": pd}
    *lines, last = code.replace("DIR/", "").strip().splitlines()
    exec("\n".join(lines), names)
    assert eval(last, names).tolist() == pytest.approx(found["decode_ms"].tolist())
    own = store.samples(RUNS[1])
    engine = store.run(RUNS[1])["environment"]["engine"]
    assert found[found["engine"] == engine]["decode_ms"].tolist() == pytest.approx(
        own.groupby("top_k")["llm_decode_ms"].median().tolist()
    )


def test_one_run_and_a_second_time_over_the_first(store, folder, tmp_path):
    for run_ids in (None, [RUNS[0]], ["it's none"]):
        write_parquet(store, tmp_path, run_ids)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{name}.parquet" for name in TABLES)
    assert len(pd.read_parquet(tmp_path / "runs.parquet")) == 0
    write_parquet(store, tmp_path, [RUNS[0]])
    assert pd.read_parquet(tmp_path / "runs.parquet")["id"].tolist() == [RUNS[0]]


def test_the_command_also_while_a_dashboard_holds_the_database(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(stores, "SHIPPED", tmp_path / "none")
    database, out = tmp_path / "data.duckdb", tmp_path / "out"

    def export(*words):
        with pytest.raises(SystemExit) as left:
            main(["export", *words, "--db", str(database), "--format", "parquet", "--output", str(out)])
        return left.value.code, capsys.readouterr()

    spools = stores.spool_directory(database)
    spools.mkdir()
    sample_spool(RUNS[0], spools)
    opened = stores.Connection

    def held(path):
        if str(path) == str(database):
            raise stores.StoreHeldError("held")
        return opened(path)

    monkeypatch.setattr(stores, "Connection", held)
    code, said = export("--all")
    assert (code, len(said.out.splitlines())) == (0, len(TABLES))
    assert pd.read_parquet(out / "runs.parquet")["id"].tolist() == [RUNS[0]]
    for words in ((), ("--all", RUNS[0])):
        code, said = export(*words)
        assert (code, "Name one run to export, or say --all." in said.err) == (2, True)
