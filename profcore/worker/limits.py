"""How long a worker may give no sign of life before that is said, and before it is ended; standard library only."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from profcore.errors import UserError

if TYPE_CHECKING:
    from profcore.worker.beat import Beat

LIMIT_VARIABLE = "PROFCORE_NO_SIGN_LIMIT"
"""Seconds after which a worker without a sign is ended."""

STOP_S = 10.0
"""How long a worker may take to stop before it is ended."""

START_S = 120.0
"""How long a worker may take to start, in which it gives no sign."""

_DEFAULT_S = 600.0
_LEAST_S = 10.0
_PREPARING_S = 60.0
_TIMES_LONGEST = 5


def no_sign_limit() -> float:
    """Seconds without a sign after which a worker is ended, as `$PROFCORE_NO_SIGN_LIMIT` says.

    Raises:
        UserError: It says no number above 0.
    """
    given = os.environ.get(LIMIT_VARIABLE, "")
    try:
        limit = float(given) if given else _DEFAULT_S
    except ValueError:
        limit = math.nan
    if not limit > 0:
        raise UserError(f"{LIMIT_VARIABLE} is {given[:40]!r}: give a number of seconds above 0.")
    return limit


def say_after(beat: Beat, limit_s: float) -> float:
    """Seconds without a sign after which that is said: some of the longest inferences so far."""
    usual = _PREPARING_S if beat.preparing else max(_LEAST_S, _TIMES_LONGEST * beat.longest_s)
    return min(usual, limit_s)


def end_after(beat: Beat, limit_s: float) -> float:
    """Seconds without a sign after which a worker is ended; what merely takes long, and was seen to, is not."""
    return max(limit_s, _TIMES_LONGEST * beat.longest_s)
