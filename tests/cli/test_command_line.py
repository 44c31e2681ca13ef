"""Help with examples, what was likely meant by a mistyped word, what a shell completes, and lists of any width."""

import argparse
import re
import shlex

import pytest

from profcore.cli import completion
from profcore.cli.lists import fitting
from profcore.cli.parser import build_parser, commands_of, main, parse
from profcore.errors import UserError
from profcore.storage.shipped import shipped_spools
from profcore.storage.store import spool_directory

COMMANDS = commands_of(build_parser())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_says_what_a_command_does_and_how_it_is_called(name):
    said = COMMANDS[name].format_help()
    assert said.split("\n\n")[1].endswith(".")
    examples = re.findall(r"^  profcore (.+)$", said.split("example", 1)[1], re.MULTILINE)
    assert examples
    for example in examples:
        assert callable(parse(shlex.split(example)).command)


def test_help_calls_the_program_as_it_was_called():
    assert "python -m profcore run moe_topk" in commands_of(build_parser("python -m profcore"))["run"].format_help()


MISTYPED = {
    "rnu": "There is no command 'rnu': did you mean run?",
    "compare-engine": "did you mean compare-engines",
    "zzz": "There is no command 'zzz': `profcore --help` lists them.",
    "": "Name a command: `profcore --help` lists them.",
    "--vresion": "profcore has no option --vresion: did you mean --version?",
    "run moe_topkk": "There is no experiment 'moe_topkk': did you mean moe_topk?",
    "run everything": "There is no experiment 'everything': choose from context_scaling, moe_topk, ",
    # Whose value would else be taken for the experiment.
    "run --num-samplse 5 moe_topk": "run has no option --num-samplse: did you mean --num-samples",
    "run moe_topk --engine compild": "There is no --engine 'compild': did you mean compiled?",
    "run moe_topk --clock sundial": "There is no --clock 'sundial': choose from events, published.",
    "run moe_topk --num-samples": "run: --num-samples: expected one argument.",
    "inspect strcture": "There is no tool 'strcture': did you mean structure?",
    "show": "show: the following arguments are required: RUN.",
}


@pytest.mark.parametrize("line", MISTYPED)
def test_what_is_mistyped_is_said_in_one_sentence(line, capsys):
    with pytest.raises(SystemExit) as left:
        main(shlex.split(line))
    error = capsys.readouterr().err
    assert left.value.code == 2
    assert error.startswith(f"profcore: {MISTYPED[line]}" if MISTYPED[line][0].isupper() else "profcore: ")
    assert MISTYPED[line] in error
    assert error.count("\n") == 1


def test_a_value_that_looks_like_an_option_is_none():
    assert parse(["sql", "-- what there is\nSELECT 1"]).query.startswith("--")
    assert parse(["run", "moe_topk", "--prompt=--no such option"]).prompt == "--no such option"
    with pytest.raises(UserError):
        parse(["runs", "--jsn"])


def test_runs_are_completed_by_their_beginning_and_no_database_is_made(tmp_path):
    database = tmp_path / "data.duckdb"
    spool_directory(database).mkdir()
    for name in ("20260101-000000-aa", "20260102-000000-bb"):
        (spool_directory(database) / f"{name}.jsonl").touch()
    shipped = list(shipped_spools())
    asked = argparse.Namespace(db=database)
    assert completion.runs("202601", asked) == ["20260102-000000-bb", "20260101-000000-aa"]
    assert completion.runs(shipped[0][:15], asked) == [
        each for each in shipped[::-1] if each.startswith(shipped[0][:15])
    ]
    assert completion.runs("*", asked) == completion.runs("../", asked) == []
    assert not database.exists()


@pytest.mark.parametrize("command", ["show", "compare", "report", "export", "delete", "run"])
def test_what_names_a_run_completes_runs(command):
    completers = [getattr(action, "completer", None) for action in COMMANDS[command]._actions]
    assert completion.runs in completers


def test_a_list_shows_the_most_telling_columns_that_there_is_room_for():
    rows = [{"id": "x" * 24, "time": "y" * 16, "engine": "compiled", "state": "done", "name": None}]
    columns, first = ("id", "time", "state", "engine", "name"), ("id", "time", "engine", "state", "name")
    assert fitting(rows, columns, first, 20) == ["id", "time", "engine"]
    assert fitting(rows, columns, first, 24 + 16 + 8 + 5 + 6) == ["id", "time", "state", "engine"]
    # What no row has a value for takes no room.
    assert fitting(rows, columns, first, 1000) == ["id", "time", "state", "engine"]
    assert fitting([], columns, first, 80) == ["id", "time", "engine"]
