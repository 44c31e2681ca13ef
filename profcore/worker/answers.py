"""What became of a question to a worker's tool: a small file that is replaced as it goes on. Standard library only.

It holds `state` ('queued', 'working', 'done' or 'failed'), `text` (what is being done, or why it failed) and, once
done, `result`.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from profcore.paths import read_regular
from profcore.spec.text import parse_json

if TYPE_CHECKING:
    from pathlib import Path

_STATES = ("queued", "working", "done", "failed")
_LARGEST = 100_000_000


def write_answer(path: Path, state: str, text: str = "", result: dict[str, Any] | None = None) -> None:
    """Put an answer in place of what the file held; a reader sees the old or the new, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.part")
    draft.write_text(json.dumps({"state": state, "text": text, "result": result}), encoding="utf-8")
    draft.replace(path)


def read_answer(path: Path) -> dict[str, Any] | None:
    """What an answer's file holds, or None where there is none."""
    try:
        answer = parse_json(read_regular(path, _LARGEST))
    except (OSError, ValueError):
        return None
    return answer if _is_one(answer) else None


def _is_one(answer: Any) -> bool:
    if not isinstance(answer, dict) or answer.get("state") not in _STATES or not isinstance(answer.get("text"), str):
        return False
    return isinstance(answer.get("result"), dict) if answer["state"] == "done" else True
