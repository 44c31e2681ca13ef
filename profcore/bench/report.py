"""`python -m profcore bench`: what the measuring itself costs, as ratios within one run, and the model's own speed.

Nothing here is asserted: a machine's noise belongs beside the figure, not in a test.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from profcore.bench.dashboard import data_zip, figures, first_sample, page_data, run_list, take_in, watching
from profcore.bench.families import against_bare_generate
from profcore.bench.generate import against_generate
from profcore.bench.model import duty, load_time, memory, overhead, speed
from profcore.bench.names import BENCHMARKS as NAMES
from profcore.bench.pages import first_bar, first_chart, first_page, reruns
from profcore.bench.prefill import experts, preprocessing
from profcore.bench.shards import growing_shards, shared_by_cards
from profcore.bench.suite import suite
from profcore.bench.truth import truth
from profcore.errors import UserError
from profcore.measure.environment import describe
from profcore.spec.runs import Target
from profcore.spec.stages import Clock
from profcore.worker.shelf import ModelShelf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from profcore.bench.base import Figure
    from profcore.spec.records import Environment


_WIDTHS = (17, 13, 12, 9, 28)
"""Letters of the columns before the last: given, since a row is printed before the next one is known."""
_HEADS = ("benchmark", "measured", "must", "aim", "", "how")


def run_benchmarks(target: Target, only: list[str] | None, as_json: bool) -> int:
    """Run benchmarks, and return the exit status: 130 where Ctrl-C ended it early.

    Each figure is printed as it is measured, and at the end the machine they are from; as JSON all of them at the end.

    Raises:
        UserError: One asked for does not exist.
    """
    unknown = sorted(set(only or ()) - BENCHMARKS.keys())
    if unknown:
        raise UserError(f"There is no benchmark {', '.join(unknown)}: choose from {', '.join(BENCHMARKS)}.")
    shelf = ModelShelf()
    figures: list[Figure] = []
    asked = [name for name in BENCHMARKS if only is None or name in only]
    stopped_in = ""
    try:
        for number, name in enumerate(asked, 1):
            stopped_in = name
            _note(f"Measuring {name}, {number} of {len(asked)}: {NAMES[name]} …")
            for figure in _measured(name, target, shelf):
                figures.append(figure)
                if not as_json:
                    print("\n".join([*([row(_HEADS)] if len(figures) == 1 else []), row(_cells(figure))]), flush=True)
        stopped_in = ""
    except KeyboardInterrupt:
        _note(f"Stopped in {stopped_in}: what was measured before it is kept.")
    environment = None
    # A person who has stopped it waits for no model that was not needed so far.
    if not stopped_in or shelf.has_one:
        environment = describe(target, shelf.get(target), shelf.engine(target), Clock.EVENTS)
    if as_json:
        found = environment.to_dict() if environment else None
        print(json.dumps({"environment": found, "figures": [figure.to_dict() for figure in figures]}, indent=2))
    else:
        print("\n".join([*ending(figures), *([_machine(environment)] if environment else [])]), flush=True)
    return 130 if stopped_in else 0


def _measured(name: str, target: Target, shelf: ModelShelf) -> Sequence[Figure]:
    """A benchmark's figures; none where something that it needs is not installed."""
    try:
        return BENCHMARKS[name](target, shelf)
    except ImportError as error:
        _note(f"{name}: not run, {error.name} is not installed here.")
        return []


def _note(text: str) -> None:
    # Beside the figures, which may be read by another program.
    print(text, file=sys.stderr, flush=True)


def _machine(environment: Environment) -> str:
    """What the figures are of."""
    model = f"{environment.model} ({environment.weights} weights, {environment.dtype})"
    engine = f"{environment.engine} engine, experts: {environment.experts}"
    versions = f"torch {environment.torch} · transformers {environment.transformers}"
    return f"{environment.device_name} · {model} · {engine} · {versions}"


def lines(figures: Sequence[Figure]) -> list[str]:
    """Figures as a table with what was asked of each, and what missed it in words at the end."""
    table = [row(_HEADS), *(row(_cells(figure)) for figure in figures)] if figures else []
    return [*table, *ending(figures)]


def row(cells: Sequence[str]) -> str:
    """A line of the table."""
    return "  ".join([*(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=False)), cells[-1]])


def _cells(figure: Figure) -> tuple[str, ...]:
    return (
        figure.benchmark,
        f"{figure.value:.4g} {figure.unit}",
        figure.must.words if figure.must else "—",
        figure.aim.words if figure.aim else "—",
        figure.verdict,
        figure.how,
    )


def ending(figures: Sequence[Figure]) -> list[str]:
    """What missed its must, in a sentence; none where nothing was asked."""
    if not figures:
        return ["None of these is measured of this model on this device."]
    asked = [figure for figure in figures if figure.must]
    missed = [figure.benchmark for figure in figures if figure.missed]
    if not asked:
        return []
    return [f"{len(missed)} of {len(asked)} miss their must: {', '.join(missed)}." if missed else "Every must is met."]


BENCHMARKS: dict[str, Callable[[Target, ModelShelf], list[Figure]]] = {
    "load": load_time,
    "overhead": overhead,
    "truth": truth,
    "generate": against_generate,
    "families": against_bare_generate,
    "duty": duty,
    "speed": speed,
    "preprocessing": preprocessing,
    "experts": experts,
    "suite": suite,
    "memory": memory,
    "first-sample": first_sample,
    "first-page": first_page,
    "rerun": reruns,
    "first-bar": first_bar,
    "first-chart": first_chart,
    "page": page_data,
    "runs": run_list,
    "watch": watching,
    "shards": growing_shards,
    "cards": shared_by_cards,
    "import": take_in,
    "zip": data_zip,
    "figure": figures,
}
