"""What runs were measured under, and what is said of two of them."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from profcore.comparisons.conditions import (
    Value,
    conditions_of,
    find_differences,
    known_alike,
    list_values,
    result_conditions,
    setting_values,
)
from profcore.comparisons.versions import version_differences
from profcore.errors import UserError
from profcore.results.base import tell_apart
from profcore.results.sweep import load_result
from profcore.spec.queries import Picture
from profcore.spec.settings import Setting
from profcore.spec.stages import Clock, Knob
from profcore.storage.store import Store
from tests.comparisons.stored import MACHINE, import_file, pictures_sweep, published_topk, store_run
from tests.support import small_sweep


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as opened:
        yield opened


def conditions(store, run_id, name=""):
    return conditions_of(store.run(run_id), store.settings(run_id), name)


def flat(setting):
    return 10.0


def changed(sweep, **knobs):
    return replace(sweep, settings=tuple(replace(setting, **knobs) for setting in sweep.settings))


BLOCKS = (True,) * 2 + (False,) * 14
OTHER_BLOCKS = (False,) * 14 + (True,) * 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda sweep: changed(sweep, grid=(1, 2)), "image grid: 1×1 (a); 1×2 (b)"),
        (lambda sweep: changed(sweep, output_tokens=5), "output tokens: 3 (a); 5 (b)"),
        (
            lambda sweep: changed(sweep, block_mask=(True,) * 16),
            "blocks: the first 2 of 16 (a); all 16 (b)",
        ),
        (
            lambda sweep: changed(sweep, block_mask=OTHER_BLOCKS),
            "blocks: the first 2 of 16 (a); 2 of 16 by mask 0000000000000011 (b)",
        ),
        (lambda sweep: replace(sweep, settings=sweep.settings[:1]), "top-k: 1, 2 (a); 1 (b)"),
        (lambda sweep: replace(sweep, prompt="Why?"), "prompt: “Describe this image.” (a); “Why?” (b)"),
        (
            lambda sweep: replace(sweep, picture=Picture("solid", "#808080")),
            "picture: astronaut (photo) (a); #808080 (solid) (b)",
        ),
        (lambda sweep: replace(sweep, warmup=3), "warm-up: 0 before each setting (a); 3 before each setting (b)"),
        (
            lambda sweep: replace(sweep, stop_at_eos=True),
            "end of text: does not stop an answer (a); stops an answer (b)",
        ),
    ],
)
def test_each_condition_of_a_sweep_is_named_where_it_differs(store, change, says):
    one = store_run(store, small_sweep(), flat)
    other = store_run(store, change(small_sweep()), flat)
    assert find_differences([conditions(store, one, "a"), conditions(store, other, "b")]) == [says]


@pytest.mark.parametrize(
    ("field", "value", "called"),
    [
        ("device_name", "another card", "GPU"),
        ("driver", "570", "driver"),
        ("torch", "2.13", "torch"),
        ("model", "molmoe-1b", "model"),
        ("weights", "real", "weights"),
        ("dtype", "bfloat16", "dtype"),
        ("engine", "compiled", "engine"),
        ("experts", "grouped_mm", "experts"),
        ("attention", "eager", "attention"),
        ("clock", str(Clock.PUBLISHED), "clock"),
        ("cuda", None, "CUDA"),
        ("profcore", "0.2.0", "profcore"),
    ],
)
def test_each_condition_of_the_machine_is_named_where_it_differs(store, field, value, called):
    one = store_run(store, small_sweep(), flat)
    other = store_run(store, small_sweep(), flat, **{field: value})
    found = find_differences([conditions(store, one, "a"), conditions(store, other, "b")])
    assert found == [f"{called}: {MACHINE[field]} (a); {value or 'none'} (b)"]


def test_runs_that_are_alike_in_all_that_is_recorded_differ_in_nothing(store):
    one, other = (store_run(store, small_sweep(), flat, driver=None) for _ in range(2))
    assert find_differences([conditions(store, one), conditions(store, other)]) == []


def test_a_sample_result_is_not_taken_for_one_that_was_measured_here(store):
    one = store_run(store, small_sweep(), flat)
    other = store_run(store, small_sweep(), flat, source="shipped")
    found = find_differences([conditions(store, one, "a"), conditions(store, other, "b")])
    assert found == ["origin: measured here (a); sample result (b)"]


def test_of_what_a_published_file_does_not_say_it_cannot_be_told(store):
    own = store_run(store, small_sweep(), flat)
    file = import_file(store, published_topk(lambda top_k: 10.0))
    result = load_result(store, file)
    found = find_differences([conditions(store, own, "a"), result_conditions(result, "b")])
    assert "origin: measured here (a); imported file (b)" in found
    assert found[-1] == (
        "b does not say what it was measured on, nor its picture, prompt, warm-up, end of text, image grid, blocks: "
        "what differs there cannot be told"
    )
    # Top-k is the same in both, and so is the number of tokens that were generated.
    assert not [text for text in found if text.startswith(("top-k", "output tokens"))]


def test_two_files_that_say_nothing_are_not_said_to_be_alike(store):
    first, second = (import_file(store, published_topk(lambda top_k, cost=cost: cost)) for cost in (10.0, 20.0))
    found = find_differences([conditions(store, first), conditions(store, second)])
    assert len(found) == 2
    assert all("cannot be told" in text for text in found)


def test_two_imports_with_one_name_stay_two(store):
    """An A100 and an H100, both in a file called results.json: each environment stays, and they are told apart."""
    runs = [
        import_file(
            store,
            published_topk(lambda top_k: 10.0, metadata={"environment": {**MACHINE, "device_name": card}}),
            "results.json",
        )
        for card in ("A100", "H100")
    ]
    assert len(set(runs)) == 2
    given = [conditions(store, run_id, "results.json") for run_id in runs]
    (card,) = [text for text in find_differences(given) if text.startswith("GPU")]
    assert card == f"GPU: A100 (results.json, {runs[0]}); H100 (results.json, {runs[1]})"


def test_names_that_are_alike_get_their_moment_else_their_id():
    names = {"1": "a", "2": "a", "3": "b"}
    moments = {"1": pd.Timestamp("2026-01-02 03:04:05"), "2": pd.Timestamp("2026-01-02 03:04:06")}
    assert tell_apart(names, moments) == {"1": "a, 02 Jan 03:04:05", "2": "a, 02 Jan 03:04:06", "3": "b"}
    assert tell_apart(names, dict.fromkeys("12", moments["1"])) == {
        "1": "a, 02 Jan 03:04:05, 1",
        "2": "a, 02 Jan 03:04:05, 2",
        "3": "b",
    }


def test_pictures_of_a_data_set_and_their_questions_are_conditions(store):
    run = store_run(store, pictures_sweep("latency_distribution", number=6), flat)
    found = conditions(store, run)
    assert found.facts["picture"] == "6 of folder"
    assert found.facts["prompt"] == "6 questions"
    fitted = conditions(store, store_run(store, pictures_sweep(), flat))
    assert fitted.facts["prompt"] == "“Describe this image.”"
    assert list_values(fitted.knobs[Knob.VISION_TOKENS]) == "1×1, 1×2, 1×3, 1×4"


def test_long_prompts_that_differ_at_their_end_differ(store):
    runs = [store_run(store, small_sweep(prompt="why " * 100 + end), flat) for end in ("a", "b")]
    (found,) = find_differences([conditions(store, run_id) for run_id in runs])
    assert found.startswith("prompt: “why why")
    assert len(found) < 400


def test_where_a_mask_is_not_said_two_values_do_not_agree_and_do_not_differ():
    first, last, unknown = Value((2,), "1100"), Value((2,), "0011"), Value((2,))
    assert first.agrees(first) is True
    assert first.agrees(last) is False
    assert first.agrees(unknown) is None
    assert unknown.agrees(Value((3,))) is False
    rows = pd.DataFrame({"active_blocks": [2, 2, 3, None], "block_mask": ["1100", None, "1110", None]})
    assert setting_values(rows, Knob.ACTIVE_BLOCKS).tolist() == [first, unknown, Value((3,), "1110"), None]
    assert setting_values(rows, Knob.TOP_K).isna().all()
    assert list_values(Value((n,)) for n in range(1, 9)) == "8 values from 1 to 8"


def test_a_mask_that_one_run_does_not_say_cannot_be_told(store):
    run = store_run(store, small_sweep("transformer_blocks_mask", (4, 8)), flat)
    known = conditions(store, run, "a")
    counts = frozenset(Value(value.numbers) for value in known.knobs[Knob.ACTIVE_BLOCKS])
    silent = replace(known, run_id="other", name="b", knobs={**known.knobs, Knob.ACTIVE_BLOCKS: counts})
    assert find_differences([known, silent]) == ["b does not say its block mask: what differs there cannot be told"]


def test_a_setting_is_a_value_of_every_knob():
    setting = Setting((1, 2), 4, BLOCKS, 3)
    row = pd.DataFrame([{"grid_rows": 1, "grid_columns": 2, "top_k": 4, "output_tokens": 3}])
    assert str(setting_values(row, Knob.VISION_TOKENS)[0]) == setting.grid_label
    assert str(setting_values(row, Knob.TOP_K)[0]) == "4"


def test_processors_that_differ_are_named_and_a_run_that_says_none_is_not_asked_for_it(store):
    runs = [
        store_run(store, small_sweep(), flat, hour=n, **more) for n, more in enumerate(({"cpu": "A"}, {"cpu": "B"}, {}))
    ]
    one, other, before = (conditions(store, run_id, name) for run_id, name in zip(runs, "abc", strict=True))
    assert find_differences([one, other]) == ["processor: A (a); B (b)"]
    assert find_differences([one, before]) == []


def test_a_run_on_one_card_and_one_on_several_are_told_apart(store):
    run = {
        "id": "a", "source": "measured", "spec": {}, "details": {},
        "environment": {"host": "x", "card": "GPU-1"}, "environments": [],
    }  # fmt: skip
    places = [{"host": "x", "card": "GPU-1"}, {"host": "y", "card": "GPU-2"}, {"host": "y", "card": "GPU-2"}]
    several = {**run, "id": "b", "environments": places}
    # What is in no figure is nothing that a figure was measured on.
    one = {**run, "id": "c", "environments": [places[0], {**places[1], "set_aside": "Total +3 %"}]}
    empty = pd.DataFrame()
    said = [conditions_of(each, empty).facts.get("cards") for each in (run, several, one)]
    assert said == ["one", "2 of 2 machines", "one"]
    differ = find_differences([conditions_of(run, empty), conditions_of(several, empty)])
    assert "cards: one (a); 2 of 2 machines (b)" in differ
    assert "cards" not in conditions_of({**run, "environment": {}}, empty).facts


def test_a_file_that_holds_another_model_by_now_is_another_condition(store):
    def run(model, width, **machine):
        return store_run(store, small_sweep(), flat, model=model, shape={"d_model": width}, parameters=width, **machine)

    one, other = run("mine.json", 64), run("mine.json", 1280)
    pair = [conditions(store, one, "a"), conditions(store, other, "b")]
    (said,) = find_differences(pair)
    assert re.fullmatch(
        r"shape: 64 parameters, configuration \w{6} \(a\); 1,280 parameters, configuration \w{6} \(b\)", said
    )
    assert not known_alike(*pair, ["model"])
    assert known_alike(pair[0], conditions(store, run("mine.json", 64)), ["model"])
    with pytest.raises(UserError, match="differ in more than versions: shape: "):
        version_differences(*pair)
    # A name is one shape's, whatever else of it a version records.
    named = [conditions(store, run("tiny", width)) for width in (1, 2)]
    assert find_differences(named) == []


def test_what_a_run_was_measured_on_is_read_without_all_that_is_known_of_it(sample_results):
    store = sample_results
    for run_id in store.runs()["id"]:
        whole = conditions_of(store.run(run_id), store.settings(run_id))
        assert conditions_of(store.measured_on(run_id), store.knobs(run_id)) == whole
    assert store.measured_on("no such run") is None
