"""`submit`: a run split into shards and handed to Slurm, or to processes of this machine."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.common import database_of, refuse_early
from profcore.cli.launching import add_launching, check_launching, folder_words, gpus_of, launching_of, root_of
from profcore.cli.options import add_database, until_of
from profcore.cli.run import add_measuring, check_asked, check_energy, queries_of
from profcore.cli.several import names_several
from profcore.cli.shard import DERIVED, check_shard_options
from profcore.cli.sweeps import check_joint_options, check_quality_option, plan_sweeps
from profcore.cli.values import make_output_directory
from profcore.cli.words import words_of
from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE, JOINT
from profcore.experiments.motivation import MOTIVATION, check_open_ended
from profcore.spec.runs import fresh_id
from profcore.spec.text import counted
from profcore.worker.campaigns import Campaign, new_campaign
from profcore.worker.launchers import launcher_of
from profcore.worker.linking import check_free, keep_spools, link_spools, unlink_spools
from profcore.worker.shard_states import CANCELLED, shard_states
from profcore.worker.spool_progress import SpoolProgress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.models.shape import Shape
    from profcore.worker.launchers import Launcher
    from profcore.worker.shard_states import ShardState

_ALL = "all"
_FIRST_WAIT_S, _LONGEST_WAIT_S, _GROWS = 0.5, 15.0, 1.3


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
    names = [*CATALOGUE, JOINT.name, *(name for name in MOTIVATION if name not in DERIVED)]
    text = f"one of {', '.join(names)}; or {_ALL}: {', '.join(CATALOGUE)}, each a run of its own"
    parser.add_argument("experiment", choices=[*names, _ALL], metavar="EXPERIMENT", help=text)
    add_launching(parser)
    add_measuring(parser)
    add_database(parser)
    parser.set_defaults(command=submit)


def submit(options: argparse.Namespace) -> int:
    """Split a run, or each of several, have its shards started, wait for them and take them in."""
    run_id = options.campaign or fresh_id()
    names = _check(options, run_id)
    root = root_of(options)
    campaigns = [_campaign(options, root, *each) for each in _named(options, run_id, names)]
    if options.form:
        from profcore.cli.print_jobs import print_jobs

        return print_jobs(options, campaigns)
    launcher = launcher_of(options.launcher)
    make_output_directory(root)
    for campaign in campaigns:
        check_free(campaign)
    for place, campaign in enumerate(campaigns):
        try:
            campaigns[place] = _submitted(campaign, launcher)
        except UserError:
            if place:
                print(
                    f"profcore: {', '.join(each.id for each in campaigns[:place])} submitted, and "
                    f"{', '.join(each.id for each in campaigns[place:])} not:",
                    file=sys.stderr,
                )
            raise
    if options.no_wait:
        print(f"`profcore jobs {run_id}{folder_words(options)}` says how far it is.")
        return 0
    return wait(campaigns, folder_words(options))


def _named(options: argparse.Namespace, run_id: str, names: Sequence[str]) -> list[tuple[str, str, str]]:
    """The id, the experiment and the group of each campaign: those of all have an id each that begins alike."""
    if options.experiment != _ALL:
        return [(run_id, options.experiment, "")]
    return [(f"{run_id}-{name}", name, run_id) for name in names]


def _submitted(campaign: Campaign, launcher: Launcher) -> Campaign:
    """Submit a campaign; nothing is left of one that is refused."""
    campaign.write()
    try:
        # Linked first: a database that cannot take them in is found out before any shard is started.
        link_spools(campaign)
        campaign = campaign.submitted(launcher.submit(campaign, range(1, campaign.shards + 1)))
    except BaseException:
        _forget(campaign)
        raise
    campaign.write()
    print(f"{campaign.id}: {counted(campaign.shards, 'shard')} submitted to {campaign.launcher}, in {campaign.folder}.")
    return campaign


def wait(campaigns: Sequence[Campaign], where: str = "") -> int:
    """Wait until no shard is left, take in what they measured, and say what is lacking.

    Ctrl-C ends the waiting alone.

    Args:
        campaigns: Those that are waited for.
        where: What a command is told besides to find them (see `folder_words`).
    """
    progress, said, pause = SpoolProgress(), "", _FIRST_WAIT_S
    try:
        while True:
            states = {each.id: shard_states(each, launcher_of(each.launcher), progress) for each in campaigns}
            shards = [shard for each in states.values() for shard in each]
            if (line := summary_line(shards)) != said:
                print(line, file=sys.stderr)
                said = line
            if not any(each.active for each in shards):
                break
            time.sleep(pause)
            pause = min(pause * _GROWS, _LONGEST_WAIT_S)
    except KeyboardInterrupt:
        name = campaigns[0].group if len(campaigns) > 1 else campaigns[0].id
        print(
            f"profcore: no longer waiting; the shards go on. `profcore jobs {name}{where}` says how far they are, "
            f"`profcore cancel {name}{where}` ends them.",
            file=sys.stderr,
        )
        return 130
    return max(finish(each, states[each.id], where) for each in campaigns)


def finish(campaign: Campaign, states: Sequence[ShardState], where: str = "") -> int:
    """Take in what has been measured, and say what is lacking; 0 where nothing is.

    Args:
        campaign: What was submitted.
        states: How far its shards are.
        where: As `wait`.
    """
    if campaign.database:
        _take_in(Path(campaign.database))
        if all(each.is_done for each in states):
            keep_spools(campaign)
    left = [each for each in states if not each.is_done]
    named = f"{campaign.id}, " if campaign.group else ""
    for each in left:
        log = f" Its log: {each.log}" if each.log else ""
        print(
            f"profcore: {named}shard {each.shard} {each.word}: {each.reason or 'it says nothing'}{log}", file=sys.stderr
        )
    if left and all(each.word == CANCELLED for each in left) and not any(each.samples for each in states):
        print(f"profcore: {campaign.id} was cancelled, and nothing was measured.", file=sys.stderr)
    if left:
        print(f"profcore: `profcore resubmit {campaign.id}{where}` goes on with what is left.", file=sys.stderr)
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
    """Take away the folder of a campaign that was never submitted, and what leads there."""
    import shutil

    with suppress(OSError):
        if not any(campaign.spools.iterdir()) and not any(campaign.logs.glob("*.log")):
            unlink_spools(campaign)
            shutil.rmtree(campaign.folder)


def _campaign(options: argparse.Namespace, root: Path, run_id: str, experiment: str, group: str) -> Campaign:
    given = {**vars(options), "device": None, "anchors": None, "campaign": None}
    words = words_of(add_measuring, given)
    if options.anchors is not None:
        words += ["--anchors", str(options.anchors)]
    return new_campaign(
        root,
        run_id,
        experiment=experiment,
        group=group,
        launcher=options.launcher,
        shards=options.shards,
        words=tuple(words),
        # What is only printed is measured elsewhere, and imported from there.
        database="" if options.form else _database(options),
        options=launching_of(options),
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


def _check(options: argparse.Namespace, run_id: str) -> list[str]:
    """Refuse what can be known to be wrong before anything is submitted; the experiments that a model can have.

    Raises:
        UserError: It is.
    """
    check_launching(options)
    check_joint_options(options)
    check_quality_option(options)
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
    planned: list[str] = []

    def check(config: Shape, model: str) -> None:
        sweeps = plan_sweeps(meant, queries, config)
        check_asked(meant, sweeps, config, model)
        # Where the model follows from the card that a shard gets, what any that is meant has is submitted.
        planned.extend(each.experiment for each in sweeps if each.experiment not in planned)

    refuse_early(meant, check)
    if options.experiment == _ALL:
        for name in CATALOGUE:
            if name not in planned:
                print(f"Left out, {CATALOGUE[name].title}: the model has no such knob.", file=sys.stderr)
    return planned
