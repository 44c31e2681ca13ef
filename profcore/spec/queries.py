"""Pictures and the questions put to them: one for a sweep, or a data set's for a Motivation experiment.

Standard library only.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

DEFAULT_PROMPT = "Describe this image."


@dataclass(frozen=True)
class Picture:
    """Which picture an inference sees, before it is cropped.

    Attributes:
        kind: 'photo' (a photograph that scikit-image ships), 'solid' (the published dummy), 'file', 'row' (of a
            table that holds pictures) or 'shapes' (drawn from a seed).
        value: The photograph's name, the colour as '#rrggbb', the file's path, 'path|column|row', or the seed.
    """

    kind: str = "photo"
    value: str = "astronaut"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Query:
    """One picture and one question of a data set.

    Attributes:
        image_id, query_id: What the data set calls the picture and the question.
        width, height: The picture's own size in pixels.
        answers: What people answered, where the data set says it.
    """

    picture: Picture
    question: str
    image_id: str
    query_id: str
    width: int
    height: int
    answers: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**self.__dict__, "picture": self.picture.to_dict(), "answers": list(self.answers)}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Query:
        """The reverse of `to_dict`."""
        return cls(**{**value, "picture": Picture(**value["picture"]), "answers": tuple(value.get("answers", ()))})


@dataclass(frozen=True)
class Skipped:
    """A picture or question that could not be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class QuerySet:
    """Queries of a data set.

    Attributes:
        name: What the data set is called.
        queries: Those that are measured.
        skipped: Those passed over, in the order met.
    """

    name: str
    queries: tuple[Query, ...]
    skipped: tuple[Skipped, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "name": self.name,
            "queries": [query.to_dict() for query in self.queries],
            "skipped": [[each.name, each.reason] for each in self.skipped],
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> QuerySet:
        """The reverse of `to_dict`."""
        return cls(
            name=value["name"],
            queries=tuple(Query.from_dict(query) for query in value["queries"]),
            skipped=tuple(Skipped(*each) for each in value.get("skipped", ())),
        )


@dataclass(frozen=True)
class Tier:
    """A range of crops from which each picture takes its best tiling.

    Attributes:
        name: Such as 'low'.
        least, most: Crops of the grid, without the global view.
    """

    name: str
    least: int
    most: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class QueryPlan:
    """Which query each setting of a sweep measures, and how its picture is cut.

    Attributes:
        queries: What is measured.
        of_setting: For each setting of the sweep, the index of its query.
        fitted: Whether a query's picture is cropped to its setting's grid; else it is tiled by the model's own rule.
        tiers: Ranges of crops, where pictures are tiled within one: then each setting's grid is its picture's tiling.
        tier_of: For each setting the index of its tier; none where there are no tiers.
    """

    queries: QuerySet
    of_setting: tuple[int, ...]
    fitted: bool = False
    tiers: tuple[Tier, ...] = ()
    tier_of: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.tier_of) != (len(self.of_setting) if self.tiers else 0):
            raise ValueError("the plan names a tier for each setting, or has none")
        if not set(self.tier_of).issubset(range(len(self.tiers))):
            raise ValueError("a setting's tier is none of the plan's")
        if not set(self.of_setting).issubset(range(len(self.queries.queries))):
            raise ValueError("a setting's query is none of the plan's")

    def query(self, setting: int) -> Query:
        """The query of a setting, by its index in the sweep."""
        return self.queries.queries[self.of_setting[setting]]

    def tier(self, setting: int) -> Tier | None:
        """The tier of a setting; None where there are none."""
        return self.tiers[self.tier_of[setting]] if self.tiers else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as they stand among a sweep's own."""
        plain: dict[str, Any] = {
            "queries": self.queries.to_dict(),
            "query_of": list(self.of_setting),
            "fitted": self.fitted,
        }
        if self.tiers:
            plain |= {"tiers": [tier.to_dict() for tier in self.tiers], "tier_of": list(self.tier_of)}
        return plain

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> QueryPlan:
        """The reverse of `to_dict`."""
        return cls(
            queries=QuerySet.from_dict(value["queries"]),
            of_setting=tuple(value.get("query_of", ())),
            fitted=bool(value.get("fitted", False)),
            tiers=tuple(Tier(**tier) for tier in value.get("tiers", ())),
            tier_of=tuple(value.get("tier_of", ())),
        )
