"""Which settings of two runs are the same: matched row by row, by what both rows know; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from profcore.results.base import MeasuredRun

_KNOBS = ("grid_rows", "grid_columns", "top_k", "active_blocks", "block_mask", "output_tokens", "tier")
_QUERY = ("image_id", "query_id", "image_width", "image_height", "question")
_MEASURED = ("num_vision_tokens",)
# Rows that share none of these say nothing of each other.
_TELLING = frozenset((*_KNOBS, "image_id", "query_id"))


@dataclass(frozen=True)
class Matches:
    """Settings of two runs that are the same.

    Attributes:
        pairs: Their numbers, and the title.
        ambiguous: How many settings of either fit several of the other, so that none is taken.
    """

    pairs: list[tuple[int, int, str]]
    ambiguous: int


def match_settings(reference: MeasuredRun, other: MeasuredRun) -> Matches:
    """The settings that both runs measured.

    Two settings are the same where every knob is that both rows know, and of real pictures the picture, its size and
    the question. Of two masks with equally many blocks each is a setting; where one run does not say its mask, such a
    setting fits both, and none is taken.
    """
    first, second = _rows(reference, _on_pictures(other)), _rows(other, _on_pictures(reference))
    found: list[pd.DataFrame] = []
    several: tuple[set[int], set[int]] = (set(), set())
    for mine, ours in first.groupby("knows"):
        for theirs, others in second.groupby("knows"):
            common = [name for name in str(mine).split() if name in str(theirs).split()]
            if not _TELLING.intersection(common):
                continue
            once = ours.drop_duplicates(common, keep=False).merge(
                others.drop_duplicates(common, keep=False), on=common, suffixes=("", "_other")
            )
            found.append(once[["setting", "setting_other", "title"]])
            for mark, left, right in ((several[0], ours, others), (several[1], others, ours)):
                mark |= _several(left, right, common)
    pairs = (
        pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["setting", "setting_other", "title"])
    )
    # Rows that know other things may each fit the same one.
    for place, column in enumerate(("setting", "setting_other")):
        several[place].update(pairs.loc[pairs[column].duplicated(keep=False), column])
    alone = ~pairs["setting"].isin(several[0]) & ~pairs["setting_other"].isin(several[1])
    pairs = pairs[alone].sort_values("setting")
    return Matches(
        list(zip(pairs["setting"].tolist(), pairs["setting_other"].tolist(), pairs["title"].tolist(), strict=True)),
        len(several[0]) + len(several[1]),
    )


def _several(left: pd.DataFrame, right: pd.DataFrame, common: list[str]) -> set[int]:
    """The settings of one side whose key several rows of either side have, and at least one of the other."""
    counts = left.groupby(common).size().rename("here").reset_index()
    there = right.groupby(common).size().rename("there").reset_index()
    both = counts.merge(there, on=common)
    both = both[(both["here"] > 1) | (both["there"] > 1)]
    return set(left.merge(both[common], on=common)["setting"].tolist())


def _on_pictures(run: MeasuredRun) -> bool:
    """Whether a run measured the pictures of a data set."""
    return bool(run.settings["image_id"].notna().any())


def _rows(run: MeasuredRun, beside_pictures: bool) -> pd.DataFrame:
    """A row for each setting with samples: what is known of it as text, and `knows`, the names of it.

    Args:
        run: The run.
        beside_pictures: Whether the other run measured a data set's pictures, of which a sweep's own picture is none.
    """
    settings, names = run.settings, (*_KNOBS, *_QUERY, *_MEASURED)
    frame = settings[["setting", "title"]].copy()
    given = settings.assign(question=pd.Series(_questions(run, len(settings)), settings.index, dtype=object))
    if beside_pictures and run.run["spec"].get("sweep") and not _on_pictures(run):
        given = given.assign(image_id="the sweep's own")
    if not run.samples.empty:
        frame = frame[frame["setting"].isin(run.samples["setting"])]
        measured = run.samples.groupby("setting")[["num_vision_tokens", "num_output_tokens"]].first()
        given = given.assign(num_vision_tokens=given["setting"].map(measured["num_vision_tokens"]))
        if not _stops_at_eos(run):
            # Then as many are generated as were asked for, which a file of others need not say.
            generated = given["setting"].map(measured["num_output_tokens"])
            given = given.assign(output_tokens=given["output_tokens"].fillna(generated))
    for name in names:
        values = given[name] if name in given else pd.Series(None, index=given.index, dtype=object)
        known = [None if pd.isna(value) else _text(value) for value in values.loc[frame.index]]
        frame[name] = pd.Series(known, frame.index, dtype=object)
    knows = [" ".join(name for name in names if row[name] is not None) for row in frame[list(names)].to_dict("records")]
    return frame.assign(knows=knows)


def _text(value: object) -> str:
    """A value as text; whole numbers alike whatever holds them."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _stops_at_eos(run: MeasuredRun) -> bool:
    return bool((run.run["spec"].get("sweep") or {}).get("stop_at_eos") or run.run["details"].get("use_eos_token"))


def _questions(run: MeasuredRun, number: int) -> list[str | None]:
    """What each setting was asked, where a data set's questions were put."""
    sweep = run.run["spec"].get("sweep") or {}
    queries, places = (sweep.get("queries") or {}).get("queries"), sweep.get("query_of") or []
    if not queries or len(places) != number:
        return [None] * number
    return [queries[place]["question"] for place in places]
