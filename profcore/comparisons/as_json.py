"""Tables of a comparison as plain JSON values; pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows as objects; what is not known is null."""
    return json.loads(rows.to_json(orient="records", double_precision=15))
