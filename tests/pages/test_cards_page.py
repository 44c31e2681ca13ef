"""Cards on pages: all of them chosen at once, side by side, and what a run says of those that share it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pages.parts import state as page_state
from profcore.service.service import Service
from profcore.spec.stages import State
from profcore.storage.spool import read_spec, spool_files
from tests.storage.made_shards import shards_of, sweep_of, write_shard
from tests.support import FAKE, ROOT, texts, until


@pytest.fixture(scope="module")
def service(with_samples, tmp_path_factory):
    """A dashboard of a machine with two cards, whose workers make their samples up."""
    path = Path(shutil.copy(with_samples, tmp_path_factory.mktemp("cards")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROFCORE_DB", str(path))
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("FAKE_CARDS", "2")
        patch.setattr(page_state, "Service", lambda database, roots: Service(database, roots, FAKE))
        page_state._service.clear()
        made = page_state.service()
        made.jobs.devices()
        sweep = sweep_of(num_samples=30)
        for shard in shards_of(sweep, 3):
            write_shard(made.store.spools, sweep, shard, slower=1.04 if shard.index == 2 else 1.0)
        for shard in shards_of(sweep, 2, "monday"):
            write_shard(made.store.spools, sweep, shard, slower=0.8, device_name="NVIDIA H200")
        made.intake.look(everything=True)
        yield made
        made.close()
        page_state._service.clear()


def test_all_cards_are_a_choice_and_share_what_is_measured(app, service):
    test = app("moe_topk", model="tiny", samples="2", topks=["1", "16"])
    device = test.selectbox(key="device")
    assert device.options == ["cuda:0", "cuda:1", "cpu", "All 2 cards"]
    device.set_value("All 2 cards").run()
    assert not test.exception
    assert "a fake card, 2 of them" in texts(test.sidebar.caption)
    before = {path.stem for path in spool_files(service.store.spools)}
    next(button for button in test.button if button.label == "Run").click().run()
    assert not test.exception
    new = [path for path in spool_files(service.store.spools) if path.stem not in before]
    assert sorted(read_spec(path).target.device for path in new) == ["cuda:0", "cuda:1"]
    run_id = test.session_state["run"]
    assert {read_spec(path).shard.campaign for path in new} == {run_id}
    until(lambda: State(service.store.run(run_id)["state"]).ended)
    assert service.store.run(run_id)["state"] == "done"
    # One run on every page, never its parts.
    listed = service.runs()["id"].tolist()
    assert run_id in listed
    assert not [each for each in listed if each.endswith(("-s001", "-s002"))]


def test_a_link_to_all_cards_is_drawn_on_them(app, service):
    test = app("moe_topk", device="All 2 cards", model="tiny")
    assert test.selectbox(key="device").value == "All 2 cards"
    assert not test.exception


def test_a_run_names_the_card_that_is_in_no_figure(app, service):
    test = app("moe_topk", run="friday")
    assert "GPU-2 of node-2 is left out of every figure" in texts(test.caption)
    assert "Measured on 3 cards, 2 of them in the figures" in [each.label for each in test.expander]
    table = next(each.value for each in test.dataframe if "in the figures" in each.value)
    assert table["in the figures"].tolist() == ["yes", "no", "yes"]
    assert table["Total"][1].startswith(("+3.", "+4."))
    assert "shared by 3 cards" in texts(test.caption)


def test_cards_stand_side_by_side(app, service):
    test = app("cards")
    assert not test.exception
    # The group on most cards comes first.
    assert len(test.get("vega_lite_chart")) == 7
    table = next(each.value for each in test.dataframe if "verdict" in each.value)
    # The H100, against the H200 that is measured later and stands first.
    assert table.set_index("latency")["verdict"]["Total"] == "slower"
    assert "differ in more than the card" not in texts(test.caption)
    # Each of both runs was shared.
    assert [each.label for each in test.expander if "Measured on" in each.label] == [
        "NVIDIA H200: Measured on 2 cards",
        "NVIDIA H100: Measured on 3 cards, 2 of them in the figures",
    ]
    # What is in no figure is said where figures stand.
    assert "NVIDIA H100: GPU-2 of node-2 is left out of every figure" in texts(test.caption)
    for knob in ("Vision tokens", "Active blocks", "Output tokens"):
        test.button_group(key="knob").set_value(knob).run()
        assert not test.exception
    assert "There are no such runs here" in texts(app("cards", group="gone").warning)
    alone = app("cards", knob="Vision tokens")
    assert "another card would stand beside it" in texts(alone.caption)
    assert not alone.get("vega_lite_chart")


def test_the_runs_page_lists_one_run(app, service):
    test = app("runs")
    assert not test.exception
    shown = " ".join(map(str, test.dataframe[0].value.to_numpy().ravel()))
    assert "-s00" not in shown


def test_a_submitted_runs_shards_their_logs_and_commands_stand_on_its_page(app, service):
    from profcore.worker.campaigns import LOCAL, new_campaign
    from profcore.worker.linking import link_spools

    root = service.store.path.parent / "there"
    made = new_campaign(
        *(root, "sunday"),
        **{"experiment": "moe_topk", "launcher": LOCAL, "shards": 2, "words": (), "options": {}},
        database=str(service.store.path),
    ).submitted({1: "1-1", 2: "1-2"})
    made.write()
    link_spools(made)
    sweep = sweep_of(num_samples=8)
    first, second = shards_of(sweep, 2, "sunday")
    write_shard(made.spools, sweep, first)
    write_shard(made.spools, sweep, second, rounds=3, end=State.STOPPED)
    (made.logs / "shard-002.log").write_text("# no heading\n")
    service.intake.look(everything=True)
    until(lambda: service.campaigns.of("sunday"))
    test = app("moe_topk", run="sunday")
    assert not test.exception
    table = next(each.value for each in test.dataframe if "why" in each.value)
    assert table["state"].tolist() == ["done", "stopped"]
    said = [each.value for each in test.code]
    assert "# no heading" in said
    assert f"python -m profcore resubmit sunday --folder {root}" in said
    assert not [each for each in said if " cancel " in each]
    test.selectbox(key="log-of-sunday").set_value(1).run()
    assert "It has printed nothing yet." in texts(test.caption)


def test_shards_that_nobody_submitted_are_listed_without_logs(app, service):
    test = app("moe_topk", run="friday")
    table = next(each.value for each in test.dataframe if "why" in each.value)
    assert table["state"].tolist() == ["done"] * 3
    assert "no folder of a campaign was found" in texts(test.caption)
