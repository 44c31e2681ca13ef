"""What README and docs name exists: commands, options, pages, files, links and rooms."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from profcore.cli.parser import build_parser, hyphens
from profcore.data_sets import KINDS
from profcore.engines.names import ENGINES
from profcore.experiments.block_choice import METHODS
from profcore.experiments.knobs import CATALOGUE
from profcore.experiments.motivation import MOTIVATION
from profcore.inspectors.names import INSPECTORS
from profcore.models.config import PRESETS
from tests.support import ROOT
from tests.test_walls import FLOOR

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in DOCUMENTS}
README = TEXTS["README.md"]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Options of other programs that a document names.
OTHERS = {"--server.allowedHosts", "--no-deps", "--require-hashes"}
# Where a document names what the product makes: see .gitignore.
MADE = [line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines() if line[:1] == "/"]

# What stands in the checkout, and the published scripts, which do not.
TOP = {path.name for path in ROOT.iterdir()}
SCRIPTS = {each.script for each in INSPECTORS.values()}


def _subparsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    (commands,) = (each for each in build_parser()._actions if isinstance(each, argparse._SubParsersAction))
    return commands.choices


COMMANDS = _subparsers()


def _options(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


ALL_OPTIONS = _options(build_parser()).union(*map(_options, COMMANDS.values()))


def _shell_lines(text: str) -> list[list[str]]:
    """The words of every command in a document's blocks of shell."""
    lines = [line for kind, block in FENCE.findall(text) if kind == "bash" for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines]


def _spans(text: str) -> list[str]:
    """What a document writes as code within a sentence or a table."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


def _arguments(words: list[str]) -> list[str] | None:
    """What a command line hands to profcore; None where it is no command of profcore."""
    if words[:3] == ["python", "-m", "profcore"]:
        return words[3:]
    return words[1:] if words[:1] == ["profcore"] else None


LINES = [
    (name, arguments)
    for name, text in TEXTS.items()
    for words in _shell_lines(text)
    if (arguments := _arguments(words)) is not None
]


@pytest.mark.parametrize("arguments", [pytest.param(line, id=f"{name}: {' '.join(line)}") for name, line in LINES])
def test_every_command_line_is_one_that_the_parser_takes(arguments):
    words = [hyphens(word) for word in arguments]
    assert callable(build_parser().parse_args(words).command)
    # The parser takes beginnings of options too; a document spells them out.
    assert {word for word in words if word.startswith("--")} <= _options(COMMANDS[words[0]])


def test_every_command_and_option_within_a_sentence_exists():
    for name, text in TEXTS.items():
        for span in _spans(text):
            words = span.split()
            options = {
                hyphens(word).split("=")[0]
                for each in words
                if (word := each.strip("[],.…")).startswith("--") and word != "--"
            }
            arguments = _arguments(words)
            if arguments and not arguments[0].startswith("-"):
                assert arguments[0] in COMMANDS, f"{name}: {span}"
            command = (arguments or words)[0]
            known = _options(COMMANDS[command]) if command in COMMANDS else ALL_OPTIONS | OTHERS
            assert options <= known, f"{name}: {span}"


def test_every_command_is_shown():
    assert {arguments[0] for _, arguments in LINES} == COMMANDS.keys()


def test_every_module_that_is_run_exists():
    for text in TEXTS.values():
        for module in re.findall(r"python -m ([\w.]+)", text):
            path = ROOT.joinpath(*module.split("."))
            assert path.is_dir() or path.with_suffix(".py").is_file() or importlib.util.find_spec(module), module


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_every_task_of_make_exists():
    lines = [words for text in TEXTS.values() for words in _shell_lines(text)]
    lines += [span.split() for text in TEXTS.values() for span in _spans(text)]
    named = {task for words in lines if words[:1] == ["make"] for task in words[1:]}
    assert {"test", "test-long"} <= named <= _targets()


def _titles() -> set[str]:
    """The pages' titles, as the menu has them."""
    tree = ast.parse((ROOT / "pages/parts/navigation.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    pages = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "Page"]
    return {word.value.value for page in pages for word in page.keywords if word.arg == "title"}


def _named_pages(text: str) -> set[str]:
    """The pages a document names: in italics, after the word page."""
    found = set()
    for several in re.findall(r"\b[Pp]ages?\s+((?:\*[^*]+\*(?:,\s+|\s+and\s+)?)+)", text):
        found |= {" ".join(title.split()) for title in re.findall(r"\*([^*]+)\*", several)}
    return found


def test_every_page_that_is_named_is_in_the_menu_and_the_other_way_round():
    titles = _titles()
    assert "Vision tokens" in titles
    named = {name: _named_pages(text) for name, text in TEXTS.items()}
    assert {title: name for name, pages in named.items() for title in pages - titles} == {}
    assert titles == set().union(*named.values())


def _first_cells(document: str, column: str) -> list[str]:
    """The names in the table of a document whose heading starts with that column; a number before them is left out."""
    table = TEXTS[document].split(f"| {column} |", 1)[1].split("\n\n")[0]
    return re.findall(r"^\|(?: \d+ \|)? `([\w-]+)` \|", table, re.MULTILINE)


def test_tables_list_all_there_is():
    assert _first_cells("docs/engines.md", "`--engine`") == list(ENGINES)
    assert _first_cells("docs/pictures.md", "`NAME`") == list(MOTIVATION)
    assert _first_cells("docs/pictures.md", "`--data-set`") == list(KINDS)
    assert _first_cells("docs/inspect.md", "`NAME`") == list(INSPECTORS)
    assert _first_cells("docs/inspect.md", "`METHOD`") == list(METHODS)
    assert set(PRESETS) <= set(_first_cells("README.md", "`--model`"))


def test_the_table_of_result_files_says_where_they_go():
    table = _first_cells("docs/files.md", "experiment")
    assert table == [*CATALOGUE, *MOTIVATION]
    for each in CATALOGUE.values():
        assert f"| `{each.name}` | `profiling/{each.folder}/{each.file}`" in TEXTS["docs/files.md"]
    for each in MOTIVATION.values():
        assert f"| `{each.name}` | `motivation/{each.file.removesuffix('.json')}" in TEXTS["docs/files.md"]


def _looks_like_a_path(span: str) -> bool:
    first, slash, _ = span.partition("/")
    if not re.fullmatch(r"[\w.*/-]+", span) or span in SCRIPTS:
        return False
    return (bool(slash) and first in TOP) or Path(span).suffix in (".py", ".md", ".toml", ".txt")


def test_every_file_that_is_named_exists_or_is_made_at_run_time():
    seen = 0
    for name, text in TEXTS.items():
        for span in filter(_looks_like_a_path, _spans(text)):
            seen += 1
            made = any(Path(span).match(pattern) or span.strip("/").startswith(pattern.strip("*")) for pattern in MADE)
            assert made or list(ROOT.glob(span.rstrip("/"))), f"{name} names {span}"
    assert seen > 40


def _anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere():
    seen = 0
    for name, text in TEXTS.items():
        for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text)):
            if re.match(r"[a-z]+:", link):
                continue
            seen += 1
            path, _, anchor = link.partition("#")
            target = (ROOT / name).parent / path if path else ROOT / name
            assert target.exists(), f"{name}: {link}"
            if anchor:
                assert anchor in _anchors(target.read_text(encoding="utf-8")), f"{name}: {link}"
    assert seen > 10


def test_every_page_of_docs_is_linked_from_readme():
    linked = {link.partition("#")[0] for link in re.findall(r"\]\((docs/[^)\s]+)\)", README)}
    assert linked == {name for name in TEXTS if name.startswith("docs/")}


def test_readme_lists_the_rooms_there_are_from_the_ground_up():
    listed = re.findall(r"^\| `profcore/(\w+)(?:/|\.py)` \|", README, re.MULTILINE)
    package = ROOT / "profcore"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    rooms |= {path.stem for path in package.glob("*.py") if not path.stem.startswith("__")}
    assert sorted(listed) == sorted(rooms)
    floors = [FLOOR[room] for room in listed]
    assert floors == sorted(floors)


def test_readme_is_short():
    assert len(README.splitlines()) < 150
