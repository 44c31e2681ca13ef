"""What an option's text may be: numbers in range, text, paths; a refusal is one sentence and exit status 2."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from profcore.errors import UserError
from profcore.experiments.joint import parse_grid

_LARGEST = 10**9
_SHOWN = 60


def whole_number(text: str) -> int:
    """A whole number that every part of the product can hold.

    Raises:
        argparse.ArgumentTypeError: It is none, or beyond a thousand million.
    """
    try:
        number = int(text) if len(text) < len(str(_LARGEST)) + 2 else None
    except ValueError:
        number = None
    if number is None or abs(number) > _LARGEST:
        raise argparse.ArgumentTypeError(f"{shortened(text)!r} is no whole number up to {_LARGEST:,}")
    return number


def grid_text(text: str) -> str:
    """An image grid as '2x3', or '6' for one row of six.

    Raises:
        argparse.ArgumentTypeError: It is none, or beyond what a model takes.
    """
    try:
        rows, columns = parse_grid(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error).rstrip(".")) from None
    return f"{rows}x{columns}"


def share(text: str) -> float:
    """A share, as a number or in per cent.

    Raises:
        argparse.ArgumentTypeError: It is none between 0 and 1.
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no share between 0 and 1, such as 0.02 or 2%")
    return value


def milliseconds(text: str) -> float:
    """A length of time in milliseconds.

    Raises:
        argparse.ArgumentTypeError: It is none above 0.
    """
    value = _number(text)
    if not 0 < value < _LARGEST:
        raise argparse.ArgumentTypeError(f"{shortened(text)!r} is no number of milliseconds above 0")
    return value


def percentile(text: str) -> float:
    """A percentile, such as 95.

    Raises:
        argparse.ArgumentTypeError: It is not between 0 and 100.
    """
    value = _number(text.removeprefix("P").removeprefix("p"))
    if not 0 < value < 100:
        raise argparse.ArgumentTypeError(f"{shortened(text)!r} is no percentile above 0 and below 100, such as 95")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


def seconds(text: str) -> float:
    """A length of time in seconds.

    Raises:
        argparse.ArgumentTypeError: It is none above 0.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < _LARGEST:
        raise argparse.ArgumentTypeError(f"{shortened(text)!r} is no number of seconds above 0")
    return value


def device_name(text: str) -> str:
    """A device, or a GPU's number as the published scripts give it; several of them apart by commas."""
    return ",".join(f"cuda:{each}" if each.isdecimal() and len(each) < 4 else each for each in text.split(","))


def model_name(text: str) -> str:
    """A preset, a directory or a hub name.

    Raises:
        argparse.ArgumentTypeError: It is blank, or in the home of a user that there is not.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return path_text(text)


def path_text(text: str) -> str:
    """A path as it was written.

    Raises:
        argparse.ArgumentTypeError: It is in the home of a user that there is not.
    """
    try:
        Path(text).expanduser()
    except RuntimeError:
        raise argparse.ArgumentTypeError(f"{shortened(text)!r} is in the home of no user of this machine") from None
    return text


def shortened(text: str) -> str:
    """Text as a sentence can hold it."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def check_words(words: list[str]) -> None:
    """Whether every word of a command line is text.

    Raises:
        UserError: One holds bytes that are no UTF-8.
    """
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            readable = shortened(word.encode(errors="surrogateescape").decode(errors="replace"))
            raise UserError(f"{readable!r} is no text in UTF-8: write it as such.") from None


def existing_file(path: Path) -> bytes:
    """A file's content.

    Raises:
        UserError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{shortened(str(path))} cannot be read: {error.strerror}.") from None


def check_output_file(path: Path | None) -> None:
    """Whether a file can be written, tried before anything is measured; nothing is left behind.

    Raises:
        UserError: Its folder is missing, or it cannot be written there.
    """
    if path is None:
        return
    try:
        if not path.parent.is_dir():
            raise UserError(f"There is no folder {shortened(str(path.parent))!r}: make it, or write elsewhere.")
        if path.is_dir():
            raise UserError(f"{shortened(str(path))!r} is a folder: give the path of a file.")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise UserError(f"{shortened(str(path))!r} cannot be written: its permissions do not let you.")
    except OSError as error:
        raise UserError(f"{shortened(str(path))} cannot be written: {error.strerror}.") from None


def make_output_directory(path: Path | None) -> None:
    """Make a folder that results go to, before anything is measured.

    Raises:
        UserError: It cannot be made or written to.
    """
    if path is None:
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {shortened(str(path))!r} cannot be made: {error.strerror}.") from None
    if not os.access(path, os.W_OK):
        raise UserError(f"The folder {shortened(str(path))!r} cannot be written to: its permissions do not let you.")
