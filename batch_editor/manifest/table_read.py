"""What a table was read as: for who plans it, and for who keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from batch_editor.shops import Export


@dataclass(frozen=True, slots=True)
class TableFile:
    """The file that a table comes from. `ending` says what kind of table it holds, `open` gives it from its beginning.

    stamp: its time of modification in nanoseconds, and its size, when it was found; None for what can't change.
    """

    path: Path
    ending: str
    open: Callable[[], BinaryIO]
    stamp: tuple[int, int] | None = None

    @property
    def has_changed(self) -> bool:
        """Whether it is another one now, or gone."""
        return self.stamp is not None and stamp_of(self.path) != self.stamp


def stamp_of(path: Path) -> tuple[int, int] | None:
    """What a file is known by as the same, as `TableFile.stamp`; None if it isn't there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


@dataclass(frozen=True, slots=True)
class TableRead:
    """A table that is a shop's export, or resembles one; `name` is as messages call it.

    export: counts what was read; None where the table was taken as it stands, for this `reason`.
    advice: how to have it taken otherwise.
    """

    name: str
    file: TableFile
    export: Export | None = None
    reason: str = ""
    advice: str = ""

    @property
    def format(self) -> str:
        """What it was taken for."""
        return "plain" if self.export is None else str(self.export.format)

    @property
    def said(self) -> str:
        """One line for people."""
        if self.export is None:
            return f"{self.name}: read as it stands; {self.reason}{self.advice}"
        return f"{self.name}: {self.export.in_words()}{self.advice}"

    def as_json(self) -> dict[str, Any]:
        """The same for programs. The counts are there for a shop's export alone."""
        about = {"table": self.name, "format": self.format, "said": self.said}
        if self.export is None:
            return about
        tally = self.export.tally
        return {
            **about,
            "rows": tally.rows,
            "products": tally.products,
            "pictures": tally.pictures,
            "without_picture": sum(tally.without.values()),
            "repeated_links": tally.repeated,
        }
