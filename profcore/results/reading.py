"""What is said of the time that pictures' files take, which is in no other latency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.spec.text import counted
from profcore.stats import READING
from profcore.stats.digits import written

if TYPE_CHECKING:
    import pandas as pd


def reading_line(samples: pd.DataFrame) -> str:
    """How long a run's pictures took to be read and decoded, in a sentence; empty where no sample says so."""
    if READING not in samples or not (number := int(samples[READING].notna().sum())):
        return ""
    took = f"{written(samples[READING].median())} ms"
    times = f" in the median of {counted(number, 'time')}" if number > 1 else ""
    return f"Reading and decoding the picture's file, which is in none of these, took {took}{times}."
