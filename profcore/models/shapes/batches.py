"""What the small model is trained on: pictures and questions from seeds, as arrays. Needs no torch.

So that drawing never holds up a card it is done in processes of its own, which need no torch either, and a picture
travels as one byte a pixel and its palette, compressed: few colours in large areas take a hundredth.
"""

from __future__ import annotations

import logging
import signal
import zlib
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from multiprocessing import get_context
from typing import TYPE_CHECKING

import numpy as np

from profcore.data_sets.shapes import QUESTIONS, Question, questions_of
from profcore.images.geometry import CROP, CROP_TOKENS, PATCH, POOL, grid_size
from profcore.images.processing import placement, select_tiling
from profcore.images.shapes import COLOURS, GRIDS, SHAPES, Draws, Scene, draw_places, palette, scene_of
from profcore.models.shapes.vocabulary import END, make_tokenizer
from profcore.spec.settings import MAX_CROPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_log = logging.getLogger(__name__)

SLOT = 20
"""Tokens that a question and its answer may take."""

NO_LABEL = -100
THING_LABELS, DIGIT_LABELS = 1 + len(COLOURS) * len(SHAPES), 11
_TOKEN = PATCH * POOL
_MOST_ENDED = 3
# Of a thing this share of its size is within every shape.
_INNER = 0.3
_READABLE = 0.7
# Crops that the medium and the high tier begin with (`profcore.experiments.joint`).
_TIERS = (4, 9)
# A batch travels, and is resized, whole.
_MOST_PIXELS = 40_000_000


@dataclass(frozen=True)
class Stage:
    """A part of a course: up to which step, the grids that pictures fill with their weights, and how many things."""

    until_step: int
    grids: tuple[tuple[tuple[int, int], int], ...]
    things: tuple[int, int]


EASY = (((1, 1), 20), ((1, 2), 20), ((2, 1), 20), ((2, 2), 40))
FULL = tuple(GRIDS.items())


@dataclass(frozen=True)
class Pictures:
    """Which pictures a training sees, step by step.

    Attributes:
        seed: Of all of them.
        stages: From easy to hard; the last goes on for ever.
        crops: About so many crops are encoded in a step, global views included; pictures of few crops come in more.
        most: The most pictures of a step.
        questions: Questions put to each.
        coarse: The share of steps whose pictures are cut into fewer crops than they fill, once past the first stage.
        finer: The share of others whose pictures are put into more crops than they fill, enlarged or with margins, as a
            joint sweep puts small pictures into the grid or tier of large ones.
    """

    seed: int = 0
    stages: tuple[Stage, ...] = (Stage(300, EASY, (1, 2)), Stage(800, EASY, (1, 4)), Stage(2**62, FULL, (2, 5)))
    crops: int = 160
    most: int = 48
    questions: int = 8
    coarse: float = 0.25
    finer: float = 0.1

    def batch(self, step: int) -> Batch:
        """What a step sees, from its number alone."""
        draws = Draws(f"step/{self.seed}/{step}")
        stage = next(stage for stage in self.stages if step < stage.until_step)
        grid = draws.by_weight(dict(stage.grids))
        width, height = grid_size(*grid)
        bound, turned = grid[0] * grid[1], stage is not self.stages[0]
        if turned and bound > 1 and draws.below(1000) < 1000 * self.coarse:
            tiling = select_tiling(height, width, draws.among(1, bound - 1))
        elif turned and bound < MAX_CROPS and draws.below(1000) < 1000 * self.finer:
            tiling = _finer(draws, (height, width), bound)
        else:
            tiling = select_tiling(height, width, bound)
        number = min(self.crops // (1 + tiling[0] * tiling[1]), self.most, _MOST_PIXELS // (width * height))
        seeds = [f"training/{self.seed}/{step}/{place}" for place in range(max(1, number))]
        scenes = [scene_of(seed, grid, stage.things) for seed in seeds]
        asked = [questions_of(scene, seed, self.questions) for scene, seed in zip(scenes, seeds, strict=True)]
        return make_batch(scenes, asked, tiling, self.questions)


def _finer(draws: Draws, size: tuple[int, int], fills: int) -> tuple[int, int]:
    """More crops than a picture of a height and width fills: half of them as a tier would have it, half any grid.

    Of few grids, since a card captures a step of each, which takes as long as many steps.
    """
    tiers = [least for least in _TIERS if least > fills]
    if tiers and draws.below(2):
        return select_tiling(*size, MAX_CROPS, draws.one_of(tiers))
    return draws.one_of([grid for grid in GRIDS if grid[0] * grid[1] > fills])


@dataclass(frozen=True)
class Batch:
    """Pictures of one size, cut into one grid, with questions; B pictures, Q questions each, T = `SLOT`.

    Attributes:
        tiling: Rows and columns of crops.
        places: (B, height, width) uint8, which colour of its palette each pixel has.
        palettes: (B, 256, 3) uint8.
        texts: (B, Q, T) int64, prompt and answer; the rest is filled up.
        last: (B, Q) int64, the place of the prompt's last token, which the answer follows.
        answers: (B, Q) int64, the answer's token; `NO_LABEL` where a picture has fewer questions.
        kinds: (B, Q) int64, each question's kind by its place in `QUESTIONS`.
        things, digits: (B, image tokens) int64, what each image token shows, 0 for nothing; of digits `NO_LABEL` where
            they are too small to be read. Image tokens as they stand in the prompt.
    """

    tiling: tuple[int, int]
    places: np.ndarray
    palettes: np.ndarray
    texts: np.ndarray
    last: np.ndarray
    answers: np.ndarray
    kinds: np.ndarray
    things: np.ndarray
    digits: np.ndarray


def make_batch(
    scenes: Sequence[Scene], asked: Sequence[Sequence[Question]], tiling: tuple[int, int], questions: int
) -> Batch:
    """Scenes of one size with their questions, of which there may be fewer than `questions`."""
    texts = np.full((len(scenes), questions, SLOT), _end_id(), dtype=np.int64)
    last, kinds = (np.zeros((len(scenes), questions), dtype=np.int64) for _ in range(2))
    answers = np.full((len(scenes), questions), NO_LABEL, dtype=np.int64)
    for row, each in enumerate(asked):
        for slot, question in enumerate(each):
            prompt, answer = _tokens(question.text), _answer(question.answer)
            texts[row, slot, : len(prompt) + 1] = (*prompt, answer)
            last[row, slot], answers[row, slot] = len(prompt) - 1, answer
            kinds[row, slot] = list(QUESTIONS).index(question.kind)
    labels = [_labels(scene, *tiling) for scene in scenes]
    return Batch(
        tiling=tiling,
        places=np.stack([np.asarray(draw_places(scene)) for scene in scenes]),
        palettes=np.array([palette(scene) for scene in scenes], dtype=np.uint8),
        texts=texts,
        last=last,
        answers=answers,
        kinds=kinds,
        things=np.stack([things for things, _ in labels]),
        digits=np.stack([digits for _, digits in labels]),
    )


@cache
def _tokenizer():
    return make_tokenizer()


@cache
def _end_id() -> int:
    return _tokenizer().token_to_id(END)


@cache
def _tokens(question: str) -> tuple[int, ...]:
    """A question's tokens as a prompt has them (see `profcore.models.prompt.build_prompt`)."""
    return tuple(_tokenizer().encode(f" User: {question} Assistant:").ids)


@cache
def _answer(word: str) -> int:
    (number,) = _tokenizer().encode(f" {word}").ids
    return number


def _labels(scene: Scene, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """What each image token of a scene shows: of the global view first, then of the grid, each row by row."""
    width, height = grid_size(rows, columns)
    frames = ((CROP_TOKENS, CROP_TOKENS, CROP, CROP), (height // _TOKEN, width // _TOKEN, height, width))
    found = [_frame_labels(scene, *frame) for frame in frames]
    return np.concatenate([things for things, _ in found]), np.concatenate([digits for _, digits in found])


def _frame_labels(scene: Scene, down: int, across: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    placed = placement(scene.height, scene.width, height, width)
    scale = placed.width / scene.width
    y = ((np.arange(down) + 0.5) * _TOKEN - placed.top) / scale
    x = ((np.arange(across) + 0.5) * _TOKEN - placed.left) / scale
    things = np.zeros((down, across), dtype=np.int64)
    digits = np.full((down, across), 0 if scale >= _READABLE else NO_LABEL, dtype=np.int64)
    for thing in scene.things:
        # Half a token's width more, so that a thing is somewhere even where a token is larger than it.
        reach = max(_INNER * thing.size, 0.5 * _TOKEN / scale)
        label = 1 + list(COLOURS).index(thing.colour) * len(SHAPES) + SHAPES.index(thing.shape)
        things[np.ix_(np.abs(y - thing.y) <= reach, np.abs(x - thing.x) <= reach)] = label
        if scale >= _READABLE:
            left, top = (each + PATCH / 2 for each in thing.plate)
            digits[int((top * scale + placed.top) // _TOKEN), int((left * scale + placed.left) // _TOKEN)] = (
                1 + thing.digit
            )
    return things.ravel(), digits.ravel()


@dataclass(frozen=True)
class _Packed:
    """A batch on its way between processes: all of it but the pictures, and those."""

    rest: Batch
    shape: tuple[int, ...]
    places: bytes


def _packed(pictures: Pictures, step: int) -> _Packed:
    batch = pictures.batch(step)
    nothing = batch.places[:0]
    return _Packed(replace(batch, places=nothing), batch.places.shape, zlib.compress(batch.places.tobytes(), 1))


def _unpacked(packed: _Packed) -> Batch:
    # Of a bytearray, since torch takes no array that it may not write to.
    pixels = np.frombuffer(bytearray(zlib.decompress(packed.places)), dtype=np.uint8)
    return replace(packed.rest, places=pixels.reshape(packed.shape))


def batches(pictures: Pictures, first: int, workers: int) -> Iterator[Batch]:
    """The batches of each step from the first on, drawn ahead by so many processes; by this one if by none.

    Where a process that draws is ended by somebody else, others go on from the same step: a batch follows from its
    number.

    Raises:
        BrokenProcessPool: Processes are ended time and again before any of them has drawn a batch.
    """
    if not workers:
        yield from map(pictures.batch, count(first))
        return
    step, ended = first, 0
    while True:
        try:
            for batch in _drawn_ahead(pictures, step, workers):
                yield batch
                step, ended = step + 1, 0
        except BrokenProcessPool:
            ended += 1
            if ended > _MOST_ENDED:
                raise
            _log.warning("A process that draws pictures was ended; others go on from step %s.", f"{step:,}")


def _drawn_ahead(pictures: Pictures, first: int, workers: int) -> Iterator[Batch]:
    """As `batches`, by processes that are ended with it."""
    # Not forked: a process that holds a card cannot be. Ctrl-C reaches them too, but is their parent's to answer.
    ignoring = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(workers, get_context("spawn"), signal.signal, ignoring) as pool:
        ahead: deque[Future[_Packed]] = deque()
        try:
            for step in count(first):
                ahead.append(pool.submit(_packed, pictures, step))
                if len(ahead) > 2 * workers:
                    yield _unpacked(ahead.popleft().result())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
