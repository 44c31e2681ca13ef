"""Whatever words a command line holds: one sentence and exit status 2, never a traceback, and nothing measured."""

import re
import shlex
import subprocess
import sys

import pytest

from profcore.cli.parser import main
from tests.support import ROOT, seconds

LONG = "x" * 5000
HOMELESS = "~nosuchuser/there"


@pytest.fixture
def refused(capsys, tmp_path, monkeypatch):
    """Expects a command line to be refused, and nothing to be left behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROFCORE_DB", str(tmp_path / "data" / "profcore.duckdb"))

    def call(*words, says):
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        error = capsys.readouterr().err
        assert left.value.code == 2, error
        assert says in error
        assert "Traceback" not in error
        assert not list(tmp_path.rglob("*.jsonl"))

    return call


RUN = ("run", "moe_topk", "--device", "cpu")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((*RUN, "--model", ""), "it is empty"),
        ((*RUN, "--model", HOMELESS), "home of no user"),
        ((*RUN, "--model", LONG), "profcore: "),
        ((*RUN, "--num-samples", "9" * 400), "is no whole number"),
        ((*RUN, "--num-samples", "0"), "ask for at least 1"),
        ((*RUN, "--num-runs", "0"), "ask for at least 1"),
        ((*RUN, "--top-k-values", "999"), "999"),
        ((*RUN, "--top-k", "7.5"), "is no whole number"),
        ((*RUN, "--prompt", "\udcff\udcfe"), "no text in UTF-8"),
        ((*RUN, "--image", LONG), "profcore: "),
        ((*RUN, "--image", HOMELESS), "There is no picture"),
        ((*RUN, "--db", LONG), "profcore: "),
        ((*RUN, "--device", "cuda:99"), "cuda:99"),
        ((*RUN, "--quality", "--data-set", "folder", "--data", HOMELESS), "home of no user"),
        ((*RUN, "--quality", "--data-set", "folder", "--data", LONG), "profcore: "),
        (("run", "transformer_blocks_mask", "--device", "cpu", "--importance-file", LONG), "cannot be read"),
        (("tokens", "--width", "640", "--height", "9" * 400), "is no whole number"),
        (("import", LONG), "cannot be read"),
        (("import", HOMELESS), "cannot be read"),
        (("import", "."), "holds no result file"),
        (("why", "--device", "cpu", "--trace", "missing/trace.json.gz"), "There is no folder 'missing'"),
        (("importance", "--device", "cpu", "--output", "missing/scores.json"), "There is no folder 'missing'"),
        (("importance", "--device", "cpu", "--output", "."), "is a folder"),
        (("plot", "all", "--results-dir", LONG), "profcore: "),
        (("plot", "all", "--json-file", LONG), "cannot be read"),
    ],
)
def test_it_is_refused_in_a_sentence(refused, words, says):
    refused(*words, says=says)


def test_an_output_folder_that_cannot_be_made_is_refused_before_measuring(refused, tmp_path):
    (tmp_path / "file").write_text("")
    refused(*RUN, "--output-dir", "file/below", says="cannot be made")
    refused(*RUN, "--spool-only", "file/below", says="cannot be made")


def test_what_needs_no_torch_is_refused_before_torch_is_loaded(tmp_path):
    code = (
        "import sys\nfrom profcore.cli.parser import main\ntry:\n"
        "    main(['run', 'moe_topk', '--device', 'cpu', '--top-k-values', '999'])\n"
        "except SystemExit as left:\n    print(left.code, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "PROFCORE_DB": str(tmp_path / "p.duckdb")},
        timeout=seconds(120),
        check=False,
    )
    assert done.stdout.strip() == "2 False", done.stderr


SCRIPTS = {
    "exp_context_scaling": ("run", "context_scaling"),
    "run_exp1_context_scaling": ("run", "context_scaling"),
    "exp_moe_topk": ("run", "moe_topk"),
    "run_exp2_moe_topk": ("run", "moe_topk"),
    "exp_transformer_blocks_mask": ("run", "transformer_blocks_mask"),
    "run_exp3_transformer_blocks_mask": ("run", "transformer_blocks_mask"),
    "run_exp4_output_tokens": ("run", "output_tokens"),
    "run_all_experiments": ("run", "all"),
    "plot_exp1_context_scaling": ("plot", "context_scaling"),
    "plot_exp2_moe_topk": ("plot", "moe_topk"),
    "plot_exp3_transformer_blocks_mask": ("plot", "transformer_blocks_mask"),
    "plot_exp4_output_tokens": ("plot", "output_tokens"),
    "plot_all_experiments": ("plot", "all"),
}
"""The published scripts, and the command that does what each does."""


def test_every_command_line_of_the_published_scripts_is_taken(shared):
    from profcore.cli.parser import build_parser, hyphens

    text = (shared / "seed" / "profiling_experiments.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\s*((?:python|bash) experiments/(?:[^\n]*\\\n)*[^\n]*)", text, re.MULTILINE)
    assert len(lines) > 20
    taken = set()
    for line in lines:
        _, script, *words = shlex.split(line.replace("\\\n", " "))
        name = script.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        # The scripts take the GPU as their first word.
        device = ["--device", words.pop(0)] if words and words[0].isdecimal() else []
        options = build_parser().parse_args([hyphens(word) for word in [*SCRIPTS[name], *device, *words]])
        assert callable(options.command)
        taken.add(name)
    assert len(taken) > 8


def test_options_are_taken_with_underscores_and_equals_signs():
    from profcore.cli.parser import build_parser, hyphens

    words = ["run", "moe_topk", "--num_samples=5", "--model_path=a_b", "--num_runs", "2", "--device", "1"]
    options = build_parser().parse_args([hyphens(word) for word in words])
    assert (options.num_samples, options.model, options.num_runs, options.device) == (5, "a_b", 2, "cuda:1")
