"""What stands under a saved figure, and the caption beside it: where its figures come from and what its marks are."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from profcore.charts import views
from profcore.export.run_figures import ENERGY, HEAT_MAP, ORDER, ROOFLINE, SCALING_ANALYSIS
from profcore.models.recorded import is_small_trained
from profcore.results.pictures import PictureResult
from profcore.results.sweep import Result
from profcore.spec.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from profcore.results.joint import JointResult

_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "×": r"$\times$"}
_LATEX |= {sign: f"\\{sign}" for sign in "&%$#_{}"}
_SPECIAL = re.compile("|".join(map(re.escape, _LATEX)))

_MARKS = "Bars: medians; whiskers: their 95 % intervals."
_PICTURE = "Points: medians of a picture's samples."
_TOKENS = f"{_PICTURE} Lines: medians of pictures with equal tokens; whiskers: their 95 % intervals."
_PICTURE_MARKS = {
    "latency_distribution": "Bars: how many samples took so long. Curve: the share of samples that took at most so "
    "long. Dashed: percentiles, as far as the samples support them.",
    "component_profiling": "Bars: parameters, and medians of latency over pictures; whiskers: their 95 % intervals.",
    "vision_tokens_vs_latency": _TOKENS,
    "language_tokens_vs_latency": _TOKENS,
    "flops_vs_latency": f"{_PICTURE} FLOPs by formula.",
}
"""What the marks are in the figures of each experiment with pictures."""

_SCALING = (
    "growth of latency and of arithmetic",
    "Lines: medians of latency, FLOPs and bytes by formula, and the published shortcut, each divided by its own value "
    "at the first setting; whiskers: 95 % intervals of the ratio of medians.",
)
_ROOFLINE = (
    "stages under the roofline of their card",
    "Points: FLOPs and bytes by formula over the median of each stage. Line: the card's measured bandwidth and matrix "
    "throughput.",
)
_FIGURES = {
    SCALING_ANALYSIS: _SCALING,
    views.SCALING: _SCALING,
    ROOFLINE: _ROOFLINE,
    views.ROOFLINE: _ROOFLINE,
    "Decode step by position": (
        "each step of the decode",
        "Lines: medians of a step over samples; bands: their quartiles.",
    ),
    "Which blocks": ("which blocks run", "Cells: a block under a mask, filled where it runs."),
    views.QUALITY: (
        "latency against quality",
        "Points: the median of a setting's latency over its quality; lines join them.",
    ),
    ENERGY: (
        "joules by stage",
        "Bars: each stage repeated by itself. Point: a whole inference; its whiskers are what the meter's step leaves "
        "open.",
    ),
    ORDER: (
        "samples in the order taken",
        "Points: samples. Lines below: what the card said right after each.",
    ),
}
_FIGURES |= {views.ENERGY: _FIGURES[ENERGY], views.ORDER: _FIGURES[ORDER]}
"""What is drawn in figures that are no bars of medians, and what their marks are, by names of files and of views."""


@dataclass(frozen=True)
class Provenance:
    """Where the figures of a chart come from.

    Attributes:
        what: What is drawn, a sentence.
        conditions: Card, model, weights, engine, dtype and number of samples, in a line.
        marks: What the bars and whiskers are, a sentence or two.
        run: The run's id.
    """

    what: str
    conditions: str
    marks: str
    run: str

    @property
    def footer(self) -> list[str]:
        """Two lines under a figure."""
        return [self.conditions, f"{self.marks} Run {self.run}."]

    @property
    def plain(self) -> str:
        """A caption in plain text."""
        return f"{self.what} Measured on {self.conditions}. {self.marks} Run {self.run}.\n"

    @property
    def latex(self) -> str:
        """The same as a LaTeX caption."""
        return f"\\caption{{{latex_escaped(self.plain.strip())}}}\n"


@dataclass(frozen=True)
class SeveralSources:
    """Where the figures of a chart come from that sets runs beside each other.

    Attributes:
        what: What is drawn, a sentence.
        marks: What its marks are, a sentence or two.
        runs: Of each run what the chart calls it, its conditions and its id, in a line.
    """

    what: str
    marks: str
    runs: tuple[str, ...]

    @property
    def footer(self) -> list[str]:
        """A line for each run under a figure, and one of its marks."""
        return [*self.runs, self.marks]

    @property
    def plain(self) -> str:
        """A caption in plain text."""
        return f"{self.what} Measured: {'; '.join(self.runs)}. {self.marks}\n"

    @property
    def latex(self) -> str:
        """The same as a LaTeX caption."""
        return f"\\caption{{{latex_escaped(self.plain.strip())}}}\n"


Source = Provenance | SeveralSources


def several_sources(
    results: Sequence[Result | JointResult | PictureResult],
    what: str,
    marks: str,
    names: Mapping[str, str] | None = None,
) -> SeveralSources:
    """Where the figures of a chart of several runs come from.

    Args:
        results: The runs that it draws.
        what: What it draws, a sentence.
        marks: What its marks are, a sentence or two.
        names: What it calls each run, by its id.
    """
    said = [(names or {}).get(each.run["id"], "") for each in results]
    lines = [
        f"{called}{': ' if called else ''}{of.conditions}, run {of.run}"
        for called, of in zip(said, map(provenance, results), strict=True)
    ]
    return SeveralSources(what, marks, tuple(lines))


def run_provenance(run: Mapping[str, Any], what: str, marks: str) -> Provenance:
    """Where the figures of a chart come from that is worked out from a run's samples.

    Args:
        run: As `Reader.run`.
        what: What is drawn, a sentence.
        marks: What its marks are, a sentence or two.
    """
    return Provenance(
        what, ", ".join([*_conditions(run), counted(int(run["num_samples"]), "sample")]), marks, run["id"]
    )


def provenance(result: Result | JointResult | PictureResult) -> Provenance:
    """Where a run's figures come from."""
    known = _conditions(result.run)
    swept = not isinstance(result, PictureResult)
    marks = _MARKS if swept else _PICTURE_MARKS[result.experiment.name]
    if isinstance(result, Result) and result.summary["floor_ms"].notna().any():
        marks += " Floor: the least that FLOPs and bytes allow at the card's measured ceilings."
    return Provenance(
        what=f"{result.experiment.title}: medians of latency by stage." if swept else f"{result.experiment.title}.",
        conditions=", ".join([*known, _counted(result)]),
        marks=marks,
        run=result.run["id"],
    )


def _conditions(run: Mapping[str, Any]) -> list[str]:
    """What a run was measured on, part by part."""
    environment = run["environment"]
    weights = f"{environment['weights']} weights" if environment.get("weights") else None
    if is_small_trained(environment):
        weights = "small and trained on drawn pictures"
    engine = f"{environment['engine']} engine" if environment.get("engine") else None
    parts = [environment.get("device_name"), environment.get("model"), weights, engine, environment.get("dtype")]
    return [str(part) for part in parts if part] or ["a machine that the file does not name"]


def of_figure(said: Provenance, name: str) -> Provenance:
    """What is said of one figure of a run, by its name or its view's: a roofline has other marks than latencies."""
    title = said.what.partition(":")[0].removesuffix(".")
    if name in _FIGURES:
        what, marks = _FIGURES[name]
        return replace(said, what=f"{title}: {what}.", marks=marks)
    if name.startswith(HEAT_MAP):
        return replace(said, what=f"{title}: two knobs against each other.", marks=_CELLS)
    if name == _LOG:
        return replace(said, marks=said.marks.replace("Bars: medians;", "Points: medians, joined by lines;"))
    return said


_LOG = "Log scale"
_CELLS = "Cells: the median of each setting; a dashed one has no sample, or was not among the settings."


def _counted(result: Result | JointResult | PictureResult) -> str:
    """How many samples there are of each setting."""
    if result.samples.empty:
        return "n not given"
    counts = result.samples.groupby("setting").size()
    least, most = int(counts.min()), int(counts.max())
    each = f"n = {least:,}" if least == most else f"n = {least:,} to {most:,}"
    return (
        f"{each} per setting"
        if not isinstance(result, PictureResult)
        else f"{counted(len(counts), 'picture')}, {each} each"
    )


def latex_escaped(text: str) -> str:
    """Text as LaTeX writes it, on one line: an empty one would end a caption."""
    return _SPECIAL.sub(lambda found: _LATEX[found.group()], " ".join(text.split()))
