"""A folder or glob of pictures as a table: one row a picture."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from batch_editor.files import PICTURES
from batch_editor.ledger import FILE_NAME as LEDGER_NAME
from batch_editor.manifest.faults import shown
from batch_editor.manifest.table import Record, TableFault
from batch_editor.text import escape_bytes, many

COLUMNS = ("path", "name", "stem", "folder")
_GLOB = re.compile(r"[*?[]")


class PictureReader:
    """Lists pictures in the order of their paths, which are relative to `base`, as what was written is.

    Hidden files, files that are no pictures, and what a glob meets in output directories are left out; a warning counts
    them. Folders in the folder are a glob's matter (`photos/**/*.jpg`).
    """

    def __init__(self, written: str, base: Path) -> None:
        self._written = written
        self._base = base
        self.warnings: list[str] = []

    def records(self) -> Iterator[Record]:
        """The header, then the rows; see `TableReader`."""
        found, folders = self._found()
        is_folder = (self._base / self._written).is_dir()
        made = OutputDirectories(self._base, self._written if is_folder else base_of(self._written))
        files = [file for file in found if not made.have(file)]
        # Those that the provider doesn't take are rows as well: whoever looks at their link says so, where leaving them
        # out would lose a product without a word.
        pictures = [file for file in files if is_picture(file) and not _is_hidden(file)]
        hidden = sum(map(_is_hidden, files))
        others = [file for file in files if not _is_hidden(file) and not is_picture(file)]
        if not pictures:
            left = f"; {many(len(others), 'other file')}" if others else ""
            inside = "; in folders below there may be some: try **/*.jpg" if folders else ""
            if made.names:
                inside += f"; what runs have made in {_listed(made.names)} is left out: to edit it, name that folder"
            raise TableFault(f"no pictures there (.jpg, .png or .webp){left}{inside}")
        if others:
            example = shown(Path(others[0]).name)
            is_one = len(others) == 1
            self.warnings.append(
                f"{example} is no picture and is left out"
                if is_one
                else f"{len(others):,} files are no pictures and are left out, such as {example}"
            )
        if hidden:
            self.warnings.append(f"{hidden:,} hidden file{' is' if hidden == 1 else 's are'} left out")
        if made.names:
            count = len(found) - len(files)
            self.warnings.append(f"{many(count, 'file')} left out that runs have made, in {_listed(made.names)}")
        if folders:
            self.warnings.append(
                f"{folders:,} folder{' in it is' if folders == 1 else 's in it are'} left out;"
                f" {self._written.rstrip('/')}/**/*.jpg takes the pictures in them as well"
            )
        yield 1, list(COLUMNS), None
        # A name's bytes may be no text.
        for number, path in enumerate(map(escape_bytes, sorted(pictures)), 1):
            folder, name = os.path.split(path)
            yield number, [path, name, Path(name).stem, folder], None

    def _found(self) -> tuple[list[str], int]:
        """All files, by their paths, and how many folders a folder has."""
        place = self._base / self._written
        if place.is_dir():
            with os.scandir(place) as entries:
                listed = [(entry.name, entry.is_dir()) for entry in entries]
            files = [os.path.normpath(f"{self._written}/{name}") for name, is_folder in listed if not is_folder]
            return files, sum(is_folder and not name.startswith(".") for name, is_folder in listed)
        if place.is_file():
            return [os.path.normpath(self._written)], 0
        if not is_glob(self._written):
            raise TableFault("can't be read: there is no such folder")
        matches = glob.glob(_any_case(self._written), root_dir=self._base, recursive=True, include_hidden=True)  # noqa: PTH207  # Path.glob goes through links in 3.13, and not before
        return [match for match in dict.fromkeys(matches) if (self._base / match).is_file()], 0


class OutputDirectories:
    """Tells what runs have made from what they are to edit: a manifest of all pictures below a folder that its runs
    write into as well would pay for edits of edits.

    `below`: a folder, relative to `base`; an output directory that it is itself, or is in, was meant.
    """

    def __init__(self, base: Path, below: str) -> None:
        self._base = base
        self._known: dict[str, str | None] = dict.fromkeys([*map(str, Path(below).parents), str(Path(below))])
        self.names: set[str] = set()

    def have(self, path: str) -> bool:
        """Whether a path, relative to `base`, is in one; `names` has it then."""
        name = self._of(os.path.dirname(path) or ".")  # noqa: PTH120  # ten thousands of them
        if name is not None:
            self.names.add(name)
        return name is not None

    def _of(self, folder: str) -> str | None:
        if folder not in self._known:
            is_one = (self._base / folder / LEDGER_NAME).exists()
            self._known[folder] = folder if is_one else self._of(os.path.dirname(folder) or ".")  # noqa: PTH120
        return self._known[folder]


def _any_case(written: str) -> str:
    """A glob whose last part takes capitals as well: cameras write `IMG_1.JPG`.

    >>> _any_case("Photos/a*.jp[g]")
    'Photos/[aA]*.[jJ][pP][g]'
    """
    folder, name = os.path.split(written)
    parts = re.split(r"(\[[^\]]*\])", name)
    letter = re.compile(r"[^\W\d_]")
    parts[::2] = [letter.sub(lambda one: f"[{one[0].lower()}{one[0].upper()}]", part) for part in parts[::2]]
    return os.path.join(folder, "".join(parts))  # noqa: PTH118


def is_glob(written: str) -> bool:
    """Whether a name stands for several paths."""
    return bool(_GLOB.search(written))


def base_of(written: str) -> str:
    """The folder that all pictures of a name are in or below.

    >>> base_of("shop/photos/**/*.jpg"), base_of("mug.jpg")
    ('shop/photos', '.')
    """
    if Path(written).is_dir():
        return written
    parts = Path(written).parent.parts
    plain = next((at for at, part in enumerate(parts) if is_glob(part)), len(parts))
    return str(Path(*parts[:plain]))


def is_picture(name: str) -> bool:
    """Whether a name is a picture's, by its ending."""
    return name.lower().endswith(PICTURES)


def _listed(folders: Iterable[str]) -> str:
    return ", ".join(shown(escape_bytes(name)) for name in sorted(folders))


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") and part not in (".", "..") for part in Path(path).parts)
