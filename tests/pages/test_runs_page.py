"""The page of all runs, and addresses that hold what is shown."""

import json

import pytest

from pages.parts import leads
from profcore.errors import StoreError
from profcore.experiments.knobs import CATALOGUE
from profcore.experiments.motivation import MOTIVATION
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage import spool
from profcore.storage.shipped import shipped_spools
from tests.support import ROOT, small_sweep, texts


@pytest.fixture
def shipped(service):
    """The ids of the sample results of top-k, under `eager`, `graph` and `compiled`."""
    runs = service.runs("moe_topk")
    ids = runs[runs["source"] == "shipped"]["id"]
    engines = {service.store.run(run_id)["environment"]["engine"]: run_id for run_id in ids}
    return [engines[name] for name in ("eager", "graph", "compiled")]


def choose(test, ids, *rows):
    """Select rows of the table of these runs as clicks on them would."""
    selected = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    test.session_state[f"runs-{test.session_state['runs-version']}-{hash(tuple(ids))}"] = selected
    return test.run()


def test_every_run_leads_to_the_page_that_shows_it():
    for experiment in (*CATALOGUE, *MOTIVATION):
        file, query = leads.lead(experiment, "an-id")
        assert (ROOT / file).is_file()
        assert query["run"] == "an-id"
        # What a page begins with is not in its address, so that a link to it is one step back.
        assert ("motivation" in query) == (experiment in list(MOTIVATION)[1:])
        anywhere = leads.lead(experiment, "an-id", from_anywhere=True)[1]
        assert ("motivation" in anywhere) == (experiment in MOTIVATION)
    links = leads.relative_links(["moe_topk", "latency_distribution"], ["a", "b"])
    assert links.tolist() == ["moe_topk?run=a", "motivation?motivation=1+Latency+distribution&run=b"]


def test_the_table_leads_to_each_run_and_says_its_key_figures(app, service):
    table = app("runs").dataframe[0].value
    assert len(table) == len(service.runs())
    assert all("run=" in link for link in table["Open"])
    assert table["TTFT"].notna().all()
    assert all(len(totals) for totals in table["Total"])


def test_the_table_says_that_a_run_of_several_settings_has_a_middle_one(app):
    test = app("runs")
    headings = {name: column.get("label") for name, column in json.loads(test.dataframe[0].proto.columns).items()}
    assert (headings["TTFT"], headings["TPOT"]) == ("Middle TTFT (ms)", "Middle TPOT (ms)")
    assert "over a run's settings, the median of each setting's median" in texts(test.caption)


def test_a_choice_is_in_the_address_and_an_address_chooses(app, service):
    ids = service.runs()["id"].tolist()
    test = choose(app("runs"), ids, 3)
    assert test.query_params["compare"] == ids[3]
    assert test.text_input(key=f"name-{ids[3]}").value == ""
    other = app("runs", compare=ids[3])
    assert other.text_input(key=f"name-{ids[3]}")
    assert ids[3] in other.code[-1].value
    # Whatever the filters say, and as the other pages call it.
    assert app("runs", run=ids[3], until="2020-01-01").text_input(key=f"name-{ids[3]}")
    assert f"{len(shipped_spools())} runs" in texts(app("runs", compare="gone,nowhere").caption)


def test_open_leads_to_the_page_of_the_run(app, shipped):
    test = app("runs", compare=shipped[1])
    (link,) = [link.proto for link in test.get("page_link") if "Open this run" in link.proto.label]
    assert (link.page, link.query_string) == ("moe_topk", f"run={shipped[1]}")


def test_what_is_noted_on_the_page_is_kept_and_found_by(app, service, shipped):
    run_id = shipped[0]
    test = app("runs", compare=run_id)
    test.multiselect(key=f"tags-{run_id}").set_value(["of mine"]).run()
    test.toggle(key=f"starred-{run_id}").set_value(True).run()
    test.text_area(key=f"note-{run_id}").set_value("cold start").run()
    run = service.store.run(run_id)
    assert (run["tags"], run["starred"], run["note"]) == ("of mine", True, "cold start")
    assert test.dataframe[0].value["★"].tolist().count("★") == 1
    for query in ({"tags": "of mine"}, {"starred": "true"}, {"since": "2026-11-24", "starred": "true"}):
        assert len(app("runs", **query).dataframe[0].value) == 1, query
    assert app("runs", until="2026-11-23").dataframe[0].value.empty
    service.mark([run_id], archived=True)
    try:
        test = app("runs")
        assert len(test.dataframe[0].value) == len(service.runs()) - 1
        assert "1 archived not shown" in texts(test.caption)
        assert len(app("runs", archived="true").dataframe[0].value) == len(service.runs())
        names = app("moe_topk").selectbox(key="run").options
        assert len(names) == len(service.runs("moe_topk"))  # the latest, and those that are not archived
        assert app("moe_topk", run=run_id).selectbox(key="run").value == run_id
    finally:
        service.mark([run_id], archived=False, starred=False, tags=[], note="")


def test_several_are_marked_at_once(app, service, shipped):
    test = app("runs", compare=",".join(shipped[:2]))
    test.text_input(key="tags-for-all").set_value("one, two").run()
    test.button(key="add-tags").click().run()
    test.button(key="all-Star").click().run()
    runs = service.runs().set_index("id").loc[shipped[:2]]
    assert set(runs["tags"]) == {"one, two"}
    assert runs["starred"].all()
    service.mark(shipped[:2], starred=False, tags=[])


def test_empty_runs_are_deleted_together_once_it_was_confirmed(app, service):
    spec = RunSpec.new(Target(), small_sweep())
    with spool.SpoolWriter(spool.spool_path(service.store.spools, spec.id)) as writer:
        writer.run(spec)
        writer.state(State.FAILED, "no reason")
    service.store.take_in_all()
    test = app("runs")
    assert test.button(key="delete-empty").label == "Delete empty runs… (1)"
    test.button(key="delete-empty").click().run()
    assert "1 run ended without a sample" in texts(test.markdown)
    test.button(key="really-delete-empty").click().run()
    assert not test.exception
    assert service.store.run(spec.id) is None
    assert not service.store.empty_runs()


def test_a_run_is_shown_as_the_address_says_also_after_back(app, shipped):
    test = app("moe_topk", run=shipped[1])
    assert test.selectbox(key="run").value == shipped[1]
    test.selectbox(key="run").set_value(shipped[0]).run()
    assert test.query_params["run"] == shipped[0]
    # As Back does.
    test.query_params["run"] = shipped[1]
    test.run()
    assert test.selectbox(key="run").value == shipped[1]
    del test.query_params["run"]
    test.run()
    assert test.selectbox(key="run").value == "latest"
    # The link names the run all the same.
    assert any(f"run={shipped[-1]}" in code.value for code in test.code)


def test_what_is_set_beside_each_other_is_in_the_address(app, service):
    runs = service.runs()
    pictures = runs[runs["experiment"] == "vision_tokens_vs_latency"]["id"].tolist()
    test = app("compare")
    key = f"beside-{service.latest('context_scaling')}"
    assert test.multiselect(key=key).value
    test.multiselect(key=key).set_value(pictures[:1]).run()
    assert test.query_params["pictures"] == pictures[0]
    assert app("compare", pictures=",".join(pictures)).multiselect(key=key).value == pictures
    test = app("motivation", motivation="5 FLOPs vs latency", runs=pictures[0])
    assert test.multiselect(key="flops-runs").value == pictures[:1]
    assert f"runs={pictures[0]}" in test.code[-1].value
    test = app("engines", knob="MoE top-k", group=service.latest("moe_topk"))
    assert "group=" in test.code[-1].value
    test = app("why", run=pictures[0])
    assert {"run", "setting"} <= set(test.query_params)


def test_a_comparison_is_what_its_address_says_whose_first_is_the_reference(app, service, shipped):
    test = app("runs", compare=f"{shipped[2]},{shipped[1]}", margin="5", latency="TPOT")
    assert test.number_input(key="margin").value == 5
    assert test.selectbox(key="reference").value == shipped[2]
    assert "B is slower than A: over 6 settings its total is" in texts(test.markdown)
    assert "#### A, the reference" in [each.value for each in test.markdown]
    assert len(test.get("vega_lite_chart")) == 2
    test.selectbox(key="reference").set_value(shipped[1]).run()
    assert not test.exception
    assert test.query_params["compare"] == f"{shipped[1]},{shipped[2]}"
    assert "B is faster than A" in texts(test.markdown)
    links = {link.proto.label: link.proto for link in test.get("page_link")}
    assert (links["Open B"].page, links["Open B"].query_string) == ("moe_topk", f"run={shipped[2]}")


def test_a_page_that_was_left_before_it_was_drawn_to_its_end_leaves_no_link_to_the_next(app, service, monkeypatch):
    def fail(*_):
        raise StoreError("The database is away.")

    with monkeypatch.context() as patch:
        patch.setattr(service.results, "sweep", fail)
        test = app("moe_topk")
    assert "The database is away" in texts(test.error)
    test.query_params["motivation"] = "6 Tiling"
    test.switch_page("pages/motivation.py").run()
    assert not test.exception
    assert "By this address" not in texts(test.caption)


def test_a_pinned_baseline_is_laid_over_others_and_is_in_the_address(app, shipped):
    test = app("moe_topk", run=shipped[1])
    test.button(key="pin-baseline").click().run()
    assert test.query_params["baseline"] == shipped[1]
    assert "This run is the baseline" in texts(test.caption)
    test.selectbox(key="run").set_value(shipped[2]).run()
    assert "Diamonds: medians of the baseline, graph" in texts(test.caption)
    assert "engine: compiled" in texts(test.caption)
    test.button(key="pin-baseline").click().run()
    assert "baseline" not in test.query_params
    assert "Diamonds" not in texts(test.caption)
    assert "baseline" not in app("moe_topk", baseline="gone").query_params
