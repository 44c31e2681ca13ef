"""The shards of submitted runs as pages show them: found by links, asked of launchers, with logs and commands."""

from __future__ import annotations

import json

import pytest

from profcore.errors import UserError
from profcore.service import campaigns
from profcore.service.campaigns import Campaigns, printed, shard_rows
from profcore.spec.stages import State
from profcore.storage.store import Store
from profcore.worker.campaigns import LOCAL, new_campaign
from profcore.worker.launch_local import LocalLauncher
from profcore.worker.linking import link_spools
from tests.storage.made_shards import shards_of, sweep_of, write_shard

SWEEP = sweep_of(num_samples=6)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data" / "p.duckdb") as made:
        made.spools.mkdir()
        yield made


@pytest.fixture
def watch(store):
    """Looks at campaigns, and waits for what it sees."""
    made = Campaigns(store, lambda: 0.0)

    def of(run_id):
        made._seen.clear()
        return made._look(run_id)

    yield of
    made.close()


def submitted(store, tmp_path, folder="elsewhere", number=3):
    """A campaign whose first shard is done, whose second was stopped, and whose others wait."""
    made = new_campaign(
        tmp_path / folder,
        "friday",
        experiment="moe_topk",
        launcher=LOCAL,
        shards=number,
        words=(),
        database=str(store.path),
        options={},
    )
    made = made.submitted({shard: f"1-{shard}" for shard in range(1, number + 1)})
    made.write()
    link_spools(made)
    for shard, (end, rounds) in zip(shards_of(SWEEP, number), ((State.DONE, None), (State.STOPPED, 2)), strict=False):
        write_shard(made.spools, SWEEP, shard, end=end, rounds=rounds)
    store.take_in_all()
    (made.logs / "shard-002.log").write_bytes(b"one\n*two* \xff\n")
    return made


def test_a_run_is_known_to_be_of_a_campaign_by_its_links_and_its_shards_are_listed(store, watch, tmp_path):
    made = submitted(store, tmp_path, "a folder")
    status = {"shards": {"3": "waiting"}, "codes": {}, "host": "elsewhere"}
    (made.folder / "local-1.json").write_text(json.dumps(status))
    found = watch("friday")
    rows = shard_rows(store.run("friday"), found).set_index("shard")
    assert rows["state"].to_dict() == {"1": "done", "2": "stopped", "3": "waiting"}
    assert rows["host"].to_dict() == {"1": "node-1", "2": "node-2", "3": "—"}
    assert rows.loc["2", ["card", "why", "job"]].tolist() == ["GPU-2", "Stopped on request.", "1-2"]
    assert rows.loc["1", "samples"] == str(6 * len(shards_of(SWEEP, 3)[0].visited))
    assert printed(found, 2) == ["one", "*two* \ufffd"]
    assert printed(found, 1) == printed(found, 9) == []
    # As a shell takes it from any folder.
    where = f"friday --folder '{tmp_path}/a folder'"
    assert list(found.commands.values()) == [
        f"python -m profcore {command} {where}" for command in ("jobs", "cancel", "resubmit")
    ]


def test_a_log_that_leads_out_of_its_campaign_is_not_shown(store, watch, tmp_path):
    made = submitted(store, tmp_path)
    (tmp_path / "secret").write_text("secret")
    (made.logs / "shard-002.log").unlink()
    (made.logs / "shard-002.log").symlink_to(tmp_path / "secret")
    assert printed(watch("friday"), 2) == []


def test_a_launcher_that_does_not_answer_is_said_and_the_database_says_what_it_knows(
    store, watch, tmp_path, monkeypatch
):
    submitted(store, tmp_path)

    def refuse(self, campaign, jobs):
        raise UserError("It does not answer.")

    monkeypatch.setattr(LocalLauncher, "states", refuse)
    found = watch("friday")
    assert found.problem == "It does not answer."
    rows = shard_rows(store.run("friday"), found)
    assert rows["state"].tolist() == ["done", "stopped", "not here yet"]
    assert "job" not in rows
    assert list(found.commands) == ["How far each shard is"]


def test_shards_without_a_campaign_are_listed_as_the_database_has_them(store, watch):
    first, second = shards_of(SWEEP)
    store.take_in(write_shard(store.spools, SWEEP, first, end=None))
    assert watch("friday") is None
    rows = shard_rows(store.run("friday"), None)
    assert rows[["state", "host", "why"]].to_numpy().tolist() == [
        ["measuring", "node-1", "Measuring"],
        ["not here yet", "—", ""],
    ]
    store.take_in(write_shard(store.spools, SWEEP, second, end=State.STOPPED))
    assert shard_rows(store.run("friday"), None)["state"].tolist() == ["measuring", "stopped"]
    assert shard_rows({"parts": []}, None).empty


def test_what_was_seen_serves_for_some_seconds_and_nobody_waits_for_long(store, tmp_path, monkeypatch):
    submitted(store, tmp_path)
    looked, clock = [], [0.0]
    seen = campaigns.shard_states
    monkeypatch.setattr(campaigns, "shard_states", lambda *asked: looked.append(1) or seen(*asked))
    monkeypatch.setattr(campaigns, "_WAITS_S", 60.0)
    made = Campaigns(store, lambda: clock[0])
    assert made.of("friday") is made.of("friday")
    assert len(looked) == 1
    clock[0] = 6.0
    assert made.of("friday").states
    assert len(looked) == 2
    assert made.of("another") is None
    made.close()
