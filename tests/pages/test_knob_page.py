"""What a knob page offers around a run: what is under way, an estimate, several runs at once, a run used again."""

import pytest

from pages.parts import clone
from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE
from profcore.results.differing import differing
from profcore.spec.queries import Picture
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.spec.until import Until
from tests.comparisons.stored import store_run
from tests.support import small_sweep, texts, until

SHIPPED = "20261129-203616-5b199827"


@pytest.fixture
def service(dashboard):
    return dashboard


def press(test, key):
    test.button(key=key).click().run()
    assert not test.exception, test.exception


def all_ended(service, ids):
    until(lambda: all(State(service.store.run(run_id)["state"]).ended for run_id in ids))


def new_ids(service, before):
    return [run_id for run_id in service.store.runs()["id"] if run_id not in before]


def test_a_run_is_seen_and_stopped_from_another_page(app, service):
    run_id = service.start(Target(), small_sweep(values=(1, 2), num_samples=500, prompt="deaf"))
    until(lambda: service.store.run(run_id)["num_samples"])
    until(lambda: [run.done for run in service.under_way()] == [1])
    test = app("sql")
    assert "1 of 1,000" in texts(test.sidebar.markdown)
    press(test, "stop-under-way")
    stopping = test.button(key="stop-under-way")
    assert (stopping.label, stopping.disabled) == ("Stopping…", True)
    assert "Stopping… · 1 of 1,000 samples" in app("moe_topk", run=run_id).get("progress")[0].proto.text
    service.jobs.give_up(run_id)
    all_ended(service, [run_id])
    until(lambda: not service.under_way())
    assert "stop-under-way" not in [button.key for button in app("sql").button]


def test_run_says_how_long_it_will_take_once_something_alike_was_measured(app, service):
    assert "No estimate yet" in texts(app("output_tokens", values="900").caption)
    run_id = service.start(Target(), small_sweep("output_tokens", (1, 2), num_samples=1))
    all_ended(service, [run_id])
    assert service.estimate_s(Target(), small_sweep("output_tokens", (1, 2))) is not None
    test = app("output_tokens", values="1 2", blocks="2")
    assert "by earlier runs here" in texts(test.caption)


def test_a_sweep_is_queued_under_several_engines_and_all_four_knobs_at_once(app, service):
    before = set(service.store.runs()["id"])
    test = app("moe_topk", values="1", samples="1")
    press(test, "run-several")
    started = new_ids(service, before)
    engines = {service.store.run(run_id)["spec"]["target"]["engine"] for run_id in started}
    assert engines == {"eager", "compiled"}
    before |= set(started)
    test.slider(key="all-samples").set_value(1).run()
    press(test, "run-all-knobs")
    four = new_ids(service, before)
    assert {service.store.run(run_id)["experiment"] for run_id in four} == set(CATALOGUE)
    all_ended(service, [*started, *four])


def test_a_runs_settings_fill_the_controls_and_what_differs_is_said(app):
    test = app("moe_topk", run=SHIPPED, samples="7", topk="3")
    said = texts(test.caption)
    assert "model tiny (molmoe-1b), device cpu (cuda:0), engine eager (compiled)" in said
    assert "samples per setting 7 (50)" in said
    press(test, "clone")
    assert test.selectbox(key="model").value == "molmoe-1b"
    assert test.selectbox(key="engine").value == "compiled"
    assert test.slider(key="samples").value == 50
    assert "in brackets: device cpu (cuda:0), no energy measured." in texts(test.caption)
    assert "python -m profcore run moe_topk --top-k-values 1 2 4 8 16 32" in texts(test.code)


def test_a_run_is_repeated_on_what_the_bar_says_and_compared_when_it_is_done(app, service):
    first = service.start(Target(), small_sweep(values=(1, 2), num_samples=3))
    all_ended(service, [first])
    before = set(service.store.runs()["id"])
    test = app("moe_topk", run=first)
    test.selectbox(key="engine").set_value("compiled").run()
    press(test, "repeat")
    (second,) = new_ids(service, before)
    spec, own = (service.store.run(run_id)["spec"] for run_id in (second, first))
    assert spec["target"]["engine"] == "compiled"
    assert spec["sweep"] == own["sweep"]
    all_ended(service, [second])
    test.run()
    assert f"{first},{second}" in test.query_params["compare"]


def test_as_many_samples_as_it_takes_are_asked_for_shown_and_used_again(app, service):
    before = set(service.store.runs()["id"])
    test = app("moe_topk", values="1 2", blocks="2", enough="true")
    test.select_slider(key="precision").set_value(2.0).run()
    test.select_slider(key="most").set_value(20).run()
    assert "At most 40 inferences" in texts(test.markdown)
    press(test, "run-sweep")
    (run_id,) = new_ids(service, before)
    sweep = RunSpec.from_dict(service.store.run(run_id)["spec"]).sweep
    assert (sweep.num_samples, sweep.until) == (20, Until(0.02, 120.0))
    all_ended(service, [run_id])
    held = clone.controls_of(RunSpec.new(Target(), sweep), ["cpu"], "cpu")
    assert (held["enough"], held["precision"], held["most"], held["seconds"]) == (True, 2.0, 20, 120)
    assert "samples" not in held
    assert clone.controls_of(RunSpec.new(Target(), small_sweep()), ["cpu"], "cpu")["enough"] is False
    test = app("moe_topk", run=run_id)
    assert "--until 2% --max-samples 20 --max-seconds 120" in texts(test.code)
    assert "corrected for the look after every sample" in texts(test.caption)


def test_how_far_processes_differ_is_quoted_where_they_were_repeated(app, service):
    sweep = small_sweep(values=(1, 2), num_samples=8)
    series = [
        store_run(service.store, sweep, lambda setting, each=each: 100.0 * (1 + each / 100), series="s", hour=each)
        for each in range(3)
    ]
    test = app("moe_topk", run=series[0])
    assert "Between processes, by one standard deviation: total ±" in texts(test.caption)
    assert any("this run among them" in each.label for each in test.expander)
    test = app("runs", compare=f"{series[0]},{series[2]}")
    assert "The intervals hold how far processes differ as well" in texts(test.caption)
    for run_id in series:
        service.remove(run_id)
    assert service.series() == []


def test_what_a_control_cannot_hold_is_left_and_values_are_written_where_no_slider_says_them():
    sweep = small_sweep(values=(1, 4), num_samples=900, picture=Picture("file", "/tmp/a.png"))
    held = clone.controls_of(RunSpec.new(Target(device="cuda:1", engine="graph"), sweep), ["cpu"], "cpu")
    assert held["values"] == "1 4"
    assert (held["samples"], held["blocks"], held["device"]) == (200, 2, "cpu")
    assert not {"engine", "picture", "topks"} & set(held)
    masks = small_sweep("transformer_blocks_mask", ("1010101010101010", 3))
    held = clone.controls_of(RunSpec.new(Target("/a/model"), masks), ["cpu"], "cpu")
    assert held["values"] == "1010101010101010 3"
    assert (held["model"], held["checkpoint"]) == ("checkpoint", "/a/model")
    held = clone.controls_of(RunSpec.new(Target(), small_sweep("transformer_blocks_mask", (2, 3, 4))), ["cpu"], "cpu")
    assert (held["range"], held["values"]) == ((2, 4), "")


def test_a_grid_of_several_rows_has_no_control():
    spec = RunSpec.new(Target(), small_sweep("context_scaling", (1,))).to_dict()
    spec["sweep"]["settings"][0]["grid"] = [2, 2]
    with pytest.raises(UserError, match="several rows"):
        clone.controls_of(RunSpec.from_dict(spec), ["cpu"], "cpu")


def test_what_differs_is_named_with_what_the_other_has():
    shown = RunSpec.new(Target(engine="graph"), small_sweep(values=(1, 2), prompt="Why?")).to_dict()
    asked = small_sweep(values=(1, 4), num_samples=5)
    assert differing(Target(), asked, shown) == [
        "engine eager (graph)",
        "values of top-k",
        "samples per setting 5 (2)",
        "prompt",
    ]
    assert differing(Target(engine="graph"), small_sweep(values=(1, 2), prompt="Why?"), shown) == []
    assert differing(Target(), asked, {}) == []


def test_engines_side_by_side_say_beforehand_when_little_space_is_left(app, service, monkeypatch):
    asked = []
    monkeypatch.setattr(service, "space_note", lambda sweeps: asked.extend(sweeps) or "Only 1 MB are left.")
    assert "Only 1 MB are left." in texts(app("engines").warning)
    # A sweep under each engine that this machine has.
    assert len([sweep for sweep in asked if sweep.experiment == "moe_topk"]) >= 2


class TestCard:
    """What a page says of the card: before a run, of flagged samples, of their order, of energy."""

    @pytest.fixture(scope="class")
    def flagged(self, dashboard):
        sweep = small_sweep("moe_topk", (1, 2), num_samples=6, energy=True)
        run_id = store_run(dashboard.store, sweep, lambda setting: 1.0, joules=lambda setting: 5.0, held_back=(0, 3))
        yield run_id
        dashboard.store.remove(run_id)

    def test_energy_of_a_run_and_its_flags(self, app, flagged):
        test = app("moe_topk", run=flagged, view="Energy")
        said = texts(test.caption)
        assert "By the card's own counter" in said
        assert "2 of 12 samples were taken while the card was held back" in said
        assert any("tokens per joule" in frame.value for frame in test.dataframe)
        assert any("without them (ms)" in frame.value for frame in test.dataframe)

    def test_samples_in_their_order(self, app, flagged):
        test = app("moe_topk", run=flagged, view="Samples in order")
        assert "below it what card and host were like right after each" in texts(test.caption)

    def test_a_cpu_measures_no_energy(self, app):
        test = app("moe_topk", energy="true")
        assert test.toggle(key="energy").disabled
        assert "NVIDIA GPUs alone" in texts(test.caption)

    def test_a_busy_machine_is_said_beside_run(self, app, service, monkeypatch):
        monkeypatch.setattr(service, "busy_notes", lambda device: [f"The card of {device} is in use: *1* other"])
        assert "in use: \\*1\\* other" in texts(app("moe_topk").caption)


def test_what_was_pressed_on_a_page_that_was_left_before_it_was_drawn_is_told_and_never_begins(app, service):
    before = len(service.store.runs())
    test = app("moe_topk")
    # As a click that the browser follows by another on the menu before the server has drawn the first.
    test.session_state["pressed run-sweep"] = True
    test.switch_page("pages/sql.py").run()
    assert not test.exception
    assert ["press it again" in each.value for each in test.toast] == [True]
    test.switch_page("pages/moe_topk.py").run()
    assert not test.toast
    assert len(service.store.runs()) == before
