"""What was asked of a run and what it was measured on, as a table."""

from profcore.results.described import describe_run
from profcore.spec.queries import Picture, Query, QuerySet
from profcore.spec.runs import RunSpec, Target
from tests.support import small_sweep


def described(**run):
    return dict(describe_run({"id": "a", **run}).itertuples(index=False))


def test_a_run_is_described_in_names_units_and_values_without_nesting():
    spec = RunSpec.new(Target(engine="graph"), small_sweep(values=(1, 2))).to_dict()
    environment = {
        "device_name": "H100",
        "parameters": 7221875712,
        "driver": None,
        "shape": {"max_positions": 4096, "norm_eps": 1e-05, "vit_layers": [-2, -9]},
    }
    told = described(spec=spec, environment=environment, ceilings={"read_gb_s": 3190.4, "device_name": "H100"})
    assert told["Asked for: engine"] == "graph"
    assert told["Top-k (experts per token)"] == "1, 2"
    assert told["Active blocks"] == "2 of 16"
    assert told["Image grid (crops)"] == "1×1"
    assert told["Picture"] == "photo astronaut"
    assert told["Measured on: parameters"] == "7,221,875,712"
    assert told["Measured on: driver"] == "—"
    assert told["Model: context (tokens)"] == "4,096"
    assert told["Model: hidden states taken of the vision encoder"] == "-2, -9"
    assert told["Ceilings: memory bandwidth, reading (GB/s)"] == "3,190"
    assert all(isinstance(value, str) for value in told.values())


def test_what_a_file_says_beyond_that_is_shown_under_its_own_name():
    told = described(environment={"also": [{"host": "b", "from_sample": 3}], "room": {"of_machine": "5"}})
    assert told["Measured on: also 1: from sample"] == "3"
    assert told["Measured on: room: of machine"] == "5"
    assert list(described()) == ["Run"]


def test_a_data_set_is_named_with_how_many_questions_it_gave():
    question = Query(Picture(), "What?", "1", "1", 10, 10)
    sweep = small_sweep(quality=QuerySet("mine", (question,)))
    assert described(spec=RunSpec.new(Target(), sweep).to_dict())["Quality recorded on"] == "mine: 1 question"
