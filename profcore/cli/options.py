"""Options that several commands share, added to a command's parser in groups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from profcore.cli.values import device_name, model_name, path_text, whole_number
from profcore.data_sets import KINDS
from profcore.engines.names import ENGINES

if TYPE_CHECKING:
    import argparse


def add_target(parser: argparse.ArgumentParser, engine: bool = True) -> None:
    """What to measure on: model, device, dtype, experts and, unless the command runs several, the engine."""
    model = "tiny, molmoe-1b, a checkpoint directory or a hub name"
    parser.add_argument("--model", "--model-path", type=model_name, help=f"{model} (molmoe-1b on a GPU, tiny on a CPU)")
    add_device(parser)
    parser.add_argument("--experts", default="auto", help="eager, batched_mm, grouped_mm or auto")
    if engine:
        parser.add_argument("--engine", choices=list(ENGINES), default="eager", help="how the model is executed")


def add_device(parser: argparse.ArgumentParser) -> None:
    """The device and the type of weights and activations."""
    parser.add_argument("--device", type=device_name, help="cpu, cuda:N or N (the first GPU, or the CPU)")
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16, float16 or auto")


def add_picture(parser: argparse.ArgumentParser) -> None:
    """The picture an inference sees and the question put to it."""
    parser.add_argument("--image", help="a picture file, a photograph's name, or a colour as #rrggbb")
    parser.add_argument("--prompt", help="the question put to the model")


def add_data_set(parser: argparse.ArgumentParser) -> None:
    """Which real pictures with questions are measured."""
    group = parser.add_argument_group("real pictures", "what the Motivation experiments measure")
    kinds = "; ".join(f"{kind}: {text}" for kind, text in KINDS.items())
    group.add_argument("--data-set", choices=list(KINDS), default="photographs", help=f"{kinds} (photographs)")
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


def add_json(parser: argparse.ArgumentParser) -> None:
    """Whether a command answers in JSON."""
    parser.add_argument("--json", action="store_true", help="as JSON")
