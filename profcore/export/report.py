"""A report of runs to hand over: one HTML file with figures, tables, conditions, cautions and method; or its tables."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jinja2
import pandas as pd

from profcore import __version__
from profcore.comparisons.runs import MARGIN, compare_all, display_comparison
from profcore.errors import UserError
from profcore.export.captions import latex_escaped, of_figure, provenance
from profcore.export.figure_files import figure
from profcore.export.run_figures import run_figures
from profcore.results.command import repeat_command
from profcore.results.energy import display_energy, has_energy
from profcore.results.joint import JointResult
from profcore.results.joint_tables import display_joint
from profcore.results.pictures import PictureResult
from profcore.results.sweep import Result
from profcore.results.tables import display_points, display_summary
from profcore.spec.stages import Clock
from profcore.spec.until import FEWEST, Until
from profcore.stats.digits import MISSING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.comparisons.between import Spreads

    AnyResult = Result | JointResult | PictureResult

_MOST_POINTS = 200
_MARKDOWN = re.compile(r"[\\`*_\[\]<>|~$&!]")
_SHOWN = ("Median", "95 % interval", "× floor")
_CONDITIONS = (
    ("Card", "device_name"),
    ("Driver", "driver"),
    ("Model", "model"),
    ("Weights", "weights"),
    ("Type", "dtype"),
    ("Engine", "engine"),
    ("Experts", "experts"),
    ("torch", "torch"),
    ("transformers", "transformers"),
    ("Host", "host"),
    ("Processor", "cpu"),
    ("Cores", "cores"),
)


@dataclass(frozen=True)
class _Run:
    """What a report says of one run."""

    title: str
    conditions: list[tuple[str, str]]
    cautions: list[str]
    figures: list[dict[str, str]]
    caption: str
    tables: list[tuple[str, pd.DataFrame]]
    method: str
    command: str | None


def report_html(results: Sequence[AnyResult], spreads: Spreads | None = None) -> str:
    """One self-contained file: it asks nobody for anything, and prints as pages of A4.

    Args:
        results: The runs; several of one kind are compared with the first of them.
        spreads: How far processes differ, which intervals of a comparison hold (see `compare_all`).

    Raises:
        UserError: There is none, or one has no samples.
    """
    _check(results)
    runs = [_described(result) for result in results]
    comparison = _comparison(results, spreads)
    title = runs[0].title if len(runs) == 1 else f"{len(runs)} runs compared" if comparison else f"{len(runs)} runs"
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return _template().render(
        title=title, made=made, version=__version__, runs=runs, comparison=comparison, cells=_cells
    )


def report_markdown(results: Sequence[AnyResult], spreads: Spreads | None = None) -> str:
    """The tables of runs as Markdown, each under its run's conditions; before them how they compare, where they do.

    Raises:
        UserError: As `report_html`.
    """
    _check(results)
    parts = []
    if found := _comparison(results, spreads):
        parts.append(f"## Comparison\n\n{markdown_escaped(found['headline'])}\n\n{table_markdown(found['stages'])}")
        parts += [f"- {markdown_escaped(sentence)}\n" for sentence in (*found["differences"], *found["processes"])]
    for run in (_described(result, drawn=False) for result in results):
        parts.append(f"## {markdown_escaped(run.title)}\n\n{markdown_escaped(run.caption)}\n")
        parts += [f"### {name}\n\n{table_markdown(frame)}" for name, frame in run.tables]
        parts += [f"- {markdown_escaped(caution)}\n" for caution in run.cautions]
    return "\n".join(parts)


def report_latex(results: Sequence[AnyResult], spreads: Spreads | None = None) -> str:
    """The tables of runs as LaTeX (booktabs), each with a caption that says where its figures come from.

    A comparison comes first, where they can be compared.

    Raises:
        UserError: As `report_html`.
    """
    _check(results)
    found = _comparison(results, spreads)
    first = (
        [table_latex(found["stages"], " ".join(["Ratios of medians.", found["headline"], *found["processes"]]))]
        if found
        else []
    )
    runs = [_described(result, drawn=False) for result in results]
    return "\n".join(
        first + [table_latex(frame, f"{name}. {run.caption}") for run in runs for name, frame in run.tables]
    )


def table_markdown(frame: pd.DataFrame) -> str:
    """A table as Markdown."""
    rows = [[markdown_escaped(text) for text in row] for row in _cells(frame)]
    head, *body = rows
    sides = ["---", *["---:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, sides, *body])


def markdown_escaped(text: str) -> str:
    """Text on one line that Markdown shows as it is: a name that holds a picture is to fetch none."""
    return _MARKDOWN.sub(lambda found: f"\\{found[0]}", " ".join(text.split()))


def table_latex(frame: pd.DataFrame, caption: str = "") -> str:
    """A table as LaTeX, with the rules of booktabs."""
    head, *body = [[latex_escaped(text).replace(MISSING, "---") for text in row] for row in _cells(frame)]
    lines = [
        "\\begin{table}",
        f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        "\\toprule",
        " & ".join(head) + r" \\",
    ]
    lines += ["\\midrule", *(" & ".join(row) + r" \\" for row in body), "\\bottomrule", "\\end{tabular}"]
    lines += [f"\\caption{{{latex_escaped(caption)}}}"] if caption else []
    return "\n".join([*lines, "\\end{table}", ""])


def _check(results: Sequence[AnyResult]) -> None:
    if not results:
        raise UserError("A report needs a run: name one or more.")
    for result in results:
        if (isinstance(result, Result) and result.summary.empty) or (
            not isinstance(result, Result) and result.samples.empty
        ):
            raise UserError(f"Run {result.run['id']} has no samples to report.")


def _described(result: AnyResult, drawn: bool = True) -> _Run:
    """What is said of a run; figures, which take a moment each, only where they are wanted."""
    said = provenance(result)
    figures = run_figures(result) if drawn else {}
    return _Run(
        title=f"{result.experiment.title}: {result.run['name'] or result.run['id']}",
        conditions=_conditions(result),
        cautions=[caution.text for caution in result.cautions],
        figures=[
            {"words": name.replace("_", " "), "svg": _encoded(charts), "caption": of_figure(said, name).plain.strip()}
            for name, charts in figures.items()
        ],
        caption=said.plain.strip(),
        tables=_tables(result),
        method=_method(result),
        command=repeat_command(result.run["spec"]),
    )


def _encoded(charts: Any) -> str:
    return base64.b64encode(figure(charts, "svg")).decode()


def _conditions(result: AnyResult) -> list[tuple[str, str]]:
    run, environment = result.run, result.run["environment"]
    asked = f"{run['created_at']:%Y-%m-%d %H:%M:%S} UTC"
    rows = [("Run", run["id"]), ("Asked for", asked), ("State", run["state"]), ("From", run["source"])]
    rows += [(name, str(environment[key])) for name, key in _CONDITIONS if environment.get(key)]
    sweep = run["spec"].get("sweep", {})
    if sweep and not sweep.get("queries"):
        rows += [("Picture", sweep["picture"]["value"]), ("Prompt", sweep["prompt"])]
    return rows


def _tables(result: AnyResult) -> list[tuple[str, pd.DataFrame]]:
    if isinstance(result, Result):
        shown = _SHOWN if result.summary["floor_ms"].notna().any() else _SHOWN[:-1]
        named = {"Median": "Medians (ms)", "95 % interval": "95 % intervals of the medians (ms)", "× floor": "× floor"}
        found = [(named[statistic], display_summary(result, statistic)) for statistic in shown]
        return [*found, ("Energy", display_energy(result))] if has_energy(result) else found
    points = display_joint(result) if isinstance(result, JointResult) else display_points(result)
    cut = f", the first {_MOST_POINTS} of {len(points):,}" if len(points) > _MOST_POINTS else ""
    return [
        (
            f"{'Settings' if isinstance(result, JointResult) else 'Medians by picture (ms)'}{cut}",
            points.head(_MOST_POINTS),
        )
    ]


_CLOCKS = {
    Clock.EVENTS: "by events of the card at each stage's boundary (on a CPU by the host's clock at the same places), "
    "read after one synchronisation at the end",
    Clock.PUBLISHED: "by the host's clock with a synchronisation around every component, as the published scripts do",
}


def _method(result: AnyResult) -> str:
    sweep = result.run["spec"].get("sweep")
    if not sweep:
        return "The figures come from a file that does not say how they were taken."
    return (
        f"Each setting was warmed {sweep['warmup']} times at its own shape; then all were visited in an order drawn "
        f"anew each round (seed {sweep['seed']}), {_times(sweep)}. Latencies were taken "
        f"{_CLOCKS[Clock(sweep['clock'])]}. Nothing was dropped; outliers are labelled. Intervals are "
        "distribution-free and hold the median at 95 % confidence where the samples give one."
    )


def _times(sweep: dict[str, Any]) -> str:
    """How often each setting was measured."""
    if not sweep.get("until"):
        return f"{sweep['num_samples']} times each"
    until = Until.from_dict(sweep["until"])
    return (
        f"each until the interval of its median total lay within {until.words} of it, corrected for the look after "
        f"every sample ({FEWEST} to {sweep['num_samples']} samples, {until.max_seconds:g} s at most)"
    )


def _comparison(results: Sequence[AnyResult], spreads: Spreads | None) -> dict[str, Any] | None:
    """Runs against the first of them, where they can be compared."""
    if len(results) < 2 or len({type(result) for result in results}) > 1:
        return None
    found = compare_all(results, spreads=spreads)
    table = display_comparison(found.table(), ["run"])
    table["run"] = [found.names.get(run_id, run_id) for run_id in table["run"]]
    return {
        "headline": f"Reference: {found.names[found.reference]}.",
        "differences": found.differences,
        "processes": found.processes,
        "stages": table,
        "margin": f"{MARGIN:.0%}",
    }


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return MISSING
    return f"{value:,.5g}" if isinstance(value, float) else str(value)


def _cells(frame: pd.DataFrame) -> list[list[str]]:
    """A table's cells as text, the names of its columns first."""
    rows = [list(frame.columns), *frame.astype(object).to_numpy().tolist()]
    return [[_cell(value) for value in row] for row in rows]


@cache
def _template() -> jinja2.Template:
    text = files("profcore.export").joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(text)
