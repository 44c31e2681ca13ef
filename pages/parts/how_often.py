"""How often each setting is measured: a number of samples, or as many as it takes until its median is precise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from profcore.experiments.motivation import sampled_until
from profcore.spec.text import counted
from profcore.spec.until import USUAL_MOST, USUAL_SECONDS, Until

if TYPE_CHECKING:
    from profcore.spec.runs import Sweep

PRECISIONS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""In per cent of the median."""
MOSTS = (20, 50, 100, 200, 300, 500, 1000, 2000, 5000)
SECONDS = (10, 30, 60, 120, 300, 600, 1800, 3600)


@dataclass(frozen=True)
class HowOften:
    """What was chosen.

    Attributes:
        num_samples: Timed inferences per setting; with `until` the most.
        until: How precise each setting is to be; None for a fixed number.
    """

    num_samples: int
    until: Until | None

    def of(self, sweep: Sweep) -> Sweep:
        """A sweep that is measured as often.

        Raises:
            UserError: Its experiment needs equally many samples of each picture.
        """
        if self.until:
            return sampled_until(sweep, self.until, self.num_samples)
        return replace(sweep, num_samples=self.num_samples)


def choose(label: str, most: int, usual: int, key: str, bound: bool = False) -> HowOften:
    """Draw the choice.

    Args:
        label: What the number of samples is called.
        most: The most that its slider offers.
        usual: What it offers first.
        key: The slider's key; those of the other widgets follow from it.
        bound: Whether the link holds the choice; the keys of the others are then short.
    """
    bind: Any = {"bind": "query-params"} if bound else {}
    prefix = "" if bound else f"{key}-"
    until = st.toggle(
        "As many samples as it takes",
        key=f"{prefix}enough",
        help="Each setting is sampled until the 95 % interval of its median total, corrected for the look after every "
        "sample, is as narrow as you say. A setting that is done drops out of the rounds.",
        **bind,
    )
    if not until:
        return HowOften(st.slider(label, 1, most, usual, key=key, **bind), None)
    precision = st.select_slider(
        "Until the median is known to",
        PRECISIONS,
        1.0,
        key=f"{prefix}precision",
        format_func=lambda share: f"±{share:g} %",
        **bind,
    )
    number = st.select_slider("Samples per setting at most", MOSTS, USUAL_MOST, key=f"{prefix}most", **bind)
    seconds = st.select_slider(
        "Seconds per setting at most",
        SECONDS,
        int(USUAL_SECONDS),
        key=f"{prefix}seconds",
        help="Of its timed inferences. A setting has 6 samples all the same.",
        **bind,
    )
    return HowOften(number, Until(precision / 100, float(seconds)))


def inferences(sweep: Sweep, times: int = 1) -> str:
    """How many inferences a sweep is, in words.

    Args:
        sweep: The sweep.
        times: How many like it are measured.
    """
    text = counted(times * sweep.num_inferences, "inference")
    return f"at most {text}" if sweep.until else text


def each_setting(sweep: Sweep) -> str:
    """How often each setting is measured, in words."""
    if sweep.until is None:
        return f"× {counted(sweep.num_samples, 'sample')}"
    return f"until {sweep.until.words}, × {counted(sweep.num_samples, 'sample')} at most"
