"""Pictures drawn from a seed: coloured shapes on a plain ground, each with a small digit; the same on every machine.

A picture has the size that a grid of crops covers exactly, and its digits lie on that grid's patches, 5×7 pixels each:
cut into that grid they are sharp, in fewer crops they blur away. Needs no torch.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from PIL import Image, ImageDraw

from profcore.errors import ImageError
from profcore.images.geometry import PATCH, grid_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Value = TypeVar("Value")
SHAPES = ("circle", "square", "triangle", "diamond", "cross")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (205, 40, 45),
    "orange": (245, 140, 25),
    "yellow": (240, 220, 60),
    "green": (45, 150, 60),
    "blue": (45, 85, 200),
    "purple": (140, 60, 165),
}
GRIDS: dict[tuple[int, int], int] = {
    **{(1, 1): 10, (1, 2): 10, (2, 1): 10},
    **{(2, 2): 20, (2, 3): 15, (3, 2): 15},
    **{(3, 3): 8, (3, 4): 6, (4, 3): 6},
}
"""The grids whose sizes pictures have, each with how many of a hundred have it."""

HELD_OUT = "held-out"
"""The seeds of pictures that no model of this project is trained on."""

FEWEST_THINGS, MOST_THINGS = 2, 5
_CELL, _JITTER, _SMALLEST, _LARGEST = 140, PATCH, 70, 112
_SHADES, _DARKEST_GROUND, _LIGHTEST_GROUND = 20, 90, 235
_PAPER, _INK = 254, 255
_NAME = re.compile(rf"{HELD_OUT}/(0|[1-9][0-9]{{0,8}})")
_DIGITS = (
    "01110 10001 10011 10101 11001 10001 01110",
    "00100 01100 00100 00100 00100 00100 01110",
    "01110 10001 00001 00110 01000 10000 11111",
    "11111 00010 00100 00010 00001 10001 01110",
    "00010 00110 01010 10010 11111 00010 00010",
    "11111 10000 11110 00001 00001 10001 01110",
    "00110 01000 10000 11110 10001 10001 01110",
    "11111 00001 00010 00100 01000 01000 01000",
    "01110 10001 10001 01110 10001 10001 01110",
    "01110 10001 10001 01111 00001 00010 01100",
)
_DIGIT_WIDTH, _DIGIT_HEIGHT = 5, 7


class Draws:
    """Choices from a seed that no version of Python makes differently: all rest on `random.Random.random`."""

    def __init__(self, seed: str) -> None:
        """Begin with what the seed gives."""
        self._random = random.Random(seed).random

    def below(self, number: int) -> int:
        """A whole number from 0, less than `number`."""
        return int(self._random() * number)

    def among(self, least: int, most: int) -> int:
        """A whole number from `least` to `most`."""
        return least + self.below(most - least + 1)

    def one_of(self, values: Sequence[Value]) -> Value:
        """One of some values."""
        return values[self.below(len(values))]

    def some_of(self, values: Sequence[Value], number: int) -> list[Value]:
        """So many different ones of some values, in random order."""
        left = list(values)
        return [left.pop(self.below(len(left))) for _ in range(number)]

    def by_weight(self, weights: Mapping[Value, int]) -> Value:
        """One of the keys, each as often as its whole number says."""
        place = self.below(sum(weights.values()))
        for key, weight in weights.items():
            place -= weight
            if place < 0:
                return key
        raise AssertionError("the weights add up to what was drawn from")


@dataclass(frozen=True)
class Thing:
    """One shape of a picture, in pixels of it.

    Attributes:
        shape, colour: Their names.
        digit: The digit on it.
        x, y: Its middle.
        size: Its width and height.
        rgb: Its colour, a shade of the one it is called by.
    """

    shape: str
    colour: str
    digit: int
    x: int
    y: int
    size: int
    rgb: tuple[int, int, int]

    @property
    def plate(self) -> tuple[int, int]:
        """Left and top of the patch that holds its digit."""
        return self.x // PATCH * PATCH, self.y // PATCH * PATCH


@dataclass(frozen=True)
class Scene:
    """What a picture shows: its things, no two of one colour, on a ground of one grey."""

    width: int
    height: int
    ground: int
    things: tuple[Thing, ...]


def scene_of(seed: str, grid: tuple[int, int] | None = None, things: tuple[int, int] | None = None) -> Scene:
    """What the picture of a seed shows.

    Args:
        seed: Any text.
        grid: Rows and columns of crops that the picture fills; drawn if not given.
        things: The fewest and the most things it may show.
    """
    draws = Draws(f"shapes/{seed}")
    width, height = grid_size(*(grid or draws.by_weight(GRIDS)))
    fewest, most = things or (FEWEST_THINGS, MOST_THINGS)
    ground = draws.among(_DARKEST_GROUND, _LIGHTEST_GROUND)
    cells = [(column, row) for row in range(height // _CELL) for column in range(width // _CELL)]
    places = draws.some_of(cells, min(draws.among(fewest, most), len(cells)))
    colours = draws.some_of(tuple(COLOURS), len(places))
    edges = (width % _CELL // 2, height % _CELL // 2)
    return Scene(
        width, height, ground, tuple(_thing(draws, *each, edges) for each in zip(places, colours, strict=True))
    )


def _thing(draws: Draws, place: tuple[int, int], colour: str, edges: tuple[int, int]) -> Thing:
    x, y = (
        edge + each * _CELL + _CELL // 2 + draws.among(-_JITTER, _JITTER)
        for each, edge in zip(place, edges, strict=True)
    )
    red, green, blue = (min(255, max(0, value + draws.among(-_SHADES, _SHADES))) for value in COLOURS[colour])
    size = 2 * draws.among(_SMALLEST // 2, _LARGEST // 2)
    return Thing(draws.one_of(SHAPES), colour, draws.below(10), x, y, size, (red, green, blue))


def scene_named(name: str) -> Scene:
    """The scene of a picture that a query names, such as 'held-out/17'.

    Raises:
        ImageError: No picture is called so.
    """
    if not _NAME.fullmatch(name):
        raise ImageError(f"There is no drawn picture {name[:40]!r}: name one as {HELD_OUT}/17.")
    return scene_of(name)


def draw(scene: Scene) -> Image.Image:
    """The picture of a scene, as RGB."""
    drawn = draw_places(scene)
    drawn.putpalette(bytes(value for rgb in palette(scene) for value in rgb))
    return drawn.convert("RGB")


def palette(scene: Scene) -> list[tuple[int, int, int]]:
    """The 256 colours of a scene: the ground, its things in order, and last the digits' paper and ink."""
    colours = [(scene.ground,) * 3, *(thing.rgb for thing in scene.things)]
    return [*colours, *[(0, 0, 0)] * (_PAPER - len(colours)), (255, 255, 255), (0, 0, 0)]


def draw_places(scene: Scene) -> Image.Image:
    """For each pixel of a scene's picture, which colour of its `palette` it has; one byte a pixel."""
    image = Image.new("P", (scene.width, scene.height), 0)
    pen = ImageDraw.Draw(image)
    for number, thing in enumerate(scene.things, start=1):
        _draw_shape(pen, thing, number)
        left, top = thing.plate
        pen.rectangle((left, top, left + PATCH - 1, top + PATCH - 1), _PAPER)
        pen.point([(left + x, top + y) for x, y in _dots(thing.digit)], _INK)
    return image


def _draw_shape(pen: ImageDraw.ImageDraw, thing: Thing, ink: int) -> None:
    half, x, y = thing.size // 2, thing.x, thing.y
    left, top, right, bottom = x - half, y - half, x + half - 1, y + half - 1
    if thing.shape == "circle":
        pen.ellipse((left, top, right, bottom), ink)
    elif thing.shape == "square":
        # As large to the eye as a circle of its size.
        inset = thing.size // 16
        pen.rectangle((left + inset, top + inset, right - inset, bottom - inset), ink)
    elif thing.shape == "triangle":
        pen.polygon([(x, top), (right, bottom), (left, bottom)], ink)
    elif thing.shape == "diamond":
        pen.polygon([(x, top), (right, y), (x, bottom), (left, y)], ink)
    else:
        arm = thing.size // 5
        pen.rectangle((left, y - arm, right, y + arm - 1), ink)
        pen.rectangle((x - arm, top, x + arm - 1, bottom), ink)


@cache
def _dots(digit: int) -> tuple[tuple[int, int], ...]:
    """The pixels of a digit within its patch, in whose middle it stands."""
    left, top = (PATCH - _DIGIT_WIDTH) // 2, (PATCH - _DIGIT_HEIGHT) // 2
    rows = _DIGITS[digit].split()
    return tuple((left + x, top + y) for y, row in enumerate(rows) for x, dot in enumerate(row) if dot == "1")
