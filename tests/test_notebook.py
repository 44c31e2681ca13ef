"""The notebook's door: pandas frames and Altair objects of a database or a file, while others use the database."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import altair as alt
import pytest

import profcore
from profcore.errors import FormatError, UserError
from profcore.storage.store import Store
from tests.support import ROOT, sample_spool, seconds

RUN = "20261129-203616-5b199827"


@pytest.fixture(scope="module")
def database(with_samples, tmp_path_factory):
    return Path(shutil.copy(with_samples, tmp_path_factory.mktemp("notebook")))


def test_importing_loads_nothing_heavy():
    code = "import sys, profcore; print([m for m in ('duckdb', 'altair', 'pandas', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=seconds(120))
    assert done.stdout.strip() == "[]"
    assert {"open", "read"} <= set(dir(profcore))
    with pytest.raises(AttributeError, match="no attribute 'opened'"):
        profcore.opened  # noqa: B018


def test_a_database_that_another_owns_is_read(database):
    with Store(database) as owner:
        owner.rename(RUN, "mine")
    with profcore.open(database) as results:
        runs = results.runs("moe_topk").set_index("id")
        assert runs.loc[RUN, "title"] == "mine"
        # Whoever looks holds nothing: the owner may come back.
        with Store(database) as owner:
            assert len(owner.runs()) == len(results.runs())
        assert len(results.samples(RUN)) == runs.loc[RUN, "num_samples"] == 300
        assert {"total_ms", "top_k", "decode_steps_ms"} <= set(results.samples(RUN))
        summary = results.summary(RUN)
        assert {"median", "low", "high", "floor_ms", "over_floor"} <= set(summary)
        assert results.environment(RUN)["environment"]["engine"] == "compiled"
        assert all(isinstance(text, str) for text in results.cautions(RUN))


def drawn(results, run):
    """Every view of a run, drawn."""
    assert results.views(run)
    for view in results.views(run):
        if view not in ("Quality", "Energy", "End to end"):
            kinds = alt.LayerChart | alt.HConcatChart | alt.VConcatChart
            assert isinstance(results.chart(run, view), kinds), (run, view)


@pytest.mark.long
def test_every_view_of_every_experiment_is_an_altair_chart(database):
    with profcore.open(database) as results:
        for run in results.runs().drop_duplicates("experiment")["id"]:
            drawn(results, run)


def test_every_view_of_a_run_is_an_altair_chart_and_what_is_not_there_is_said(database):
    with profcore.open(database) as results:
        drawn(results, RUN)
        with pytest.raises(UserError, match="it recorded no quality"):
            results.chart(RUN, "Quality")
        with pytest.raises(UserError, match="no view 'Pie': choose from Prefill and decode"):
            results.chart(RUN, "Pie")
        with pytest.raises(UserError, match="no run 'nothing'"):
            results.summary("nothing")
        with pytest.raises(UserError, match=r"There are \d+ runs"):
            results.summary()


def test_a_spool_and_a_result_file_are_read_as_their_one_run(tmp_path, shared):
    with profcore.read(sample_spool(RUN, tmp_path)) as results:
        assert len(results.samples()) == 300
        results.chart().to_dict()
    file = next((shared / "motivation").glob("*.json"))
    with profcore.read(str(file)) as results:
        assert len(results.runs()) == 1
        assert not results.summary().empty
    (tmp_path / "bad.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(FormatError):
        profcore.read(tmp_path / "bad.json")
    with pytest.raises(UserError, match="no database"):
        profcore.open(tmp_path / "none.duckdb")


def test_what_the_documentation_shows_runs(database, monkeypatch):
    monkeypatch.setenv("PROFCORE_DB", str(database))
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/notebook.md").read_text(), re.DOTALL)
    names = {}
    exec("\n".join(blocks), names)
    assert isinstance(names["chart"], alt.HConcatChart)
    summary = names["summary"]
    assert len(names["samples"]) == summary.loc[summary["metric"] == "total_ms", "n"].sum() > 0


@pytest.mark.parametrize("path", ["/dev/zero", "pipe"])
def test_what_has_no_end_is_not_read(tmp_path, path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError):
        profcore.read(tmp_path / path)
