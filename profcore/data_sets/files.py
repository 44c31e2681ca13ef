"""The pictures of a data set, found by the names that rows give them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from profcore.errors import UserError
from profcore.paths import ANYWHERE, Roots, inside
from profcore.spec.text import some, whole_text

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_COCO = re.compile(r"(?:.*_)?0*([0-9]+)")


def pictures_in(folder: Path) -> list[Path]:
    """Every picture file below a folder, by its ending; a name that is no text in UTF-8 cannot be asked for.

    Raises:
        UserError: There is none.
    """
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURE_ENDINGS and whole_text(str(path)) == str(path)
    )
    if not found:
        raise UserError(f"{folder} holds no picture: it needs files such as {', '.join(PICTURE_ENDINGS[:3])}.")
    return found


def _normal(text: str) -> str:
    """The text in one Unicode form: some systems write ü in file names as one character, some as two."""
    return unicodedata.normalize("NFC", text)


class PictureFolder:
    """The pictures below a folder, found by path or by id; `find` and `find_id` say why there is none."""

    def __init__(self, folder: Path, roots: Roots = ANYWHERE) -> None:
        """Look at the folder; a link in it may lead anywhere in it, and elsewhere within the roots.

        Raises:
            UserError: It holds no picture.
        """
        self.folder, self._roots = folder, roots
        self._files = pictures_in(folder)

    def find(self, name: str) -> tuple[Path | None, str]:
        """The file that a row names by its path in the folder, else the one that differs in its Unicode form alone."""
        path = inside(self.folder, name)
        if path is None:
            return None, f"{name!r} lies outside of {self.folder}."
        if os.path.exists(path):  # noqa: PTH110  Path.exists fails for names that no file can have
            return self._within(path)
        alike = self._by_path.get(_normal(os.path.normpath(name)), [])
        if len(alike) > 1:
            return None, f"Several pictures in {self.folder} are called {name!r}."
        # One that is not there is said so when it is opened.
        return self._within(alike[0] if alike else path)

    def _within(self, path: Path) -> tuple[Path | None, str]:
        """A file of the folder, unless it is a link that leads out of all that may be opened."""
        if self._roots.holds(path):
            return path, ""
        return None, f"{path.name!r} is a link that leads outside of the folders that a page may open."

    def find_id(self, image_id: str) -> tuple[Path | None, str]:
        """The picture of an id: the one called so, else COCO's, whose number follows a name and zeros."""
        wanted = _normal(image_id)
        found = self._by_name.get(wanted) or self._by_number.get(number_of(wanted) or "", [])
        if not found:
            return None, f"No picture in {self.folder} has the id {image_id}."
        if len(found) > 1:
            names = some([str(path.relative_to(self.folder)) for path in found])
            return None, f"Several pictures in {self.folder} have the id {image_id}: {names}."
        return self._within(found[0])

    @cached_property
    def _by_path(self) -> dict[str, list[Path]]:
        """Pictures by their path in the folder."""
        return self._grouped(lambda path: [path.relative_to(self.folder).as_posix()])

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        """Pictures by their name, and by their path in the folder; with and without ending."""

        def names(path: Path) -> list[str]:
            below = path.relative_to(self.folder)
            return [path.stem, path.name, below.as_posix(), below.with_suffix("").as_posix()]

        return self._grouped(names)

    @cached_property
    def _by_number(self) -> dict[str, list[Path]]:
        """Pictures by the number that COCO's names end in."""
        return self._grouped(lambda path: [number] if (number := number_of(path.stem)) else [])

    def _grouped(self, names: Callable[[Path], list[str]]) -> dict[str, list[Path]]:
        groups: dict[str, list[Path]] = {}
        for path in self._files:
            for name in {_normal(each) for each in names(path)}:
                groups.setdefault(name, []).append(path)
        return groups


def number_of(name: str) -> str | None:
    """The number of a name such as COCO_val2014_000000000042 or 42, without leading zeros; None for other names.

    An id of hexadecimal digits may end in digits too, and is no such name.
    """
    match = _COCO.fullmatch(name)
    return match[1] if match else None
