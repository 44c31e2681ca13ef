"""Campaigns: what is kept of one, how far its shards are, and starting, ending and going on with them as processes."""

import errno
import json
import os
import platform
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from profcore.errors import UserError
from profcore.service.intake import Intake
from profcore.spec.stages import State
from profcore.storage import locks
from profcore.storage.lines import records_of_kinds
from profcore.storage.spool import SpoolWriter, end_abandoned
from profcore.storage.store import Store
from profcore.worker.campaigns import (
    FILE,
    LOCAL,
    find_campaign,
    list_campaigns,
    new_campaign,
    read_campaign,
)
from profcore.worker.launch_local import LocalLauncher, devices_here
from profcore.worker.launchers import JobState
from profcore.worker.linking import keep_spools, link_spools, spools_beside
from profcore.worker.shard_states import shard_states
from profcore.worker.spool_progress import Progress, SpoolProgress
from tests.support import ROOT, until

SLURMS = {"partition": "", "gpus_per_task": 1, "cpus_per_task": 4, "minutes": 90, "slurm": {}}
FAKE = str(ROOT / "tests" / "worker" / "fake_shard.py")


@pytest.fixture
def campaign(tmp_path, monkeypatch):
    """A campaign of two shards, measured without torch; `what` in its folder says what they do."""
    # The stand-in starts by the interpreter that is first on the path.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = new_campaign(
        tmp_path / "campaigns",
        "a-run",
        experiment="moe_topk",
        launcher=LOCAL,
        shards=2,
        words=("--prompt", str(tmp_path / "what")),
        database=str(tmp_path / "data.duckdb"),
        options={"devices": ["cpu"]},
    )
    made = replace(made, python=FAKE)
    made.write()
    return made


def submit(campaign, *shards):
    launched = campaign.submitted(LocalLauncher().submit(campaign, shards or (1, 2)))
    launched.write()
    return launched


def states(campaign):
    return shard_states(campaign, LocalLauncher())


def ended(campaign):
    until(lambda: not any(each.active for each in states(campaign)), 60)
    return states(campaign)


def visits(campaign):
    """Which settings were measured in which rounds, and how often, over all shards."""
    return [
        [(each["setting"], each["round"]) for each in records_of_kinds(campaign.spool(shard), "sample")]
        for shard in (1, 2)
    ]


def test_a_campaign_is_read_as_it_was_written(campaign):
    launched = campaign.submitted({1: "5_0", 2: "5_1"}).submitted({2: "6"})
    launched.write()
    found = read_campaign(campaign.folder)
    assert found == launched
    assert [found.job(shard) for shard in (1, 2, 3)] == ["5_0", "6", None]
    root = campaign.folder.parent
    assert find_campaign(root, "a-r") == found == list_campaigns(root)[0]
    with pytest.raises(UserError, match="There is a campaign a-run"):
        new_campaign(root, "a-run")
    with pytest.raises(UserError, match=r"no campaign '\.\./a-run'"):
        find_campaign(root, "../a-run")
    with pytest.raises(UserError, match="no campaign ''"):
        find_campaign(root, "")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"id": "a-run"}',
        b"\xff\x00",
        b'{"attempts": [{"at": 1, "jobs": 3}]}',
        b"[" * 100_000,
    ],
)
def test_a_file_that_holds_no_campaign_is_refused_and_passed_over_in_lists(campaign, content):
    (campaign.folder / FILE).write_bytes(content)
    with pytest.raises(UserError, match="holds no campaign"):
        read_campaign(campaign.folder)
    assert list_campaigns(campaign.folder.parent) == []


def test_a_file_of_another_folder_or_with_a_field_too_many_is_refused(campaign):
    plain = json.loads((campaign.folder / FILE).read_text())
    for change in ({"id": "other"}, {"shards": 0}, {"shards": "2"}, {"more": 1}):
        (campaign.folder / FILE).write_text(json.dumps({**plain, **change}))
        with pytest.raises(UserError, match="holds no campaign"):
            read_campaign(campaign.folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"created_at": None},
        {"launcher": "nobody"},
        {"options": None},
        {"words": [1]},
        {"attempts": [{"at": "2026-01-01", "jobs": {"1": "zzz"}}]},
        {"attempts": [{"at": "2026-01-01", "jobs": {"1": "--me"}}]},
        {"attempts": [{"at": "2026-01-01", "jobs": {"1": "9" * 5000}}]},
        {"experiment": "\x1b[31mred"},
        {"options": {"devices": "cpu"}},
        {"options": {"devices": [0]}},
        {"launcher": "slurm", "options": {}},
        {"launcher": "slurm", "options": {**SLURMS, "minutes": "many"}},
        {"launcher": "slurm", "options": {**SLURMS, "slurm": {"mem": 3}}},
    ],
)
def test_a_file_that_somebody_else_spoilt_keeps_no_other_campaign_from_being_listed(campaign, changes):
    campaign.write()
    other = replace(campaign, id="other", folder=campaign.folder.with_name("other"))
    other.write()
    path = other.folder / FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(UserError, match="holds no campaign"):
        read_campaign(other.folder)
    assert [each.id for each in list_campaigns(campaign.folder.parent)] == [campaign.id]


def test_shards_are_measured_one_after_another_and_outlive_who_started_them(campaign):
    launched = submit(campaign)
    found = ended(launched)
    assert [(each.word, each.is_done) for each in found] == [("done", True)] * 2
    # Four settings, of which one is an anchor that both have.
    assert sorted(each.samples for each in found) == [6, 9]
    assert "shard 1 on cpu" in found[0].log.read_text()
    # A shard is done before its process has ended.
    until(lambda: json.loads((campaign.folder / "local-1.json").read_text())["codes"] == {"1": 0, "2": 0}, 60)


def test_what_was_killed_goes_on_and_nothing_is_measured_twice(campaign, tmp_path):
    (tmp_path / "what").write_text("die")
    launched = submit(campaign)
    found = ended(launched)
    assert [(each.word, each.samples) for each in found] == [("failed", 2)] * 2
    assert found[0].reason == "Its job is over: ended (it ended with status -9)."
    (tmp_path / "what").write_text("")
    launched = submit(launched, 2)
    found = ended(launched)
    assert [each.word for each in found] == ["failed", "done"]
    found = ended(submit(launched, 1))
    assert [each.word for each in found] == ["done", "done"]
    for taken in visits(campaign):
        assert len(taken) == len(set(taken)) in (6, 9)


@pytest.mark.long
def test_cancelling_stops_what_is_measured_and_starts_nothing_else(campaign, tmp_path):
    (tmp_path / "what").write_text("wait")
    launched = submit(campaign)
    until(lambda: states(launched)[0].samples == 2, 60)
    assert [each.word for each in states(launched)] == ["measuring", "waiting"]
    LocalLauncher().cancel(launched, [launched.job(1)])
    found = states(launched)
    assert [(each.word, each.active, each.samples) for each in found] == [
        ("stopped", False, 2),
        ("ended early", False, 0),
    ]
    (tmp_path / "what").write_text("")
    assert [each.word for each in ended(submit(launched))] == ["done", "done"]


@pytest.mark.parametrize("text", ['{"shards": [1]}', '{"shards": 3, "codes": "x"}', '{"codes": null}', "[1]", "{"])
def test_a_status_that_says_something_else_is_none(campaign, text):
    launched = campaign.submitted({1: "1-1", 2: "1-2"})
    (campaign.folder / "local-1.json").write_text(text)
    assert [each.word for each in states(launched)] == ["ended early"] * 2


def test_a_shard_that_cannot_be_started_is_said(campaign):
    broken = replace(campaign, python=str(campaign.folder / "nothing"))
    with pytest.raises((UserError, FileNotFoundError)):
        LocalLauncher().submit(broken, [1])
    with pytest.raises(UserError, match=r"local-1.log says why"):
        LocalLauncher().submit(replace(campaign, python="/bin/false"), [1])


class Said:
    """A launcher that knows what it is told."""

    def __init__(self, **jobs):
        self.jobs = jobs

    def states(self, campaign, jobs):
        return {job: state for job, state in self.jobs.items() if job in set(jobs)}

    def log(self, campaign, shard, job):
        return campaign.logs / job


@pytest.mark.parametrize(
    ("state", "word", "reason"),
    [
        (JobState(True, False, "PENDING", "Resources"), "waiting", "Resources"),
        (JobState(True, True, "RUNNING"), "starting", ""),
        (JobState(False, False, "OUT_OF_MEMORY"), "ended early", "Its job is over: out of memory."),
        (None, "ended early", "Its job is over."),
    ],
)
def test_a_job_without_a_spool_is_as_far_as_its_launcher_says(campaign, state, word, reason):
    launched = campaign.submitted({1: "a", 2: "b"})
    found = shard_states(launched, Said(**({"a": state} if state else {})))
    assert (found[0].word, found[0].reason) == (word, reason)


def test_a_shard_that_could_not_go_on_says_what_its_log_does(campaign, tmp_path):
    (tmp_path / "what").write_text("fail")
    ended(submit(campaign, 1))
    launched = campaign.submitted({1: "a"})
    log = campaign.logs / "a"
    for text, reason in (
        (b"", "Its job is over: failed."),
        (
            b"Warning: busy\nprofcore: an error\nprofcore: versions differ \xff.\nTraceback:\n",
            "versions differ \ufffd.",
        ),
    ):
        log.write_bytes(text)
        found = shard_states(launched, Said(a=JobState(False, False, "FAILED")))[0]
        assert (found.word, found.reason, found.samples) == ("ended early", reason, 2)


def test_a_spool_whose_job_is_over_says_so_once_nobody_writes_it(campaign, tmp_path):
    (tmp_path / "what").write_text("fail")
    ended(submit(campaign, 1))
    path, launched = campaign.spool(1), campaign.submitted({1: "a"})
    with SpoolWriter(path) as writer:
        writer.write({"type": "owner", "by": "command", "host": "elsewhere", "folder": "/there", "pid": 1})
        writer.state(State.RUNNING)
        # Held by whoever measures it, whatever the launcher says.
        assert shard_states(launched, Said(a=JobState(False, False, "COMPLETED")))[0].word == "measuring"
    found = shard_states(launched, Said(a=JobState(False, False, "PREEMPTED")))[0]
    assert (found.word, found.reason) == ("failed", "Its job is over: preempted.")
    assert records_of_kinds(path, "state")[-1]["reason"] == "Its job is over: preempted."


def begun_spool(campaign, tmp_path, host="elsewhere", ago_s=0.0):
    """The first shard's spool as another machine writes it, which last grew some seconds ago."""
    (tmp_path / "what").write_text("fail")
    ended(submit(campaign, 1))
    path = campaign.spool(1)
    with SpoolWriter(path) as writer:
        writer.write({"type": "owner", "by": "command", "host": host, "folder": "/there", "pid": 1})
        writer.state(State.RUNNING)
    written = path.stat().st_mtime - ago_s
    os.utime(path, (written, written))
    return path


@pytest.mark.parametrize(
    ("known", "ago_s", "word", "active", "said"),
    [
        # A lock of another machine's is not seen from here: that the spool grows says that it is measured.
        (JobState(True, True, "RUNNING"), 5.0, "measuring", True, ""),
        (JobState(True, True, "RUNNING"), 1500.0, "measuring", True, "No sign of life for 25 min."),
        (None, 5.0, "measuring", True, "Its job is not known, but its spool grew"),
        (None, 1500.0, "quiet", False, "No sign of life for 25 min. Whether it is over is not seen from here."),
        # Whoever knows says that it is over.
        (JobState(False, False, "OUT_OF_MEMORY"), 5.0, "failed", False, "Its job is over: out of memory."),
    ],
)
def test_a_shard_whose_lock_is_not_seen_is_as_alive_as_its_spool(campaign, tmp_path, known, ago_s, word, active, said):
    path = begun_spool(campaign, tmp_path, ago_s=ago_s)
    before, launched = path.read_bytes(), replace(campaign.submitted({1: "a"}), created_at="")
    launched = replace(launched, attempts=(replace(launched.attempts[-1], at="2000-01-01"),))
    found = shard_states(launched, Said(**({"a": known} if known else {})))[0]
    assert (found.word, found.active) == (word, active)
    assert found.reason.startswith(said) if said else not found.reason
    # Nothing is written into what may be measured still.
    assert (path.read_bytes() == before) == (word != "failed")


def test_a_shard_of_this_machine_that_nobody_writes_is_over_at_once(campaign, tmp_path):
    begun_spool(campaign, tmp_path, host=platform.node())
    assert shard_states(campaign.submitted({1: "a"}), Said())[0].word in ("failed", "ended early")


def no_locks(*asked):
    raise OSError(errno.ENOSYS, "no locks")


def test_where_a_file_system_has_no_locks_what_grew_a_moment_ago_is_not_over(campaign, tmp_path, monkeypatch):
    path = begun_spool(campaign, tmp_path, host=platform.node())
    monkeypatch.setattr(locks.fcntl, "fcntl", no_locks)
    assert not locks.are_told(tmp_path)
    assert not end_abandoned(path)
    with SpoolWriter(path) as writer:
        writer.state(State.RUNNING)
        assert shard_states(campaign.submitted({1: "a"}), Said())[0].word == "measuring"
    os.utime(path, (1.0, 1.0))
    assert shard_states(campaign.submitted({1: "a"}), Said())[0].word == "quiet"


def test_the_process_of_another_machine_lives_as_long_as_it_writes(campaign):
    launched = campaign.submitted({1: "1-1", 2: "1-2"})
    status = {"pid": 1, "host": "elsewhere", "shards": {"1": "running", "2": "waiting"}, "codes": {}}
    place = campaign.folder / "local-1.json"
    place.write_text(json.dumps(status))
    assert [each.word for each in states(launched)] == ["starting", "waiting"]
    with pytest.raises(UserError, match="is measured on elsewhere: cancel it there"):
        LocalLauncher().cancel(launched, ["1-1"])
    place.write_text(json.dumps({**status, "over": True}))
    assert [each.word for each in states(launched)] == ["ended early"] * 2
    place.write_text(json.dumps(status))
    os.utime(place, (1.0, 1.0))
    assert [each.word for each in states(launched)] == ["ended early"] * 2


def test_a_job_that_was_cancelled_says_so_and_whether_anything_was_measured(campaign, tmp_path):
    launched = campaign.submitted({1: "5_0", 2: "5_1"}).without(["5_0"])
    launched.write()
    assert read_campaign(campaign.folder) == launched
    found = shard_states(launched, Said(**{"5_1": JobState(False, False, "CANCELLED by 0")}))
    said = ("cancelled", "It was cancelled before it measured anything.")
    assert [(each.word, each.reason) for each in found] == [said, said]
    # Submitted again it is no longer.
    assert shard_states(launched.submitted({1: "c"}), Said(c=JobState(True, False, "PENDING")))[0].word == "waiting"
    path = begun_spool(campaign, tmp_path)
    found = shard_states(launched, Said(**{"5_0": JobState(False, False, "COMPLETED")}))[0]
    assert (found.word, found.reason, found.samples) == (
        "cancelled",
        "It was cancelled: what it had measured stays.",
        2,
    )
    assert records_of_kinds(path, "state")[-1]["reason"] == found.reason


def test_spools_are_linked_beside_the_database_and_kept_in_the_end(campaign):
    link_spools(campaign)
    link_spools(campaign)
    folder = spools_beside(campaign.database)
    assert [path.is_symlink() and not path.exists() for path in sorted(folder.iterdir())] == [True, True]
    ended(submit(campaign))
    link = folder / campaign.spool(1).name
    assert link.read_bytes() == campaign.spool(1).read_bytes()
    keep_spools(campaign)
    campaign.spool(1).unlink()
    assert not link.is_symlink()
    assert b'"done"' in link.read_bytes()
    # What is no link of this campaign is another's.
    with pytest.raises(UserError, match="another run's spool"):
        link_spools(campaign)


@pytest.mark.parametrize(("visible", "found"), [("0,1", ["cuda:0", "cuda:1"]), ("", ["cpu"]), ("-1", ["cpu"])])
def test_the_cards_of_a_machine_are_those_that_a_process_sees(monkeypatch, visible, found):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices_here() == found


@pytest.mark.long
def test_a_spool_is_read_on_from_where_it_was_looked_at(campaign, monkeypatch):
    progress, path = SpoolProgress(), campaign.spool(1)
    assert progress.look(path) == Progress()
    ended(submit(campaign))
    found = progress.look(path)
    assert (found.samples, found.state, found.offset) == (len(visits(campaign)[0]), State.DONE, path.stat().st_size)
    # A half line is left for later, hostile ones say nothing, and of what was read before nothing is read again.
    with path.open("ab") as file:
        file.write(b'{"type":"state","state":"nonsense"}\n{"type":"state"\n\xff\n{"type":"sample","half')
    assert (progress.look(path).samples, progress.look(path).state) == (len(visits(campaign)[0]), State.DONE)
    with path.open("ab") as file:
        file.write(b'"}\n')
    assert progress.look(path).samples == len(visits(campaign)[0]) + 1
    # One that is shorter is another.
    path.write_bytes(b'{"type":"state","state":"failed","reason":"x"}\n')
    assert progress.look(path) == Progress(path.stat().st_size, 0, State.FAILED, "x", "")


@pytest.mark.long
def test_a_dashboard_takes_a_linked_spool_in_as_it_grows(campaign, tmp_path):
    (tmp_path / "what").write_text("wait")
    link_spools(campaign)
    with Store(campaign.database) as store:
        intake = Intake(store)
        intake.look(everything=True)
        assert (store.runs()["source"] == "measured").sum() == 0
        launched = submit(campaign)
        until(lambda: states(launched)[0].samples == 2, 60)
        intake.look()
        run = store.run("a-run")
        assert (run["state"], run["num_samples"]) == ("running", 2)
        LocalLauncher().cancel(launched, [launched.job(1)])
        assert intake.problem == ""
