"""What commands share: what to measure on, where results go, and measuring under a progress bar."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.data_sets import DataSet, usual_kind
from profcore.engines.names import check_family_engine
from profcore.errors import StoreHeldError, UserError
from profcore.experiments.motivation import asks_each_picture_once
from profcore.models.config import may_be_any, model_shape
from profcore.models.families.shape import FamilyShape
from profcore.models.families.versions import check_version
from profcore.models.hub import fetch_config
from profcore.spec.queries import Picture
from profcore.spec.runs import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from profcore.models.shape import Shape


def database_of(options: argparse.Namespace) -> Path:
    """The database that was asked for."""
    from profcore.paths import default_database

    return options.db or default_database()


def target_of(options: argparse.Namespace) -> Target:
    """What was asked to be measured on."""
    device = default_device(options.device)
    own = "tiny" if device == "cpu" else "molmoe-1b"
    return Target(options.model or own, device, options.dtype, getattr(options, "engine", "eager"), options.experts)


def refuse_early(
    options: argparse.Namespace, check: Callable[[Shape, str], object] = lambda config, model: None
) -> None:
    """Refuse what is wrong for every model that may be meant, before torch is asked whether there is a GPU.

    Args:
        options: Their `model` and `device` say which may be meant.
        check: What else must hold for the shape of one of them, and its name; else it raises a `UserError`.

    Raises:
        UserError: There is no such model, or nothing that is asked for can be done with one.
    """
    own = ["tiny"] if options.device == "cpu" else ["molmoe-1b", "tiny"]
    refused: list[UserError] = []
    models = [options.model] if options.model else own
    for model in models:
        try:
            fetch_unknown(model)
            shape = model_shape(model)
            if isinstance(shape, FamilyShape):
                check_family_engine(getattr(options, "engine", None) or "eager", model)
            check(shape, model)
            check_version(shape)
        except UserError as error:
            refused.append(error)
    if len(refused) == len(models):
        raise refused[0]


def fetch_unknown(model: str) -> None:
    """Fetch the configuration of a hub name that may be any model, since its knobs are asked for before its weights.

    Raises:
        ModelError: There is no such model, or it cannot be had.
    """
    if may_be_any(model):
        fetch_config(model)


def default_device(given: str | None) -> str:
    """The device that was asked for: the first GPU or the CPU, unless told."""
    if given is None:
        import torch

        return "cuda:0" if torch.cuda.is_available() else "cpu"
    return "cuda:0" if given == "cuda" else given


def picture_of(text: str | None) -> Picture:
    """The picture that a word names: a photograph, a colour or a file."""
    from profcore.images.pictures import PHOTOS

    if text is None:
        return Picture()
    if text.startswith("#"):
        return Picture("solid", text)
    return Picture("photo" if text in PHOTOS else "file", text)


def data_set_of(options: argparse.Namespace) -> DataSet:
    """The data set that the options name."""
    return DataSet(
        options.data_set or usual_kind(options.model),
        options.data,
        options.questions,
        options.annotations,
        options.split,
        options.num_pictures,
        getattr(options, "seed", 0),
        asks_each_picture_once(getattr(options, "experiment", "")),
    )


def check_database(database: Path) -> Path:
    """The spool directory beside a database that can be used, now or by the process that holds it."""
    try:
        from profcore.storage.store import Store, spool_directory
    except ImportError as error:
        raise UserError(f"{error.name} is not installed here: write spools with --spool-only DIR.") from None
    with suppress(StoreHeldError):
        Store(database).close()
    return spool_directory(database)


def deliver(options: argparse.Namespace, path: Path) -> None:
    """Hand a spool to the store, or say where it stays."""
    if options.spool_only:
        print(f"Spool: {path}")
    else:
        hand_over(path, database_of(options))


def hand_over(path: Path, database: Path) -> None:
    """Have the store take a spool in, unless another process holds it."""
    if not hand_over_all(database):
        print(f"{database} is held by another process: the spool stays in {path}, and its owner takes it in.")


def hand_over_all(database: Path) -> bool:
    """Have the store take in what lies beside it; returns whether no other process holds it, which does so itself."""
    from profcore.storage.store import Store

    try:
        with Store(database) as store:
            store.take_in_all()
            store.end_abandoned()
    except StoreHeldError:
        return False
    return True
