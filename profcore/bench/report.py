"""`python -m profcore bench`: what the measuring itself costs, as ratios within one run, and the model's own speed.

Nothing here is asserted: a machine's noise belongs beside the figure, not in a test.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from profcore.bench.dashboard import data_zip, figures, first_sample, page_data, run_list, take_in, watching
from profcore.bench.families import against_bare_generate
from profcore.bench.generate import against_generate
from profcore.bench.model import duty, load_time, memory, overhead, speed, suite
from profcore.bench.pages import first_bar, first_chart, first_page, reruns
from profcore.bench.prefill import experts, preprocessing
from profcore.bench.shards import growing_shards, shared_by_cards
from profcore.bench.truth import truth
from profcore.errors import UserError
from profcore.measure.environment import describe
from profcore.spec.runs import Target
from profcore.spec.stages import Clock
from profcore.worker.shelf import ModelShelf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from profcore.bench.base import Figure


def run_benchmarks(target: Target, only: list[str] | None, as_json: bool) -> int:
    """Run benchmarks, print their figures with the machine they are from, and return the exit status.

    Raises:
        UserError: One asked for does not exist.
    """
    unknown = sorted(set(only or ()) - BENCHMARKS.keys())
    if unknown:
        raise UserError(f"There is no benchmark {', '.join(unknown)}: choose from {', '.join(BENCHMARKS)}.")
    shelf = ModelShelf()
    figures = []
    for name, benchmark in BENCHMARKS.items():
        if only is None or name in only:
            try:
                figures += benchmark(target, shelf)
            except ImportError as error:
                print(f"{name}: not run, {error.name} is not installed here.")
    loaded = shelf.get(target)
    environment = describe(target, loaded, shelf.engine(target), Clock.EVENTS)
    if as_json:
        rows = [figure.to_dict() for figure in figures]
        print(json.dumps({"environment": environment.to_dict(), "figures": rows}, indent=2))
        return 0
    model = f"{environment.model} ({environment.weights} weights, {environment.dtype})"
    engine = f"{environment.engine} engine, experts: {environment.experts}"
    versions = f"torch {environment.torch} · transformers {environment.transformers}"
    print(f"{environment.device_name} · {model} · {engine} · {versions}")
    print("\n".join(lines(figures)))
    return 0


def lines(figures: Sequence[Figure]) -> list[str]:
    """Figures as a table with what was asked of each, and what missed it in words at the end."""
    if not figures:
        return ["None of these is measured of this model on this device."]
    rows = [
        (
            figure.benchmark,
            f"{figure.value:.4g} {figure.unit}",
            figure.must.words if figure.must else "—",
            figure.aim.words if figure.aim else "—",
            figure.verdict,
            figure.how,
        )
        for figure in figures
    ]
    heads = ("benchmark", "measured", "must", "aim", "", "how")
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads) - 1)]
    table = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in (heads, *rows)
    ]
    asked = [figure for figure in figures if figure.must]
    missed = [figure.benchmark for figure in figures if figure.missed]
    if not asked:
        return table
    said = f"{len(missed)} of {len(asked)} miss their must: {', '.join(missed)}." if missed else "Every must is met."
    return [*table, said]


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
