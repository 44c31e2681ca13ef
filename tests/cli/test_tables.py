"""Tables in a terminal: at any width every word of every cell is there."""

import numpy as np
import pandas as pd
import pytest

from profcore.cli.parser import main
from profcore.cli.tables import laid_out, print_table

POINTS = pd.DataFrame(
    {
        "picture and setting": ["astronaut-1, 2×2 grid, 8 output tokens", "coins-2, 1×2 grid, 16 output tokens"],
        "vision tokens": [544, 384],
        "samples": [5, 5],
        **{f"Some latency {number} (ms)": [f"{number}1.25", f"{number}2.75"] for number in range(9)},
    }
)


def printed(frame, width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(frame)
    return capsys.readouterr().out


def words_of(text):
    return text.replace("│", " ").replace("┃", " ").split()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 300])
def test_no_cell_is_cut_and_no_line_is_too_long(width, capsys, monkeypatch):
    said = printed(POINTS, width, capsys, monkeypatch)
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= width
    words = set(words_of(said))
    for value in POINTS.drop(columns="samples").astype(str).to_numpy().ravel():
        assert set(value.split()) <= words, value


def test_a_table_that_fits_is_one(capsys, monkeypatch):
    said = printed(POINTS, 300, capsys, monkeypatch)
    assert said.count("┏") == 1
    assert "In every row" not in said


def test_a_wider_one_is_in_parts_each_with_what_its_rows_are_of(capsys, monkeypatch):
    said = printed(POINTS, 80, capsys, monkeypatch)
    assert said.splitlines()[0] == "In every row: samples 5"
    assert said.count("┏") == said.count("astronaut-1,") > 1
    (same, parts) = laid_out(list(POINTS), [list(map(str, row)) for row in POINTS.to_numpy()], 80)
    assert same == [2]
    assert sorted({place for part in parts for place in part.columns}) == [0, 1, *range(3, 12)]
    assert all(part.columns[0] == 0 for part in parts)
    # Of several columns of names all are beside each part.
    heads, rows = (
        ["run", "setting", "latency", *map(str, range(9))],
        [["a", "b", "c", *"1" * 9], ["d", *"ef", *"2" * 9]],
    )
    assert all(part.columns[:3] == (0, 1, 2) for part in laid_out(heads, rows, 30)[1])


def test_words_longer_than_a_terminal_are_folded_and_nothing_is_lost(capsys, monkeypatch):
    name = "void_at_native_" * 9
    said = printed(pd.DataFrame({"stage": ["LLM prefill"], "kernel": [name]}), 40, capsys, monkeypatch)
    assert name in "".join(line.split("│")[2].strip() for line in said.splitlines() if line.startswith("│"))


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": []}),
        pd.DataFrame(),
        pd.DataFrame({"only": ["one", "one"], "x" * 90: [1, 1]}),
        pd.DataFrame({"a": [np.nan, 1.5], "[red]": ["[b]x[/b]", "y"]}),
    ],
)
def test_odd_tables_are_printed(frame, capsys, monkeypatch):
    said = printed(frame, 30, capsys, monkeypatch)
    if "[red]" in frame:
        assert "[b]x[/b]" in said
        assert "–" in said


@pytest.mark.parametrize(
    ("run", "latency"), [("20261129-203443-83565d32", "decode"), ("20261129-203915-34c1a80d", "preprocessing")]
)
def test_a_shipped_run_of_pictures_is_legible_at_80_columns(run, latency, tmp_path, capsys, monkeypatch):
    from profcore.storage.shipped import shipped_spools
    from profcore.storage.store import Store

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("PROFCORE_DB", str(tmp_path / "p.duckdb"))
    assert run in shipped_spools()
    with Store(tmp_path / "p.duckdb") as store:
        store.take_in_shipped()
    with pytest.raises(SystemExit) as left:
        main(["show", run])
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert "…" not in said
    assert {"astronaut-1,", "Projector", latency, "encoder"} <= set(words_of(said))
