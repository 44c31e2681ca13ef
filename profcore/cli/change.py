"""`rename` and `delete`: changing what the database holds, which its owner alone may."""

from __future__ import annotations

import argparse
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from profcore.cli.common import database_of
from profcore.cli.options import add_database
from profcore.cli.reading import find_run
from profcore.cli.values import shortened
from profcore.errors import StoreHeldError, UserError
from profcore.spec.stages import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profcore.storage.store import Store


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `rename` and `delete`."""
    renaming = commands.add_parser("rename", help="give a run a name; an empty one takes it back")
    renaming.add_argument("run", metavar="RUN", help="its id, or a beginning that is one run's alone")
    renaming.add_argument("name", metavar="NAME")
    add_database(renaming)
    renaming.set_defaults(command=rename)
    deleting = commands.add_parser("delete", help="delete a run, its samples and its spool")
    deleting.add_argument("run", metavar="RUN", help="its id, or a beginning that is one run's alone")
    deleting.add_argument("--yes", action="store_true", help="do not ask")
    add_database(deleting)
    deleting.set_defaults(command=delete)


def rename(options: argparse.Namespace) -> int:
    """Give a run a name."""
    name = options.name.strip()
    with _owning(options) as store:
        run_id = find_run(store, options.run)
        store.rename(run_id, name)
    print(f"{run_id} is called {name!r} now." if name else f"{run_id} has no name of its own now.")
    return 0


def delete(options: argparse.Namespace) -> int:
    """Delete a run, once a person has said so."""
    with _owning(options) as store:
        run_id = find_run(store, options.run)
        run = store.run(run_id)
        assert run
        if not State(run["state"]).ended:
            raise UserError(f"{run_id} has not ended: stop it first.")
        if not options.yes:
            if not sys.stdin.isatty():
                raise UserError(f"{run_id} is deleted only when you say so: add --yes.")
            if input(f"Delete {run_id} with {run['num_samples']} samples? [y/N] ").strip().lower() != "y":
                print("Nothing was deleted.")
                return 0
        store.remove(run_id)
    print(f"{run_id} is deleted.")
    return 0


@contextmanager
def _owning(options: argparse.Namespace) -> Iterator[Store]:
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
        yield store
