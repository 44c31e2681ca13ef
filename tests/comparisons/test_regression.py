"""A run against a baseline: under which conditions, what is said, and how reports hold it."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from profcore.comparisons.between import load_series, spreads_of
from profcore.comparisons.regression import OVER_ALL, regress
from profcore.comparisons.regression_words import as_junit, as_markdown, headline, left_out, sentences, telling
from profcore.errors import UserError
from profcore.results.sweep import load_result
from profcore.spec.stages import State
from profcore.stats.regression import PASSED, SLOWER, UNDECIDED
from profcore.storage.store import Store
from tests.comparisons.stored import import_file, published_topk, store_run
from tests.support import small_sweep

SWEEP = small_sweep(num_samples=30)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as opened:
        yield opened


def run_of(store, factor=1.0, sweep=SWEEP, of=None, **more):
    """A run whose prefill and decode take a factor of 10 ms by top-k, at one setting alone where `of` names it."""

    def cost(setting):
        return 10.0 * setting.top_k * (factor if of in (None, setting.top_k) else 1.0)

    return load_result(store, store_run(store, sweep, cost, **more))


def test_a_new_version_that_is_slower_is_found_where_it_is(store):
    before, after = run_of(store), run_of(store, 1.05, of=2, torch="2.12", driver="590")
    found = regress(before, after, 0.02)
    assert found.verdict == SLOWER
    assert found.versions == ("torch: 2.11 then, 2.12 now", "driver: 580 then, 590 now")
    slow = {(each.metric, each.title) for each in found.of(SLOWER)}
    # Over all settings it is the root of 1.05; of the total the prefill is 20 of 27.
    assert slow == {
        *(("llm_prefill_ms", title) for title in (OVER_ALL, "top-k 2")),
        *(("llm_decode_ms", title) for title in (OVER_ALL, "top-k 2")),
        ("total_ms", "top-k 2"),
    }
    one = next(each for each in found.checks if (each.metric, each.title) == ("llm_prefill_ms", "top-k 2"))
    assert (one.reference_ms, one.median_ms, one.ratio) == pytest.approx((20.0, 21.0, 1.05))
    assert one.sure_low <= one.low < 1.05 < one.high
    assert headline(found) == f"Slower: {after.run['id']} is slower than {before.run['id']} by more than 2 %."
    assert "LLM prefill, top-k 2: 1.0500 × the baseline's (95 % from 1.0485 to 1.0515)." in sentences(found)
    # The other way round it is faster, and within a margin of a tenth nothing counts.
    assert regress(after, before, 0.02).verdict == PASSED
    assert regress(before, after, 0.1).verdict == PASSED


def test_a_run_against_itself_is_the_same_however_much_it_varies(store):
    noisy = load_result(store, store_run(store, small_sweep(num_samples=3), lambda setting: 10.0))
    found = regress(noisy, noisy, 0.001)
    assert (found.verdict, found.itself) == (PASSED, True)
    assert {(each.ratio, each.low, each.high) for each in found.checks} == {(1.0, 1.0, 1.0)}
    # Another run with as few samples is not.
    other = load_result(store, store_run(store, small_sweep(num_samples=3), lambda setting: 10.0))
    assert regress(noisy, other, 0.02).verdict == UNDECIDED


def test_what_is_undecided_says_how_many_samples_would_decide(store):
    few = small_sweep(num_samples=3)
    before, after = run_of(store), run_of(store, sweep=few)
    found = regress(before, after, 0.02)
    assert found.verdict == UNDECIDED
    (said,) = [each for each in sentences(found) if "would decide" in each]
    assert said.startswith(f"About 6 samples a setting of {after.run['id']} would decide it (it has 3)")
    assert regress(before, run_of(store, sweep=replace(few, num_samples=6)), 0.02).verdict == PASSED


@pytest.mark.parametrize(
    ("changes", "machine", "named"),
    [
        ({}, {"device_name": "another card"}, "GPU: a card"),
        ({}, {"dtype": "bfloat16"}, "dtype: "),
        ({}, {"engine": "graph"}, "engine: "),
        ({}, {"clock": "published"}, "clock: "),
        ({"prompt": "Why?"}, {}, "prompt: "),
        ({"warmup": 1}, {}, "warm-up: "),
    ],
)
def test_what_differs_besides_versions_is_refused_and_named(store, changes, machine, named):
    before, after = run_of(store), run_of(store, sweep=replace(SWEEP, **changes), **machine)
    with pytest.raises(UserError, match="differ in more than versions") as refused:
        regress(before, after, 0.02)
    assert named in str(refused.value)


def test_what_a_file_does_not_say_is_refused(store):
    own = run_of(store)
    file = load_result(store, import_file(store, published_topk(lambda top_k: 10.0 * top_k)))
    with pytest.raises(UserError, match="does not say what it was measured on"):
        regress(own, file, 0.02)


def test_runs_of_other_experiments_without_samples_or_a_common_setting_are_refused(store):
    before = run_of(store)
    with pytest.raises(UserError, match=r"of output_tokens, .* of moe_topk"):
        regress(before, run_of(store, sweep=small_sweep("output_tokens", (4, 8), 6)), 0.02)
    with pytest.raises(UserError, match="has no samples"):
        regress(before, run_of(store, only=0), 0.02)
    with pytest.raises(UserError, match="has not ended"):
        regress(before, run_of(store, state=State.RUNNING), 0.02)
    with pytest.raises(UserError, match="no setting in common"):
        regress(before, run_of(store, sweep=small_sweep(values=(16, 32), num_samples=6)), 0.02)


def test_a_setting_that_was_not_measured_again_does_not_pass(store):
    before = run_of(store, sweep=small_sweep(values=(1, 2, 4), num_samples=30))
    found = regress(before, run_of(store), 0.02)
    assert (found.verdict, found.lacking) == (UNDECIDED, ("top-k 4",))
    assert "Not measured again, so not passed either: top-k 4." in sentences(found)
    assert regress(run_of(store), before, 0.02).verdict == PASSED
    assert regress(before, run_of(store, 1.1), 0.02).verdict == SLOWER


def test_how_far_processes_differ_widens_what_is_said(store):
    """Of three processes that differ by 3 %, one more that is 5 % slower is no news."""
    for factor in (0.97, 1.0, 1.03):
        run_of(store, factor, series="a-series")
    spreads = spreads_of(load_series(store))
    before, after = run_of(store), run_of(store, 1.05)
    assert regress(before, after, 0.02).verdict == SLOWER
    found = regress(before, after, 0.02, spreads=spreads)
    assert found.verdict == UNDECIDED
    assert any("No number of samples decides it" in each for each in sentences(found))
    assert any(each.startswith("The intervals hold how far processes differ") for each in found.notes)


def test_another_card_of_one_model_is_named(store):
    found = regress(run_of(store, card="GPU-1", host="a"), run_of(store, card="GPU-2", host="a"), 0.02)
    assert found.notes[0].startswith("They were measured on another card: ")


def test_reports_hold_every_check(store):
    found = regress(run_of(store), run_of(store, 1.05, of=2, torch="2.12"), 0.02, ["decode", "total"])
    suites = ET.fromstring(as_junit(found))
    (suite,) = suites
    cases = suite.findall("testcase")
    assert suite.get("tests") == suites.get("tests") == str(len(cases)) == "6"
    failed = [case for case in cases if case.find("failure") is not None]
    assert int(suite.get("failures")) == len(failed) == len(found.of(SLOWER)) == 3
    assert {case.get("classname") for case in cases} == {"profcore.LLM decode", "profcore.Total"}
    assert failed[-1].find("failure").get("message").startswith("Total, top-k 2: 1.0")
    assert {each.get("name"): each.get("value") for each in suite.iter("property")}["verdict"] == "slower"
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [each["verdict"] for each in plain["checks"]].count("slower") == 3
    table = [line for line in as_markdown(found).splitlines() if line.startswith("|")]
    assert len(table) == 2 + 6
    assert len({line.count("|") for line in table}) == 1


def test_undecided_cases_are_skipped_and_hostile_text_breaks_no_report(store):
    before = run_of(store, sweep=small_sweep(values=(1, 2, 4), num_samples=30))
    found = regress(before, run_of(store, sweep=small_sweep(num_samples=3), torch='2.12 <b>|`\x1b[31m" &'), 0.02)
    found = replace(found, notes=("\x00\ud800]]>",))
    suites = ET.fromstring(as_junit(found).encode("utf-8", "strict"))
    suite = suites.find("testsuite")
    assert suite.get("failures") == "0"
    assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped")) == len(found.checks) + 1
    (line,) = [line for line in as_markdown(found).splitlines() if "2.12" in line]
    assert r"\<b\>\|\`" in line


def test_of_many_latencies_those_that_passed_are_counted_and_not_listed(store):
    sweep = small_sweep(values=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64), num_samples=30)
    found = regress(run_of(store, sweep=sweep), run_of(store, 1.1, of=8, sweep=sweep), 0.02)
    shown = telling(found)
    assert len(found.checks) == 5 * 13
    assert {each.title for each in shown if each.setting is not None} == {"top-k 8"}
    assert (
        left_out(found, shown)
        == f"{65 - len(shown)} latencies of single settings that passed are not listed; JSON has them all."
    )
    assert left_out(found, found.checks) == ""
    assert len([line for line in as_markdown(found).splitlines() if line.startswith("|")]) == 2 + len(shown)


def test_of_much_that_is_slower_the_most_telling_is_said_first(store):
    sweep = small_sweep(values=(1, 2, 4, 8), num_samples=40)
    before = run_of(store, sweep=sweep)
    slowing = {1: 1.1, 2: 1.2, 4: 1.3, 8: 1.4}
    after = load_result(store, store_run(store, sweep, lambda each: 10.0 * each.top_k * slowing[each.top_k]))
    found = regress(before, after, 0.02)
    said = [each for each in sentences(found) if "× the baseline's" in each]
    assert [OVER_ALL in each for each in said] == [True, True, True, False, False]
    assert all("top-k 8" in each for each in said[3:])
