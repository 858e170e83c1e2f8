"""What a source is: a shop's export, any other table, or pictures; and its name as a manifest writes it."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from batch_editor.errors import ManifestError, UsageError
from batch_editor.files import YAML, NotThere
from batch_editor.ledger import FILE_NAME as LEDGER_NAME
from batch_editor.manifest import Faults
from batch_editor.manifest.picture_rows import base_of, is_glob, is_picture
from batch_editor.manifest.table import Record
from batch_editor.manifest.table_files import (
    WANTED,
    NoTable,
    check_is_table,
    find_table,
    is_of_pictures,
    is_standard_input,
    open_table,
    split_sheet,
    stem_of,
)
from batch_editor.shops import Format, recognize
from batch_editor.text import escape_bytes

# Folders below a folder of pictures are looked through, to tell whether there are any in them; not for ever.
_LOOKED_AT = 100_000


@dataclass(frozen=True, slots=True)
class Source:
    """What was named. `path` is from the working directory, with a workbook's sheet behind it; `stem` is its name.
    `is_deep`: pictures in folders below count as well.

    `format` is the shop whose export it is; `resembles` says in words which it nearly is.
    """

    path: str
    stem: str
    columns: tuple[str, ...]
    has_pictures: bool = False
    is_deep: bool = False
    format: Format | None = None
    resembles: str = ""

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return Path(base_of(self.path)) if self.has_pictures else Path(split_sheet(self.path, Path())[0]).parent

    def rows(self) -> Iterator[Record]:
        """Its rows as they stand, each time anew.

        Raises:
            ManifestError: it can't be read to its end.
        """
        faults = Faults()
        with open_table(self.path, Path(), faults) as table:
            yield from table
        faults.raise_if_any()

    def first_fault(self) -> str | None:
        """What is wrong with its first row that can't be divided into cells; None where all can."""
        return next((f"{self.path}:{line}: {problem}" for line, _, problem in self.rows() if problem), None)

    def seen_from(self, folder: Path) -> str:
        """Its name as a manifest in that folder writes it."""
        if self.has_pictures and is_glob(self.path) and not Path(self.path).exists():
            base = base_of(self.path)
            inside = os.path.relpath(self.path, base)
            return _as_text(f"{glob.escape(relative(Path(base), folder))}/{inside}".removeprefix("./"))
        if self.has_pictures and Path(self.path).is_dir():
            return f"{escape_bytes(relative(Path(self.path), folder))}/"
        file, sheet = split_sheet(self.path, Path())
        return escape_bytes(relative(Path(file), folder)) + ("" if sheet is None else f"#{sheet}")


def find_source(written: str) -> Source:
    """What somebody has named.

    Raises:
        UsageError: there is no such thing, or no rows can be read from it.
    """
    if is_standard_input(written):
        raise UsageError(
            "init looks at its source more than once, which standard input (-) does not allow: name a file"
        )
    if not written.strip():
        raise UsageError("the source has no name: expected a table, or a folder of pictures")
    if written.lower().endswith(YAML):
        raise UsageError(f"{written}: is a manifest already; plan it: batch-editor plan {written}")
    try:
        path = _found(written) if "://" not in written else written
        check_is_table(path, Path())
    except NoTable as fault:
        raise UsageError(f"{written}: {str(fault) or f'is no table; expected a {WANTED}'}") from fault
    if is_of_pictures(path, Path()):
        return _of_pictures(path)
    faults = Faults()
    with open_table(path, Path(), faults) as table:
        columns = table.columns
    if not columns:
        raise ManifestError(faults.lines or [f"{path}: is empty"])
    recognition = recognize(columns)
    return Source(path, stem_of(Path(path)), columns, format=recognition.format, resembles=recognition.reason)


def relative(path: Path, folder: Path) -> str:
    """A path as seen from a folder, also where one of the two is reached through links."""
    seen = os.path.relpath(path, folder)
    if (folder / seen).exists() or not path.exists():
        return seen
    return os.path.relpath(path.parent.resolve() / path.name, folder.resolve())


def _found(written: str) -> str:
    try:
        path = find_table(written, Path())
    except NotThere as error:
        raise UsageError(f"{written}: there is no such file or folder{error.hint}") from error
    if not is_glob(path) and not Path(split_sheet(path, Path())[0]).exists():
        raise UsageError(f"{written}: there is no such file or folder")
    return path


def _of_pictures(path: str) -> Source:
    """A folder, with the folders below it if they have pictures."""
    place, stem, is_deep = Path(path), stem_of(Path(path)), False
    if place.is_dir() and (endings := _endings_below(place)):
        # One ending leaves other files out without a word; of several `**/*` takes all.
        is_deep = True
        ending = next(iter(endings)) if len(endings) == 1 else ""
        path = f"{glob.escape(path.rstrip('/') or '/')}/**/*{ending}"
    return Source(path, stem, ("path", "name", "stem", "folder"), has_pictures=True, is_deep=is_deep)


def _endings_below(folder: Path) -> Counter[str]:
    """The endings of all pictures, if some of them lie in folders below; else none."""
    endings: Counter[str] = Counter()
    is_deep = False
    looked_at = 0
    for place, folders, files in os.walk(folder):
        if LEDGER_NAME in files and Path(place) != folder:  # what runs have made
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        pictures = [name for name in files if is_picture(name) and not name.startswith(".")]
        endings.update(os.path.splitext(name)[1] for name in pictures)  # noqa: PTH122
        is_deep = is_deep or (bool(pictures) and Path(place) != folder)
        looked_at += len(files)
        if looked_at > _LOOKED_AT:
            if 10 * endings.total() < looked_at:  # a disk, or a home
                raise UsageError(
                    f"{folder}: has more than {_LOOKED_AT:,} files below it, few of them pictures;"
                    " name the folder that holds the pictures"
                )
            break
    return endings if is_deep else Counter()


def _as_text(pattern: str) -> str:
    """A glob in which bytes of names that are no text stand as `?`, which takes any."""
    return "".join("?" if "\ud800" <= each <= "\udfff" else each for each in pattern)
