"""`rename`, `mark` and `delete`: changing what the database holds, which its owner alone may."""

from __future__ import annotations

import argparse
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.common import database_of
from profcore.cli.options import add_database, add_run
from profcore.cli.values import shortened
from profcore.errors import StoreHeldError, UserError
from profcore.results.named import find_run
from profcore.spec.marks import checked_tags, parted
from profcore.spec.stages import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profcore.storage.store import Store


def register(commands: Commands) -> None:
    """Add `rename`, `mark` and `delete`."""
    renaming = add_command(
        commands, "rename", "give a run a name; an empty one takes it back", 'RUN "before the new driver"'
    )
    add_run(renaming)
    renaming.add_argument("name", metavar="NAME")
    add_database(renaming)
    renaming.set_defaults(command=rename)
    _register_mark(commands)
    deleting = add_command(commands, "delete", "delete a run, its samples and its spool", "RUN --yes", "--empty --yes")
    which = deleting.add_mutually_exclusive_group(required=True)
    add_run(which, nargs="?")
    which.add_argument("--empty", action="store_true", help="every run that ended without a sample")
    deleting.add_argument("--yes", action="store_true", help="do not ask")
    add_database(deleting)
    deleting.set_defaults(command=delete)


def _register_mark(commands: Commands) -> None:
    about = "note of a run: a text, tags, a star, and whether lists leave it out"
    marking = add_command(commands, "mark", about, 'RUN --tag paper --note "fig. 3"', "RUN --star")
    add_run(marking)
    marking.add_argument("--note", metavar="TEXT", help="in place of its note; an empty one takes it back")
    marking.add_argument("--tag", nargs="+", default=[], metavar="TAG", help="tags beside those that it has")
    marking.add_argument("--untag", nargs="+", default=[], metavar="TAG", help="tags to take from it")
    marking.add_argument("--star", action=argparse.BooleanOptionalAction, help="have it stand out")
    marking.add_argument("--archive", action=argparse.BooleanOptionalAction, help="have lists leave it out")
    add_database(marking)
    marking.set_defaults(command=mark)


def rename(options: argparse.Namespace) -> int:
    """Give a run a name."""
    name = " ".join(options.name.split())
    with owning(options) as store:
        run_id = find_run(store, options.run)
        store.rename(run_id, name)
    print(f"{run_id} is called {name!r} now." if name else f"{run_id} has no name of its own now.")
    return 0


def mark(options: argparse.Namespace) -> int:
    """Change what is noted of a run, and print what it is now; without an option only that."""
    changes = {"note": options.note, "starred": options.star, "archived": options.archive}
    changes = {name: value for name, value in changes.items() if value is not None}
    with owning(options) as store:
        run_id = find_run(store, options.run)
        run = store.run(run_id)
        assert run
        if options.tag or options.untag:
            gone = set(checked_tags(options.untag))
            changes["tags"] = [tag for tag in checked_tags([*parted(run["tags"]), *options.tag]) if tag not in gone]
        if changes:
            store.mark(run_id, **changes)
        marked = store.run(run_id)
        assert marked
    said = [word for word in ("starred", "archived") if marked[word]]
    tags = f"tags: {marked['tags']}" if marked["tags"] else "no tags"
    print(f"{run_id}: {', '.join([*said, tags])}")
    if marked["note"]:
        print(marked["note"])
    return 0


def delete(options: argparse.Namespace) -> int:
    """Delete a run, or those that are empty, once a person has said so."""
    with owning(options) as store:
        if options.empty:
            run_ids = store.empty_runs()
            what = f"{len(run_ids)} empty run{'' if len(run_ids) == 1 else 's'}"
        else:
            run_ids = [find_run(store, options.run)]
            run = store.run(run_ids[0])
            assert run
            what = f"{run_ids[0]} with {run['num_samples']} samples"
            if not State(run["state"]).ended:
                raise UserError(f"{run_ids[0]} has not ended: stop it first.")
        if not run_ids:
            print("No run is empty.")
            return 0
        if not options.yes and not _agreed(what):
            print("Nothing was deleted.")
            return 0
        for run_id in run_ids:
            store.remove(run_id)
    for run_id in run_ids:
        print(f"{run_id} is deleted.")
    return 0


def _agreed(what: str) -> bool:
    """Whether a person says that something is to be deleted.

    Raises:
        UserError: There is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise UserError(f"{what[:1].upper()}{what[1:]} would be deleted, but only when you say so: add --yes.")
    return input(f"Delete {what}? [y/N] ").strip().lower() == "y"


@contextmanager
def owning(options: argparse.Namespace) -> Iterator[Store]:
    """The store, which no other process may hold meanwhile."""
    from profcore.storage.store import Store

    database = database_of(options)
    if not database.exists():
        raise UserError(f"There is no database {shortened(str(database))!r}: measure or import something first.")
    try:
        store = Store(database)
    except StoreHeldError:
        raise UserError(
            f"{shortened(str(database))} is held by another process, such as a dashboard: change the run there, "
            "on its page Runs, or end it first."
        ) from None
    with store:
        store.take_in_all()
        store.end_abandoned()
        yield store
