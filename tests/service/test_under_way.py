"""What every page says of the runs that wait or are measured, and lengths of time as people say them."""

import pytest

from profcore.results.described import describe_run
from profcore.results.sweep import load_result
from profcore.results.tables import display_summary
from profcore.service.under_way import runs_under_way
from profcore.service.words import about, rough_duration
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.spec.until import Until
from profcore.storage import spool
from profcore.storage.store import Store
from tests.storage.test_store import a_sample
from tests.support import small_sweep


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "a few seconds"),
        (14, "10 s"),
        (54, "50 s"),
        (58, "1 min"),
        (103, "2 min"),
        (59.4 * 60, "59 min"),
        (59.6 * 60, "1 h"),
        (4000, "1 h 10 min"),
        (7200, "2 h"),
        (86400, "1 d"),
        (100000, "1 d 4 h"),
    ],
)
def test_a_length_of_time_is_said_as_people_say_it(seconds, said):
    assert rough_duration(seconds) == said


def test_an_estimate_is_said_as_one():
    assert about(103) == "about 2 min"
    assert about(2) == "a few seconds"


def begin(store, sweep, *states):
    spec = RunSpec.new(Target(), sweep)
    with spool.SpoolWriter(spool.spool_path(store.spools, spec.id)) as writer:
        writer.run(spec)
        for state in states:
            writer.state(state)
    store.take_in_all()
    return spec.id


def test_what_is_measured_comes_before_what_waits_and_ended_runs_are_no_more(tmp_path):
    store = Store(tmp_path / "data.duckdb")
    waiting = begin(store, small_sweep(num_samples=3))
    begin(store, small_sweep(), State.RUNNING, State.DONE)
    running = begin(store, small_sweep("output_tokens", (1, 2), num_samples=3, warmup=1), State.RUNNING)
    with spool.SpoolWriter(spool.spool_path(store.spools, running)) as writer:
        writer.phase("Warming up at 2 output tokens (2 of 2)")
        writer.sample(a_sample(0, 0))
    store.take_in_all()
    first, second = runs_under_way(store)
    assert (first.id, first.title, first.count) == (running, "Output tokens", "1 of 6")
    assert first.phase == "Warming up at 2 output tokens (2 of 2)"
    # Two more of the first setting, and of the other all three and what warms it, each taken to last as long.
    assert first.remaining_s == pytest.approx(6 * a_sample(0, 0).total_ms / 1000)
    assert (second.id, second.count, second.time_left) == (waiting, "0 of 6", "")
    store.close()


def test_of_as_many_samples_as_it_takes_the_most_is_said_until_all_have_enough(tmp_path):
    with Store(tmp_path / "data.duckdb") as store:
        run_id = begin(store, small_sweep(num_samples=20, until=Until(0.01)), State.RUNNING)
        with spool.SpoolWriter(spool.spool_path(store.spools, run_id)) as writer:
            for number in range(18):
                writer.sample(a_sample(number, number % 2))
            writer.setting_ended(0, "precision")
        store.take_in_all()
        (run,) = runs_under_way(store)
        assert run.count == "18 of at most 29"
        # All alike: the other needs no more than the first interval has, and has them.
        assert run.remaining_s == pytest.approx(0.0)
        with spool.SpoolWriter(spool.spool_path(store.spools, run_id)) as writer:
            writer.setting_ended(1, "seconds")
            writer.setting_failed(1, "after all")
        store.take_in_all()
        (run,) = runs_under_way(store)
        assert run.count == "18 of 18"
        assert store.run_list()["open_ended"].tolist() == [True]
        result = load_result(store, run_id)
        assert (result.planned, result.open_ended) == (18, False)
        assert display_summary(result)["stopped"].tolist() == ["precise enough", "most seconds reached"]
        # The interval is that of repeated looks, which 9 samples have by their ends alone.
        total = result.summary[(result.summary["metric"] == "total_ms") & (result.summary["setting"] == 0)].iloc[0]
        values = result.samples.loc[result.samples["setting"] == 0, "total_ms"].to_numpy()
        assert (total["low"], total["high"]) == pytest.approx((values.min(), values.max()))
        assert (
            describe_run(result.run)
            .set_index("name")
            .loc["Each setting sampled until its median total is known to", "value"]
            == "±1 %; 20 samples or 120.0 s per setting at most"
        )
