"""`repeat`: a run of each process that knows the others, and what they are told to measure."""

import pytest

from profcore.cli import repeat
from profcore.cli.parser import build_parser, main
from profcore.cli.sweeps import plan_sweeps
from profcore.models.config import model_shape
from profcore.storage.store import Store
from tests.comparisons.stored import store_run

WORDS = ["moe_topk", "--top-k-values", "1", "2", "--num-samples=7", "--model=tiny", "--device=cpu"]


@pytest.fixture
def processes(monkeypatch, tmp_path):
    """What processes are told instead of being started; each leaves the run that it was asked for in the database."""
    told = []

    def pretend(words):
        options = build_parser().parse_args(["run", *words])
        told.append(options)
        (sweep,) = plan_sweeps(options, None, model_shape("tiny"))
        with Store(tmp_path / "data.duckdb") as store:
            factor = 1 + 0.01 * len(told)
            store_run(store, sweep, lambda setting: 10.0 * factor, hour=len(told), series=options.series)
        return 0

    monkeypatch.setattr(repeat, "_run_apart", pretend)
    monkeypatch.setenv("PROFCORE_DB", str(tmp_path / "data.duckdb"))
    return told


def test_each_process_measures_the_same_and_the_runs_know_each_other(processes, tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        main(["repeat", *WORDS, "--processes", "3", "--seed", "4"])
    assert left.value.code == 0
    said = capsys.readouterr()
    assert [each.series for each in processes] == [processes[0].series] * 3
    assert {(each.num_samples, each.seed, tuple(each.top_k_values)) for each in processes} == {(7, 4, ("1", "2"))}
    assert len({each.output_dir for each in processes}) == 3
    with Store(tmp_path / "data.duckdb") as store:
        known = store.series()
        assert known["series"].tolist() == [processes[0].series] * 3
        assert all(run_id in said.out.replace("\n", "") for run_id in known["id"])
    assert "Between processes" in said.out
    assert "(3 processes)" in said.out
    assert "Process 3 of 3" in said.err


def test_every_option_of_run_reaches_the_processes(processes):
    words = ["moe_topk", "--until", "2%", "--max-samples", "40", "--prompt=-x y", "--quality", "--model", "tiny"]
    options = build_parser().parse_args(["repeat", *words, "--processes", "2"])
    again = build_parser().parse_args(["run", *repeat._words(options, "s", 1)])
    assert (again.until, again.max_samples, again.prompt, again.quality) == (0.02, 40, "-x y", True)
    assert (again.series, again.model, again.max_seconds) == ("s", "tiny", None)


@pytest.mark.parametrize("code", [2, 130])
def test_what_is_refused_or_stopped_is_not_tried_again(monkeypatch, code, capsys):
    tried = []
    monkeypatch.setattr(repeat, "_run_apart", lambda words: tried.append(words) or code)
    with pytest.raises(SystemExit) as left:
        main(["repeat", *WORDS])
    assert (left.value.code, len(tried)) == (code, 1)


def test_one_process_cannot_differ(capsys):
    with pytest.raises(SystemExit) as left:
        main(["repeat", *WORDS, "--processes", "1"])
    assert left.value.code == 2
    assert "give 2 to 100" in capsys.readouterr().err
