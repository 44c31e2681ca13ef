"""What fails late costs no sample; what issuing costs is told where the launch queue is full."""

from dataclasses import replace

import pytest

from profcore.errors import ImageError, UserError
from profcore.measure import loop
from profcore.measure.loop import QualityFailed, run_sweep
from profcore.measure.telemetry import Telemetry
from profcore.results.sweep import load_result
from profcore.spec.queries import Picture, Query, QuerySet
from profcore.spec.records import Sample
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage.spool import SpoolWriter, spool_path
from profcore.storage.store import Store
from tests.storage.test_store import a_sample
from tests.support import small_sweep


def measured(shelf, sweep):
    loaded = shelf.get(Target())
    return list(run_sweep(loaded, shelf.engine(Target()), sweep, Telemetry(loaded.model.device), lambda: False))


def test_a_picture_that_is_gone_fails_its_quality_and_not_the_run(shelf, tmp_path):
    query = Query(Picture("file", str(tmp_path / "gone.png")), "What?", "a", "b", 400, 300)
    found = measured(shelf, replace(small_sweep(), quality=QuerySet("gone", (query,))))
    assert len([each for each in found if isinstance(each, Sample)]) == 4
    failed = [each for each in found if isinstance(each, QualityFailed)]
    assert [each.setting for each in failed] == [0, 1]
    assert "There is no picture" in failed[0].reason


@pytest.mark.parametrize("error", [ImageError("It is broken."), RuntimeError("no kernel\nat all"), OSError("gone")])
def test_whatever_goes_wrong_with_quality_the_samples_stand(shelf, monkeypatch, error):
    def fail(*given):
        raise error

    monkeypatch.setattr(loop.QualityMeter, "of", fail)
    query = Query(Picture(), "What?", "a", "b", 512, 512)
    found = measured(shelf, replace(small_sweep(), quality=QuerySet("one", (query,))))
    reasons = {each.reason for each in found if isinstance(each, QualityFailed)}
    assert len(reasons) == 1
    assert str(error).splitlines()[0] in reasons.pop()


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as opened:
        yield opened


def write(store, samples, name="moe_topk", values=(1, 2), num_samples=3, failed=None):
    spec = RunSpec.new(Target(), small_sweep(name, values, num_samples))
    with SpoolWriter(spool_path(store.spools, spec.id)) as writer:
        writer.run(spec)
        writer.state(State.RUNNING)
        for sample in samples:
            writer.sample(sample)
        if failed is not None:
            writer.setting_failed(failed, "Out of GPU memory")
        writer.quality_failed(0, "It is broken.")
        writer.state(State.DONE)
    store.take_in_all()
    return spec.id


def test_a_setting_that_fails_late_counts_what_it_gave(store):
    run_id = write(store, [a_sample(0, 0), a_sample(1, 1), a_sample(2, 0), a_sample(3, 1), a_sample(4, 0)], failed=1)
    result = load_result(store, run_id)
    # Three of the setting that went on, and the two that the other gave before.
    assert result.planned == len(result.samples) == 5
    assert result.settings["quality_failed"].tolist()[0] == "It is broken."


def issued(steps, decode_ms, issue_ms, step_issue_ms=None):
    sample = a_sample(0, 0)
    return replace(
        sample,
        decode_steps_ms=(),
        llm_decode_ms=decode_ms,
        total_ms=50 + decode_ms,
        num_output_tokens=steps + 1,
        issue_ms=(1.0, 0.1, 2.0, issue_ms),
        step_issue_ms=step_issue_ms,
    )


def decode_issue(store, sample):
    issue = store.issue(write(store, [sample], "output_tokens", (3,), 1)).set_index("metric")["issue_ms"]
    return issue.get("llm_decode_ms")


def test_the_least_step_says_what_issuing_costs_however_long_the_decode(store):
    # The host issued a step in 0.05 ms, and waited for the device for most of the other 2,047.
    assert decode_issue(store, issued(2047, 2100.0, 1575.0, 0.05)) == pytest.approx(2047 * 0.05)
    assert decode_issue(store, issued(9, 300.0, 290.0, 31.0)) == pytest.approx(9 * 31.0)


def test_a_long_decode_that_did_not_take_it_says_nothing_of_launching(store):
    assert decode_issue(store, issued(2047, 2100.0, 2000.0)) is None
    assert decode_issue(store, issued(511, 520.0, 5.0)) == pytest.approx(5.0)


def test_a_context_that_the_fed_tokens_just_fill_is_measured(shelf):
    loaded = shelf.get(Target())
    (prompt,) = {
        each.num_input_tokens for each in measured(shelf, small_sweep(values=(1,))) if isinstance(each, Sample)
    }
    longest = loaded.model.config.max_positions
    just = replace(small_sweep(values=(1,)).settings[0], output_tokens=longest - prompt + 1)
    loop.check_context(prompt, just, longest)
    with pytest.raises(UserError, match="more than the model's context"):
        loop.check_context(prompt, replace(just, output_tokens=just.output_tokens + 1), longest)
