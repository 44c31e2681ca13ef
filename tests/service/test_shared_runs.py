"""A run that several cards share, as the dashboard starts, stops and resumes it: one run on every page."""

from __future__ import annotations

from collections import Counter

import pytest

from profcore.errors import UserError
from profcore.service.service import Service
from profcore.service.words import environment_line
from profcore.spec.runs import Target
from profcore.spec.stages import State
from profcore.storage.spool import spool_files
from tests.storage.made_shards import shards_of, sweep_of, write_shard
from tests.support import FAKE, ROOT, small_sweep, until

CARDS = ("cuda:0", "cuda:1")
TARGET = Target("tiny", "cuda:0")


@pytest.fixture
def service(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_CARDS", "2")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = Service(tmp_path / "p.duckdb", worker=FAKE)
    monkeypatch.setattr(made.store, "take_in_shipped", lambda: None)
    made.jobs.devices()
    yield made
    made.close()


def ended(service: Service, run_id: str) -> dict:
    """A run once it has ended."""

    def found():
        service.intake.look()
        run = service.store.run(run_id)
        return run if run and State(run["state"]).ended else None

    return until(found)


def measured(service: Service, run_id: str, number: int) -> None:
    """Wait for so many samples."""

    def there() -> bool:
        service.intake.look()
        return service.store.run(run_id)["num_samples"] >= number

    until(there)


def ours(service: Service) -> list[str]:
    """The runs that were measured here."""
    runs = service.runs()
    return runs[runs["source"] == "measured"]["id"].tolist()


def test_two_cards_share_a_run_which_is_one_on_every_page(service):
    sweep = small_sweep(values=(1, 2, 4, 8, 16, 32), num_samples=30)
    run_id = service.start(TARGET, sweep, CARDS)
    measured(service, run_id, 1)
    assert [each.id for each in service.under_way()] in ([run_id], [])
    run = ended(service, run_id)
    assert (run["state"], run["num_samples"], run["planned_samples"]) == ("done", 30 * 7, 30 * 7)
    assert ours(service) == [run_id]
    result = service.results.sweep(run_id)
    assert result.planned == len(result.samples) == 210
    line = environment_line(run["environment"], result.state, run["environments"])
    assert "shared by 2 cards: GPU-0 of" in line
    assert "GPU-1 of" in line


@pytest.mark.long
def test_stopping_stops_every_card_and_resuming_goes_on_on_each(service):
    sweep = small_sweep(values=(1, 2, 4, 8), num_samples=400)
    run_id = service.start(TARGET, sweep, CARDS)
    measured(service, run_id, 20)
    service.stop(run_id)
    assert service.is_stopping(run_id)
    run = ended(service, run_id)
    assert run["state"] == "stopped"
    assert run["reason"].startswith("Shard 1 stopped: Stopped on request. Shard 2 stopped:")
    short = len(spool_files(service.store.spools))
    assert short == 2
    service.resume(run_id)
    run = ended(service, run_id)
    assert (run["state"], run["num_samples"]) == ("done", 400 * 5)
    samples = service.store.samples(run_id)
    assert not samples.duplicated(["environment_number", "setting", "round"]).any()
    places = service.store.environments(run_id)
    assert Counter(each["card"] for each in places) == {"GPU-0": 1, "GPU-1": 1}
    with pytest.raises(UserError, match="This run is done"):
        service.resume(run_id)


def test_a_second_run_waits_on_each_card(service):
    sweep = small_sweep(values=(1, 2, 4, 8), num_samples=3000)
    first = service.start(TARGET, sweep, CARDS)
    second = service.start(TARGET, sweep, CARDS)
    measured(service, first, 1)
    assert service.position(first) is None
    assert service.position(second) == 1
    assert service.no_sign_s(first) is None
    assert not service.give_up(first)
    service.stop(second)
    assert ended(service, second)["reason"].count("Stopped before it began.") == 2
    service.stop(first)
    ended(service, first)


def test_a_run_is_not_begun_on_one_card_where_another_is_not_there(service):
    with pytest.raises(UserError, match="There is no device 'cuda:7' here"):
        service.start(TARGET, small_sweep(values=(1, 2, 4, 8)), ("cuda:0", "cuda:7"))
    service.store.take_in_all()
    assert ours(service) == []


def test_parts_that_are_measured_elsewhere_are_not_resumed_here(service):
    sweep = sweep_of()
    first, _ = shards_of(sweep)
    write_shard(service.store.spools, sweep, first)
    service.intake.look(everything=True)
    with pytest.raises(UserError, match="its other shards go on where they are measured"):
        service.resume("friday")


def test_of_two_cards_half_the_time_is_estimated(service, monkeypatch):
    monkeypatch.setattr("profcore.service.durations.sweep_duration", lambda *given: 100.0)
    sweep = small_sweep(values=(1, 2, 4, 8, 16, 32, 3, 5, 6, 7, 9, 10, 11, 12, 13, 14), num_samples=3)
    assert service.estimate_s(TARGET, sweep) == 100
    assert 50 < service.estimate_s(TARGET, sweep, CARDS) < 66
