"""Runs that are submitted to a real Slurm of one node: to the end, killed, in a full queue, and with nobody to answer.

Long: each starts daemons, and each shard loads torch.
"""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from profcore.spec.stages import State
from profcore.storage.lines import records_of_kinds
from profcore.storage.spool import last_state
from profcore.storage.store import Store
from profcore.worker.campaigns import list_campaigns
from tests.support import ROOT, seconds, until

pytestmark = pytest.mark.long

# Ten samples of four settings of the model of two blocks; half of it one shard's, and an anchor both have.
ASKED = ["moe_topk", "--device", "cpu", "--cpus-per-task", "1", "--top-k-values", "1", "2", "4", "8", "--warmup", "0"]
ASKED += ["--block-mask", "1100000000000000", "--shards", "2", "--time", "10"]


@pytest.fixture
def ask(tmp_path):
    """Runs a command of the product in a process of its own; gives its status, and what it printed to both."""

    def asked(command, *words):
        done = subprocess.run(
            [sys.executable, "-m", "profcore", command, *map(str, words), "--db", str(tmp_path / "data.duckdb")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds(400),
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return asked


@pytest.fixture
def states(ask, tmp_path):
    """How far the shards of the one campaign are."""

    def asked():
        code, said, wrong = ask("jobs", campaign(tmp_path).id, "--json")
        assert code == 0, wrong
        return json.loads(said)["shards"]

    return asked


def campaign(tmp_path):
    (found,) = list_campaigns(tmp_path / "campaigns")
    return found


def visits(tmp_path):
    """Which settings were measured in which rounds, over all shards."""
    found = campaign(tmp_path)
    spools = [found.spool(shard) for shard in range(1, found.shards + 1)]
    return [[(each["setting"], each["round"]) for each in records_of_kinds(path, "sample")] for path in spools]


def test_a_run_is_submitted_measured_and_one_run_in_the_database(start, ask, tmp_path):
    start()
    code, said, wrong = ask("submit", *ASKED, "--num-samples", "3")
    assert code == 0, wrong
    assert "2 shards submitted to slurm" in said
    code, said, _ = ask("runs", "--json")
    (run,) = json.loads(said)
    assert (run["id"], run["state"], run["num_samples"]) == (campaign(tmp_path).id, "done", 15)
    with Store(tmp_path / "data.duckdb") as store:
        assert store.samples(run["id"])["setting"].nunique() == 4
    assert [len(taken) == len(set(taken)) for taken in visits(tmp_path)] == [True, True]
    code, said, _ = ask("resubmit", run["id"])
    assert (code, said) == (0, f"{run['id']} is done: nothing is left to submit.\n")
    assert "shard 1 of 2" in ask("jobs", run["id"], "--log", "1")[1].lower()


def test_without_a_controller_nothing_is_submitted_and_nothing_is_left(start, ask, tmp_path):
    node = start()
    node.stop_controller()
    code, said, wrong = ask("submit", *ASKED, "--no-wait")
    assert (code, said) == (2, "")
    assert re.search(r"Slurm did not submit .*(contact|controller)", wrong)
    assert list_campaigns(tmp_path / "campaigns") == []
    node.start_controller()
    until(lambda: node.ask("sinfo", "--noheader", "--format=%T"), 60)
    assert ask("submit", *ASKED, "--num-samples", "500", "--no-wait")[0] == 0
    node.stop_controller()
    name = campaign(tmp_path).id
    for command in ("jobs", "cancel", "resubmit"):
        code, said, wrong = ask(command, name)
        assert (code, said) == (2, "")
        assert "Slurm does not say how far the jobs are" in wrong
    node.start_controller()
    until(lambda: node.ask("sinfo", "--noheader", "--format=%T"), 60)
    assert ask("cancel", name)[0] == 0


def test_a_full_queue_has_shards_wait_and_takes_no_more_than_it_can(start, ask, states, tmp_path):
    node = start(most_jobs=4)
    # Every core is taken, so that the shards wait.
    cores = max(os.cpu_count() or 1, 2)
    held = node.ask("sbatch", "--parsable", f"--cpus-per-task={cores}", "--output=/dev/null", "--wrap", "sleep 600")
    assert held.strip().isdecimal()
    assert ask("submit", *ASKED, "--num-samples", "2", "--no-wait")[0] == 0
    until(lambda: {each["word"] for each in states()} == {"waiting"}, 60)
    # The controller says why as soon as it has tried to place them.
    until(lambda: {each["reason"] for each in states()} <= {"Resources", "Priority"}, 60)
    # The controller takes four jobs and has three; sbatch tries again for some minutes by itself.
    before = campaign(tmp_path).id
    code, said, wrong = ask("submit", *ASKED, "--num-samples", "2", "--no-wait", "--campaign", "one-too-many")
    assert (code, said) == (2, "")
    assert "Slurm did not submit one-too-many: " in wrong
    assert [each.id for each in list_campaigns(tmp_path / "campaigns")] == [before]
    node.ask("scancel", held.strip())
    until(lambda: {each["word"] for each in states()} == {"done"}, 240)


def test_a_killed_shard_is_submitted_again_and_measures_nothing_twice(start, ask, states, tmp_path):
    start()
    assert ask("submit", *ASKED, "--num-samples", "60", "--output-tokens", "80", "--no-wait")[0] == 0
    # On one CPU the shards take turns: one of them measures.
    victim = until(lambda: next((each["shard"] for each in states() if 5 <= each["samples"] < 60), None), 240)
    # As a kernel ends a process that takes too much memory.
    (owner,) = records_of_kinds(campaign(tmp_path).spool(victim), "owner")
    os.kill(owner["pid"], signal.SIGKILL)
    until(lambda: not states()[victim - 1]["active"], 60)
    found = states()[victim - 1]
    assert (found["word"], found["reason"].startswith("Its job is over")) == ("failed", True)
    kept, name = len(visits(tmp_path)[victim - 1]), campaign(tmp_path).id
    assert ask("cancel", name)[0] == 0
    until(lambda: not any(each["active"] for each in states()), 60)
    code, said, wrong = ask("resubmit", name)
    assert code == 0, wrong
    assert "2 shards submitted again: 1, 2." in said
    assert len(visits(tmp_path)[victim - 1]) > kept
    for taken in visits(tmp_path):
        assert len(taken) == len(set(taken)) in (120, 180)
    (run,) = json.loads(ask("runs", "--json")[1])
    assert (run["id"], run["state"], run["num_samples"]) == (name, "done", 300)


def test_a_shard_is_stopped_before_its_time_is_up_and_goes_on_by_itself(start, ask, states, tmp_path):
    """As before a time limit, or where the card is needed for another job: Slurm's warning has the shard stop."""
    node = start()
    assert ask("submit", *ASKED, "--num-samples", "60", "--output-tokens", "80", "--no-wait")[0] == 0
    warned = until(lambda: next((each["shard"] for each in states() if 5 <= each["samples"] < 60), None), 240)
    node.ask("scancel", "--signal=USR2", campaign(tmp_path).job(warned))
    until(lambda: {each["word"] for each in states()} == {"done"}, 300)
    stopped = [each["state"] for each in records_of_kinds(campaign(tmp_path).spool(warned), "state")]
    assert "stopped" in stopped
    assert stopped[-1] == "done"
    for taken in visits(tmp_path):
        assert len(taken) == len(set(taken)) in (120, 180)


def test_a_card_that_no_node_has_is_refused_and_one_that_is_said_to_be_there_is_not_measured_on_a_cpu(
    start, ask, states, tmp_path
):
    start()
    asked = [word for word in ASKED if word not in ("--device", "cpu")]
    code, said, wrong = ask("submit", *asked, "--no-wait")
    assert (code, said) == (2, "")
    assert re.search(r"Slurm did not submit .*(configuration is not available|generic resource)", wrong)
    assert list_campaigns(tmp_path / "campaigns") == []


def test_a_node_that_has_no_card_but_is_said_to_measures_nothing(start, ask, states):
    """Cards are declared as plain files: Slurm gives one, and there is no GPU behind it."""
    start(cards=2)
    asked = [word for word in ASKED if word not in ("--device", "cpu")]
    code, said, wrong = ask("submit", *asked, "--model", "tiny", "--num-samples", "2")
    assert code == 1
    found = states()
    assert {(each["word"], each["samples"]) for each in found} == {("ended early", 0)}
    assert all(each["log"] in wrong and "cuda" in each["reason"].lower() for each in found)
    assert "cuda" in ask("jobs", said.partition(":")[0], "--log", "1")[1].lower()


@pytest.mark.parametrize("name", ['it\'s a "folder" #1', "100%j %A-%a"])
def test_a_printed_script_runs_in_a_folder_of_any_name(start, ask, tmp_path, name):
    node, folder = start(), tmp_path / name
    code, script, wrong = ask(
        "submit", *ASKED, "--num-samples", "2", "--print", "slurm", "--folder", folder, "--campaign", "friday"
    )
    assert code == 0, wrong
    logs, spools = folder / "friday" / "logs", folder / "friday" / "spools"
    logs.mkdir(parents=True)
    (tmp_path / "job.sh").write_text(script)
    node.ask("sbatch", str(tmp_path / "job.sh"))
    paths = [spools / f"friday-s00{shard}.jsonl" for shard in (1, 2)]
    until(lambda: all(path.is_file() and last_state(path) is State.DONE for path in paths), 240)
    assert sorted(path.name for path in logs.iterdir()) == ["1.log", "2.log"]
