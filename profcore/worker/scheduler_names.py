"""What schedulers take as a name, an image or a place: what is none is refused before anything is printed."""

from __future__ import annotations

import re
from pathlib import Path

from profcore.errors import UserError
from profcore.spec.text import brief

# Source: distribution/reference, the grammar of an image's name.
_HOST_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
# A host has a dot or a port, or is this machine; what has neither is a part of the name, in small letters.
_PORT = r":[0-9]{1,5}"
_HOST = rf"(?:localhost(?:{_PORT})?|{_HOST_PART}(?:\.{_HOST_PART})+(?:{_PORT})?|{_HOST_PART}{_PORT})"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_TAG, _DIGEST = (
    r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}",
    r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}",
)
_IMAGE = re.compile(rf"(?P<name>(?:{_HOST}/)?{_PART}(?:/{_PART})*)(?::{_TAG})?(?:@{_DIGEST})?")
_LONGEST_IMAGE = 255
# Source: RFC 1123, as Kubernetes names its objects.
_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_CLAIM = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LONGEST_CLAIM = 253
# As SkyPilot's catalogue writes cards: H100, A100-80GB, RTX6000-Ada; how many is added.
_ACCELERATOR = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[._-][A-Za-z0-9]+)*")
_LONGEST_ACCELERATOR = 60
# Source: sbatch(1): not more than a node's hosts file could hold, and no list's comma.
_PARTITION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*(?:,[A-Za-z0-9_][A-Za-z0-9_.@+-]*)*")


def check_image(text: str) -> str:
    """A container's image.

    Raises:
        UserError: No registry has one of that name.
    """
    found = _IMAGE.fullmatch(text)
    if not found or len(found["name"]) > _LONGEST_IMAGE:
        raise UserError(
            f"{brief(text)!r} is no container's image: give such as registry.example/team/profcore:1.2, in small "
            "letters but for the tag."
        )
    return text


def check_claim(text: str) -> str:
    """A volume claim of Kubernetes.

    Raises:
        UserError: None can be called so.
    """
    if not _CLAIM.fullmatch(text) or len(text) > _LONGEST_CLAIM:
        raise UserError(
            f"{brief(text)!r} is no volume claim's name: give small letters, digits, hyphens and dots, such as "
            "campaigns-claim."
        )
    return text


def check_accelerator(text: str) -> str:
    """A card as SkyPilot names it.

    Raises:
        UserError: None is called so.
    """
    if not _ACCELERATOR.fullmatch(text) or len(text) > _LONGEST_ACCELERATOR:
        raise UserError(
            f"{brief(text)!r} is no card's name: give such as H100 or A100-80GB, without how many: each shard has one."
        )
    return text


def is_partition(text: str) -> bool:
    """Whether Slurm may have a partition, or several apart by commas, of that name."""
    return _PARTITION.fullmatch(text) is not None


def check_place(place: Path, what: str) -> None:
    """Whether scripts can name a folder.

    Args:
        place: The folder, from the root.
        what: What it is, as a sentence begins with it.

    Raises:
        UserError: It has a line's end or another letter in it that cannot be printed.
    """
    if not str(place).isprintable():
        raise UserError(f"{what} {brief(str(place))!r} has a letter that cannot be printed: no script can name it.")


def check_slurm_folder(root: Path) -> None:
    """Whether Slurm writes logs into a folder that is named as this one is.

    Raises:
        UserError: It takes a part of the name for a pattern of its own.
    """
    for letter in "%\\":
        if letter in str(root):
            raise UserError(
                f"{root} has a {letter} in its name, by which Slurm writes a job's number into the names of logs: name "
                "another with --folder."
            )


def check_mounted(root: Path) -> None:
    """Whether Kubernetes mounts a volume at a folder.

    Raises:
        UserError: It does not.
    """
    if ":" in str(root) or root == root.parent:
        raise UserError(f"Kubernetes mounts no volume at {root}: name a folder without a colon with --folder.")
