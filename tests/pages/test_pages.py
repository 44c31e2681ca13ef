"""The pages as Streamlit runs them, without a browser."""

import io
import json

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.parts import state as page_state
from profcore.errors import UserError
from profcore.results.pictures import load_picture_result
from profcore.results.sweep import load_result
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage import spool
from profcore.storage.store import Store
from profcore.worker.profiles import ProfileKey
from tests.storage.test_store import a_sample
from tests.support import ROOT, seconds, small_sweep, texts, unfolded, until

MEASURES = True
FIGURES = ["PNG, 300 DPI", "SVG", "PDF"]
CAPTIONS = ["Caption", "Caption, LaTeX"]
DOWNLOADS = ["Result JSON", "Samples CSV", "Samples Parquet", "All, with figures", "Report"]
LANGUAGE_MODEL = ("Prefill and decode", "All stages", "Decode step by position", "End to end")
LACKING = {
    "Quality": "recorded no quality",
}
"""Views that nothing of the sample results is in, and what they say instead."""
CARD = ("Energy", "Samples in order")
PAGES = ("vision_tokens", "moe_topk", "active_blocks", "output_tokens")


@pytest.mark.long
def test_that_the_cpu_measures_is_said_in_full_first_and_in_a_word_on_every_page_after(app):
    test = app()
    assert "No GPU was found" in texts(test.info)
    for page in (*PAGES, "home"):
        test.switch_page(f"pages/{page}.py").run()
        assert "No GPU was found" not in texts(test.info)
        assert "No GPU was found" in texts(test.sidebar.markdown)


def test_home_lists_the_shipped_runs_and_where_to_begin(app):
    test = app()
    table = test.dataframe[0].value
    assert len(table) == 12
    assert set(table["Source"]) == {"shipped"}
    assert all("H200" in cell and "random weights" in cell for cell in table["Measured on"])


def opened(test, tab, of="run-tables"):
    """The page once another tab of its tables was opened, which is drawn then."""
    test.session_state[of] = tab
    test.run()
    assert not test.exception
    return test


def described(test):
    """What the page says of the run's settings and environment."""
    (table,) = opened(test, "Settings and environment").table
    return dict(table.value.itertuples(index=False))


@pytest.mark.parametrize("page", PAGES)
def test_a_first_visit_shows_the_shipped_run(app, page):
    test = app(page)
    run = test.selectbox(key="run")
    assert run.options[0].startswith("Sample result: ")
    assert "H200" in run.options[0]
    assert "Floor: from the model's FLOPs and bytes" in texts(test.caption)
    # On two pages the sweep stands beside real pictures.
    beside = page in ("vision_tokens", "output_tokens")
    # Beside its controls the page of blocks shows which of them run; that of output tokens has a finding below.
    assert len(test.get("vega_lite_chart")) == 2 + (page in ("active_blocks", "output_tokens"))
    # The card of that run was held back at times: what leaving these samples out would do is one table more.
    flagged = "were taken while the card was held back" in texts(test.caption)
    assert flagged == (page == "vision_tokens")
    assert len(test.dataframe) == 2 + beside + flagged  # token counts, summary; slopes
    assert not test.table
    labels = [button.label for button in test.get("download_button")]
    assert [label for label in labels if label not in (*FIGURES, *CAPTIONS)] == DOWNLOADS
    # Every chart can be saved as each kind of figure.
    assert [label for label in labels if label in FIGURES] == FIGURES * len(test.get("vega_lite_chart"))
    assert set(CAPTIONS) <= set(labels)


@pytest.mark.parametrize(
    ("page", "views"),
    [
        ("vision_tokens", ["Time to first token", "Stage by stage", "End to end", "Roofline", *CARD]),
        ("moe_topk", [*LANGUAGE_MODEL, "FLOPs scaling", "Quality", "Roofline", *CARD]),
        ("active_blocks", [*LANGUAGE_MODEL, "Which blocks", "Quality", "Roofline", *CARD]),
        (
            "output_tokens",
            [
                "Linear scale",
                "Log scale",
                "Time per output token",
                "Decode step by position",
                "End to end",
                "Roofline",
                *CARD,
            ],
        ),
    ],
)
def test_every_chart_draws(app, page, views):
    test = app(page)
    control = test.button_group(key="view")
    assert control.options == views
    for view in views:
        test.button_group(key="view").set_value(view).run()
        assert not test.exception
        if view in LACKING:
            assert LACKING[view] in texts(test.info)
        else:
            assert test.get("vega_lite_chart")


def test_sliders_tell_tokens_and_inferences(app):
    test = app("vision_tokens")
    test.slider(key="grids").set_value((2, 4)).run()
    test.slider(key="samples").set_value(7).run()
    assert "**21 inferences**: 3 settings × 7 samples" in texts(test.markdown)
    counts = test.dataframe[0].value
    assert counts["vision tokens"].tolist() == [384, 480, 576]


def test_run_measures_and_every_session_sees_it(app, service):
    test = unfolded(app("moe_topk"), "other-knobs", "warm-up-and-order")
    test.text_input(key="values").set_value("1 2").run()
    test.slider(key="samples").set_value(1).run()
    test.slider(key="tokens").set_value(2).run()
    test.slider(key="blocks").set_value(1).run()
    test.slider(key="warmup").set_value(0).run()
    next(button for button in test.button if button.label == "Run").click().run()
    assert not test.exception
    run_id = service.store.latest("moe_topk")
    other = app("moe_topk")
    assert described(other)["Run"] == run_id
    until(lambda: State(service.store.run(run_id)["state"]).ended)
    result = load_result(service.store, run_id)
    assert (str(result.state), len(result.samples)) == ("done", 2)
    settings = result.run["spec"]["sweep"]["settings"]
    assert [setting["top_k"] for setting in settings] == [1, 2]
    assert {setting["block_mask"] for setting in settings} == {"1" + "0" * 15}
    assert {setting["output_tokens"] for setting in settings} == {2}


def test_a_past_run_can_be_picked_and_a_link_reproduces_it(app, service):
    shipped = service.store.runs("transformer_blocks_mask")["id"].iloc[-1]
    test = app("active_blocks", run=shipped, samples="9", range=["3", "5"])
    assert test.selectbox(key="run").value == shipped
    assert test.slider(key="samples").value == 9
    assert test.slider(key="range").value == (3, 5)
    assert "**27 inferences**" in texts(test.markdown)
    assert described(test)["Measured on: device's name"] == "NVIDIA H200"


@pytest.mark.parametrize(
    ("page", "values", "says"),
    [
        ("moe_topk", "65", "above the model's 64 experts"),
        ("moe_topk", "1 1", "given twice"),
        ("moe_topk", "many", "is no value"),
        ("active_blocks", "101", "3 entries"),
        ("active_blocks", "0" * 16, "no active block"),
        ("active_blocks", "17", "1 to 16"),
        ("vision_tokens", "13", "1×1 to 1×12"),
        ("output_tokens", "0", "at least 1"),
    ],
)
def test_bad_values_are_one_sentence_and_cannot_be_run(app, service, page, values, says):
    before = len(service.store.runs())
    test = app(page)
    test.text_input(key="values").set_value(values).run()
    assert not test.exception
    assert says in texts(test.error)
    assert len(test.error) == 1
    assert next(button for button in test.button if button.label == "Run").disabled
    assert len(service.store.runs()) == before


def test_a_checkpoint_that_is_none(app, tmp_path):
    test = app("moe_topk")
    test.selectbox(key="model").set_value("checkpoint").run()
    assert "Name the checkpoint" in texts(test.error)
    test.text_input(key="checkpoint").set_value(str(tmp_path)).run()
    assert "no config.json" in texts(test.error)
    test.text_input(key="checkpoint").set_value("nowhere").run()
    assert "no model 'nowhere'" in texts(test.error)
    for elsewhere in ("/nowhere", "../../../no/where", "/dev/zero", "/etc"):
        test.text_input(key="checkpoint").set_value(elsewhere).run()
        assert f"'{elsewhere}' lies outside of the folders" in texts(test.error)
    for long in ("x" * 3000, "x" * 5000):
        test.text_input(key="checkpoint").set_value(long).run()
        assert all(len(error.value) <= 210 for error in test.error)
    assert not test.exception
    # It is said at its field alone; what was measured before is shown, and nothing can be run.
    assert len(test.sidebar.error) == len(test.error) == 1
    assert next(button for button in test.button if button.label == "Run").disabled
    assert len(test.get("vega_lite_chart")) == 2


def test_a_checkpoint_offers_its_own_knobs(app, tiny_molmoe):
    test = app("active_blocks")
    test.selectbox(key="model").set_value("checkpoint").run()
    test.text_input(key="checkpoint").set_value(str(tiny_molmoe)).run()
    assert not test.error
    assert test.slider(key="range").max == 4


def test_uploads_that_are_none(app, service, shared):
    test = app()
    test.file_uploader[0].upload("notes.txt", b"no json", "text/plain").run()
    assert "notes.txt is not JSON" in texts(test.error)
    test = app()
    data = (shared / "motivation/exp2_moe_topk_results.json").read_bytes()
    test.file_uploader[0].upload("published.json", data, "application/json").run()
    assert "latencies of exactly 0" in texts(test.success)
    assert not test.exception
    assert "imported" in set(service.store.runs("moe_topk")["source"])


def test_an_uploaded_picture_is_kept_and_a_bad_one_refused(app, service):
    test = unfolded(app("vision_tokens"), "picture-and-prompt")
    test.selectbox(key="picture").set_value("your own").run()
    assert "Upload a picture" in texts(test.error)
    test.file_uploader[0].upload("bad.png", b"no picture", "image/png").run()
    assert "'bad.png' is not a picture" in texts(test.error)
    buffer = io.BytesIO()
    Image.new("RGB", (1, 20000)).save(buffer, "PNG")
    test.file_uploader[0].upload("narrow.png", buffer.getvalue(), "image/png").run()
    assert "too narrow" in texts(test.error)
    buffer = io.BytesIO()
    Image.new("RGB", (400, 300), (200, 10, 10)).save(buffer, "PNG")
    test.file_uploader[0].upload("red.png", buffer.getvalue(), "image/png").run()
    assert not test.error
    assert len(list((service.store.path.parent / "pictures").iterdir())) == 1


def test_a_failed_run_shows_its_reason(app, service):
    spec = RunSpec.new(Target(), small_sweep("output_tokens", (1, 2)))
    with spool.SpoolWriter(spool.spool_path(service.store.spools, spec.id)) as writer:
        writer.run(spec)
        writer.setting_failed(1, "Out of GPU memory: this setting needs more.")
        writer.state(State.FAILED, "The worker process ended.")
    service.store.take_in_all()
    test = app("output_tokens")
    test.selectbox(key="run").set_value(spec.id).run()
    assert "This run failed: The worker process ended." in texts(test.error)
    assert "2 output tokens: Out of GPU memory" in texts(test.warning)


def test_a_held_database_is_said_on_the_page(tmp_path, monkeypatch):
    import subprocess
    import sys

    monkeypatch.setenv("PROFCORE_DB", str(tmp_path / "held.duckdb"))
    code = (
        "import sys; from profcore.storage.store import Store; held = Store(sys.argv[1])\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "held.duckdb")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=seconds(300)).run()
        holder.stdin.close()
    assert not test.exception
    assert "held by another process" in texts(test.error)


def test_engines_stand_side_by_side_with_the_published_code(app):
    test = app("engines")
    assert len(test.get("vega_lite_chart")) == 2
    table = test.dataframe[0].value
    for latency in ("LLM prefill", "TPOT"):
        engines = table.loc[table["latency"] == latency].set_index("engine")
        assert list(engines.index) == ["eager", "graph", "compiled", "published code"]
        # Both captured engines show the knob, and the compiled one is near what reading the experts takes.
        slopes = {
            name: float(text.split()[0].replace(",", "")) / (1 if text.endswith(" ms") else 1e3)
            for name, text in engines["per step"].items()
        }
        assert 0.05 < slopes["compiled"] < slopes["published code"]
        assert float(engines["× eager"]["eager"]) == 1
        assert 1 < float(engines["× floor"]["compiled"]) < float(engines["× floor"]["eager"])
    assert "differ in more than the engine" not in texts(test.caption)
    for knob in ("Vision tokens", "Active blocks", "Output tokens"):
        test.button_group(key="knob").set_value(knob).run()
        assert not test.exception
        assert len(test.get("vega_lite_chart")) in (2, 4)


def test_the_same_sweep_is_measured_under_each_engine(app, service):
    test = app("engines", knob="Vision tokens", samples="1")
    before = set(service.store.runs("context_scaling")["id"])
    next(button for button in test.button if button.label == "Measure under each").click().run()
    started = [run for run in service.store.runs("context_scaling").to_dict("records") if run["id"] not in before]
    targets = [json.loads(run["spec"])["target"]["engine"] for run in started]
    assert sorted(targets) == ["compiled", "eager"]
    for run in started:
        service.stop(run["id"])
    until(lambda: all(State(service.store.run(run["id"])["state"]).ended for run in started))


def test_why_shows_the_shipped_profile_of_a_shipped_run(app, service):
    runs = service.runs("moe_topk")
    own = runs[(runs["source"] == "shipped") & (runs["engine"] == "eager") & (runs["model"] == "molmoe-1b")]
    test = app("why", run=own["id"].iloc[0], setting="3")
    assert test.selectbox(key="why-setting").value == 3
    assert "Launch-bound" in texts(test.warning)
    assert "Of the 9 decode steps of this setting the pass looks at 8" in texts(test.caption)
    shown = {metric.label: metric.value for metric in test.metric}
    assert shown["GPU busy"].endswith("%")
    assert len(test.get("vega_lite_chart")) == 1
    stages = test.dataframe[0].value.set_index("stage")
    assert set(stages["bound by"]) == {"launch"}
    assert [button.label for button in test.get("download_button")] == [*FIGURES, "Chrome trace"]


def test_why_opens_on_a_run_that_was_profiled_however_many_newer_ones_were_not(app, service, monkeypatch):
    monkeypatch.setattr("pages.parts.why_view._MOST_LOOKED_AT", 1)
    test = app("why")
    assert test.selectbox(key="why-run").value in service.questions.profiled_runs()
    assert "has not been profiled" not in texts(test.info)


def test_why_profiles_a_setting_when_asked(app, service):
    run_id = service.start(Target(), small_sweep(values=(1, 2), num_samples=1))
    until(lambda: State(service.store.run(run_id)["state"]).ended)
    test = app("why", run=run_id, setting="1")
    assert "has not been profiled yet" in texts(test.info)
    next(button for button in test.button if button.label == "Profile this setting").click().run()
    key = ProfileKey(run_id, 1, Target())
    until(lambda: service.questions.profile(key)["state"] == "done")
    test.run()
    assert "On this CPU" in texts(test.success)
    result = service.questions.profile(key)["result"]
    assert result["setting"]["top_k"] == 2
    assert [stage["stage"] for stage in result["stages"]] == [
        "vision_encoder",
        "projector",
        "llm_prefill",
        "llm_decode",
    ]
    for stage in result["stages"]:
        parts = sum(part["ms"] for part in result["parts"] if part["stage"] == stage["stage"])
        assert 0 < parts <= stage["measured_ms"] * 1.001
    assert service.questions.profile_trace(key).stat().st_size > 0


def test_why_of_a_run_that_is_none_falls_back(app):
    test = app("why", run="nowhere", setting="99")
    assert not test.exception
    assert test.selectbox(key="why-run").value


def test_samples_in_their_order_are_drawn_once_their_tab_is_opened(app):
    test = app("motivation", motivation=MOTIVATION_TITLES[0])
    assert len(opened(test, "Samples in order", "picture-tables").get("vega_lite_chart")) == 2 + 4
    assert "clock" in texts(test.caption)
    assert len(opened(test, "What each cost", "picture-tables").get("vega_lite_chart")) == 2
    assert "picture and setting" in test.dataframe[-1].value


MOTIVATION_TITLES = (
    "1 Latency distribution",
    "2 Component profiling",
    "3 Vision tokens vs latency",
    "4 Language tokens vs latency",
    "5 FLOPs vs latency",
)


@pytest.mark.parametrize(("title", "charts"), zip(MOTIVATION_TITLES, (2, 2, 1, 1, 1), strict=True))
def test_a_first_visit_shows_real_photographs(app, title, charts):
    test = app("motivation", motivation=title)
    assert len(test.get("vega_lite_chart")) == charts
    said = texts(test.caption)
    assert "NVIDIA H200" in said
    assert "compiled engine" in said
    if title.startswith("1"):
        assert "P95" in texts(test.markdown)
        assert "36 questions on 18 pictures" in said
    if title.startswith("2"):
        assert "7.22 billion parameters, of which one token uses 1.58" in said
    if title.startswith("4"):
        (skipped,) = [frame.value for frame in test.dataframe if "reason" in frame.value]
        assert len(skipped) == 6
        assert skipped["reason"].str.contains("more than the model's context of 4096").all()
    if title.startswith("5"):
        table = test.dataframe[0].value.set_index("stage")
        assert (table.loc[["Vision encoder", "LLM decode"], "R²"] > 0.99).all()


def test_a_picture_is_shown_as_it_tiles(app):
    test = app("motivation", motivation="6 Tiling", tiled="astronaut")
    shown = {metric.label: metric.value for metric in test.metric}
    assert shown["Grid"] == "2×2"
    assert shown["Vision tokens"] == "544"
    assert len(test.get("vega_lite_chart")) == 2
    test.slider(key="crops").set_value(1).run()
    assert {metric.label: metric.value for metric in test.metric}["Grid"] == "1×1"
    test.selectbox(key="tiled").set_value("your own").run()
    assert "Upload a picture" in texts(test.info)


def test_real_pictures_are_measured_from_the_page(app, service, tmp_path):
    Image.new("RGB", (400, 300), "red").save(tmp_path / "red.png")
    Image.effect_noise((400, 300), 90).save(tmp_path / "cut.jpg")
    whole = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "questions.csv").write_text("image,question\nred.png,What?\ncut.jpg,And?\ngone.png,Where?\n")
    test = app("motivation", motivation="2 Component profiling", dataset="folder")
    test.text_input(key="pictures").set_value(str(tmp_path)).run()
    unfolded(test, "lengths-and-repeats")
    test.slider(key="repeat-component_profiling").set_value(1).run()
    next(button for button in test.button if button.label == "Run").click().run()
    assert not test.exception
    # A picture that is cut off is found when the data set is read, before anything is measured.
    assert "1 question, 2 skipped" in texts(test.success)
    run_id = service.store.latest("component_profiling")
    until(lambda: State(service.store.run(run_id)["state"]).ended)
    result = load_picture_result(service.store, run_id)
    assert (str(result.state), len(result.points)) == ("done", 1)
    assert sorted(result.skipped["name"])[-2:] == ["cut.jpg", "gone.png"]
    test = app("motivation", motivation="2 Component profiling", run=run_id)
    assert f"{len(result.skipped)} were skipped" in [expander.label for expander in test.expander]
    service.remove(run_id)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("", "Name where the pictures are"),
        ("/no/where", "lies outside of the folders that a page may open"),
        ("/dev/zero", "lies outside of the folders that a page may open"),
        ("~nouser/pictures", "there is no such user"),
        ("x" * 5000, "There is nothing at a path of 5,000 letters"),
        (".", "no file of questions"),
    ],
)
def test_a_data_set_that_is_none_is_one_sentence_and_nothing_is_queued(app, service, path, says, tmp_path):
    Image.new("RGB", (400, 300)).save(tmp_path / "a.png")
    before = len(service.store.runs())
    test = app("motivation", dataset="folder")
    test.text_input(key="pictures").set_value(str(tmp_path) if path == "." else path).run()
    next(button for button in test.button if button.label == "Run").click().run()
    assert not test.exception
    (error,) = test.error
    assert says in error.value
    assert len(error.value) <= 210
    assert len(service.store.runs()) == before


def test_the_sweep_stands_beside_real_pictures_on_a_first_visit(app):
    test = app("compare")
    assert len(test.get("vega_lite_chart")) == 4
    sentences = texts(test.markdown)
    assert "TTFT: the sweep's slope is 0.010" in sentences
    assert "ms per vision token" in sentences
    assert "at equal tokens" in sentences
    # Both defaults were measured on the same card, model, dtype, engine and clock, and with the same knobs.
    said = texts(test.caption)
    assert "warm-up: 2 before each setting (sweep" in said
    assert not any(f"{called}: " in said for called in ("GPU", "model", "dtype", "engine", "clock", "top-k", "blocks"))
    assert "cannot be told:" in said
    assert "not compared" not in sentences
    assert set(test.dataframe[0].value["latency"]) == {"Vision encoder", "Projector", "LLM prefill", "TTFT"}
    test.button_group(key="compared").set_value("Output tokens").run()
    assert not test.exception
    assert len(test.get("vega_lite_chart")) == 2
    assert "ms per output token" in texts(test.markdown)


def test_what_differs_is_named_beside_the_comparison(app, service, shared):
    data = (shared / "motivation/exp3_vision_tokens_vs_latency.json").read_bytes()
    published = service.import_file(data, "published.json")[0].run_id
    test = app("compare")
    (choice,) = test.multiselect
    eager = next(option for option in choice.options if "eager" in option)
    file = next(option for option in choice.options if "published.json" in option)
    choice.set_value([eager, file]).run()
    assert not test.exception
    said = texts(test.caption)
    assert "engine: compiled (sweep" in said
    assert "published.json does not say what it was measured on" in said
    assert "2 latencies of exactly 0 in this file" in said
    service.remove(published)


def test_an_imported_file_is_shown_and_compared_only_when_it_is_chosen(app, service):
    """Also one that says it was measured on the same card and is newer than every run of one's own."""
    result = load_picture_result(service.store, service.store.latest("vision_tokens_vs_latency"))
    imported = service.import_file(service.downloads.result_json(result).encode(), "results.json")[0].run_id
    try:
        assert not any("results.json" in option for option in app("compare").multiselect[0].value)
        flops = app("motivation")
        flops.button_group(key="motivation").set_value("5 FLOPs vs latency").run()
        assert not any("results.json" in str(option) for option in flops.multiselect[0].value)
    finally:
        service.remove(imported)


@pytest.mark.long
def test_where_there_are_imports_alone_none_is_shown_until_it_is_chosen(tmp_path, monkeypatch, shared):
    with Store(tmp_path / "data.duckdb") as store:
        store.take_in_shipped()
        for run_id in store.runs()["id"]:
            store.remove(run_id)
    monkeypatch.setenv("PROFCORE_DB", str(tmp_path / "data.duckdb"))
    try:
        data = (shared / "motivation" / "exp2_moe_topk_results.json").read_bytes()
        imported = page_state.service().import_file(data, "published.json")[0].run_id
        test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
        test.switch_page("pages/moe_topk.py").run()
        assert not test.exception
        assert test.selectbox(key="run").value is None
        assert "choose an imported run" in texts(test.info)
        assert not test.get("vega_lite_chart")
        test.selectbox(key="run").set_value(imported).run()
        assert not test.exception
        assert test.get("vega_lite_chart")
    finally:
        page_state.service().close()
        page_state._service.clear(str(tmp_path / "data.duckdb"))


class TestRuns:
    """The page of all runs; a row is chosen as a click on it would."""

    def choose(self, test, *rows):
        key = next(
            key for key in test.session_state.filtered_state if key.startswith("runs-") and key != "runs-version"
        )
        test.session_state[key] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
        return test.run()

    def test_filters(self, app):
        test = app("runs")
        everything = test.dataframe[0].value
        test.multiselect(key="filter-engine").set_value(["graph"]).run()
        assert set(test.dataframe[0].value["Run"].str.contains("graph")) == {True}
        test.multiselect(key="filter-title_of_experiment").set_value(["MoE top-k"]).run()
        assert set(test.dataframe[0].value["Experiment"]) == {"MoE top-k"}
        test.text_input(key="filter-text").set_value("no such run").run()
        assert test.dataframe[0].value.empty
        assert not test.exception
        assert "0 of" in texts(test.caption)
        assert len(everything) > 12


@pytest.mark.long
def test_the_service_renames_removes_and_packs(service):
    run_id = service.start(Target(), small_sweep(values=(1, 2), num_samples=3))
    with pytest.raises(UserError, match="has not ended"):
        service.remove(run_id)
    until(lambda: State(service.store.run(run_id)["state"]).ended)
    service.rename(run_id, "  baseline ")
    table = service.runs().set_index("id")
    assert table.loc[run_id, "title"] == "baseline"
    with pytest.raises(UserError, match="too long"):
        service.rename(run_id, "x" * 121)
    assert service.downloads.run_zip(run_id).startswith(b"PK")
    assert run_id in service.downloads.ended_runs()
    assert len(service.downloads.snapshot()) > 10_000
    with pytest.raises(UserError, match="at most 200 are taken in"):
        service.import_file(bytes(200_000_001), "large.json")
    service.remove(run_id)
    assert service.store.run(run_id) is None


@pytest.mark.parametrize("tool", ["Tokens", "MoE layer", "Pooling", "Structure"])
def test_a_tool_looks_at_the_workers_model(app, service, tool):
    # What takes no measuring is not waited for to be asked.
    test = app("inspect", tool=tool)
    name = next(button.key for button in test.button if button.label.startswith("Look")).removeprefix("look-")
    answers = service.store.path.parent / "inspections"
    until(lambda: any(json.loads(path.read_text())["state"] == "done" for path in answers.glob(f"{name}-*.json")))
    test.run()
    assert not test.exception
    assert "tiny (random weights)" in texts(test.caption)
    assert test.dataframe
    assert bool(test.get("vega_lite_chart")) == (tool in ("Tokens", "Pooling"))


def test_blocks_are_chosen_by_a_score_file_a_threshold_or_one_by_one(app):
    test = app("active_blocks", way="Most important N")
    test.radio(key="scores-from").set_value("from a file").run()
    assert "Upload a file of scores" in texts(test.error)
    scores = json.dumps({str(block): block / 100 for block in range(1, 15)}).encode()
    test.file_uploader(key="score-file").upload("scores.json", scores, "application/json").run()
    assert not test.error
    # The first and the last block have no score, so two blocks are always kept.
    assert "2 blocks have no score and are always kept" in texts(test.caption)
    assert (test.slider(key="important").min, test.slider(key="important").max) == (2, 16)
    assert "**750 inferences**: 15 settings" in texts(test.markdown)
    test.selectbox(key="way").set_value("Score threshold").run()
    test.number_input(key="threshold").set_value(0.1).run()
    assert "**50 inferences**: 1 setting ×" in texts(test.markdown)
    assert test.dataframe[0].value["blocks"].tolist() == [5 + 2]
    test.number_input(key="threshold").set_value(9.0).run()
    assert test.dataframe[0].value["blocks"].tolist() == [2]
    test.file_uploader(key="score-file").upload("bad.json", b'{"99": 1}', "application/json").run()
    assert "'99' is no block of a model with 16" in texts(test.error)
    test.selectbox(key="way").set_value("Drawn").run()
    assert "**50 inferences**: 1 setting ×" in texts(test.markdown)
    assert test.button_group(key="drawn").options == [str(block) for block in range(16)]
    test.button_group(key="drawn").set_value([0, 3]).run()
    assert test.dataframe[0].value["blocks"].tolist() == [2]
    test.button_group(key="drawn").set_value([]).run()
    assert "no active block" in texts(test.error)
    assert next(button for button in test.button if button.label == "Run").disabled


@pytest.mark.long
def test_importance_is_measured_and_its_mask_is_stored_with_the_run(app, service):
    test = app("active_blocks", way="Most important N")
    assert "press Measure importance" in texts(test.error)
    unfolded(test, "folded-importance")
    test.number_input(key="importance-limit").set_value(1).run()
    next(button for button in test.button if button.label == "Measure importance").click().run()
    answers = service.store.path.parent / "inspections"
    until(lambda: any(json.loads(path.read_text())["state"] == "done" for path in answers.glob("importance-*.json")))
    test.run()
    assert not test.exception
    assert "these scores mean nothing" in texts(test.warning)
    (answer,) = answers.glob("importance-*.json")
    scores = {int(block): score for block, score in json.loads(answer.read_text())["result"]["scores"].items()}
    unfolded(test, "other-knobs", "warm-up-and-order", "folded-quality")
    test.slider(key="important").set_value((2, 2)).run()
    test.slider(key="samples").set_value(1).run()
    test.slider(key="tokens").set_value(2).run()
    test.slider(key="warmup").set_value(0).run()
    test.toggle(key="quality").set_value(True).run()
    test.number_input(key="quality-limit").set_value(1).run()
    next(button for button in test.button if button.label == "Run").click().run()
    run_id = service.store.latest("transformer_blocks_mask")
    until(lambda: State(service.store.run(run_id)["state"]).ended)
    settings = service.store.settings(run_id)
    best = sorted(scores, key=lambda block: -scores[block])[:2]
    assert settings["block_mask"].tolist() == ["".join("1" if block in best else "0" for block in range(16))]
    assert settings["kl"].item() > 0
    assert settings["quality_queries"].item() == 1
    test = app("active_blocks", view="Quality", run=run_id)
    assert "quality means nothing here" in texts(test.warning)
    assert "KL (nats)" in test.dataframe[1].value
    service.remove(run_id)


def test_a_measurement_of_importance_can_be_stopped(app, service):
    test = app("active_blocks", way="Most important N")
    test.selectbox(key="method").set_value("kl").run()
    unfolded(test, "folded-importance")
    test.number_input(key="importance-limit").set_value(30).run()
    next(button for button in test.button if button.label == "Measure importance").click().run()
    answers = service.store.path.parent / "inspections"
    (answer,) = [path for path in answers.glob("importance-*.json") if json.loads(path.read_text())["state"] != "done"]
    until(lambda: json.loads(answer.read_text())["text"].startswith("Without block"))
    assert service.jobs.stop(answer.stem)
    until(lambda: json.loads(answer.read_text())["state"] == "failed")
    test.run()
    # One that is slow to answer is ended, which is said as well.
    assert "Stopped" in texts(test.error)


def test_a_tool_asked_for_while_a_sweep_runs_waits_and_says_so(app, service):
    run_id = service.start(Target(), small_sweep(values=(1, 2), num_samples=200))
    test = app("inspect", tool="Structure")
    next(button for button in test.button if button.label.startswith("Look")).click().run()
    assert "Queued: 1 before this, on the same device" in texts(test.info)
    service.stop(run_id)
    until(lambda: State(service.store.run(run_id)["state"]).ended)
    service.remove(run_id)


def test_a_tool_that_cannot_says_why(app, service, tmp_path):
    test = app("inspect", tool="Check")
    assert "Press **Look**" in texts(test.info)
    test.text_input(key="check-expected").set_value(str(tmp_path / "gone.safetensors")).run()
    next(button for button in test.button if button.label == "Look").click().run()
    answers = service.store.path.parent / "inspections"
    until(lambda: any(json.loads(path.read_text())["state"] == "failed" for path in answers.glob("check-*.json")))
    test.run()
    assert "There is no expected file '" in texts(test.error)


def test_a_query_is_answered_on_its_page(app):
    test = app("sql")
    test.selectbox(key="sql-example").set_value("What each run was measured on").run()
    test.button(key="ask-sql").click().run()
    assert not test.exception and not test.error
    assert "NVIDIA H200" in set(test.dataframe[0].value["device"])
    assert [button.label for button in test.get("download_button")] == ["CSV"]
    test.text_area(key="sql").set_value("SELECT count(*) AS number FROM runs").run()
    assert "has been changed since" in texts(test.caption)
    test.button(key="ask-sql").click().run()
    assert test.dataframe[0].value["number"][0] > 0
    test.text_area(key="sql").set_value("COPY runs TO 'here.csv'").run()
    test.button(key="ask-sql").click().run()
    assert "Only a SELECT" in texts(test.error)
    assert not test.dataframe
    assert not test.exception


def test_a_link_with_a_query_fills_the_box_and_asks_nothing(app):
    test = app("sql", sql="SELECT 1 AS one")
    assert test.text_area(key="sql").value == "SELECT 1 AS one"
    assert not test.dataframe


def test_a_run_under_way_is_drawn_with_its_newest_samples(app, service):
    spec = RunSpec.new(Target(), small_sweep("output_tokens", (2, 3), num_samples=200))
    with spool.SpoolWriter(spool.spool_path(service.store.spools, spec.id)) as writer:
        writer.run(spec)
        writer.state(State.RUNNING)
        for number in range(250):
            writer.sample(a_sample(number, setting=number % 2))
        service.store.take_in_all()
        test = app("output_tokens", run=spec.id)
        assert len(test.get("vega_lite_chart")) == 1
        opened(test, "Samples")
        assert "The newest 200 of 250 samples" in texts(test.caption)
        assert [len(table.value) for table in test.dataframe[-1:]] == [200]
        for number in range(250, 400):
            writer.sample(a_sample(number, setting=number % 2))
        writer.state(State.DONE)
    service.store.take_in_all()
    # What others were shown may last for half a second, and the page's own part draws it anew then.
    until(lambda: "The newest" not in texts(test.run().caption))
    assert len(test.dataframe[-1].value) == 400
