"""Python's garbage collector, kept out of what is timed."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def tidy() -> None:
    """Collect all there is, while nobody waits: with torch loaded it takes 0.2 s, which the next run then need not."""
    gc.collect()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the collector from walking the loaded modules in the middle of an inference.

    Everything that exists is set aside, so that what a collection still walks is small. Garbage is collected before, or
    it would stay: all of it, unless so little was made since the last time that it is all among the young.
    """
    few_made = gc.get_count()[2] == 0
    gc.collect(1 if few_made else 2)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
