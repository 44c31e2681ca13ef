"""`jobs`, `cancel` and `resubmit`: how far submitted runs are, ending them, and going on with what is left."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.launching import add_folder, folder_words, root_of
from profcore.cli.lists import print_list
from profcore.cli.options import add_database, add_json
from profcore.cli.submit import finish, summary_line, wait
from profcore.cli.values import whole_number
from profcore.errors import UserError
from profcore.spec.stages import State
from profcore.spec.text import counted
from profcore.worker.campaigns import find_campaign, find_campaigns, list_campaigns
from profcore.worker.launchers import launcher_of
from profcore.worker.linking import link_spools
from profcore.worker.shard_states import log_tail, shard_states
from profcore.worker.spool_progress import SpoolProgress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.worker.campaigns import Campaign
    from profcore.worker.shard_states import ShardState


def register(commands: Commands) -> None:
    """Add `jobs`, `cancel` and `resubmit`."""
    looking = add_command(commands, "jobs", "submitted runs, and how far each shard is", "", "ID", "ID --log 2")
    looking.add_argument(
        "id", nargs="?", metavar="ID", help="of the run, or a beginning that is one's alone; of `submit all` of all"
    )
    looking.add_argument("--log", type=whole_number, metavar="SHARD", help="the end of what a shard printed")
    add_json(looking)
    ending = add_command(commands, "cancel", "end the shards of a submitted run; what they measured stays", "ID")
    ending.add_argument("id", metavar="ID", help="of the run, or of all that `submit all` submitted")
    again = add_command(
        commands, "resubmit", "go on with the shards that failed or were ended, and measure nothing twice", "ID"
    )
    again.add_argument("id", metavar="ID", help="of the run, or of all that `submit all` submitted")
    again.add_argument("--no-wait", action="store_true", help="return at once")
    for parser, command in ((looking, jobs), (ending, cancel), (again, resubmit)):
        add_folder(parser)
        add_database(parser)
        parser.set_defaults(command=command)


def jobs(options: argparse.Namespace) -> int:
    """Print the campaigns, or how far each shard of one is."""
    root = root_of(options)
    if options.id is None:
        if options.log is not None:
            raise UserError("--log is of one run's shard: name the run, such as `jobs ID --log 1`.")
        return _list(list_campaigns(root), options.json)
    campaigns = find_campaigns(root, options.id)
    if options.log is not None:
        campaign = find_campaign(root, options.id)
        return _print_log(shard_states(campaign, launcher_of(campaign.launcher)), options.log)
    states = {each.id: shard_states(each, launcher_of(each.launcher)) for each in campaigns}
    if options.json:
        plain = [_plain(each, states[each.id]) for each in campaigns]
        # Several under one id are that id's, whatever number of them there is.
        found = {"id": campaigns[0].group, "runs": plain} if len(plain) > 1 else plain[0]
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return 0
    for each in campaigns:
        _print_shards(each, states[each.id])
        if all(shard.is_done for shard in states[each.id]):
            finish(each, states[each.id])
    return 0


def _plain(campaign: Campaign, states: Sequence[ShardState]) -> dict[str, object]:
    known = {"id": campaign.id, "experiment": campaign.experiment, "launcher": campaign.launcher}
    return {**known, "shards": [each.to_dict() for each in states]}


def _print_shards(campaign: Campaign, states: Sequence[ShardState]) -> None:
    """Print how far each shard of a campaign is."""
    print(f"{campaign.id}, {campaign.experiment} by {campaign.launcher}: {summary_line(states)}")
    rows = [
        {
            "shard": each.shard,
            "state": each.word,
            "samples": each.samples,
            "job": each.job or "",
            "why": each.reason,
            "log": str(each.log or ""),
        }
        for each in states
    ]
    print_list(rows, list(rows[0]), list(rows[0]))


def cancel(options: argparse.Namespace) -> int:
    """End what waits and what runs of campaigns; of several all are tried, whatever becomes of one."""
    refused: list[UserError] = []
    for campaign in find_campaigns(root_of(options), options.id):
        try:
            _cancel(campaign)
        except UserError as error:
            refused.append(error)
    if refused:
        raise UserError(" ".join(map(str, refused)))
    return 0


def _cancel(campaign: Campaign) -> None:
    launcher = launcher_of(campaign.launcher)
    active = [each for each in shard_states(campaign, launcher) if each.active and each.job]
    if not active:
        print(f"No shard of {campaign.id} waits or is measured.")
        return
    jobs = [each.job for each in active if each.job]
    launcher.cancel(campaign, jobs)
    campaign.without(jobs).write()
    measured = any(each.samples for each in active)
    what = "what they measured stays" if measured else "nothing was measured yet"
    print(f"{campaign.id}: {counted(len(active), 'shard')} cancelled; {what}.")


def resubmit(options: argparse.Namespace) -> int:
    """Submit the shards again that have ended before they were done."""
    found = find_campaigns(root_of(options), options.id)
    again = [campaign for each in found if (campaign := _resubmitted(each))]
    return 0 if options.no_wait or not again else wait(again, folder_words(options))


def _resubmitted(campaign: Campaign) -> Campaign | None:
    """A campaign with its shards submitted again that are left; None where there are none."""
    launcher = launcher_of(campaign.launcher)
    states = shard_states(campaign, launcher)
    left = [each.shard for each in states if not each.is_done and not each.active]
    if not left:
        active = sum(each.active for each in states)
        what = f"{counted(active, 'shard')} of {campaign.id} are still to end" if active else f"{campaign.id} is done"
        print(f"{what}: nothing is left to submit.")
        return None
    # First what may fail before any shard is started.
    link_spools(campaign)
    campaign = campaign.submitted(launcher.submit(campaign, left))
    campaign.write()
    print(f"{campaign.id}: {counted(len(left), 'shard')} submitted again: {', '.join(map(str, left))}.")
    return campaign


def _list(campaigns: list[Campaign], as_json: bool) -> int:
    """Print campaigns; how far they are is asked of one by its id, since that asks its launcher."""
    progress = SpoolProgress()
    rows = [
        {
            "id": each.id,
            "submitted (UTC)": each.created_at[:16].replace("T", " "),
            "experiment": each.experiment,
            "launcher": each.launcher,
            "shards": each.shards,
            "done": sum(progress.look(each.spool(shard)).state is State.DONE for shard in range(1, each.shards + 1)),
        }
        for each in campaigns
    ]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif not rows:
        print("No run was submitted.")
    else:
        print_list(rows, list(rows[0]), list(rows[0]))
    return 0


def _print_log(states: list[ShardState], shard: int) -> int:
    """Print the end of a shard's log."""
    if not 1 <= shard <= len(states):
        raise UserError(f"There is no shard {shard}: the run has {len(states)}.")
    log = states[shard - 1].log
    lines = log_tail(log) if log is not None else []
    if not lines:
        print(f"Shard {shard} has printed nothing yet.", file=sys.stderr)
        return 0
    print("\n".join(lines))
    return 0
