"""`submit`: a run split into shards and handed to Slurm, or to processes of this machine."""

from __future__ import annotations

import argparse
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.common import database_of, refuse_early
from profcore.cli.options import add_database, until_of
from profcore.cli.run import add_measuring, check_asked, check_energy, queries_of
from profcore.cli.several import ALL, names_several
from profcore.cli.shard import check_campaign_id, check_shard_options
from profcore.cli.sweeps import check_joint_options, plan_sweeps
from profcore.cli.values import make_output_directory, shortened, whole_number
from profcore.cli.words import words_of
from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE, JOINT
from profcore.experiments.motivation import MOTIVATION, check_open_ended
from profcore.spec.runs import fresh_id
from profcore.spec.text import counted
from profcore.worker.campaigns import LOCAL, SLURM, Campaign, new_campaign
from profcore.worker.launchers import launcher_of
from profcore.worker.linking import keep_spools, link_spools
from profcore.worker.shard_states import shard_states
from profcore.worker.spool_progress import SpoolProgress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.worker.shard_states import ShardState

_USUAL_MINUTES = 240
_MOST_MINUTES = 525_600
_FIRST_WAIT_S, _LONGEST_WAIT_S, _GROWS = 0.5, 15.0, 1.3
_TIME = re.compile(r"(?:(\d{1,3})-)?(\d{1,3})(?::(\d{2}))?(?::(\d{2}))?")
_PARAMETER = re.compile(r"([a-z][a-z-]*)=(.+)", re.DOTALL)
_DERIVED = ("flops_vs_latency",)


def register(commands: Commands) -> None:
    """Add `submit`."""
    parser = add_command(
        commands,
        "submit",
        "measure an experiment in shards, one card each, on a cluster or on all cards of this machine",
        "joint --grids 1x1 2x2 --top-k-values 2 4 8 --shards 4 --launcher slurm --partition gpu --time 2:00:00",
        "moe_topk --engine compiled --launcher local --shards 2 --no-wait",
        "moe_topk --model molmoe-1b --shards 8 --print slurm",
    )
    names = [*CATALOGUE, JOINT.name, *(name for name in MOTIVATION if name not in _DERIVED)]
    parser.add_argument("experiment", choices=names, metavar="EXPERIMENT", help=f"one of {', '.join(names)}")
    add_launching(parser)
    add_measuring(parser)
    add_database(parser)
    parser.set_defaults(command=submit)


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


def submit(options: argparse.Namespace) -> int:
    """Split a run, have its shards started, wait for them and take them in."""
    run_id = options.campaign or fresh_id()
    _check(options, run_id)
    root = root_of(options)
    if options.form:
        from profcore.cli.print_jobs import print_job

        return print_job(options, _campaign(options, root, run_id))
    launcher = launcher_of(options.launcher)
    make_output_directory(root)
    campaign = _campaign(options, root, run_id)
    campaign.write()
    try:
        campaign = campaign.submitted(launcher.submit(campaign, range(1, campaign.shards + 1)))
    except BaseException:
        _forget(campaign)
        raise
    campaign.write()
    link_spools(campaign)
    print(f"{campaign.id}: {counted(campaign.shards, 'shard')} submitted to {campaign.launcher}, in {campaign.folder}.")
    if options.no_wait:
        print(f"`profcore jobs {campaign.id}` says how far it is.")
        return 0
    return wait(campaign)


def root_of(options: argparse.Namespace) -> Path:
    """Where campaigns lie."""
    return (options.folder or database_of(options).parent / "campaigns").absolute()


def wait(campaign: Campaign) -> int:
    """Wait until no shard is left, take in what they measured, and say what is lacking.

    Ctrl-C ends the waiting alone.
    """
    launcher, progress, said, pause = launcher_of(campaign.launcher), SpoolProgress(), "", _FIRST_WAIT_S
    try:
        while True:
            states = shard_states(campaign, launcher, progress)
            if (line := summary_line(states)) != said:
                print(line, file=sys.stderr)
                said = line
            if not any(each.active for each in states):
                break
            time.sleep(pause)
            pause = min(pause * _GROWS, _LONGEST_WAIT_S)
    except KeyboardInterrupt:
        print(
            f"profcore: no longer waiting; the shards go on. `profcore jobs {campaign.id}` says how far they are, "
            f"`profcore cancel {campaign.id}` ends them.",
            file=sys.stderr,
        )
        return 130
    return finish(campaign, states)


def finish(campaign: Campaign, states: Sequence[ShardState]) -> int:
    """Take in what has been measured, and say what is lacking; 0 where nothing is."""
    if campaign.database:
        _take_in(Path(campaign.database))
        if all(each.is_done for each in states):
            keep_spools(campaign)
    left = [each for each in states if not each.is_done]
    for each in left:
        log = f" Its log: {each.log}" if each.log else ""
        print(f"profcore: shard {each.shard} {each.word}: {each.reason or 'it says nothing'}{log}", file=sys.stderr)
    if left:
        print(f"profcore: `profcore resubmit {campaign.id}` goes on with what is left.", file=sys.stderr)
        return 1
    print(f"{campaign.id} is measured.")
    return 0


def summary_line(states: Sequence[ShardState]) -> str:
    """How far a campaign is, in a line."""
    words = dict.fromkeys(each.word for each in states)
    counts = [f"{sum(each.word == word for each in states)} {word}" for word in words]
    return f"{', '.join(counts)}; {counted(sum(each.samples for each in states), 'sample')}"


def _take_in(database: Path) -> None:
    """Have the database take its spools in, unless another process does or nothing that could is installed here."""
    try:
        from profcore.cli.common import hand_over_all
    except ImportError:
        return
    hand_over_all(database)


def _forget(campaign: Campaign) -> None:
    """Take away the folder of a campaign that was never submitted."""
    import shutil

    with suppress(OSError):
        if not any(campaign.spools.iterdir()) and not any(campaign.logs.glob("*.log")):
            shutil.rmtree(campaign.folder)


def _campaign(options: argparse.Namespace, root: Path, run_id: str) -> Campaign:
    given = {**vars(options), "device": None, "anchors": None, "campaign": None}
    words = words_of(add_measuring, given)
    if options.anchors is not None:
        words += ["--anchors", str(options.anchors)]
    return new_campaign(
        root,
        run_id,
        experiment=options.experiment,
        launcher=options.launcher,
        shards=options.shards,
        words=tuple(words),
        # What is only printed is measured elsewhere, and imported from there.
        database="" if options.form else _database(options),
        options=_launching(options),
    )


def _database(options: argparse.Namespace) -> str:
    """The database that takes spools in; none where nothing that could is installed here."""
    from profcore.cli.common import check_database

    try:
        check_database(database_of(options))
    except UserError as error:
        if "is not installed here" not in str(error):
            raise
        print("No database takes the spools in here: import them where requirements.txt is.", file=sys.stderr)
        return ""
    return str(database_of(options).absolute())


def _launching(options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {
        "partition": options.partition or "",
        "gpus_per_task": gpus_of(options),
        "cpus_per_task": options.cpus_per_task,
        "minutes": options.time,
        "slurm": dict(options.slurm),
    }
    if options.launcher == LOCAL and not options.form:
        from profcore.worker.launch_local import devices_here

        named = [] if options.device in (None, ALL) else options.device.split(",")
        found["devices"] = named or devices_here()
    return found


def gpus_of(options: argparse.Namespace) -> int:
    """How many cards each shard is given: one, unless it is measured on the CPU."""
    if options.gpus_per_task is not None:
        return options.gpus_per_task
    return 0 if options.device == "cpu" else 1


def _check(options: argparse.Namespace, run_id: str) -> None:
    """Refuse what can be known to be wrong before anything is submitted.

    Raises:
        UserError: It is.
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
    _check_printing(options)
    check_joint_options(options)
    shard = {"shard": (1, options.shards), "campaign": run_id, "series": None, "output_dir": None, "spool_only": None}
    asked = argparse.Namespace(**{**vars(options), **shard})
    check_shard_options(asked)
    if until_of(options):
        check_open_ended(options.experiment)
    if options.energy:
        check_energy(options)
    queries = queries_of(options)
    # As in `run`, without torch: what no model that may be meant can do.
    device = "cpu" if not gpus_of(options) else None if names_several(options.device) else options.device
    meant = argparse.Namespace(**{**vars(asked), "device": device})
    refuse_early(meant, lambda config: check_asked(meant, plan_sweeps(meant, queries, config), config))


def _check_printing(options: argparse.Namespace) -> None:
    for name, form, what in (
        ("container", "kubernetes", "the image that has profcore"),
        ("volume", "kubernetes", "the volume claim that all shards see"),
        ("accelerator", "skypilot", "the card, such as H100"),
    ):
        given = getattr(options, name)
        if given is not None and options.form != form:
            raise UserError(f"--{name} is of --print {form}: give that as well, or leave it out.")
        needed = options.form == form and (name != "accelerator" or gpus_of(options))
        if needed and not (given or "").strip():
            raise UserError(f"--print {form} needs --{name}: {what}.")


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
    minutes = -(-seconds // 60)
    if not 1 <= minutes <= _MOST_MINUTES:
        raise argparse.ArgumentTypeError(f"{shortened(text)!r} is no time, such as 2:00:00, 1-12:00 or 90")
    return minutes


def _parameter(text: str) -> tuple[str, str]:
    found = _PARAMETER.fullmatch(text)
    if not found or not found[2].isprintable():
        raise argparse.ArgumentTypeError(f"{shortened(text)!r} is no parameter of sbatch, such as account=lab")
    return found[1], found[2]


def _one_word(text: str) -> str:
    if not text.strip() or not text.isprintable() or any(letter.isspace() for letter in text):
        raise argparse.ArgumentTypeError(f"{shortened(text)!r} is no partition's name")
    return text
