"""`run --shard`: one part of a run that several cards or machines measure, gone on with where it was begun before."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from profcore.cli.common import deliver
from profcore.cli.values import whole_number
from profcore.comparisons import flops_scaling
from profcore.errors import RunHeldError, UserError
from profcore.spec.runs import RunSpec
from profcore.spec.shards import check_campaign, parse_shard, same_run, shard_spec, split
from profcore.spec.stages import State
from profcore.spec.text import counted
from profcore.storage.lines import records_of_kinds
from profcore.storage.spool import is_being_written, last_state, read_spec, spool_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from profcore.spec.runs import Sweep, Target

DERIVED = {"flops_vs_latency": "what is derived from two experiments", flops_scaling.EXPERIMENT: "a derived result"}
"""What no part of a run can give, and what it is."""


def add_shard(parser: argparse.ArgumentParser) -> None:
    """Measuring one part of a run, for any scheduler."""
    group = parser.add_argument_group("shards", "a run split by setting over cards or machines")
    group.add_argument("--shard", type=_shard, metavar="I/N", help="measure part I of N, such as 2/4")
    text = "the id of the whole run that the parts become; the same arguments give the same unless it is given"
    group.add_argument("--campaign", type=check_campaign_id, metavar="ID", help=text)
    text = "settings that every part repeats, by which cards are compared (1 to 3, by how many there are)"
    group.add_argument("--anchors", type=whole_number, metavar="N", help=text)


def check_shard_options(options: argparse.Namespace) -> None:
    """Whether the options of shards go together.

    Raises:
        UserError: They do not.
    """
    if options.shard is None:
        for name in ("campaign", "anchors"):
            if getattr(options, name) is not None:
                raise UserError(f"--{name} is of a run that is split: give --shard 1/2 as well, or leave it out.")
        return
    if options.experiment in DERIVED:
        raise UserError(f"{options.experiment} is {DERIVED[options.experiment]}, which no part of a run can give.")
    if options.series is not None:
        raise UserError("A part of a run is of no series: leave --series out.")


def specs_of(options: argparse.Namespace, target: Target, sweeps: Sequence[Sweep]) -> list[RunSpec]:
    """The runs that are measured, one a sweep; with `--shard` the parts that it names.

    Raises:
        UserError: A sweep cannot be split like that.
    """
    if options.shard is None:
        return [RunSpec.new(target, sweep, options.series) for sweep in sweeps]
    index, count = options.shard
    specs = []
    for sweep in sweeps:
        name = options.campaign
        if name is not None and len(sweeps) > 1:
            # Each experiment is a run of its own.
            name = check_campaign(f"{name}-{sweep.experiment}")
        specs.append(shard_spec(target, sweep, split(target, sweep, count, name, options.anchors)[index - 1]))
    return specs


def is_begun(spec: RunSpec, path: Path) -> bool:
    """Whether a shard's spool is there, to be gone on with or done.

    Raises:
        UserError: It holds something else, or is being written.
    """
    if spec.shard is None or not path.is_file():
        return False
    if is_being_written(path):
        raise RunHeldError(f"Run {path.stem} is being measured by another process.")
    there = read_spec(path)
    differ = same_run(there, spec) or ([] if there.shard == spec.shard else ["settings"])
    if differ:
        raise UserError(
            f"{path.name} was begun with something else ({', '.join(differ)}): give another id with --campaign, or "
            "what it was begun with."
        )
    return True


def is_done(spec: RunSpec, path: Path) -> bool:
    """Whether a shard has been measured to its end; then it is said, and nothing is left to do."""
    if not is_begun(spec, path) or last_state(path) is not State.DONE:
        return False
    print(
        f"{_named(spec)} is done: nothing is left to measure. Another id with --campaign measures it anew.",
        file=sys.stderr,
    )
    return True


def report_shard(options: argparse.Namespace, spec: RunSpec, path: Path, state: State) -> int:
    """Say how far a shard came, and hand its spool to the store: result files are of whole runs."""
    number = len(records_of_kinds(path, "sample"))
    print(f"{_named(spec)}: {counted(number, 'sample')}, {state}")
    if state is not State.DONE:
        reasons = [record.get("reason") for record in records_of_kinds(path, "state")]
        print(f"profcore: {spec.sweep.experiment} {state}: {reasons[-1]}", file=sys.stderr)
    deliver(options, spool_path(path.parent, spec.id))
    return 0 if state is State.DONE else 1


def _named(spec: RunSpec) -> str:
    assert spec.shard
    return f"{spec.shard.words[:1].upper()}{spec.shard.words[1:]} of run {spec.shard.campaign}"


def _shard(text: str) -> tuple[int, int]:
    try:
        return parse_shard(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error).rstrip(".")) from None


def check_campaign_id(text: str) -> str:
    """A campaign's id, as an option."""
    try:
        return check_campaign(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error).rstrip(".")) from None
