"""What the names of joint result files say: their task, their setting, their part of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

_A = re.compile(
    r"(?P<task>.+?)(?:_imgsizetier-(?P<tier>[^_]+))?_crops(?P<crops>\d+(?:\.\d+)?)_topk(?P<top_k>\d+)"
    r"_blocks(?P<blocks>\d+)(?P<more>(?:_(?:tokens|grid|mask|again)[\dx]+)*)(?:_rank(?P<rank>\d+))?\.json"
)
_B = re.compile(
    r"exp(?P<number>[56])_(?P<task>.+?)_crops(?P<crops>\d+(?:\.\d+)?)_topk(?P<top_k>\d+)_blocks(?P<blocks>\d+)"
    r"(?P<more>)(?:_rank(?P<rank>\d+))?\.json"
)
_MOST_DIGITS = 9
_TIERS = {"low": 1, "medium": 2, "high": 3}


@dataclass(frozen=True)
class JointName:
    """What a file's name says.

    Attributes:
        folder: Where it lies.
        task: What was asked; of experiments 5 and 6 nothing, since theirs is one.
        stem: What is alike of the files of one setting.
        top_k, blocks: The knobs that a name says whole.
        order: What settings are put in order by.
        accuracy_alone, latency_alone: Whether it is of a layout that keeps both apart.
    """

    folder: str
    task: str
    stem: str
    top_k: int
    blocks: int
    order: tuple[float, ...]
    accuracy_alone: bool = False
    latency_alone: bool = False


def joint_name(path: str) -> JointName | None:
    """What a file's name says, if it is one of joint results."""
    place = PurePosixPath(path)
    apart = _B.fullmatch(place.name)
    found = apart or _A.fullmatch(place.name)
    if found is None or any(len(found[part]) > _MOST_DIGITS for part in ("crops", "top_k", "blocks")):
        return None
    numbers = (float(found["crops"]), float(found["top_k"]), float(found["blocks"]))
    rank = found["rank"]
    stem = place.name.removesuffix(".json").removesuffix(f"_rank{rank}" if rank else "")
    tier = 0 if apart else _TIERS.get(found["tier"] or "", 0)
    tokens = re.search(r"_tokens(\d{1,9})", found["more"] or "")
    return JointName(
        folder=str(place.parent),
        task="" if apart else found["task"],
        stem=re.sub(r"^exp[56]_.+?_crops", "crops", stem) if apart else stem,
        top_k=int(found["top_k"]),
        blocks=int(found["blocks"]),
        order=(float(tier), *numbers, float(tokens[1]) if tokens else 0.0),
        accuracy_alone=bool(apart) and found["number"] == "5",
        latency_alone=bool(apart) and found["number"] == "6",
    )
