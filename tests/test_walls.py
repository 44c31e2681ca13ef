"""The walls between the rooms: who may import what. A new file is walled from birth."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT, seconds

# The floors of the house, from the ground up; a room imports rooms of lower floors, and of its own without a circle.
FLOORS = (
    ("errors", "paths"),
    ("spec",),
    ("images", "stats"),
    ("models", "data_sets"),
    ("engines", "roofline", "experiments"),
    ("measure", "storage"),
    ("formats", "inspectors"),
    ("results", "worker"),
    ("comparisons", "tradeoff"),
    ("charts",),
    ("export",),
    ("service", "notebook"),
    ("bench", "pages"),
    ("cli", "app"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# Rooms whose files may import torch; every file of any other room loads without it.
TORCH = {"engines", "models", "measure", "inspectors", "bench"}
# Files that may as well: the process that measures, and what runs in it alone.
TORCH_FILES = {
    f"profcore.worker.{name}" for name in ("process", "execute", "shelf", "tools", "device_lock", "pinning", "__main__")
}
# Files of rooms with torch that a machine without it may want.
LIGHT_INSIDE = {"profcore.models.prompt", "profcore.measure.trace", "profcore.measure.vqa_accuracy"}
HEAVY = {"torch", "transformers", "streamlit"}


def _files() -> dict[str, Path]:
    """Every module of the product by its dotted name."""
    found = [*(ROOT / "profcore").rglob("*.py"), *(ROOT / "pages").rglob("*.py"), ROOT / "app.py"]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in found}


FILES = _files()


def room_of(module: str) -> str:
    """The room that a module stands in: a folder or file of `profcore`, `pages` or `app`."""
    parts = module.split(".")
    return parts[1] if parts[0] == "profcore" and len(parts) > 1 else parts[0]


def _imported(path: Path) -> set[str]:
    """What a file imports, also inside functions and for types alone."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # What is imported from a package may be a module of it.
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def _arrows() -> dict[str, set[str]]:
    """The product's modules that each of its modules imports."""
    return {name: {each for each in _imported(path) if each in FILES} - {name} for name, path in FILES.items()}


# `profcore` and its `__main__` hand on what others hold, and stand on no floor.
ROOMS = {name: room_of(name) for name in FILES if name not in ("profcore", "profcore.__main__")}


def test_every_room_stands_on_a_floor():
    assert set(ROOMS.values()) <= set(FLOOR)


def test_no_arrow_runs_up_and_no_circle_runs_between_rooms():
    arrows, between = _arrows(), dict[str, set[str]]()
    for module, room in ROOMS.items():
        for other in arrows[module] & ROOMS.keys():
            if ROOMS[other] != room:
                assert FLOOR[ROOMS[other]] <= FLOOR[room], f"{module} imports {other}, which stands above it"
                between.setdefault(room, set()).add(ROOMS[other])
    done: set[str] = set()

    def visit(room: str, way: tuple[str, ...]) -> None:
        assert room not in way, f"a circle of rooms: {' → '.join((*way, room))}"
        if room not in done:
            for other in between.get(room, ()):
                visit(other, (*way, room))
            done.add(room)

    for room in between:
        visit(room, ())


def _light_modules() -> list[str]:
    """Every module that loads without torch: those of rooms without it, and what they or a page import."""
    own = {name for name, room in ROOMS.items() if room not in TORCH and name not in TORCH_FILES}
    light = {name for name in own if not name.startswith(("pages", "app"))} | LIGHT_INSIDE
    waiting = list(own)
    while waiting:
        for other in _at_once(FILES[waiting.pop()]) - light - own:
            light.add(other)
            waiting.append(other)
    return sorted(light)


def _at_once(path: Path) -> set[str]:
    """The product's modules that a file imports as it is loaded itself: neither in functions nor for types."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & ROOMS.keys()


def test_light_modules_load_without_torch_transformers_or_streamlit():
    _load_light(anew=False)


@pytest.mark.long
def test_each_light_module_loads_whatever_was_loaded_before_it():
    _load_light(anew=True)


def _load_light(anew: bool) -> None:
    """Load them in one process, which never has anything heavy.

    Args:
        anew: Whether each is loaded as if it were the first, so that none needs what another has loaded.
    """
    light = _light_modules()
    assert {"profcore.models.config", "profcore.engines.names", "profcore.inspectors.report"} <= set(light)
    code = f"""
import importlib, sys
for name in {light!r}:
    before = set(sys.modules)
    importlib.import_module(name)
    found = {HEAVY!r} & set(sys.modules)
    assert not found, (name, found)
    for loaded in set(sys.modules) - before:
        if {anew} and loaded.split(".")[0] == "profcore":
            del sys.modules[loaded]
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=seconds(240), check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_the_worker_needs_neither_duckdb_nor_streamlit_nor_altair_nor_scipy(tmp_path):
    # Modules that cannot be imported stand in for a machine without them.
    for name in ("duckdb", "streamlit", "altair"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not here')")
    # Transformers uses this one where it is found, so it must not even be found.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['scipy'] = None\n")
    command = [sys.executable, "-m", "profcore", "run", "context_scaling", "--max-grid-size", "1"]
    command += ["--num-samples", "1", "--warmup", "0", "--device", "cpu", "--spool-only", str(tmp_path / "spool")]
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "/usr/bin:/bin", "PROFCORE_LOCKS": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "spool").glob("*.jsonl"))) == 1
    assert (tmp_path / "results/profiling/context_scaling/exp1_context_scaling_results.json").is_file()


@pytest.mark.parametrize(
    ("library", "where"),
    [("streamlit", ("pages", "app")), ("duckdb", ("storage",)), ("torch", (*TORCH, "worker", "cli"))],
)
def test_a_library_is_imported_where_it_belongs_and_nowhere_else(library, where):
    users = {name for name in ROOMS if library in {each.split(".")[0] for each in _imported(FILES[name])}}
    assert users
    assert not {name for name in users if ROOMS[name] not in where}


def test_colours_are_known_to_charts_alone():
    for name, path in FILES.items():
        # The dummy picture has a colour too.
        if ROOMS.get(name) != "charts" and name != "profcore.images.pictures":
            text = path.read_text(encoding="utf-8")
            assert not [node for node in ast.walk(ast.parse(text)) if _is_colour(node)], path


def _is_colour(node: ast.AST) -> bool:
    value = getattr(node, "value", None)
    return isinstance(node, ast.Constant) and isinstance(value, str) and len(value) == 7 and value[0] == "#"
