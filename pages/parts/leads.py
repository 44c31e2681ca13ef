"""Where a run is shown: the page of its experiment, and what its address holds then."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pandas as pd

from profcore.experiments.motivation import MOTIVATION

if TYPE_CHECKING:
    from collections.abc import Sequence

_PAGES = {
    "context_scaling": "vision_tokens",
    "moe_topk": "moe_topk",
    "transformer_blocks_mask": "active_blocks",
    "output_tokens": "output_tokens",
    "joint": "joint",
}
_PICTURES = "motivation"
_FIRST = next(iter(MOTIVATION))


def page_of(experiment: str) -> str:
    """The file of the page that shows an experiment's runs."""
    return f"pages/{_page(experiment)}.py"


def lead(experiment: str, run_id: str, from_anywhere: bool = False) -> tuple[str, dict[str, str]]:
    """The file of the page that shows a run, and its query.

    Args:
        experiment: The run's.
        run_id: The run's.
        from_anywhere: Whether it may be followed on that page too, which may show another view. Then the view is said
            even where the page begins with it, which the page takes out of its address again: one more for Back.
    """
    view = _view(experiment)
    said = view if from_anywhere or experiment != _FIRST else {}
    return page_of(experiment), {**said, "run": run_id}


def relative_links(experiments: Sequence[str], run_ids: Sequence[str]) -> pd.Series:
    """The addresses of runs, each relative to a page of the dashboard."""
    begins = {name: f"{_page(name)}?{urlencode({**_view(name), 'run': ''})}" for name in set(experiments)}
    return pd.Series([begins[name] + run_id for name, run_id in zip(experiments, run_ids, strict=True)], dtype=str)


def view_of(experiment: str) -> str | None:
    """What the page of real pictures calls the view of an experiment; None where it has none."""
    found = MOTIVATION.get(experiment)
    return f"{found.number} {found.title}" if found else None


def _page(experiment: str) -> str:
    return _PAGES.get(experiment, _PICTURES)


def _view(experiment: str) -> dict[str, str]:
    view = view_of(experiment)
    return {"motivation": view} if view else {}
