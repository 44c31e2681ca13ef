"""Controls that are folded away, and the order in which a page is drawn."""

from types import SimpleNamespace

import pandas as pd
import pytest

from pages.parts import head_start, run_parts
from profcore.data_sets import read_data_set
from profcore.errors import UserError
from profcore.experiments.motivation import MOTIVATION, plan_all
from profcore.models.config import PRESETS
from tests.support import texts, unfolded

FOLDED = ("other-knobs", "picture-and-prompt", "warm-up-and-order", "folded-energy", "execution")
WITHIN = {"warmup", "seed", "picture", "photo", "prompt", "energy", "dtype", "experts", "clock"}
PAGES = ("vision_tokens", "moe_topk", "active_blocks", "output_tokens")


def keys(test):
    """The keys of all widgets of a page."""
    widgets = (test.slider, test.select_slider, test.selectbox, test.text_input, test.toggle, test.number_input)
    return {widget.key for kind in widgets for widget in kind}


def test_controls_within_a_closed_expander_are_made_once_it_is_opened(app):
    test = app("vision_tokens")
    assert not WITHIN & keys(test)
    unfolded(test, *FOLDED)
    assert keys(test) >= WITHIN
    # Closed again they stay, with what they hold.
    test.slider(key="warmup").set_value(5).run()
    for key in FOLDED:
        test.session_state[key] = False
    test.run()
    assert test.slider(key="warmup").value == 5
    assert "after 60 to warm up" in texts(test.markdown)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("model", ["tiny", "gemma-3-4b"])
def test_what_is_folded_away_counts_as_what_is_drawn_there(app, service, page, model, monkeypatch):
    started = []
    monkeypatch.setattr(service, "start", lambda target, sweep, devices: started.append((target, sweep)))
    test = app(page, model=model)
    if test.button(key="run-sweep").disabled:
        pytest.skip(f"{model} has not that knob")
    test.button(key="run-sweep").click().run()
    unfolded(test, *FOLDED)
    test.button(key="run-sweep").click().run()
    folded, opened = started
    assert folded == opened


def test_a_link_says_what_is_within_an_expander_that_nobody_opened(app):
    test = app("moe_topk", warmup="7", prompt="Why?", dtype="float32", tokens="3")
    assert test.slider(key="warmup").value == 7
    assert test.text_input(key="prompt").value == "Why?"
    assert test.selectbox(key="dtype").value == "float32"
    assert test.slider(key="tokens").value == 3
    assert "energy" not in keys(test)


@pytest.mark.parametrize("experiment", MOTIVATION.values(), ids=list(MOTIVATION))
def test_lengths_and_repeats_count_as_what_is_drawn_there(app, service, experiment, monkeypatch):
    started = []

    def start(target, name, data_set, devices, **options):
        queries = read_data_set(data_set)
        assert options.pop("until", None) is None
        started.append(plan_all(name, queries, PRESETS["tiny"], **options))
        raise UserError("Enough.")

    monkeypatch.setattr(service, "start_motivation", start)
    test = app("motivation", motivation=f"{experiment.number} {experiment.title}")
    within = {f"repeat-{experiment.name}", f"lengths-{experiment.name}", "widest", "eos", "warmup-pictures"}
    assert not within & keys(test)
    test.button(key="run-pictures").click().run()
    unfolded(test, "lengths-and-repeats")
    assert within & keys(test)
    test.button(key="run-pictures").click().run()
    folded, opened = started
    assert folded == opened


def test_an_experiment_that_ends_with_the_first_token_offers_no_lengths(app):
    test = unfolded(app("motivation", motivation="3 Vision tokens vs latency"), "lengths-and-repeats")
    assert "lengths-vision_tokens_vs_latency" not in keys(test)


def test_questions_of_scores_count_as_what_is_drawn_there(app, service, monkeypatch):
    asked = []
    monkeypatch.setattr(service.questions, "ask_inspection", lambda target, arguments: asked.append(arguments))
    test = app("active_blocks", way="Most important N")
    assert "importance-limit" not in keys(test)
    test.button(key="measure-scores").click().run()
    unfolded(test, "folded-importance")
    assert "importance-limit" in keys(test)
    test.button(key="measure-scores").click().run()
    folded, opened = asked
    assert folded == opened


def test_models_to_measure_are_offered_once_that_part_is_opened(app):
    test = app("models")
    assert not test.multiselect
    assert unfolded(test, "measure-models").multiselect(key="models-measured").options


@pytest.mark.parametrize(("samples", "before", "waited"), [([], 0, ["one"]), ([1.0], 0, []), ([], 1, [])])
def test_a_run_that_has_just_begun_is_given_a_moment_once(samples, before, waited, monkeypatch):
    given = []
    monkeypatch.setattr(run_parts.st, "session_state", {})
    monkeypatch.setattr(run_parts, "service", lambda: SimpleNamespace(position=lambda run_id: before))
    monkeypatch.setattr(run_parts, "_how_far", lambda result: "Queued")
    monkeypatch.setattr(run_parts, "_await_first_sample", lambda run_id, most_s: given.append(run_id))
    result = SimpleNamespace(run={"id": "one"}, samples=pd.DataFrame({"total_ms": samples}))
    run_parts.begin_to_follow(result)
    run_parts.begin_to_follow(result)
    assert given == waited


class TestHeadStart:
    @pytest.fixture
    def waits(self, monkeypatch):
        """How long was waited each time, as if in a browser."""
        waited = []
        monkeypatch.setattr(head_start, "_is_served", lambda: True)
        monkeypatch.setattr(head_start.time, "sleep", waited.append)
        monkeypatch.setattr(head_start.st, "session_state", {})
        return waited

    def test_the_first_chart_of_a_page_that_is_opened_has_one(self, waits):
        with head_start.of_first_chart("moe_topk"):
            head_start.chart_sent()
            head_start.chart_sent()
        assert waits == [head_start.HEAD_START_S]

    def test_a_page_that_is_drawn_again_has_none(self, waits):
        for page in ("moe_topk", "moe_topk", "runs", "moe_topk"):
            with head_start.of_first_chart(page):
                head_start.chart_sent()
        assert len(waits) == 3

    def test_what_is_under_way_has_none(self, waits):
        with head_start.of_first_chart("moe_topk"):
            head_start.waive()
            head_start.chart_sent()
        assert not waits

    def test_a_runs_first_bar_has_one_where_it_is_waited_for(self, waits):
        head_start.bar_sent("one")
        head_start.expect_bar("one")
        head_start.bar_sent("another")
        assert not waits
        head_start.bar_sent("one")
        head_start.bar_sent("one")
        assert waits == [head_start.BAR_S]

    def test_a_part_that_is_drawn_later_has_none(self, waits):
        with head_start.of_first_chart("moe_topk"):
            pass
        head_start.chart_sent()
        assert not waits
