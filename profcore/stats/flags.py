"""Which samples were taken while the card was held back or shared, and what leaving them out would do; pure.

Flags follow from what the card said right after each sample; nothing is stored in its place, and nothing is left out.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from profcore.spec.text import counted
from profcore.spec.throttling import MASK, reason_words
from profcore.stats.summary import METRICS, add_derived, median_interval

FLAGS = {"throttled": "held back", "shared": "beside another process"}
"""What samples are flagged as, by the columns that say so, in words."""


def with_flags(samples: pd.DataFrame) -> pd.DataFrame:
    """The samples with `throttled` and `shared`: False where the card did not say, as on a CPU.

    Args:
        samples: With `throttle_reasons` and `other_processes` where they are known.
    """
    reasons, others = _known(samples, "throttle_reasons"), _known(samples, "other_processes")
    return samples.assign(throttled=(reasons.astype("int64") & MASK) != 0, shared=others > 0)


def flag_sentences(samples: pd.DataFrame) -> list[str]:
    """How many samples are flagged and why, a sentence a flag; none where no sample is.

    Args:
        samples: As `with_flags` gives them.
    """
    throttled, shared = samples[samples["throttled"]], samples[samples["shared"]]
    found = []
    if len(throttled):
        bits = int(np.bitwise_or.reduce(_known(throttled, "throttle_reasons").astype("int64")))
        found.append(
            f"{_of_all(throttled, samples)} taken while the card was held back ({', '.join(reason_words(bits))})."
        )
    if len(shared):
        found.append(f"{_of_all(shared, samples)} taken beside another process on the card.")
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
    flagged = samples["throttled"] | samples["shared"]
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
