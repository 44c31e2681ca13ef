"""The small model that is trained here: its files, its forward pass, its training."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import re
import signal
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import profcore.models.config
import profcore.models.load
import profcore.models.shapes.training
from profcore.data_sets.shapes import PICTURES, held_out
from profcore.engines import make_engine
from profcore.errors import ModelError, UserError
from profcore.images.geometry import CROP_TOKENS
from profcore.images.processing import select_tiling
from profcore.images.shapes import COLOURS, SHAPES, draw
from profcore.measure.quality import QualityMeter
from profcore.models.config import check_model_path, find_config, model_shape, read_config
from profcore.models.inputs import picture_inputs
from profcore.models.knobs import turned
from profcore.models.load import load_model
from profcore.models.molmoe import MolmoE
from profcore.models.pixels import picture_pixels
from profcore.models.prompt import load_tokenizer
from profcore.models.shapes import train
from profcore.models.shapes.accuracy import accuracy, held_out_batches
from profcore.models.shapes.batches import NO_LABEL, Pictures, Stage, batches, make_batch
from profcore.models.shapes.files import REPORT, STATE, write_checkpoint
from profcore.models.shapes.forward import Knobs, forward, on_host, to_device
from profcore.models.shapes.precision import Computing
from profcore.models.shapes.shape import SHAPES_CONFIG, config_fields
from profcore.models.shapes.steps import Captured, PlainSteps, Work
from profcore.models.shapes.train import main, report_lines
from profcore.models.shapes.training import Course, Trained, Training, losses
from profcore.paths import Roots
from profcore.spec.queries import Picture, Query
from profcore.spec.settings import Setting
from tests.support import until

CPU = torch.device("cpu")
SMALL = replace(
    SHAPES_CONFIG,
    **{"d_model": 32, "n_layers": 3, "n_heads": 2, "num_experts": 4, "top_k": 2, "expert_width": 16},
    **{"projector_hidden": 16, "vit_width": 32, "vit_heads": 2, "vit_mlp": 32, "vit_layers_total": 2},
    vit_layers=(-1, -2),
)
ONE_CROP = (((1, 1), 1),)
COURSE = Course(SMALL, Pictures(stages=(Stage(2**62, ONE_CROP, (1, 2)),), crops=4))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint as training writes it, of a small model that has learnt nothing."""
    directory = tmp_path_factory.mktemp("shapes")
    write_checkpoint(Trained(COURSE, CPU).model, directory)
    return directory


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return load_model(str(checkpoint), CPU, torch.float32, "eager")


def query(number, place=0):
    scene, questions = held_out(number)
    question = questions[place]
    picture = Picture("shapes", f"held-out/{number}")
    return Query(picture, question.text, picture.value, "q", scene.width, scene.height, (question.answer,))


class TestFiles:
    def test_the_shape_is_read_as_it_is_written_and_small_enough_to_ship(self, tmp_path):
        (tmp_path / "config.json").write_text(json.dumps(config_fields(SHAPES_CONFIG)))
        assert read_config(tmp_path / "config.json") == SHAPES_CONFIG
        with torch.device("meta"):
            parameters = sum(each.numel() for each in MolmoE(SHAPES_CONFIG, "eager").parameters())
        assert 3e6 < parameters < 8e6

    def test_weights_are_loaded_as_they_were_rounded(self, checkpoint, loaded):
        assert {tensor.dtype for tensor in load_file(checkpoint / "model.safetensors").values()} == {torch.bfloat16}
        trained = dict(Trained(COURSE, CPU).model.named_parameters())
        for name, parameter in loaded.model.named_parameters():
            assert torch.equal(parameter, trained[name].bfloat16().float()), name
        assert loaded.weights == "real"

    def test_each_word_is_a_token_and_any_text_can_be_said(self, checkpoint):
        tokenizer = load_tokenizer(checkpoint, SHAPES_CONFIG)
        for number in range(60):
            for question in held_out(number)[1]:
                assert len(tokenizer.encode(f" {question.answer}")) == 1
                words = question.text.rstrip("?").split()
                assert len(tokenizer.encode(f" {question.text}")) == len(words) + 1
        for text in ("Describe this image.", " crosses, circle", "Größe 漢字 \n"):
            assert tokenizer.decode(tokenizer.encode(text)) == text
        special = {**SHAPES_CONFIG.image_token_ids, "<|endoftext|>": SHAPES_CONFIG.eos_token_id}
        assert {tokenizer.piece(number): number for number in special.values()} == special

    def test_the_name_means_its_files_once_they_are_there(self, checkpoint, monkeypatch, tmp_path):
        monkeypatch.setattr(profcore.models.config, "data_directory", lambda: tmp_path)
        with pytest.raises(ModelError, match=r"'shapes' is not in .*: python -m profcore.models.shapes.train --output"):
            find_config("shapes")
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "shapes").symlink_to(checkpoint)
        assert find_config("shapes") == model_shape("shapes") == SMALL
        assert load_model("shapes", CPU, torch.float32, "eager").weights == "real"
        # It lies where this project put it, wherever a page may open files.
        check_model_path("shapes", Roots((str(tmp_path / "elsewhere"),)))


def sent(batch):
    """A batch as a model on the CPU takes it."""
    return to_device(on_host(batch, CPU), CPU, torch.float32)


def turned_to(top_k, blocks, config=SMALL):
    return Knobs.of(config, top_k, blocks, CPU)


class TestForward:
    def test_pixels_are_those_of_the_drawn_picture(self):
        scene, questions = held_out(1)
        for tiling in ((2, 3), (1, 1)):
            batch = sent(make_batch([scene], [questions], tiling, 2))
            assert torch.equal(batch.pixels, picture_pixels(draw(scene), *tiling, CPU))

    @pytest.mark.parametrize(("crops", "top_k", "mask"), [(12, 2, "111"), (1, 1, "101"), (2, 4, "110")])
    def test_it_gives_the_logits_that_every_knob_gives_when_measured(self, loaded, crops, top_k, mask):
        assert_same_logits(loaded, make_engine("eager", loaded.model), crops, top_k, mask)

    @pytest.mark.long
    def test_it_gives_the_logits_of_the_compiled_engine(self, checkpoint):
        loaded = load_model(str(checkpoint), CPU, torch.float32, "grouped_mm")
        assert_same_logits(loaded, make_engine("compiled", loaded.model), 12, 2, "111")

    def test_every_weight_is_trained(self):
        trained = Trained(COURSE, CPU)
        batch = sent(replace(COURSE.pictures, crops=8).batch(0))
        found = losses(trained, batch, COURSE, turned_to(SMALL.num_experts, (0, 1, 2)))
        (found.answers + found.labels + found.routing).backward()
        # Experts are among those that top-k chooses, since it is all of them here.
        untouched = [name for name, each in trained.named_parameters() if each.grad is None or not each.grad.any()]
        # A key's bias adds the same to every place that is looked at.
        assert [name for name in untouched if not name.endswith(("k_proj.bias", "wk.bias"))] == []

    def test_mixed_precision_as_on_a_card_costs_about_the_same(self):
        trained, batch = Trained(COURSE, CPU), on_host(COURSE.pictures.batch(0), CPU)
        exact = losses(trained, to_device(batch, CPU, torch.float32), COURSE, turned_to(2, (0, 2)))
        computing = Computing(trained, torch.bfloat16)
        mixed = losses(computing.module, to_device(batch, CPU, torch.bfloat16), COURSE, turned_to(2, (0, 2)))
        for name in ("answers", "labels", "routing"):
            assert getattr(mixed, name).item() == pytest.approx(getattr(exact, name).item(), rel=0.02), name
        (exact.answers + exact.labels + exact.routing).backward()
        gradients = {name: each.grad for name, each in trained.named_parameters()}
        trained.zero_grad()
        (mixed.answers + mixed.labels + mixed.routing).backward()
        computing.hand_over()
        for name, each in trained.named_parameters():
            # A block that was left out has nothing to learn.
            assert bool(each.grad.any()) == bool(gradients[name].any()), name
            assert not (each.grad.any() and "llm.model.layers.1." in name), name
        alike = torch.nn.functional.cosine_similarity
        both = [(each.grad, gradients[name]) for name, each in trained.named_parameters()]
        assert alike(*(torch.cat([pair[place].flatten() for pair in both]) for place in (0, 1)), dim=0) > 0.99
        torch.optim.SGD(trained.parameters(), 0.1).step()
        computing.follow()
        for learnt, computes in zip(trained.parameters(), computing.module.parameters(), strict=True):
            assert torch.equal(learnt.to(torch.bfloat16), computes)
            assert learnt.grad is computes.grad is None

    def test_mixed_precision_turns_by_the_angles_that_a_loaded_model_turns_by(self, loaded):
        computing = Computing(Trained(COURSE, CPU), torch.bfloat16).module.model
        assert {each.dtype for each in computing.parameters()} == {torch.bfloat16}
        # As far apart as a question and the first of twelve crops.
        places, states = torch.tensor([[0, 1, 2000]]), torch.zeros(1)
        angles = [model.llm.model.rotary_emb(states, places) for model in (computing, loaded.model)]
        for trained_by, measured_by in zip(*angles, strict=True):
            assert torch.equal(trained_by, measured_by)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
    def test_captured_steps_learn_what_plain_steps_learn(self):
        device = torch.device("cuda", 0)
        seen = [on_host(COURSE.pictures.batch(step), device) for step in range(6)]
        found = {}
        for kind in (Captured, PlainSteps):
            trained = Trained(COURSE, device)
            optimiser = torch.optim.AdamW(trained.parameters(), lr=1e-3, fused=True, capturable=True)
            computing = Computing(trained, torch.float32)

            def learn(batch, knobs, computing=computing):
                costs = losses(computing.module, batch, COURSE, knobs)
                (costs.answers + costs.labels + costs.routing).backward()
                return costs.answers.detach()

            def finish(computing=computing, optimiser=optimiser):
                computing.hand_over()
                optimiser.step()
                computing.follow()

            one_step = kind(Work(learn, finish, computing.forget))
            found[kind] = []
            for place, batch in enumerate(seen):
                knobs = Knobs.of(SMALL, 2 - place % 2, (0, 1, 2) if place < 3 else (0, 2), device)
                found[kind].append(float(one_step(to_device(batch, device, torch.float32), knobs)))
        assert found[Captured] == pytest.approx(found[PlainSteps], rel=1e-3)

    def test_even_routing_costs_least(self, loaded):
        batch = sent(COURSE.pictures.batch(0))
        with torch.no_grad():
            assert forward(loaded.model, batch, turned_to(SMALL.num_experts, (0,))).balance.item() == pytest.approx(1)
            assert forward(loaded.model, batch, turned_to(1, (0,))).balance.item() > 0.99


def assert_same_logits(loaded, engine, crops, top_k, mask):
    (batch,) = held_out_batches(crops, 1)
    blocks = tuple(place for place, flag in enumerate(mask) if flag == "1")
    setting = Setting((1, 1), top_k, tuple(flag == "1" for flag in mask), 2)
    with torch.no_grad():
        knobs = Knobs.of(loaded.model.config, top_k, blocks, CPU)
        given = forward(loaded.model, sent(batch), knobs).logits
    scene, questions = held_out(0)
    for place, question in enumerate(questions):
        inputs = picture_inputs(loaded, draw(scene), crops, question.text)
        with turned(loaded.model, setting):
            _, logits = engine.infer(inputs, setting, keep_logits=True)
        torch.testing.assert_close(given[0, place, 0], logits[0].float(), rtol=1e-4, atol=1e-4)
        assert int(batch.last[0, place]) + 1 == len(loaded.tokenizer.encode(f" User: {question.text} Assistant:"))


def ignores_interrupts(process):
    """Whether a process has come so far that Ctrl-C does not reach it, or is gone."""
    with contextlib.suppress(OSError):
        mask = re.search(r"SigIgn:\s*([0-9a-f]+)", Path(f"/proc/{process}/status").read_text())
        return bool(int(mask[1], 16) & 1 << signal.SIGINT - 1)
    return True


class TestBatches:
    def test_a_step_sees_what_its_number_says(self):
        pictures = Pictures(seed=3, crops=20)
        for step in (0, 500, 5000):
            one, again = pictures.batch(step), pictures.batch(step)
            assert all(np.array_equal(value, vars(again)[name]) for name, value in vars(one).items())
            crops = one.tiling[0] * one.tiling[1] + 1
            assert len(one.places) == max(1, 20 // crops)
            assert len(one.things[0]) == len(one.digits[0]) > 144
        assert not np.array_equal(pictures.batch(0).texts, replace(pictures, seed=4).batch(0).texts)
        assert Counter(pictures.batch(step).tiling == (1, 1) for step in range(800, 860))[True] > 5

    def test_some_pictures_are_cut_into_fewer_or_more_crops_than_they_fill(self):
        def crops_of(tiling):
            return tiling[0] * tiling[1]

        every = [Pictures(crops=2).batch(step) for step in range(800, 960)]
        for batch in every:
            height, width = batch.places.shape[1:]
            # Whatever a picture is enlarged to, each of its digits is labelled.
            if crops_of(batch.tiling) > crops_of(select_tiling(height, width, 12)):
                digits = batch.digits[0, CROP_TOKENS**2 :]
                assert 2 <= (digits > 0).sum() <= 5
        own = [crops_of(select_tiling(*batch.places.shape[1:], 12)) for batch in every]
        cut = [crops_of(batch.tiling) for batch in every]
        assert sum(a < b for a, b in zip(cut, own, strict=True)) > 20
        assert 5 < sum(a > b for a, b in zip(cut, own, strict=True)) < 30
        plain = replace(Pictures(crops=2), finer=0.0)
        assert all(
            crops_of(plain.batch(step).tiling) <= number for step, number in zip(range(800, 830), own, strict=False)
        )

    @pytest.mark.long
    def test_processes_draw_what_one_would_draw_itself(self):
        others = multiprocessing.active_children()
        pictures = replace(COURSE.pictures, crops=2)
        drawn = batches(pictures, 5, workers=2)
        for step in (5, 6, 7):
            assert np.array_equal(next(drawn).places, pictures.batch(step).places)
            # As Ctrl-C in a terminal does; what becomes of it is for the process that trains to say.
            for process in set(multiprocessing.active_children()) - set(others):
                until(lambda process=process: ignores_interrupts(process.pid))
                os.kill(process.pid, signal.SIGINT)
        drawn.close()

    @pytest.mark.long
    def test_a_process_that_is_killed_while_it_draws_is_followed_by_others_at_the_same_step(self, caplog):
        others = multiprocessing.active_children()
        pictures = replace(COURSE.pictures, crops=2)
        drawn = batches(pictures, 5, workers=1)
        for step in range(5, 11):
            assert np.array_equal(next(drawn).places, pictures.batch(step).places)
            if step == 6:
                for process in set(multiprocessing.active_children()) - set(others):
                    os.kill(process.pid, signal.SIGKILL)
                    process.join()
        drawn.close()
        assert "others go on from step" in caplog.text

    def test_image_tokens_are_labelled_with_what_they_show(self):
        scene, questions = held_out(1)
        batch = make_batch([scene], [questions], (2, 3), 2)
        grid = batch.things[0, 144:].reshape(20, 28)
        digits = batch.digits[0, 144:].reshape(20, 28)
        assert (batch.digits[0, :144] == NO_LABEL).all()
        assert sorted(digits[digits > 0]) == sorted(1 + thing.digit for thing in scene.things)
        for thing in scene.things:
            left, top = thing.plate
            assert digits[top // 28, left // 28] == 1 + thing.digit
            assert (grid[thing.y // 28, thing.x // 28] - 1) % len(SHAPES) == SHAPES.index(thing.shape)
        assert set(batch.things[0, :144]) == set(grid.ravel())


class TestTraining:
    def test_going_on_is_as_if_it_had_never_stopped(self, tmp_path, monkeypatch):
        course = replace(COURSE, warmup=1)
        whole = Training(course, tmp_path / "whole", CPU)
        whole.run(1e9, 4, 0, lambda line: None)

        def two(*arguments):
            yield from islice(batches(*arguments), 2)
            raise KeyboardInterrupt

        parted = Training(course, tmp_path / "parted", CPU)
        with monkeypatch.context() as patch:
            patch.setattr(profcore.models.shapes.training, "batches", two)
            with pytest.raises(KeyboardInterrupt):
                parted.run(1e9, 4, 0, lambda line: None)
        parted = Training(course, tmp_path / "parted", CPU, resume=True)
        assert parted.progress.step == 2
        parted.run(1e9, 4, 0, lambda line: None)
        one, other = whole.trained.state_dict(), parted.trained.state_dict()
        assert [name for name in one if not torch.equal(one[name], other[name])] == []
        with pytest.raises(UserError, match="begun with --seed 0"):
            Training(replace(course, pictures=replace(course.pictures, seed=1)), tmp_path / "parted", CPU, resume=True)
        with pytest.raises(UserError, match=r"begun with --crops 4 --peak 0\.0015: give the same to go on"):
            other = replace(course, peak=0.002, pictures=replace(course.pictures, crops=8))
            Training(other, tmp_path / "parted", CPU, resume=True)

    def test_it_ends_with_a_checkpoint_and_what_it_is(self, tmp_path):
        training = Training(COURSE, tmp_path, CPU)
        training.run(1e9, 1, 0, lambda line: None)
        training.save()
        assert (tmp_path / STATE).is_file()
        report = training.finish(pictures=1)
        assert json.loads((tmp_path / REPORT).read_text()) == json.loads(json.dumps(report))
        assert (report["steps"], report["seed"], report["held_out_accuracy"]["questions"]) == (1, 0, 2)
        assert list(report["held_out_accuracy"]["max_crops"]) == [1, 2, 3, 4, 6, 9, 12]
        assert "not MolmoE-1B's" in report["what"]
        assert report["course"] == COURSE.told()
        assert (report["course"]["peak"], report["course"]["crops"]) == (1.5e-3, 4)
        assert not (tmp_path / STATE).exists()
        assert any(line.strip().startswith("active_blocks: 1: ") for line in report_lines(report))

    def test_what_a_person_can_put_right_is_one_sentence(self, tmp_path, capsys, checkpoint):
        def refused(says, *arguments):
            assert main(["--output", *map(str, arguments)]) == 2
            said = capsys.readouterr().err
            assert says in said
            assert said.count("\n") == 1

        refused("Nothing is learnt in no time", tmp_path, "--seconds", 0)
        refused("Nothing is learnt in no time", tmp_path, "--steps", 0)
        refused("there are 500 held-out pictures", tmp_path, "--held-out", 501)
        refused("no device 'tpu'", tmp_path, "--device", "tpu")
        refused("holds no training to go on with", tmp_path, "--resume")
        refused("holds a training that is done: give another folder", checkpoint)
        refused("holds a training that is done: give another folder", checkpoint, "--resume")
        (tmp_path / STATE).write_bytes(b"none")
        refused("holds a training already: give --resume", tmp_path)
        refused("is no state of this training", tmp_path, "--resume")
        refused("cannot be made a folder", tmp_path / STATE)
        refused("cannot be made a folder", tmp_path / STATE / "deep")
        refused("-1 processes cannot draw", tmp_path / "new", "--workers", -1)

    def test_an_interrupt_says_whether_anything_is_kept(self, tmp_path, capsys, monkeypatch):
        def interrupted(options):
            raise KeyboardInterrupt

        monkeypatch.setattr(train, "_train", interrupted)
        assert main(["--output", str(tmp_path)]) == 130
        assert "nothing is kept" in capsys.readouterr().err
        (tmp_path / STATE).touch()
        assert main(["--output", str(tmp_path)]) == 130
        assert "--resume goes on" in capsys.readouterr().err

    def test_ended_by_a_scheduler_it_is_interrupted(self, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(train, "_train", lambda options: signal.raise_signal(signal.SIGTERM))
        before = signal.getsignal(signal.SIGTERM)
        assert main(["--output", str(tmp_path)]) == 130
        assert "Interrupted" in capsys.readouterr().err
        assert signal.getsignal(signal.SIGTERM) == before

    def test_a_step_is_captured_on_the_card_that_it_runs_on(self, tmp_path, monkeypatch):
        current = []
        monkeypatch.setattr(torch.cuda, "set_device", current.append)
        monkeypatch.setattr(profcore.models.load, "resolve_device", torch.device)

        def begun(course, directory, device, resume):
            assert current == [device]
            raise UserError("Begun.")

        monkeypatch.setattr(profcore.models.shapes.training, "Training", begun)
        assert main(["--output", str(tmp_path), "--device", "cuda:1"]) == 2
        assert current == [torch.device("cuda", 1)]

    def test_steps_turn_knobs_once_the_first_stage_is_over(self):
        course = Course(fewer_experts=0.2)
        early = {course.knobs(step) for step in range(300)}
        assert early == {(8, tuple(range(8)))}
        later = [course.knobs(step) for step in range(300, 900)]
        assert {top_k for top_k, _ in later} == {6, 7, 8}
        assert {len(blocks) for _, blocks in later} == {4, 5, 6, 7, 8}
        assert later == [course.knobs(step) for step in range(300, 900)]
        assert {Course().knobs(step)[0] for step in range(300, 900)} == {8}
        assert course.rate(0, 0) < course.rate(199, 0.1) > course.rate(5000, 0.9) > course.rate(9000, 1) > 0


@pytest.mark.long
def test_a_short_training_learns_and_the_product_measures_the_same_accuracy(tmp_path):
    config = replace(
        SHAPES_CONFIG,
        **{"d_model": 64, "n_layers": 3, "num_experts": 8, "top_k": 4, "expert_width": 32, "projector_hidden": 32},
        **{"vit_width": 64, "vit_mlp": 128, "vit_layers_total": 2, "vit_layers": (-1, -2)},
    )
    pictures = Pictures(stages=(Stage(2**62, ONE_CROP, (1, 1)),), crops=16, questions=6)
    course = Course(config, pictures, warmup=20, peak=2e-3)
    training = Training(course, tmp_path, CPU)
    # Of another seed, so that it saw none of these.
    test = [replace(pictures, seed=1).batch(step) for step in range(8)]

    def loss():
        with torch.no_grad():
            found = [
                losses(
                    training.trained,
                    sent(batch),
                    course,
                    turned_to(4, (0, 1, 2), config),
                )
                for batch in test
            ]
        return sum(each.answers.item() for each in found) / len(found)

    before = loss()
    training.run(1e9, 150, 0, lambda line: None)
    training.finish(pictures=4)
    assert loss() < before / 6
    loaded = load_model(str(tmp_path), CPU, torch.float32, "eager")
    shares = accuracy(loaded.model, test, 4, (0, 1, 2))
    assert shares["colour"] > 2 / len(COLOURS)
    numbers = [number for number in range(PICTURES) if held_out(number)[0].width == held_out(number)[0].height == 336]
    queries = [query(number, place) for number in numbers[:10] for place in range(2)]
    scenes, asked = zip(*(held_out(number) for number in numbers[:10]), strict=True)
    batch = make_batch(scenes, asked, (1, 1), 2)
    full = Setting((1, 1), 4, (True,) * 3, 1)
    measured = QualityMeter(loaded, queries).of(full).accuracy
    assert measured == pytest.approx(accuracy(loaded.model, [batch], 4, (0, 1, 2))["all"])
    assert measured > 0.1
