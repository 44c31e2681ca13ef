"""Tables of figures that are text, each with the digits that it deserves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

if TYPE_CHECKING:
    import pyarrow as pa


def figures(table: pd.DataFrame | pa.Table, *words: str) -> None:
    """Draw a table whose columns line up at the right, but for those that hold words."""
    names = list(table.columns) if isinstance(table, pd.DataFrame) else table.column_names
    right = {name: st.column_config.Column(alignment="right") for name in names if name not in words}
    st.dataframe(table, hide_index=True, column_config=right)
