"""Which samples were taken while card or host was held back or shared, and what leaving them out would do; pure.

Flags follow from what was known of both right after each sample; nothing is stored in its place, nothing is left out.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from profcore.spec.text import counted
from profcore.spec.throttling import MASK, reason_words
from profcore.stats.summary import METRICS, add_derived, median_interval

FLAGS = {"throttled": "held back", "shared": "beside another process", "slowed": "on a slowed host"}
"""What samples are flagged as, by the columns that say so, in words."""

SLOWED = 1.3
"""How many times as long as at its best a host takes for the same work, where it counts as slowed.

What a processor's clock does by itself as it warms up stays below.
"""
_BEST = 0.1


def with_flags(samples: pd.DataFrame) -> pd.DataFrame:
    """The samples with `throttled`, `shared` and `slowed`: False where nothing was known, as of a CPU's clocks.

    Args:
        samples: With `throttle_reasons`, `other_processes` and `host_probe_us` where they are known.
    """
    reasons, others = _known(samples, "throttle_reasons"), _known(samples, "other_processes")
    return samples.assign(
        throttled=(reasons.astype("int64") & MASK) != 0, shared=others > 0, slowed=_times_best(samples) > SLOWED
    )


def any_flag(samples: pd.DataFrame) -> pd.Series:
    """Which samples have a flag.

    Args:
        samples: As `with_flags` gives them.
    """
    return samples[list(FLAGS)].any(axis=1)


def _times_best(samples: pd.DataFrame) -> pd.Series:
    """How many times as long as at its best the host took for its probe; each host of a run has a best of its own."""
    taken = _known(samples, "host_probe_us")
    hosts = samples["environment_number"].fillna(0) if "environment_number" in samples else pd.Series(0, samples.index)
    best = taken.where(taken > 0).groupby(hosts).transform(lambda each: each.quantile(_BEST))
    return (taken / best).fillna(0)


def flag_sentences(samples: pd.DataFrame) -> list[str]:
    """How many samples are flagged and why, a sentence a flag; none where no sample is.

    Args:
        samples: As `with_flags` gives them.
    """
    throttled, shared, slowed = (samples[samples[flag]] for flag in FLAGS)
    found = []
    if len(throttled):
        bits = int(np.bitwise_or.reduce(_known(throttled, "throttle_reasons").astype("int64")))
        found.append(
            f"{_of_all(throttled, samples)} taken while the card was held back ({', '.join(reason_words(bits))})."
        )
    if len(shared):
        found.append(f"{_of_all(shared, samples)} taken beside another process on the card.")
    if len(slowed):
        times = float(_times_best(samples)[slowed.index].median())
        found.append(
            f"{_of_all(slowed, samples)} taken while the host was slowed (the same work took {times:.1f} times as long "
            "as at its best): what waits for the host is longer in these."
        )
    return found


def without_flagged(samples: pd.DataFrame) -> pd.DataFrame:
    """What leaving flagged samples out would do to each median.

    Args:
        samples: As `with_flags` gives them, with what `stats.summarise` takes.

    Returns:
        A row for each setting and latency that has flagged samples: `setting`, `metric`, `n`, `flagged` (how many of
        these), `median`, `median_without` and `change` (the share by which it would move; NaN where none is left).
    """
    samples = add_derived(samples)
    flagged = any_flag(samples)
    rows = []
    for setting, group in samples[samples["setting"].isin(samples.loc[flagged, "setting"])].groupby("setting"):
        left = group[~flagged[group.index]]
        for metric in METRICS:
            if metric not in group or group[metric].isna().all():
                continue
            whole, rest = (median_interval(each[metric].to_numpy(dtype=float)) for each in (group, left))
            change = rest.value / whole.value - 1 if whole.value else np.nan
            rows.append([setting, metric, whole.n, whole.n - rest.n, whole.value, rest.value, change])
    return pd.DataFrame(rows, columns=["setting", "metric", "n", "flagged", "median", "median_without", "change"])


def _known(samples: pd.DataFrame, column: str) -> pd.Series:
    """A column of what the card said, 0 where it did not."""
    if column not in samples:
        return pd.Series(0, index=samples.index)
    return pd.to_numeric(samples[column]).fillna(0)


def _of_all(flagged: pd.DataFrame, samples: pd.DataFrame) -> str:
    return f"{len(flagged):,} of {counted(len(samples), 'sample')} {'was' if len(flagged) == 1 else 'were'}"
