"""`submit`, `jobs`, `cancel` and `resubmit`: what they print, what they refuse, and that nothing of torch is loaded."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from profcore.cli.parser import main
from profcore.cli.submit import wait
from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE
from profcore.worker import campaigns
from profcore.worker.campaigns import list_campaigns, read_campaign
from tests.support import ROOT, seconds, until

FAKE = str(ROOT / "tests" / "worker" / "fake_shard.py")
ASKED = ("submit", "moe_topk", "--launcher", "local", "--device", "cpu", "--top-k-values", "1", "2", "4", "8")
ASKED += ("--shards", "2")


@pytest.fixture
def ask(tmp_path, capsys, monkeypatch):
    """Runs a command, with shards that are measured without torch; gives its status and what it printed."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(campaigns.sys, "executable", FAKE)

    def asked(*words):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words), "--db", str(tmp_path / "data.duckdb")])
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return asked


def test_a_run_is_submitted_waited_for_and_listed_as_one(ask, tmp_path):
    code, said, wrong = ask(*ASKED, "--campaign", "friday")
    assert code == 0, wrong
    assert said.splitlines() == [
        f"friday: 2 shards submitted to local, in {tmp_path}/campaigns/friday.",
        "friday is measured.",
    ]
    assert "2 done; 15 samples" in wrong
    (run,) = json.loads(ask("runs", "--json")[1])
    assert (run["id"], run["state"], run["num_samples"]) == ("friday", "done", 15)
    assert "friday" in ask("jobs")[1]
    listed = json.loads(ask("jobs", "--json")[1])
    assert (listed[0]["id"], listed[0]["shards"], listed[0]["done"]) == ("friday", 2, 2)
    assert ask("jobs", "fri")[1].startswith("friday, moe_topk by local: 2 done; 15 samples\n")
    assert "shard 2 on cpu" in ask("jobs", "friday", "--log", 2)[1]
    assert ask("cancel", "friday")[1] == "No shard of friday waits or is measured.\n"
    assert ask("resubmit", "friday")[1] == "friday is done: nothing is left to submit.\n"
    # The spools themselves lie beside the database by now.
    assert not any(path.is_symlink() for path in (tmp_path / "data.duckdb.spool").iterdir())
    assert "There is a campaign friday" in ask(*ASKED, "--campaign", "friday")[2]


@pytest.mark.long
def test_what_is_cancelled_is_gone_on_with(ask, tmp_path):
    what = tmp_path / "what"
    what.write_text("wait")
    assert ask(*ASKED, "--prompt", what, "--no-wait")[0] == 0
    (campaign,) = list_campaigns(tmp_path / "campaigns")
    until(lambda: json.loads(ask("jobs", campaign.id, "--json")[1])["shards"][0]["samples"] == 2, 60)
    # A dashboard would show it by now.
    (run,) = json.loads(ask("runs", "--json")[1])
    assert (run["id"], run["state"], run["num_samples"]) == (campaign.id, "running", 2)
    assert ask("cancel", campaign.id)[1].endswith("2 shards cancelled; what they measured stays.\n")
    code, _, wrong = ask("jobs", campaign.id)
    assert code == 0
    what.write_text("")
    code, said, wrong = ask("resubmit", campaign.id)
    assert code == 0, wrong
    assert "2 shards submitted again: 1, 2." in said
    (run,) = json.loads(ask("runs", "--json")[1])
    assert (run["state"], run["num_samples"]) == ("done", 15)


def test_a_campaign_that_was_cancelled_before_it_measured_anything_says_so(ask, tmp_path, monkeypatch):
    from profcore.worker.launch_local import LocalLauncher
    from profcore.worker.launchers import JobState

    jobs = {"1-1": JobState(True, False, "waiting"), "1-2": JobState(True, False, "waiting")}
    monkeypatch.setattr(LocalLauncher, "submit", lambda self, campaign, shards: {1: "1-1", 2: "1-2"})
    monkeypatch.setattr(
        LocalLauncher, "states", lambda self, campaign, asked: {job: jobs[job] for job in asked if job in jobs}
    )
    monkeypatch.setattr(LocalLauncher, "cancel", lambda self, campaign, asked: jobs.clear())
    assert ask(*ASKED, "--campaign", "friday", "--no-wait")[0] == 0
    assert ask("cancel", "friday")[1] == "friday: 2 shards cancelled; nothing was measured yet.\n"
    said = ask("jobs", "friday")[1]
    assert said.startswith("friday, moe_topk by local: 2 cancelled; 0 samples\n")
    assert "cancelled before it measured anything" in said
    assert wait([read_campaign(tmp_path / "campaigns" / "friday")]) == 1
    monkeypatch.undo()


@pytest.mark.long
def test_all_four_are_submitted_each_as_a_run_and_named_together(ask, tmp_path):
    asked = ("submit", "all", *ASKED[2:6], "--shards", "2", "--campaign", "friday")
    what = tmp_path / "what"
    what.write_text("fail")
    code, said, wrong = ask(*asked, "--prompt", what, "--no-wait")
    assert code == 0, wrong
    ids = [f"friday-{name}" for name in CATALOGUE]
    assert [line.partition(":")[0] for line in said.splitlines()[:-1]] == ids
    assert said.splitlines()[-1] == f"`profcore jobs friday --db {tmp_path}/data.duckdb` says how far it is."
    runs = until(lambda: ended_runs(ask), 120)
    assert [each["id"] for each in runs] == ids
    assert [each["experiment"] for each in runs] == list(CATALOGUE)
    assert ask("jobs", "fri")[1].count("2 failed") == 4
    assert ask("cancel", "friday")[1].count("No shard of friday-") == 4
    assert "several campaigns: name one of friday-" in ask("jobs", "friday", "--log", "1")[2]
    assert "begins several campaigns" in ask("jobs", "friday-")[2]
    what.write_text("")
    code, said, wrong = ask("resubmit", "friday")
    assert code == 0, wrong
    assert said.count("2 shards submitted again: 1, 2.") == said.count("is measured.") == 4
    assert "nothing is left to submit" in ask("resubmit", "friday-moe_topk")[1]
    assert {each["id"] for each in json.loads(ask("runs", "--json")[1])} == set(ids)


def ended_runs(ask):
    """The runs of `jobs friday`, once no shard waits or is measured."""
    runs = json.loads(ask("jobs", "friday", "--json")[1])["runs"]
    return None if any(shard["active"] for each in runs for shard in each["shards"]) else runs


def test_all_four_are_printed_for_kubernetes_alone(ask, tmp_path):
    asked = ("submit", "all", "--shards", "2", "--print")
    code, said, wrong = ask(*asked, "kubernetes", "--container", "image", "--volume", "claim", "--campaign", "a")
    assert code == 0, wrong
    assert len({each["metadata"]["name"] for each in yaml.safe_load_all(said)}) == 4
    for form, more in (("slurm", ()), ("skypilot", ("--accelerator", "H100"))):
        code, said, wrong = ask(*asked, form, *more)
        assert (code, said) == (2, "")
        assert "prints one job, and all are several" in wrong


@pytest.mark.long
def test_what_is_lacking_is_said_with_its_log(ask, tmp_path):
    (tmp_path / "what").write_text("fail")
    code, said, wrong = ask(*ASKED, "--prompt", tmp_path / "what")
    (campaign,) = list_campaigns(tmp_path / "campaigns")
    assert code == 1
    assert "is measured" not in said
    assert f"shard 1 failed: as it was told Its log: {campaign.folder}/logs/shard-001.log" in wrong
    assert f"`profcore resubmit {campaign.id} --db {tmp_path}/data.duckdb` goes on with what is left" in wrong
    # Linked still, since it is not done.
    assert any(path.is_symlink() for path in (tmp_path / "data.duckdb.spool").iterdir())
    assert wait([read_campaign(campaign.folder)]) == 1


def test_nothing_of_torch_is_loaded_where_one_submits(tmp_path):
    """Up to the launcher: Slurm's commands are stand-ins that refuse."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in ("sbatch", "srun", "squeue", "scancel"):
        (bin_ / name).write_text("#!/bin/sh\necho 'sbatch: error: it is full' >&2\nexit 1\n")
        (bin_ / name).chmod(0o755)
    words = [*ASKED, "--launcher", "slurm", "--no-wait", "--db", str(tmp_path / "data.duckdb")]
    code = f"""
import sys
from profcore.cli.parser import main
try:
    main({words!r})
finally:
    found = sorted({{'torch', 'transformers', 'streamlit', 'altair'}} & set(sys.modules))
    print('loaded', found, 'submitit' in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=seconds(120),
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == "loaded [] True\n"
    assert "Slurm did not submit" in done.stderr
    assert "it is full" in done.stderr
    assert list((tmp_path / "campaigns").iterdir()) == []


def test_what_another_scheduler_takes_is_printed_and_nothing_is_left(ask, tmp_path):
    asked = [word for word in ASKED if word not in ("--device", "cpu")] + ["--folder", tmp_path / "shared"]
    code, said, _ = ask(*asked, "--print", "slurm", "--time", "1-12:30", "--slurm", "account=lab")
    assert code == 0
    assert "#SBATCH --time=2190\n" in said
    assert "#SBATCH --account=lab\n" in said
    code, said, _ = ask(*asked, "--print", "kubernetes", "--container", "image:1", "--volume", "claim")
    assert yaml.safe_load(said)["spec"]["completions"] == 2
    image = "registry.example:5000/team/image-1:V1.2@sha256:" + 64 * "a"
    assert ask(*asked, "--print", "kubernetes", "--container", image, "--volume", "a.claim")[0] == 0
    assert ask(*asked, "--print", "slurm", "--partition", "gpu,gpu-long", "--time", "1440")[0] == 0
    assert ask(*asked, "--print", "skypilot", "--accelerator", "A100-80GB")[0] == 0
    code, said, _ = ask(*asked, "--print", "skypilot", "--accelerator", "H100")
    assert yaml.safe_load(said)["resources"]["accelerators"] == "H100:1"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--shards", "5"), "cannot be split into 5 shards"),
        (("--shards", "0"), "give 1 to 1,000"),
        (("--anchors", "9"), "anchors"),
        (("--top-k-values", "0"), "0"),
        (("--gpus-per-task", "2"), "2 cards a shard are not possible"),
        (("--gpus-per-task", "1"), "needs no card"),
        (("--launcher", "slurm", "--device", "cuda:3"), "leave --device out"),
        (("--cpus-per-task", "0"), "give 1 or more"),
        (("--device", "cpu,"), "has no name between commas"),
        (("--time", "soon"), "no time"),
        (("--time", "0"), "no time"),
        (("--slurm", "account"), "no parameter of sbatch"),
        (("--time", "2:99:00"), "no time"),
        (("--time", "1-24:00"), "no time"),
        (("--partition", "a b"), "no partition's name"),
        (("--partition=-gpu",), "no partition's name"),
        (("--partition", "a;b"), "no partition's name"),
        (("--partition", "gpu"), "--partition is Slurm's alone"),
        (("--slurm", "account=lab"), "--slurm is Slurm's alone"),
        (("--print", "kubernetes", "--container", "An Image", "--volume", "c"), "no container's image"),
        (("--print", "kubernetes", "--container=-i", "--volume", "c"), "no container's image"),
        (("--print", "kubernetes", "--container", "i:", "--volume", "c"), "no container's image"),
        (("--print", "kubernetes", "--container", "Team/image", "--volume", "c"), "no container's image"),
        (("--print", "kubernetes", "--container", f"{'a/' * 130}i", "--volume", "c"), "no container's image"),
        (("--print", "kubernetes", "--container", "i", "--volume", "My Claim"), "no volume claim's name"),
        (("--print", "kubernetes", "--container", "i", "--volume=-c"), "no volume claim's name"),
        (("--print", "kubernetes", "--container", "i", "--volume", "c" * 254), "no volume claim's name"),
        (("--print", "kubernetes", "--container", "i", "--volume", "c", "--folder", "/a:b"), "without a colon"),
        (("--print", "skypilot", "--gpus-per-task", "0", "--accelerator", "H100:8"), "no card's name"),
        (("--print", "skypilot", "--gpus-per-task", "0", "--accelerator", "a card"), "no card's name"),
        (("--launcher", "slurm", "--folder", "/tmp/%j"), "has a % in its name"),
        (("--print", "slurm", "--folder", "/tmp/a\\b"), "has a \\ in its name"),
        (("--folder", "/tmp/a\nb"), "cannot be printed"),
        (("--campaign", "../x"), "no id of a campaign"),
        (("--print", "kubernetes", "--container", "i"), "needs --volume"),
        (("--print", "slurm", "--container", "i"), "is of --print kubernetes"),
        (("--energy",), "energy"),
        (("--folder", "/proc/nothing"), "cannot be made"),
        (("--until", "1%", "--num-samples", "5"), "give one of them"),
    ],
)
def test_bad_input_ends_with_status_2_and_leaves_nothing(ask, tmp_path, words, said):
    code, out, wrong = ask(*ASKED, *words)
    assert (code, out) == (2, "")
    assert said.lower() in wrong.lower()
    assert len(wrong.splitlines()) == 1
    assert list_campaigns(tmp_path / "campaigns") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("jobs", "none"), "no campaign 'none'"),
        (("cancel", "none"), "no campaign 'none'"),
        (("resubmit", ""), "no campaign ''"),
        (("jobs", "--log", "1"), "name the run"),
        (("submit", "everything"), "There is no experiment 'everything'"),
        (("submit", "flops_vs_latency"), "There is no experiment"),
    ],
)
def test_what_there_is_not_is_refused(ask, words, said):
    code, out, wrong = ask(*words)
    assert (code, out) == (2, "")
    assert said in wrong


@pytest.mark.long
def test_an_id_that_the_database_knows_is_refused_before_any_shard_is_started(ask, tmp_path):
    spools = tmp_path / "data.duckdb.spool"
    spools.mkdir()
    for name in ("friday-s002.jsonl", "monday.jsonl"):
        (spools / name).write_text("of another run\n")
        code, said, wrong = ask(*ASKED, "--campaign", name[:6])
        assert (code, said) == (2, "")
        assert f"There is a run {name[:6]} beside {tmp_path}/data.duckdb already ({name})" in wrong
        assert list_campaigns(tmp_path / "campaigns") == []
    # One whose id begins alike is another run.
    (spools / "fri-sat-s001.jsonl").write_text("of another run\n")
    assert ask(*ASKED, "--campaign", "fri")[0] == 0


def test_nothing_is_left_of_a_campaign_that_no_launcher_took(ask, tmp_path, monkeypatch):
    from profcore.worker.launch_local import LocalLauncher

    def refuse(self, campaign, shards):
        # Where the database lies is linked by now, so that a folder that cannot be written stops it earlier.
        assert sum(path.is_symlink() for path in (tmp_path / "data.duckdb.spool").iterdir()) == 2
        raise UserError("It is full.")

    monkeypatch.setattr(LocalLauncher, "submit", refuse)
    code, _, wrong = ask(*ASKED)
    assert code == 2
    assert "It is full." in wrong
    assert list((tmp_path / "campaigns").iterdir()) == []
    assert not any(path.is_symlink() for path in (tmp_path / "data.duckdb.spool").iterdir())
