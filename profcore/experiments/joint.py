"""Joint sweeps: several knobs at once, every combination of their values or a sparse choice of them; pure.

Source: the published sampling of a grid of crops, top-k and active blocks (full, balanced, boundary, stratified).
"""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from profcore.errors import UserError
from profcore.experiments.block_choice import most_important
from profcore.experiments.knobs import JOINT
from profcore.images.processing import select_tiling
from profcore.spec.queries import QueryPlan, Tier
from profcore.spec.runs import Sweep
from profcore.spec.settings import Setting, first_blocks, parse_mask
from profcore.spec.stages import Knob
from profcore.spec.text import brief

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.experiments.block_choice import Scores
    from profcore.models.shape import Shape
    from profcore.spec.queries import Query, QuerySet

STRATEGIES = {
    "full": "every combination of the values",
    "balanced": "first, middle and last of each knob, and four values of top-k",
    "boundary": "first, middle and last of each knob, and five values of top-k",
    "stratified": "first, middle and last of each knob",
    "lhs": "a Latin hypercube: as many combinations as you say, drawn so that each knob's values come equally often",
}
"""Which combinations of the knobs' values are measured, in words."""

MASKS = {
    "first": "the first N blocks",
    "importance": "the N blocks with the highest scores",
    "random": "N blocks drawn at random, by the seed",
}
"""How a number of blocks becomes a mask, in words."""

LATIN = "lhs"
USUAL_DRAWN = 60
"""Settings that a Latin hypercube draws unless told otherwise."""

USUAL_SAMPLES = 20
"""Timed inferences per setting unless told otherwise."""

MOST_SETTINGS = 10_000
"""Settings of a sweep: of more nobody waits for the last."""

_MOST_PICTURES = 10 * MOST_SETTINGS

_TOP_K_LEVELS = {"balanced": 4, "boundary": 5, "stratified": 3}
_LEVELS = 3
_FEWEST_VARYING = 2
_TIERS = {"low": (1, 3), "medium": (4, 8), "high": (9, None)}
TIERS = tuple(_TIERS)
"""The tiers of crops by their names; the last ends with the most crops that a model takes."""

_FIELDS = {
    Knob.VISION_TOKENS: "grids",
    Knob.TOP_K: "top_ks",
    Knob.ACTIVE_BLOCKS: "masks",
    Knob.OUTPUT_TOKENS: "output_tokens",
}


@dataclass(frozen=True)
class JointValues:
    """The values that each knob takes in a joint sweep, in ascending order.

    Attributes:
        grids: Image grids; none where pictures are tiled by tiers.
        top_ks: Experts each token is routed to.
        masks: Which blocks run.
        output_tokens: Tokens generated.
        tiers: Ranges of crops in place of grids.
    """

    grids: tuple[tuple[int, int], ...]
    top_ks: tuple[int, ...]
    masks: tuple[tuple[bool, ...], ...]
    output_tokens: tuple[int, ...]
    tiers: tuple[Tier, ...] = field(default=())

    def __post_init__(self) -> None:
        for knob, values in self.by_knob.items():
            if not values:
                raise UserError(f"{_KNOB_NAMES[knob]} has no value: give at least one.")
            if len(set(values)) != len(values):
                raise UserError(
                    f"{_KNOB_NAMES[knob]}: each value can be measured once in a sweep, but some are given twice."
                )
        varying = [knob for knob, values in self.by_knob.items() if len(values) > 1]
        if len(varying) < _FEWEST_VARYING:
            which = f"{_KNOB_NAMES[varying[0]].lower()} alone varies" if varying else "none varies"
            raise UserError(f"A joint sweep turns two knobs or more, but {which} here: give another several values.")

    @property
    def by_knob(self) -> dict[Knob, tuple[Any, ...]]:
        """The values by their knob; tiers stand for grids where there are any."""
        return {
            knob: getattr(self, "tiers" if self.tiers and name == "grids" else name) for knob, name in _FIELDS.items()
        }

    @property
    def combinations(self) -> int:
        """How many combinations there are of all values."""
        return math.prod(len(values) for values in self.by_knob.values())


def joint_values(
    config: Shape,
    *,
    grids: Sequence[tuple[int, int]] = ((1, 1),),
    top_ks: Sequence[int] = (),
    masks: Sequence[tuple[bool, ...]] = (),
    output_tokens: Sequence[int] = (10,),
    tiers: Sequence[str] = (),
) -> JointValues:
    """The values of a joint sweep for a model; a knob that is not given stands where the model's own does.

    Raises:
        UserError: A value cannot be, is given twice, or fewer than two knobs vary.
    """
    return JointValues(
        grids=() if tiers else tuple(sorted(grids, key=lambda grid: (grid[0] * grid[1], grid))),
        top_ks=tuple(sorted(top_ks or (config.top_k,))),
        masks=tuple(sorted(masks or ((True,) * config.n_layers,), key=sum)),
        output_tokens=tuple(sorted(output_tokens)),
        tiers=tiers_of(tiers, config.max_crops),
    )


def tiers_of(names: Sequence[str], max_crops: int) -> tuple[Tier, ...]:
    """The tiers of those names for a model that takes at most so many crops, fewest crops first.

    Raises:
        UserError: There is no such tier, or the model takes fewer crops than it has.
    """
    found = []
    for name in names:
        if name not in _TIERS:
            raise UserError(f"There is no tier {brief(repr(name))}: choose from {', '.join(_TIERS)}.")
        least, most = _TIERS[name]
        if least > max_crops:
            raise UserError(f"The tier {name} begins at {least} crops, but the model takes at most {max_crops}.")
        found.append(Tier(name, least, min(most or max_crops, max_crops)))
    return tuple(sorted(found, key=lambda tier: tier.least))


def parse_grid(text: str) -> tuple[int, int]:
    """Rows and columns of an image grid as a person writes it: '2x3', '2×3', or '6' for 1×6.

    Raises:
        UserError: It is none.
    """
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdecimal() and len(part) <= 4 for part in parts):
        raise UserError(f"{brief(repr(text))} is no image grid: write rows and columns, such as 2x3, or 6 for 1x6.")
    numbers = [int(part) for part in parts]
    rows, columns = numbers if len(numbers) == 2 else (1, numbers[0])
    # Refused here, so that the sentence comes before any other.
    Setting((rows, columns), 1, (True,), 1)
    return rows, columns


def chosen_masks(
    values: Sequence[int | str], way: str, blocks: int, *, scores: Scores | None = None, seed: int = 0
) -> tuple[tuple[bool, ...], ...]:
    """The masks that numbers of active blocks stand for; a mask stands for itself.

    Args:
        values: Numbers, or masks such as '1011'.
        way: One of `MASKS`.
        blocks: How many blocks the model has.
        scores: What each block is worth, where they are chosen by importance.
        seed: Of a choice at random; the same number gives the same mask, whatever else is asked for.

    Raises:
        UserError: There is no such way, no scores for it, or a number is out of range.
    """
    if way not in MASKS:
        raise UserError(f"There are no masks {brief(repr(way))}: choose from {', '.join(MASKS)}.")
    if way == "importance" and scores is None:
        raise UserError("Masks by importance need scores of the blocks: name a file of them with --importance-file.")
    found = []
    for value in values:
        if isinstance(value, str):
            found.append(parse_mask(value))
            continue
        first = first_blocks(value, blocks)
        if way == "importance" and scores is not None:
            found.append(parse_mask(most_important(scores, value, blocks)))
        elif way == "random":
            drawn = random.Random(f"{seed}/{value}/{blocks}").sample(range(blocks), value)
            found.append(tuple(block in drawn for block in range(blocks)))
        else:
            found.append(first)
    return tuple(found)


class Combination(NamedTuple):
    """One value of each knob; `crops` is a grid or a tier."""

    crops: tuple[int, int] | Tier
    top_k: int
    mask: tuple[bool, ...]
    output_tokens: int


def combinations(
    values: JointValues, strategy: str = "full", number: int | None = None, seed: int = 0
) -> list[Combination]:
    """The combinations of the knobs' values that a strategy takes, each once, in the order of the values.

    Args:
        values: Of each knob.
        strategy: One of `STRATEGIES`.
        number: How many a Latin hypercube draws; 60 unless given, all where there are fewer.
        seed: Of what it draws.

    Raises:
        UserError: There is no such strategy, a number is given that it does not take, or there are too many.
    """
    if strategy not in STRATEGIES:
        raise UserError(f"There is no strategy {brief(repr(strategy))}: choose from {', '.join(STRATEGIES)}.")
    if strategy != LATIN and number is not None:
        raise UserError(f"{strategy} says itself how many settings there are: give a number to {LATIN} alone.")
    taken = values.by_knob
    if strategy == LATIN:
        places = _latin([len(each) for each in taken.values()], _drawn(number, values.combinations), seed)
    else:
        levels = [_levels(knob, len(each), strategy) for knob, each in taken.items()]
        if (there := math.prod(map(len, levels))) > MOST_SETTINGS:
            raise UserError(
                f"{there:,} settings are too many: a sweep takes {MOST_SETTINGS:,}. Give fewer values, or a sparse "
                "strategy."
            )
        places = list(itertools.product(*levels))
    return [
        Combination(*(each[place] for each, place in zip(taken.values(), chosen, strict=True))) for chosen in places
    ]


def values_of(settings: Sequence[Setting]) -> JointValues:
    """The values that the knobs take among settings.

    Raises:
        UserError: Fewer than two knobs vary.
    """
    return JointValues(
        grids=tuple(sorted({each.grid for each in settings}, key=lambda grid: (grid[0] * grid[1], grid))),
        top_ks=tuple(sorted({each.top_k for each in settings})),
        masks=tuple(sorted({each.block_mask for each in settings}, key=lambda mask: (sum(mask), mask))),
        output_tokens=tuple(sorted({each.output_tokens for each in settings})),
    )


def strategy_of(settings: Sequence[Setting], seed: int) -> tuple[str, int | None] | None:
    """The strategy that takes just these settings of the values that they have, with its number; None where none does.

    What a sparse strategy took is every combination of the fewer values that it left.

    Args:
        settings: Of a joint sweep without tiers.
        seed: That it was drawn with.
    """
    values, taken = values_of(settings), {tuple(vars(each).values()) for each in settings}
    tries: list[tuple[str, int | None]] = [("full", None)] if values.combinations == len(taken) else []
    if 2 <= len(taken) <= min(values.combinations, MOST_SETTINGS):
        tries.append((LATIN, len(taken)))
    return next((each for each in tries if set(map(tuple, combinations(values, *each, seed))) == taken), None)


def _levels(knob: Knob, size: int, strategy: str) -> Sequence[int]:
    """The places of a knob's values that a strategy takes: all, or so many at equal distances from first to last.

    Source: the published sparse strategies take `i * (size - 1) // (levels - 1)`, which gives 4 12 20 32 of top-k
    4 8 … 32 under balanced, and 2 6 12 of crops 2 4 … 12.
    """
    if strategy == "full":
        return range(size)
    levels = min(_TOP_K_LEVELS[strategy] if knob is Knob.TOP_K else _LEVELS, size)
    return [0] if levels == 1 else [place * (size - 1) // (levels - 1) for place in range(levels)]


def _drawn(number: int | None, there: int) -> int:
    """How many combinations a Latin hypercube draws of those that there are.

    Raises:
        UserError: So many different ones there are not, or fewer than two are asked for.
    """
    if number is None:
        return min(USUAL_DRAWN, there)
    if not 2 <= number <= min(there, MOST_SETTINGS):
        raise UserError(
            f"{number:,} different settings cannot be drawn of {there:,}: ask for 2 to {min(there, MOST_SETTINGS):,}."
        )
    return number


def _latin(sizes: Sequence[int], number: int, seed: int) -> list[tuple[int, ...]]:
    """So many different places of a grid, each knob's values drawn equally often as far as that goes.

    Source: McKay, Beckman & Conover (1979); what falls on a place that is taken is drawn again.
    """
    order = random.Random(seed)
    found: set[tuple[int, ...]] = set()
    for _ in range(50):
        missing = number - len(found)
        if not missing:
            break
        strata = [order.sample(range(missing), missing) for _ in sizes]
        drawn = zip(*strata, strict=True)
        found |= {
            tuple(int((stratum + order.random()) / missing * size) for stratum, size in zip(each, sizes, strict=True))
            for each in drawn
        }
    if missing := number - len(found):
        # Nearly all of a small grid: what is left is few enough to be listed.
        left = [place for place in itertools.product(*map(range, sizes)) if place not in found]
        found |= set(order.sample(left, missing))
    return sorted(found)


def joint_sweep(
    values: JointValues,
    *,
    strategy: str = "full",
    number: int | None = None,
    queries: QuerySet | None = None,
    quality: QuerySet | None = None,
    seed: int = 0,
    **sampling: Any,
) -> Sweep:
    """The sweep that measures joint settings.

    Args:
        values: Of each knob.
        strategy: Which of their combinations are measured.
        number: As `combinations`.
        queries: The pictures that are tiled by tiers, each measured at every combination.
        quality: On what quality is recorded; with tiers each setting's own picture and question.
        seed: Of what is drawn and of the visiting order.
        sampling: Further fields of `Sweep`.

    Raises:
        UserError: Values, strategy or pictures do not make a sweep.
    """
    chosen = combinations(values, strategy, number, seed)
    if not values.tiers:
        settings = tuple(_setting(each, each.crops) for each in chosen)  # type: ignore[arg-type]
        return Sweep(JOINT.name, settings, quality=quality, seed=seed, **sampling)
    if queries is None or not queries.queries:
        raise UserError("Tiers of crops need real pictures, which choose their own tiling: name a data set of them.")
    if (there := len(chosen) * len(queries.queries)) > _MOST_PICTURES:
        raise UserError(f"{there:,} settings, one for each picture, are too many: take fewer pictures or combinations.")
    rows = [(each, place) for each in chosen for place in range(len(queries.queries))]
    settings = tuple(_setting(each, _tiling(each.crops, queries.queries[place])) for each, place in rows)  # type: ignore[arg-type]
    tier_of = tuple(values.tiers.index(each.crops) for each, _ in rows)
    plan = QueryPlan(queries, tuple(place for _, place in rows), tiers=values.tiers, tier_of=tier_of)
    return Sweep(JOINT.name, settings, plan=plan, quality=quality, seed=seed, **sampling)


def _setting(chosen: Combination, grid: tuple[int, int]) -> Setting:
    return Setting(grid, chosen.top_k, chosen.mask, chosen.output_tokens)


def _tiling(tier: Tier, query: Query) -> tuple[int, int]:
    """A picture's best tiling within a tier."""
    return select_tiling(query.height, query.width, tier.most, tier.least)


_KNOB_NAMES = {
    Knob.VISION_TOKENS: "Image grid",
    Knob.TOP_K: "Top-k",
    Knob.ACTIVE_BLOCKS: "Active blocks",
    Knob.OUTPUT_TOKENS: "Output tokens",
}
