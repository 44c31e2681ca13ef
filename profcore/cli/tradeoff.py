"""`frontier`, `budget` and `latency-model`: joint settings weighed against each other."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.options import add_database, add_json, add_run
from profcore.cli.reading import reading
from profcore.cli.tables import print_table
from profcore.cli.values import check_output_file, milliseconds, percentile, shortened, whole_number
from profcore.errors import UserError
from profcore.formats.text_files import json_text

if TYPE_CHECKING:
    from profcore.storage.store import Store
    from profcore.tradeoff.points import JointPoints

_METRICS = {
    "prefill": "llm_prefill_ms",
    "decode": "llm_decode_ms",
    "tpot": "tpot_ms",
    "vision": "vision_ms",
    "ttft": "ttft_ms",
    "total": "total_ms",
    "energy": "total_j",
}
_KNOBS = {
    "tier": "tier",
    "crops": "num_crops",
    "top-k": "top_k",
    "blocks": "active_blocks",
    "output-tokens": "output_tokens",
}
_QUALITIES = {"accuracy": "accuracy", "kl": "kl", "work-kept": "work_kept"}


def register(commands: Commands) -> None:
    """Add `frontier`, `budget` and `latency-model`."""
    weighing = add_command(
        commands,
        "frontier",
        "the settings of a joint run that no other is both faster and better than, and how sure that is",
        "RUN --latency ttft --percentile 95",
        "RUN --hold output-tokens=10",
        "RUN --with OTHER",
    )
    add_run(weighing)
    weighing.add_argument("--latency", choices=list(_METRICS), default="total", help="what quality costs (total)")
    weighing.add_argument("--hold", metavar="KNOB=VALUE", help=f"one knob at a value: {', '.join(_KNOBS)}")
    weighing.add_argument("--with", dest="other", metavar="RUN", help="another run: how far both frontiers overlap")
    _add_weighing(weighing)
    weighing.set_defaults(command=frontier)
    choosing = add_command(
        commands,
        "budget",
        "the best setting of a joint run within a budget of milliseconds",
        "RUN --ttft-ms 40 --percentile 95",
        "RUN --total-ms 200 --output-tokens 20 --json",
    )
    add_run(choosing)
    for option, text in (("--ttft-ms", "to the first token"), ("--total-ms", "in all"), ("--tpot-ms", "a decode step")):
        choosing.add_argument(option, type=milliseconds, metavar="MS", help=f"at most so long {text}")
    choosing.add_argument(
        "--output-tokens", type=whole_number, metavar="N", help="with --total-ms: of answers so long (the longest)"
    )
    choosing.add_argument("--measured", action="store_true", help="leave out settings that are only predicted")
    choosing.add_argument("--lookup", action="store_true", help="the best setting for each of eight budgets, as JSON")
    _add_weighing(choosing)
    choosing.set_defaults(command=budget)
    modelling = add_command(
        commands,
        "latency-model",
        "what each stage takes as a formula, fitted to joint runs, and how far it is off on settings left out",
        "RUN",
        "RUN --python model.py",
        "RUN --recalibrate OTHER",
    )
    add_run(modelling, "runs", "RUN", nargs="+")
    modelling.add_argument(
        "--recalibrate", metavar="RUN", help="for the card or engine of another run, of few settings"
    )
    modelling.add_argument("--python", type=Path, metavar="FILE", help="write it as a Python function")
    add_json(modelling)
    add_database(modelling)
    modelling.set_defaults(command=latency_model)


def _add_weighing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--percentile", type=percentile, default=50.0, help="of the latency (50)")
    text = "what counts as better (accuracy where it was recorded, else KL divergence, else work kept)"
    parser.add_argument("--quality", choices=list(_QUALITIES), help=text)
    add_json(parser)
    add_database(parser)


def frontier(options: argparse.Namespace) -> int:
    """Print a frontier, or how far those of two runs overlap."""
    from profcore.tradeoff.frontier import find_frontier, frontier_sentences
    from profcore.tradeoff.overlap import frontier_overlap, overlap_sentences
    from profcore.tradeoff.points import flag_notes
    from profcore.tradeoff.tables import display_frontier

    metric, quality = _METRICS[options.latency], _QUALITIES.get(options.quality)
    with reading(options) as store:
        points = _held(_load(store, options.run), options.hold)
        other = _held(_load(store, options.other), options.hold) if options.other else None
        flags = flag_notes(store, points.run_id)
    if other is not None:
        overlap = frontier_overlap(points, other, metric, options.percentile, quality)
        if options.json:
            print(json_text(vars(overlap), indent=2))
        else:
            print("\n".join(overlap_sentences(overlap)))
        return 0
    found = find_frontier(points, metric, options.percentile, quality)
    notes = _notes(points, found.quality, flags)
    if options.json:
        print(json_text(_plain(found.table.drop(columns=["scores", "prefill_experts"])), indent=2))
        _print_beside(notes)
        return 0
    print_table(display_frontier(found))
    print("\n".join([*frontier_sentences(found), *notes]))
    return 0


def budget(options: argparse.Namespace) -> int:
    """Print the best setting within a budget."""
    from profcore.tradeoff.budget import at_length, choice_dict, choice_sentences, choose_setting
    from profcore.tradeoff.latency_model import fit_latency_model
    from profcore.tradeoff.lookup import budgets_over, lookup_json, lookup_table
    from profcore.tradeoff.points import flag_notes

    given = {"ttft_ms": options.ttft_ms, "total_ms": options.total_ms, "tpot_ms": options.tpot_ms}
    limits = {metric: value for metric, value in given.items() if value is not None}
    quality = _QUALITIES.get(options.quality)
    with reading(options) as store:
        points = _load(store, options.run)
        flags = flag_notes(store, points.run_id)
    if options.lookup:
        metric = next(iter(limits), "total_ms")
        points = at_length(points, {metric: 0.0}, options.output_tokens)
        budgets = budgets_over(points, metric, options.percentile)
        table = lookup_table(points, budgets, metric, options.percentile, quality)
        print(lookup_json(table))
        _print_beside(_notes(points, quality or points.qualities[0], flags))
        return 0
    whole, points = points, at_length(points, limits, options.output_tokens)
    model = None
    if not options.measured:
        try:
            model = fit_latency_model(whole)
        except UserError:
            # Too few settings for a model: those that were measured answer alone.
            model = None
    choice = choose_setting(points, limits, options.percentile, quality, model)
    notes = _notes(points, choice.quality, flags)
    if options.json:
        print(json.dumps({**choice_dict(choice), "notes": notes}, indent=2, ensure_ascii=False))
        return 0
    print("\n".join([*choice_sentences(choice), *notes]))
    return 0


def latency_model(options: argparse.Namespace) -> int:
    """Print a latency model and how good it is; write it where a file is named."""
    from profcore.tradeoff.latency_model import fit_latency_model, model_sentences, recalibrated
    from profcore.tradeoff.points import WORK_KEPT, pooled, quality_note
    from profcore.tradeoff.tables import display_coefficients, display_extrapolation
    from profcore.tradeoff.written_model import formulas, model_json, model_python

    check_output_file(options.python)
    with reading(options) as store:
        points = pooled([_load(store, text) for text in options.runs])
        other = _load(store, options.recalibrate) if options.recalibrate else None
    model = fit_latency_model(points)
    if other is not None:
        model = recalibrated(model, other)
    if options.python:
        options.python.write_text(model_python(model), encoding="utf-8")
    if options.json:
        print(model_json(model))
        return 0
    print("\n".join(formulas(model)))
    print_table(display_coefficients(model))
    print("\n".join(model_sentences(model)))
    beyond = display_extrapolation(model)
    if len(beyond):
        print("Beyond what was measured: fitted without a knob's largest value, judged on it.")
        print_table(beyond)
    if note := quality_note(points, WORK_KEPT):
        print(note)
    return 0


def _notes(points: JointPoints, quality: str, flags: list[str]) -> list[str]:
    """What to know before a figure is quoted: of its quality, of settings not measured, and of flagged samples."""
    from profcore.tradeoff.points import quality_note

    return [*filter(None, [quality_note(points, quality), points.missing]), *flags]


def _print_beside(notes: list[str]) -> None:
    """Print notes beside a document that is a list of settings and has no room for them."""
    for note in notes:
        print(note, file=sys.stderr)


def _load(store: Store, text: str) -> JointPoints:
    from profcore.results.named import find_run
    from profcore.tradeoff.points import load_joint_points

    return load_joint_points(store, find_run(store, text))


def _held(points: JointPoints, text: str | None) -> JointPoints:
    """The points at one value of a knob, written as 'top-k=8'; all where nothing is."""
    from profcore.tradeoff.frontier import fixed

    if text is None:
        return points
    knob, _, value = text.partition("=")
    if knob not in _KNOBS or not value:
        raise UserError(
            f"--hold {shortened(text)!r} names no knob and value: write one of {', '.join(_KNOBS)}, as top-k=8."
        )
    # A tier is a name, every other knob a number; what is none is refused as a value that never was.
    return fixed(points, _KNOBS[knob], float(value) if value.replace(".", "", 1).isdecimal() else value)


def _plain(table: Any) -> list[dict[str, Any]]:
    return json.loads(table.to_json(orient="records"))
