"""The drawn data set: pictures of coloured shapes with small digits, and questions that one word answers.

Pictures are drawn when they are looked at (`profcore.images.shapes`), never kept; all of it follows from seeds. The set
is held out: a model of this project is trained on pictures of other seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profcore.data_sets.candidates import Candidate, choose
from profcore.images.shapes import COLOURS, HELD_OUT, SHAPES, Draws, Scene, scene_named
from profcore.spec.queries import Picture

if TYPE_CHECKING:
    from profcore.data_sets import DataSet
    from profcore.spec.queries import QuerySet

PICTURES, QUESTIONS_EACH = 500, 2
QUESTIONS = {"digit": 30, "colour": 14, "shape": 14, "count": 14, "place": 14, "presence": 14}
"""The kinds of questions, each with how many of a hundred are of it."""

_PLURALS = {"cross": "crosses"}
# So near to the middle of a picture, in pixels, nothing is asked of a thing's side.
_MIDDLE = 42


@dataclass(frozen=True)
class Question:
    """A question of a kind of `QUESTIONS`, and the one word that answers it."""

    kind: str
    text: str
    answer: str


def questions_of(scene: Scene, seed: str, number: int) -> list[Question]:
    """So many different questions of a scene, in random order; fewer where it has no more."""
    draws = Draws(f"questions/{seed}")
    found: dict[str, Question] = {}
    # Kinds are drawn anew where one was asked before: a scene of few things has few questions of some.
    for _ in range(8 * number):
        if len(found) == number:
            break
        question = _question(scene, draws, draws.by_weight(QUESTIONS))
        found.setdefault(question.text, question)
    return list(found.values())


def _question(scene: Scene, draws: Draws, kind: str) -> Question:
    """One of a kind; where the scene has none of it, one of a kind that every scene has."""
    thing = draws.one_of(scene.things)
    lone = sum(other.shape == thing.shape for other in scene.things) == 1
    by_colour = f"the {thing.colour} shape"
    if kind == "digit":
        name = f"the {thing.shape}" if lone and draws.below(3) == 0 else by_colour
        return Question(kind, f"What digit is on {name}?", str(thing.digit))
    if kind == "colour" and lone:
        return Question(kind, f"What colour is the {thing.shape}?", thing.colour)
    if kind == "count":
        shape = thing.shape if draws.below(4) else draws.one_of(SHAPES)
        number = sum(other.shape == shape for other in scene.things)
        return Question(kind, f"How many {_PLURALS.get(shape, shape + 's')} are there?", str(number))
    if kind == "place":
        across, down = thing.x - scene.width // 2, thing.y - scene.height // 2
        sides = [
            (f"Is {by_colour} on the left or on the right?", "left" if across < 0 else "right", across),
            (f"Is {by_colour} at the top or at the bottom?", "top" if down < 0 else "bottom", down),
        ]
        clear = [(text, answer) for text, answer, offset in sides if abs(offset) >= _MIDDLE]
        if clear:
            return Question(kind, *draws.one_of(clear))
    if kind == "presence":
        return _presence(scene, draws)
    return Question("shape", f"What shape is {thing.colour}?", thing.shape)


def _presence(scene: Scene, draws: Draws) -> Question:
    """Whether there is a thing: as often there as not, and where it is not, mostly another of its colour is."""
    shown = {thing.colour: thing.shape for thing in scene.things}
    thing = draws.one_of(scene.things)
    colour, shape = thing.colour, thing.shape
    if draws.below(2):
        if draws.below(3):
            shape = draws.one_of([each for each in SHAPES if each != shape])
        else:
            colour = draws.one_of([each for each in COLOURS if each not in shown])
    answer = "yes" if shown.get(colour) == shape else "no"
    article = "an" if colour[0] in "aeiou" else "a"
    return Question("presence", f"Is there {article} {colour} {shape}?", answer)


def held_out(number: int) -> tuple[Scene, list[Question]]:
    """A picture of the held-out set, by its number, and its questions."""
    name = f"{HELD_OUT}/{number}"
    scene = scene_named(name)
    return scene, questions_of(scene, name, QUESTIONS_EACH)


def read(data_set: DataSet) -> QuerySet:
    """The held-out pictures, each with its questions and their answers."""
    candidates: list[Candidate] = []
    sizes: dict[Picture, tuple[int, int]] = {}
    for number in range(PICTURES):
        scene, questions = held_out(number)
        picture = Picture("shapes", f"{HELD_OUT}/{number}")
        sizes[picture] = (scene.width, scene.height)
        candidates += [
            Candidate(picture, each.text, picture.value, f"{picture.value}-{each.kind}-{place}", (each.answer,))
            for place, each in enumerate(questions, start=1)
        ]
    return choose("drawn shapes", candidates, data_set, sizes.__getitem__)
