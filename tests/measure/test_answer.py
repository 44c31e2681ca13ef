"""What a model answered is kept where its words mean something, from the inference that is timed."""

from dataclasses import replace

import pytest
from PIL import Image

from profcore.measure.loop import Answer, run_sweep
from profcore.measure.telemetry import Telemetry
from profcore.results.gallery import gallery
from profcore.results.pictures import load_picture_result
from profcore.spec.queries import Picture, Query, QueryPlan, QuerySet
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage.spool import SpoolWriter, spool_path
from profcore.storage.store import Store
from profcore.worker.execute import write_result
from tests.support import small_sweep


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """One picture with two questions, each measured twice at one setting."""
    path = tmp_path_factory.mktemp("pictures") / "red.png"
    Image.new("RGB", (120, 90), "red").save(path)
    queries = tuple(Query(Picture("file", str(path)), text, "red", text, 120, 90) for text in ("What?", "Where?"))
    base = small_sweep("output_tokens", (4,), num_samples=2)
    plan = QueryPlan(QuerySet("one", queries), (0, 1))
    return replace(base, experiment="latency_distribution", settings=base.settings * 2, plan=plan)


def answers(shelf, sweep, weights):
    loaded = replace(shelf.get(Target()), weights=weights)
    found = run_sweep(loaded, shelf.engine(Target()), sweep, Telemetry(loaded.model.device), lambda: False)
    return loaded, list(found)


def test_random_weights_answer_nothing(shelf, sweep):
    _, found = answers(shelf, sweep, "random")
    assert not [each for each in found if isinstance(each, Answer)]


def test_each_question_has_its_answer_once_and_pages_show_it(shelf, sweep, tmp_path):
    _, found = answers(shelf, sweep, "real")
    given = [each for each in found if isinstance(each, Answer)]
    assert sorted(each.setting for each in given) == [0, 1]
    with Store(tmp_path / "data.duckdb") as store:
        spec = RunSpec.new(Target(), sweep)
        with SpoolWriter(spool_path(store.spools, spec.id)) as writer:
            writer.run(spec)
            writer.state(State.RUNNING)
            for each in found:
                write_result(writer, each)
            # As a trained model would.
            writer.answer(0, "a *red* square")
            writer.state(State.DONE)
        store.take_in_all()
        assert store.bad_lines(spec.id) == 0
        result = load_picture_result(store, spec.id)
        first, second = gallery(result)
        assert first.answers == ("a *red* square",)
        assert second.answers == (next(each.text for each in given if each.setting == 1),)
        assert [each.get("answer") for each in result.metadata["settings"]] == ["a *red* square", second.answers[0]]
