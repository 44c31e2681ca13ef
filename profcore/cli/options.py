"""Options that several commands share, added to a command's parser in groups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.cli import completion
from profcore.cli.completion import with_completer
from profcore.cli.values import device_name, model_name, path_text, seconds, share, whole_number
from profcore.data_sets import KINDS
from profcore.engines.names import ENGINES, PEERS
from profcore.errors import UserError
from profcore.models.names import NAMED
from profcore.spec.until import USUAL_MOST, USUAL_SECONDS, Until

if TYPE_CHECKING:
    import argparse


def add_target(parser: argparse.ArgumentParser, engine: bool = True) -> None:
    """What to measure on: model, device, dtype, experts and, unless the command runs several, the engine."""
    model = "tiny, molmoe-1b, another named shape, a checkpoint directory, a config.json of transformers or a hub name"
    own = "molmoe-1b on a GPU, tiny on a CPU"
    asked = parser.add_argument("--model", "--model-path", type=model_name, help=f"{model} ({own})")
    with_completer(asked, completion.words(*NAMED))
    add_device(parser)
    text = "eager, batched_mm or grouped_mm for both stages; auto is what generate takes for each"
    experts = parser.add_argument("--experts", default="auto", help=text)
    with_completer(experts, completion.words("eager", "batched_mm", "grouped_mm", "auto"))
    if engine:
        parser.add_argument("--engine", choices=[*ENGINES, *PEERS], default="eager", help="how the model is executed")


def add_run(parser: argparse._ActionsContainer, name: str = "run", metavar: str = "", **how_many: Any) -> None:
    """A run, or several where `nargs` says so, by which a command is told what to look at."""
    text = "its id, or a beginning that is one run's alone"
    with_completer(parser.add_argument(name, metavar=metavar or name.upper(), help=text, **how_many), completion.runs)


def add_device(parser: argparse.ArgumentParser) -> None:
    """The device and the type of weights and activations."""
    parser.add_argument(
        "--device", type=device_name, help="cpu, cuda:N or N (the first GPU, or the CPU); for run also all"
    )
    dtype = parser.add_argument("--dtype", default="auto", help="float32, bfloat16, float16 or auto")
    with_completer(dtype, completion.words("float32", "bfloat16", "float16", "auto"))


def add_picture(parser: argparse.ArgumentParser) -> None:
    """The picture an inference sees and the question put to it."""
    parser.add_argument("--image", help="a picture file, a photograph's name, or a colour as #rrggbb")
    parser.add_argument("--prompt", help="the question put to the model")


def add_until(parser: argparse.ArgumentParser) -> None:
    """Sampling each setting as often as it takes, in place of a fixed number of samples."""
    text = "sample each setting until the interval of its median total lies within this share of it, such as 1%%"
    parser.add_argument("--until", type=share, metavar="SHARE", help=text)
    text = f"with --until: the most samples of a setting ({USUAL_MOST})"
    parser.add_argument("--max-samples", type=whole_number, metavar="N", help=text)
    text = f"with --until: the most seconds that a setting's samples take, from 6 on ({USUAL_SECONDS:g})"
    parser.add_argument("--max-seconds", type=seconds, metavar="S", help=text)


def until_of(options: argparse.Namespace) -> tuple[Until, int] | None:
    """How precise each setting is to be, and the most samples of one; None where their number is fixed.

    Raises:
        UserError: Options of both ways are given, or one is out of range.
    """
    if options.until is None:
        for option, given in (("--max-samples", options.max_samples), ("--max-seconds", options.max_seconds)):
            if given is not None:
                raise UserError(f"{option} bounds what is sampled until it is precise: give --until 1% as well.")
        return None
    for option, given in (("--num-samples", options.num_samples), ("--num-runs", getattr(options, "num_runs", None))):
        if given is not None:
            raise UserError(f"{option} fixes how many samples there are, and --until does not: give one of them.")
    until = Until(options.until, USUAL_SECONDS if options.max_seconds is None else options.max_seconds)
    return until, USUAL_MOST if options.max_samples is None else options.max_samples


def add_data_set(parser: argparse.ArgumentParser) -> None:
    """Which real pictures with questions are measured."""
    group = parser.add_argument_group("real pictures", "what the Motivation experiments measure")
    kinds = "; ".join(f"{kind}: {text}" for kind, text in KINDS.items())
    group.add_argument("--data-set", choices=list(KINDS), help=f"{kinds} (photographs; of the model shapes, shapes)")
    for option, metavar, text in (
        ("--data", "PATH", "the folder of pictures, or the table"),
        ("--questions", "FILE", "VQA's questions, or a CSV or JSONL"),
        ("--annotations", "FILE", "VQA's annotations"),
    ):
        group.add_argument(option, type=path_text, default="", metavar=metavar, help=text)
    group.add_argument("--split", default="", help="which split of a table that holds several")
    group.add_argument("--num-pictures", type=whole_number, metavar="N", help="queries to take, drawn at random (all)")


def add_database(parser: argparse.ArgumentParser) -> None:
    """The database that results go to or come from."""
    parser.add_argument("--db", type=Path, help="the database (data/profcore.duckdb)")


def add_spool_only(parser: argparse.ArgumentParser) -> None:
    """Leaving results in spools, for a machine without a database."""
    parser.add_argument("--spool-only", type=Path, metavar="DIR", help="write spools here and open no database")


def add_json(parser: argparse._ActionsContainer) -> None:
    """Whether a command answers in JSON."""
    parser.add_argument("--json", action="store_true", help="as JSON")
