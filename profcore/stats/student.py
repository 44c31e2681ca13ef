"""Student's t distribution, from scipy.

It is imported when it is asked for: the process that measures loads this room as well, and needs no scipy.
"""

from __future__ import annotations

CONFIDENCE = 0.95
"""What every interval of this room is called."""


_CAUTIOUS = 0.975


def critical(freedom: float) -> float:
    """How many standard errors a 95 % interval reaches to either side; degrees of freedom need not be whole."""
    return _critical(freedom, CONFIDENCE)


def cautious_critical(freedom: float) -> float:
    """As `critical`, for figures that are normal only about: skewed samples use up what 97.5 % leave to spare.

    At 95 % by name, means and slopes of skewed latencies hold the truth in 90 % to 95 % (by simulation).
    """
    return _critical(freedom, _CAUTIOUS)


def critical_of(freedom: float, confidence: float) -> float:
    """As `critical`, of another confidence."""
    return _critical(freedom, confidence)


def _critical(freedom: float, confidence: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))


def p_value(t: float, freedom: float) -> float:
    """How often |t| is at least this large by chance."""
    from scipy.special import stdtr

    return float(2 * stdtr(freedom, -abs(t)))
