"""The walls between the rooms: who may import what."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What may import torch; every other module is light from birth.
HEAVY = {"engines", "models", "measure", "inspectors", "worker", "tools", "bench"}
LIGHT_INSIDE = ("models.config", "models.prompt", "engines.names", "inspectors.names")


def test_light_modules_import_no_torch_transformers_or_streamlit():
    files = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "profcore").rglob("*.py")]
    light = [".".join(file.parts).removesuffix(".__init__") for file in files if not HEAVY & set(file.parts)]
    light = [name for name in light if name != "profcore.__main__"] + [f"profcore.{name}" for name in LIGHT_INSIDE]
    code = "import sys, json, importlib\n"
    code += f"for name in {light!r}:\n    importlib.import_module(name)\n"
    code += "    found = {'torch', 'transformers', 'streamlit'} & set(sys.modules)\n    assert not found, (name, found)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_worker_needs_neither_duckdb_nor_streamlit_nor_altair(tmp_path):
    # Modules that cannot be imported stand in for a machine without them.
    for name in ("duckdb", "streamlit", "altair"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not here')")
    command = [sys.executable, "-m", "profcore", "run", "context_scaling", "--max-grid-size", "1"]
    command += ["--num-samples", "1", "--warmup", "0", "--device", "cpu", "--spool-only", str(tmp_path / "spool")]
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "spool").glob("*.jsonl"))) == 1
    assert (tmp_path / "results/profiling/context_scaling/exp1_context_scaling_results.json").is_file()


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_profcore_never_imports_streamlit_and_only_the_store_duckdb():
    for path in (ROOT / "profcore").rglob("*.py"):
        assert "streamlit" not in _imports(path), path
        assert path.parent.name == "storage" or "duckdb" not in _imports(path), path


def test_pages_import_neither_torch_nor_duckdb():
    files = [ROOT / "app.py", *(ROOT / "pages").rglob("*.py")]
    assert len(files) > 5
    for path in files:
        assert not {"torch", "transformers", "duckdb"} & _imports(path), path


def test_colours_are_known_to_charts_alone():
    for path in [*(ROOT / "profcore").rglob("*.py"), *(ROOT / "pages").rglob("*.py")]:
        # The dummy picture has a colour too.
        if path not in (ROOT / "profcore/charts/base.py", ROOT / "profcore/images/pictures.py"):
            text = path.read_text(encoding="utf-8")
            assert not [node for node in ast.walk(ast.parse(text)) if _is_colour(node)], path


def _is_colour(node: ast.AST) -> bool:
    value = getattr(node, "value", None)
    return isinstance(node, ast.Constant) and isinstance(value, str) and len(value) == 7 and value[0] == "#"
