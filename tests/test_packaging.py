"""What an installation holds: the package without its checkout, and files that must say the same."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import profcore
from tests.support import ROOT, seconds

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _listed(file: Path) -> dict[str, Requirement]:
    """The requirements that a file lists itself, by name."""
    lines = [line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return _by_name(line for line in lines if line and not line.startswith("-"))


def _by_name(texts) -> dict[str, Requirement]:
    return {each.name: each for each in map(Requirement, texts)}


def test_requirements_are_the_projects_own_and_the_dashboards():
    extras = PROJECT["optional-dependencies"]
    project = _by_name([*PROJECT["dependencies"], *extras["figures"], *extras["dashboard"]])
    # The dashboard's extra takes in that of figures.
    assert project.pop("profcore").extras == {"figures"}
    requirements = _listed(ROOT / "requirements.txt")
    assert requirements.keys() == project.keys()
    for name, required in requirements.items():
        pins = [each.version for each in required.specifier if each.operator == "=="]
        # What is pinned for README's first command must be one that the package allows.
        assert project[name].specifier.contains(pins[0]) if pins else required.specifier == project[name].specifier, (
            name
        )


def test_what_the_product_imports_is_required():
    names = {"PIL": "pillow", "skimage": "scikit-image", "pynvml": "nvidia-ml-py", "vl_convert": "vl-convert-python"}
    # Asked for where it is needed alone: it comes with torch's builds for GPUs, from whoever saves with `datasets`, or
    # with the extras that a shell's completion, submitting to Slurm and MLflow take.
    optional = {"triton", "datasets", "argcomplete", "submitit", "mlflow"}
    imported = set()
    for path in [*(ROOT / "profcore").rglob("*.py"), *(ROOT / "pages").rglob("*.py"), ROOT / "app.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    found = {names.get(name, name) for name in imported - sys.stdlib_module_names - {"profcore", "pages"}}
    assert found - optional <= _listed(ROOT / "requirements.txt").keys()


def test_the_version_stands_in_one_place_and_in_the_changelog():
    assert "version" not in PROJECT
    assert PROJECT["dynamic"] == ["version"]
    newest = re.findall(r"^## (\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[0]
    assert profcore.__version__.startswith(newest)


def test_hooks_use_the_installed_tools_and_no_network():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repository["repo"] == "local"
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
    tools = {hook["entry"].split()[0] for hook in repository["hooks"]}
    assert tools == {"ruff", "mypy"} <= _listed(ROOT / "tests/requirements.txt").keys()


def test_a_fresh_machine_runs_readmes_test_command_and_the_other_checks():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^pip install .* && python -m pytest .*$", readme, re.MULTILINE)
    assert f"\n{command} || exit\n" in script
    tasks = re.findall(r"^make ([a-z-]+)$", script, re.MULTILINE)
    assert tasks == ["test-long", "lint", "types"]
    assert os.access(ROOT / ".ci/run", os.X_OK)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(tasks) <= set(targets)


def test_importing_the_package_loads_nothing_else():
    code = "import sys; before = set(sys.modules); import profcore; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["profcore"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The package as `pip install .` lays it down, away from the checkout."""
    # Built from a copy: a build leaves folders behind in what it is built from.
    source, place = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    shutil.copytree(ROOT / "profcore", source / "profcore", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ["--quiet", "--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(place), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds(240), check=False)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def call(installed, tmp_path):
    """The installed `profcore` command, in an empty folder and with an empty home."""

    def run(*words: str, without: str = "") -> subprocess.CompletedProcess:
        if without:
            # Stands in for a machine that lacks it.
            text = f"raise ModuleNotFoundError('No module named {without}', name='{without}')"
            (tmp_path / f"{without}.py").write_text(text, encoding="utf-8")
        # Only the installed package is found, not the checkout.
        home = {"HOME": str(tmp_path / "home"), "XDG_DATA_HOME": "", "PROFCORE_DB": ""}
        # What the device can do at most was measured before, and is kept there.
        home["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{installed}", **home}
        command = [sys.executable, str(installed / "bin" / "profcore"), *words]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=seconds(240), check=False
        )

    return run


def test_the_installed_command_says_its_version(call):
    done = call("--version")
    assert (done.returncode, done.stdout) == (0, f"profcore {profcore.__version__}\n")


@pytest.mark.long
def test_the_installed_package_measures_without_the_checkout(call, tmp_path):
    words = ["--max-grid-size", "1", "--num-samples", "1", "--warmup", "0", "--device", "cpu"]
    done = call("run", "context_scaling", *words, "--spool-only", "spools")
    assert done.returncode == 0, done.stderr
    (spool,) = (tmp_path / "spools").glob("*.jsonl")
    done = call("import", str(spool))
    assert done.returncode == 0, done.stderr
    # Among the user's data, never beside the installed package.
    assert (tmp_path / "home/.local/share/profcore/profcore.duckdb").is_file()


def test_the_installed_package_knows_what_the_published_scripts_measured(installed, tmp_path):
    code = "from profcore.comparisons import published; print(published.__file__, published.published_source())"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(installed))
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("words", [("import", "x.jsonl"), ("plot", "all", "--json-file", "x.json")])
def test_what_is_not_installed_is_said_in_a_sentence(call, words):
    done = call(*words, without="duckdb")
    assert done.returncode == 2
    assert "duckdb is not installed here" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_says_that_the_dashboard_needs_the_checkout(call):
    done = call("--help")
    assert done.returncode == 0
    assert "The dashboard needs the checkout" in done.stdout
