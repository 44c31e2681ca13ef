"""What a page's address and its choices say, as pages are left and drawn again."""

import pytest

from tests.support import texts


def chart(test):
    """The choice of a chart."""
    return next(each for each in test.button_group if each.key == "view")


def moved(test, page):
    """Another page of the same session, as a click in the menu leads to it."""
    test.switch_page(f"pages/{page}.py").run()
    assert not test.exception
    return test


def test_a_view_that_the_next_page_has_not_is_forgotten(app):
    test = app("moe_topk", view="All stages")
    assert chart(test).value == "All stages"
    moved(test, "vision_tokens")
    assert chart(test).value == "Time to first token"
    assert test.session_state["view"] == "Time to first token"
    assert test.query_params.get("view") in (None, [], ["Time to first token"])
    moved(test, "moe_topk")
    assert chart(test).value == "Prefill and decode"


def test_a_view_that_several_pages_have_stays(app):
    test = moved(app("moe_topk", view="Roofline"), "vision_tokens")
    assert chart(test).value == "Roofline"


@pytest.mark.parametrize(
    ("page", "kind", "key"),
    [
        ("vision_tokens", "multiselect", "beside-"),
        ("why", "selectbox", "why-setting"),
        ("engines", "selectbox", "measured-on"),
    ],
)
def test_the_browser_is_told_of_what_is_chosen_in_each_run_of_a_page(app, page, kind, key):
    """One that is cut short may have been the only one that would have told it."""
    for _ in range(2):
        test = app(page).run()
        told = [each.proto.set_value for each in test.main.get(kind) if (each.key or "").startswith(key)]
        assert told and all(told)


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("moe_topk", {"run": "gone"}),
        ("why", {"run": "gone", "setting": "0"}),
        ("roofline", {"run": "gone"}),
        ("compare", {"pictures": "gone"}),
        ("motivation", {"motivation": "5 FLOPs vs latency", "runs": "gone"}),
    ],
)
def test_a_link_to_what_is_not_here_is_told_from_what_is_shown(app, page, query):
    assert "no such run here as the link names (gone)" in texts(app(page, **query).warning)
    assert not app(page, **{name: value for name, value in query.items() if value != "gone"}).warning


def test_a_link_to_a_setting_that_a_run_has_not_is_told(app, service):
    run_id = service.latest("moe_topk")
    assert "no setting 99, which the link names" in texts(app("why", run=run_id, setting="99").warning)
    test = app("why", run=run_id, setting="1")
    assert "no setting" not in texts(test.warning)
    # Of another run, which is chosen here, the link says nothing.
    other = next(each for each in test.selectbox(key="why-run").options if "Output tokens" in each)
    assert "no setting" not in texts(test.selectbox(key="why-run").select(other).run().warning)


def test_runs_of_another_knob_are_no_link_to_what_is_not_here(app, service):
    test = app("compare", run=next(iter(service.runs("context_scaling")["id"])))
    test.button_group(key="compared").set_value(["Output tokens"]).run()
    assert not test.exception
    assert not [each for each in test.warning if "as the link names" in each.value]
    test = app("roofline", run=service.latest("moe_topk"))
    assert test.query_params["run"]
    test.button_group(key="knob").set_value(["Output tokens"]).run()
    assert not [each for each in test.warning if "as the link names" in each.value]
