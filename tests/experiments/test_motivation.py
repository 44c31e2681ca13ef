"""Motivation experiments: how each becomes a sweep, and how it is measured."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from profcore.data_sets import DataSet, read_data_set
from profcore.engines import make_engine
from profcore.errors import UserError
from profcore.experiments.motivation import MOTIVATION, asks_each_picture_once, plan, plan_all
from profcore.images.processing import select_tiling
from profcore.measure.loop import SettingFailed, run_sweep
from profcore.measure.telemetry import Telemetry
from profcore.models.config import PRESETS
from profcore.spec.queries import Picture, Query, QuerySet, Skipped
from profcore.spec.records import Sample
from profcore.spec.runs import Sweep

CONFIG = PRESETS["tiny"]


def queries(number=2):
    found = read_data_set(DataSet())
    return replace(found, queries=found.queries[:number], skipped=(Skipped("a.jpg", "It is broken."),))


def shallow(sweep):
    """The sweep with two blocks alone, which takes a fraction of the time."""
    mask = (True, True) + (False,) * (CONFIG.n_layers - 2)
    return replace(sweep, settings=tuple(replace(setting, block_mask=mask) for setting in sweep.settings))


def measure(tiny, sweep, engine=None):
    engine = engine or make_engine("eager", tiny.model)
    return list(run_sweep(tiny, engine, sweep, Telemetry(torch.device("cpu")), lambda: False))


@pytest.mark.parametrize("name", [name for name in MOTIVATION if name != "flops_vs_latency"])
def test_a_plan_survives_being_written(name):
    sweep = plan(MOTIVATION[name], queries(4), CONFIG)
    assert Sweep.from_dict(sweep.to_dict()) == sweep
    assert sweep.plan.queries.skipped == (Skipped("a.jpg", "It is broken."),)


def test_pictures_are_tiled_by_the_models_own_rule():
    sweep = plan(MOTIVATION["latency_distribution"], queries(36), CONFIG)
    for setting, index in zip(sweep.settings, sweep.plan.of_setting, strict=True):
        query = sweep.plan.queries.queries[index]
        assert setting.grid == select_tiling(query.height, query.width, 12)
    assert len({setting.grid for setting in sweep.settings}) > 3


def test_experiment_3_has_every_grid_on_ten_pictures_with_one_question():
    sweep = plan(MOTIVATION["vision_tokens_vs_latency"], queries(36), CONFIG)
    assert sweep.plan.fitted
    assert len(sweep.settings) == 12 * 10
    assert [setting.grid for setting in sweep.settings[::10]] == [(1, columns) for columns in range(1, 13)]
    assert len({query.image_id for query in sweep.plan.queries.queries}) == 10
    assert {query.question for query in sweep.plan.queries.queries} == {"Describe this image."}


@pytest.mark.parametrize("name", [name for name in MOTIVATION if name != "flops_vs_latency"])
def test_as_many_pictures_as_asked_for_are_measured_in_every_experiment(name):
    found = read_data_set(DataSet(limit=15, one_question_each=asks_each_picture_once(name)))
    sweep = plan(MOTIVATION[name], found, CONFIG, num_pictures=15)
    assert len(set(sweep.plan.of_setting)) == len(sweep.plan.queries.queries) == 15
    assert sweep.plan.queries.skipped == ()


def test_fewer_pictures_than_asked_for_say_why():
    for sweep in plan_all("flops_vs_latency", queries(24), CONFIG, num_pictures=15):
        assert len(sweep.plan.queries.queries) == 12
        lacking = sweep.plan.queries.skipped[-1]
        assert lacking.name == "3 of 15 pictures"
        assert lacking.reason == "photographs of scikit-image has only 12 pictures that can be measured."


def test_an_experiment_that_takes_fewer_pictures_than_there_are_says_so():
    sweep = plan(MOTIVATION["vision_tokens_vs_latency"], queries(36), CONFIG)
    lacking = sweep.plan.queries.skipped[-1]
    assert lacking.name == "8 of 18 pictures"
    assert lacking.reason == "Vision tokens vs latency takes 10 pictures unless a number is given."


def test_experiment_4_has_ten_pictures_at_each_length():
    sweep = plan(MOTIVATION["language_tokens_vs_latency"], queries(36), CONFIG, stop_at_eos=True)
    assert sorted({setting.output_tokens for setting in sweep.settings}) == [2**power for power in range(3, 13)]
    assert len(sweep.settings) == 100
    assert sweep.stop_at_eos


def test_flops_are_derived_from_experiments_3_and_4():
    sweeps = plan_all("flops_vs_latency", queries(36), CONFIG, output_tokens=[4], max_grid=2, warmup=3)
    assert [sweep.experiment for sweep in sweeps] == ["vision_tokens_vs_latency", "language_tokens_vs_latency"]
    # Lengths are the second's alone.
    assert [{setting.output_tokens for setting in sweep.settings} for sweep in sweeps] == [{1}, {4}]
    assert [sweep.warmup for sweep in sweeps] == [3, 3]
    assert [each.experiment for each in plan_all("component_profiling", queries(), CONFIG)] == ["component_profiling"]


def test_values_out_of_range():
    with pytest.raises(UserError, match="1×13 is out of range"):
        plan(MOTIVATION["vision_tokens_vs_latency"], queries(), CONFIG, max_grid=13)
    with pytest.raises(UserError, match="ends with the first token"):
        plan(MOTIVATION["component_profiling"], queries(), CONFIG, output_tokens=[8])
    with pytest.raises(UserError, match="given twice"):
        plan(MOTIVATION["language_tokens_vs_latency"], queries(), CONFIG, output_tokens=[8, 8])


def test_each_picture_is_measured_with_its_own_question(tiny):
    sweep = shallow(plan(MOTIVATION["component_profiling"], queries(3), CONFIG, num_samples=2, warmup=0))
    samples = [each for each in measure(tiny, sweep) if isinstance(each, Sample)]
    assert sorted((sample.setting, sample.round) for sample in samples) == [(n, r) for n in range(3) for r in range(2)]
    for sample in samples:
        query = sweep.plan.query(sample.setting)
        rows, columns = select_tiling(query.height, query.width, 12)
        assert sample.num_crops == rows * columns + 1
        assert sample.num_vision_tokens == (8 * rows + 4) * (8 * columns + 4) + 144
        # BOS, both views with their starts, ends and row ends, and the question's bytes.
        text = len(f" User: {query.question} Assistant:")
        separators = 2 * 2 + 12 + (8 * rows + 4)
        assert sample.num_input_tokens == 1 + sample.num_vision_tokens + separators + text
        assert sample.host_preprocessing_ms > 0
        assert sample.picture_reading_ms > 0


def test_fitted_pictures_have_their_settings_grid(tiny):
    sweep = shallow(plan(MOTIVATION["vision_tokens_vs_latency"], queries(4), CONFIG, max_grid=2, warmup=0))
    samples = [each for each in measure(tiny, sweep) if isinstance(each, Sample)]
    assert {(sweep.settings[s.setting].grid, s.num_vision_tokens) for s in samples} == {((1, 1), 288), ((1, 2), 384)}


def test_broken_pictures_and_answers_beyond_the_context_are_named_and_the_rest_goes_on(tiny, tmp_path):
    Image.new("RGB", (400, 300)).save(tmp_path / "cut.jpg")
    whole = (tmp_path / "cut.jpg").read_bytes()
    # The header says its size, but what follows is missing.
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    good = queries(1).queries[0]
    broken = Query(Picture("file", str(tmp_path / "cut.jpg")), "What?", "cut.jpg", "2", 400, 300)
    found = QuerySet("two", (good, broken))
    experiment = MOTIVATION["language_tokens_vs_latency"]
    sweep = shallow(plan(experiment, found, CONFIG, output_tokens=[2, 4096], warmup=0))
    results = measure(tiny, sweep)
    failed = {each.setting: each.reason for each in results if isinstance(each, SettingFailed)}
    assert failed.keys() == {1, 2, 3}
    assert "is not a picture that can be read" in failed[1]
    assert "more than the model's context of 4096" in failed[2]
    assert [each.setting for each in results if isinstance(each, Sample)] == [0]


def test_an_answer_ends_with_the_end_of_text_token(tiny):
    """The tokens are made up, so that where the answer ends is known: after its third token."""

    class Ending:
        name = "ending"

        def __init__(self, engine):
            self.engine, self.lengths = engine, []

        def prepare(self, inputs, setting, tell=None):
            return None

        def infer(self, inputs, setting, clock=None, stop=None, keep_logits=False):
            if clock:
                self.lengths.append(setting.output_tokens)
            tokens, logits = self.engine.infer(inputs, setting, clock, stop, keep_logits)
            tokens = tokens.clone()
            tokens[2:] = CONFIG.eos_token_id
            return tokens, logits

    engine = Ending(make_engine("eager", tiny.model))
    options = {"output_tokens": [2, 8], "warmup": 0, "num_samples": 2, "stop_at_eos": True}
    sweep = shallow(plan(MOTIVATION["language_tokens_vs_latency"], queries(1), CONFIG, **options))
    samples = [each for each in measure(tiny, sweep, engine) if isinstance(each, Sample)]
    assert {(sweep.settings[s.setting].output_tokens, s.num_output_tokens) for s in samples} == {(2, 2), (8, 3)}
    assert sorted(engine.lengths) == [2, 2, 3, 3]
    assert all(len(sample.decode_steps_ms) == sample.num_output_tokens - 1 for sample in samples)
