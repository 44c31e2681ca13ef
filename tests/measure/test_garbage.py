"""Garbage is collected before what is timed, and what lives is set aside for as long as that takes."""

import gc
import weakref

import pytest

from profcore.measure import garbage


class Cycle:
    """What no count of references frees."""

    def __init__(self):
        self.itself = self


@pytest.mark.parametrize("made_since", [0, 50_000])
def test_garbage_is_gone_before_what_is_timed_however_much_was_made_since_the_last_time(made_since):
    old = Cycle()
    garbage.tidy()
    left = [weakref.ref(old)] if made_since else []
    # Lists of lists, since the collector walks nothing else.
    kept = [[[]] for _ in range(made_since)]
    del old
    left.append(weakref.ref(Cycle()))
    with garbage.quiet():
        assert [each() for each in left] == [None] * len(left)
        assert gc.get_freeze_count() > len(kept)
    assert gc.get_freeze_count() == 0
