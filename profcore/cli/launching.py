"""Options of `submit`: who starts the shards, and what each is given."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path
from typing import Any

from profcore.cli.common import database_of
from profcore.cli.several import ALL
from profcore.cli.shard import check_campaign_id
from profcore.cli.values import shortened, whole_number
from profcore.errors import UserError
from profcore.worker.campaigns import LOCAL, SLURM
from profcore.worker.scheduler_names import (
    check_accelerator,
    check_claim,
    check_image,
    check_mounted,
    check_place,
    check_slurm_folder,
    is_partition,
)

_USUAL_MINUTES = 240
_MOST_MINUTES = 525_600
_TIME = re.compile(r"(?:([0-9]{1,3})-)?([0-9]{1,6})(?::([0-9]{2}))?(?::([0-9]{2}))?")
_PARAMETER = re.compile(r"([a-z][a-z-]*)=(.+)", re.DOTALL)


def add_launching(parser: argparse.ArgumentParser) -> None:
    """Who starts the shards, and what each is given."""
    group = parser.add_argument_group("launching", "where shards are measured, and what each is given")
    group.add_argument("--launcher", choices=[SLURM, LOCAL], default=SLURM, help=f"who starts them ({SLURM})")
    group.add_argument("--shards", type=whole_number, default=1, metavar="N", help="into how many a run is split (1)")
    add_folder(group)
    text = "the run's id, and with it the campaign's (a new one)"
    group.add_argument("--campaign", type=check_campaign_id, metavar="ID", help=text)
    text = "settings that every shard repeats, by which cards are compared (1 to 3)"
    group.add_argument("--anchors", type=whole_number, metavar="N", help=text)
    group.add_argument("--partition", type=_one_word, help="Slurm's partition (the cluster's own)")
    group.add_argument("--gpus-per-task", type=whole_number, metavar="N", help="cards of a shard, 1 or 0 (1)")
    group.add_argument("--cpus-per-task", type=whole_number, default=4, metavar="N", help="cores of a shard (4)")
    text = f"Slurm's limit for a shard, as H:MM:SS, D-H:MM or minutes ({_USUAL_MINUTES} minutes)"
    group.add_argument("--time", type=_minutes, default=_USUAL_MINUTES, metavar="TIME", help=text)
    text = "more of what sbatch takes, such as account=lab mem=64G"
    group.add_argument("--slurm", nargs="+", type=_parameter, default=[], metavar="KEY=VALUE", help=text)
    group.add_argument("--no-wait", action="store_true", help="return at once: `jobs ID` says how far it is")
    text = "print what another scheduler takes, and start nothing"
    group.add_argument("--print", dest="form", choices=["slurm", "kubernetes", "skypilot"], help=text)
    group.add_argument("--container", metavar="IMAGE", help="with --print kubernetes: the image that has profcore")
    text = "with --print kubernetes: the volume claim that is mounted at the folder"
    group.add_argument("--volume", metavar="CLAIM", help=text)
    text = "with --print skypilot: the card, such as H100"
    group.add_argument("--accelerator", metavar="NAME", help=text)


def add_folder(parser: argparse._ActionsContainer) -> None:
    """Where campaigns lie."""
    text = "where campaigns lie, seen by every machine that measures (campaigns/ beside the database)"
    parser.add_argument("--folder", type=Path, metavar="SHARED", help=text)


def root_of(options: argparse.Namespace) -> Path:
    """Where campaigns lie."""
    return (options.folder or database_of(options).parent / "campaigns").absolute()


def folder_words(options: argparse.Namespace) -> str:
    """What `jobs`, `cancel` and `resubmit` are told besides to find what was submitted with these options."""
    words = []
    if options.folder:
        words = ["--folder", str(root_of(options))]
    elif options.db:
        words = ["--db", str(options.db)]
    return "".join(f" {shlex.quote(word)}" for word in words)


def launching_of(options: argparse.Namespace) -> dict[str, Any]:
    """What the launcher is told."""
    found: dict[str, Any] = {
        "partition": options.partition or "",
        "gpus_per_task": gpus_of(options),
        "cpus_per_task": options.cpus_per_task,
        "minutes": options.time,
        "slurm": dict(options.slurm),
    }
    if options.launcher == LOCAL and not options.form:
        from profcore.worker.launch_local import devices_here

        found["devices"] = _named_devices(options.device) or devices_here()
    return found


def _named_devices(given: str | None) -> list[str]:
    """The devices that `--device` names; none where it leaves the choice.

    Raises:
        UserError: There is none between two commas: a shard there would be measured beside that of another device.
    """
    if given in (None, ALL):
        return []
    names = [each.strip() for each in str(given).split(",")]
    if not all(names):
        raise UserError(f"--device {shortened(str(given))!r} has no name between commas: give such as cuda:0,cuda:2.")
    return names


def gpus_of(options: argparse.Namespace) -> int:
    """How many cards each shard is given: one, unless it is measured on the CPU."""
    if options.gpus_per_task is not None:
        return options.gpus_per_task
    return 0 if options.device == "cpu" else 1


def check_launching(options: argparse.Namespace) -> None:
    """Whether the options of launching go together.

    Raises:
        UserError: They do not.
    """
    if not 1 <= options.shards <= 1000:
        raise UserError(f"A run cannot be split into {options.shards} shards: give 1 to 1,000.")
    if gpus_of(options) not in (0, 1):
        raise UserError(f"{options.gpus_per_task} cards a shard are not possible: a model is measured on 1, or on 0.")
    if options.gpus_per_task and options.device == "cpu":
        raise UserError("A shard on the CPU needs no card: leave --gpus-per-task out, or --device cpu.")
    if options.launcher == SLURM and options.device not in (None, "cpu", "cuda", "cuda:0"):
        raise UserError(f"Slurm gives each shard its card, so {options.device} names none: leave --device out.")
    if not 1 <= options.cpus_per_task <= 10_000:
        raise UserError(f"{options.cpus_per_task} cores a shard are not possible: give 1 or more.")
    if options.experiment == "all" and options.form in ("slurm", "skypilot"):
        raise UserError(f"--print {options.form} prints one job, and all are several: name one experiment.")
    _check_slurms_own(options)
    _check_printing(options)
    _check_places(options)


def _check_slurms_own(options: argparse.Namespace) -> None:
    by_slurm = options.form == "slurm" or (options.launcher == SLURM and not options.form)
    for name in ("partition", "slurm"):
        if getattr(options, name) and not by_slurm:
            raise UserError(f"--{name} is Slurm's alone: leave it out, or submit to Slurm.")


def _check_places(options: argparse.Namespace) -> None:
    """Whether folders can be named in scripts, and are what they are for whoever starts the shards."""
    root = root_of(options)
    check_place(root, "The folder of campaigns")
    check_place(Path.cwd(), "The folder where this was started,")
    if options.launcher == SLURM and not options.form:
        check_slurm_folder(root)
    elif options.form == "slurm":
        # A percent sign is written twice there, and nothing stands for a backslash.
        check_slurm_folder(Path(str(root).replace("%", "")))
    elif options.form == "kubernetes":
        check_mounted(root)


def _check_printing(options: argparse.Namespace) -> None:
    for name, form, what, check in (
        ("container", "kubernetes", "the image that has profcore", check_image),
        ("volume", "kubernetes", "the volume claim that all shards see", check_claim),
        ("accelerator", "skypilot", "the card, such as H100", check_accelerator),
    ):
        given = getattr(options, name)
        if given is not None and options.form != form:
            raise UserError(f"--{name} is of --print {form}: give that as well, or leave it out.")
        needed = options.form == form and (name != "accelerator" or gpus_of(options))
        if needed and not (given or "").strip():
            raise UserError(f"--print {form} needs --{name}: {what}.")
        if given is not None:
            check(given)


def _minutes(text: str) -> int:
    """Slurm's ways of writing a time, in minutes, rounded up: M, M:SS, H:MM:SS, D-H, D-H:MM, D-H:MM:SS."""
    found = _TIME.fullmatch(text.strip())
    days, first, second, third = (int(part) if part else None for part in found.groups()) if found else (None,) * 4
    if first is None:
        seconds = 0
    elif days is not None:
        seconds = ((days * 24 + first) * 60 + (second or 0)) * 60 + (third or 0)
    elif third is not None:
        seconds = (first * 60 + (second or 0)) * 60 + third
    else:
        seconds = first * 60 + (second or 0)
    # What carries over is mistyped: after days there are hours of a day, after hours minutes of an hour.
    minutes = -(-seconds // 60)
    if any(each is not None and each > 59 for each in (second, third)) or (days is not None and (first or 0) > 23):
        minutes = 0
    if not 1 <= minutes <= _MOST_MINUTES:
        raise argparse.ArgumentTypeError(f"{shortened(text)!r} is no time, such as 2:00:00, 1-12:00 or 90")
    return minutes


def _parameter(text: str) -> tuple[str, str]:
    found = _PARAMETER.fullmatch(text)
    if not found or not found[2].isprintable():
        raise argparse.ArgumentTypeError(f"{shortened(text)!r} is no parameter of sbatch, such as account=lab")
    return found[1], found[2]


def _one_word(text: str) -> str:
    if not is_partition(text):
        raise argparse.ArgumentTypeError(f"{shortened(text)!r} is no partition's name")
    return text
