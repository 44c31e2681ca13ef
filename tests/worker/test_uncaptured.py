"""Why stages ran without a graph is kept with the run: in its spool, its environment, and what is said of it."""

import json
from functools import partial

import pytest

from profcore.cli.parser import main
from profcore.comparisons.models_beside import find_model_groups, load_models_beside
from profcore.comparisons.side_by_side import find_groups, load_side_by_side
from profcore.engines.family_graph import FamilyGraphEngine
from profcore.results.described import describe_run
from profcore.results.sweep import load_result
from profcore.service.words import environment_line
from profcore.spec.environments import uncaptured_of, uncaptured_words
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage.lines import each_record
from profcore.storage.spool import SpoolWriter, spool_path
from profcore.storage.store import Store
from profcore.worker.execute import execute
from profcore.worker.shelf import ModelShelf
from tests.families import tiny
from tests.models.test_context import sweep_of
from tests.storage.made_shards import shards_of, write_shard
from tests.storage.made_shards import sweep_of as split_sweep

LINE = "its code looks at a value: modeling_qwen3_vl"


class Shelf(ModelShelf):
    """Has the graph engine run its stages as they would be captured, which needs no card."""

    def engine(self, target):
        return FamilyGraphEngine(self.get(target).model, graphs=False)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "p.duckdb") as opened:
        opened.spools.mkdir(exist_ok=True)
        yield opened


@pytest.fixture
def named(tmp_path):
    path = tmp_path / "qwen3_vl.json"
    path.write_text(json.dumps(tiny("qwen3_vl")))
    return str(path)


def measured(store, named, stop=lambda: False, spec=None, **changes):
    sweep = sweep_of(named, values=(2, 3), num_samples=2, warmup=0, **changes)
    begun = spec is not None
    spec = spec or RunSpec.new(Target(named, "cpu", engine="graph"), sweep)
    path = spool_path(store.spools, spec.id)
    with SpoolWriter(path) as writer:
        if not begun:
            writer.run(spec)
        state = execute(spec, writer, Shelf(), stop)
    store.take_in(path)
    return spec, path, state


def test_a_run_keeps_why_its_stages_are_not_captured(store, named, tmp_path, capsys, monkeypatch):
    spec, path, state = measured(store, named)
    assert state is State.DONE
    environments = [each for each in each_record(path) if each["type"] == "environment"]
    assert [bool(each["uncaptured"]) for each in environments] == [False, True]
    assert {**environments[0], "uncaptured": None} == {**environments[1], "uncaptured": None}
    run = store.run(spec.id)
    reasons = uncaptured_of(run["environment"])
    assert set(reasons) == {"vision_encoder", "projector", "llm_prefill"}
    assert all(reason.startswith("its code looks at a value: ") for reason in reasons.values())
    line = environment_line(run["environment"], State.DONE)
    assert "not captured, and so bound by the host: Vision encoder" in line
    assert LINE in line
    described = describe_run(run).set_index("name")["value"]
    assert LINE in described["Measured on: stages not captured"]
    assert int(described["Measured on: parameters that a token uses"].replace(",", "")) > 0
    (caution,) = [each.text for each in load_result(store, spec.id).cautions if each.kind == "uncaptured"]
    assert caution.startswith("Under graph not captured: Vision encoder and Projector (its code looks at a value: ")
    (group,) = [each for each in find_groups(store, "output_tokens") if spec.id in each.runs.values()]
    assert any("follows the host" in note for note in load_side_by_side(store, "output_tokens", group).notes)
    group = next(each for each in find_model_groups(store, "output_tokens") if spec.id in each.runs.values())
    of_models = load_models_beside(partial(load_result, store), "output_tokens", group).notes
    assert {note.split(":")[0] for note in of_models} == {named}
    assert sum("its code looks at a value" in note for note in of_models) == 1
    store.close()
    with pytest.raises(SystemExit):
        main(["show", spec.id, "--db", str(tmp_path / "p.duckdb")])
    assert "not captured" in " ".join(capsys.readouterr().out.split())


@pytest.mark.long
def test_a_run_that_goes_on_keeps_it_and_says_it_once(store, named):
    asked = []

    def stop():
        asked.append(1)
        return len(asked) > 4

    spec, path, state = measured(store, named, stop)
    assert state is State.STOPPED
    _, _, state = measured(store, named, spec=spec)
    assert state is State.DONE
    said = [bool(each["uncaptured"]) for each in each_record(path) if each["type"] == "environment"]
    assert said == [False, True]
    assert uncaptured_words(store.run(spec.id)["environment"])


@pytest.mark.parametrize("held", [{}, {"uncaptured": None}, {"uncaptured": []}, {"uncaptured": {"x": "y", "other": 1}}])
def test_older_spools_and_odd_ones_say_nothing(held):
    assert uncaptured_of(held) == {}
    assert "captured" not in environment_line({"device_name": "a card", **held}, State.DONE)


def test_shards_of_other_settings_may_be_captured_otherwise(store):
    sweep = split_sweep()
    first, second = shards_of(sweep)
    store.take_in(write_shard(store.spools, sweep, first, uncaptured={"vision_encoder": "a"}))
    path = write_shard(store.spools, sweep, second)
    store.take_in(path)
    # It is known later than the rest, and said in a record of its own.
    environment = next(each for each in each_record(path) if each["type"] == "environment")
    with path.open("a") as file:
        file.write(json.dumps({**environment, "uncaptured": {"projector": "b"}}) + "\n")
    store.take_in(path)
    run = store.run("friday")
    assert run["environment"]["uncaptured"] == {"vision_encoder": "a", "projector": "b"}
    assert not [each for each in run["environments"] if each["refused"]]
