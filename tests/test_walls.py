"""The walls between the rooms: who may import what."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIGHT = (
    *("spec", "experiments", "stats", "cost", "spool", "store", "formats", "charts", "jobs", "results", "service"),
    *("intake", "floors", "comparison", "side_by_side", "trace", "profiles", "answers", "engines.names"),
    *("queries", "motivation", "data_sets", "data_sets.vqa", "data_sets.tables", "data_sets.folder", "flops"),
    *("flops_latency", "scaling", "beside", "run_comparison", "picture_results", "result_files", "run_figures"),
    *(
        "figures",
        "archive",
        "tiling",
        "parameters",
        "differences",
        "frames",
        "importance",
        "vqa_accuracy",
        "inspections",
        "inspectors.names",
        "commands.plot",
        "cli",
    ),
)


@pytest.mark.parametrize("module", [*LIGHT, "models.config", "models.images", "models.pictures", "models.prompt"])
def test_light_modules_import_no_torch_transformers_or_streamlit(module):
    code = f"import sys, json, profcore.{module}; print(json.dumps(sorted(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"torch", "transformers", "streamlit"} & set(json.loads(output))


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
        assert path.name == "store.py" or "duckdb" not in _imports(path), path


def test_pages_import_neither_torch_nor_duckdb():
    files = [ROOT / "app.py", *(ROOT / "pages").rglob("*.py")]
    assert len(files) > 5
    for path in files:
        assert not {"torch", "transformers", "duckdb"} & _imports(path), path


def test_colours_are_known_to_charts_alone():
    for path in [*(ROOT / "profcore").rglob("*.py"), *(ROOT / "pages").rglob("*.py")]:
        # The dummy picture has a colour too.
        if path not in (ROOT / "profcore/charts/base.py", ROOT / "profcore/models/pictures.py"):
            text = path.read_text(encoding="utf-8")
            assert not [node for node in ast.walk(ast.parse(text)) if _is_colour(node)], path


def _is_colour(node: ast.AST) -> bool:
    value = getattr(node, "value", None)
    return isinstance(node, ast.Constant) and isinstance(value, str) and len(value) == 7 and value[0] == "#"
