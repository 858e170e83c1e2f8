"""The files of a SQLite database: what lies beside it, and whether what was opened is still there."""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path

from batch_editor.files.regular import expect_regular

# What SQLite keeps beside a database, by the ends of their names.
SIDE_FILES = ("-journal", "-wal", "-shm")


def expect_side_files(path: Path) -> None:
    """See that SQLite finds files beside a database, or nothing, where it would read and write them.

    Raises:
        NotAFile: one is something else; SQLite would wait for a FIFO without end, and write through a link.
        OSError: one can't be looked at.
    """
    for ending in SIDE_FILES:
        with suppress(FileNotFoundError):
            expect_regular(path.with_name(path.name + ending), follow_links=False)


class OpenFiles:
    """Files that SQLite has just opened. It keeps writing to them after somebody has removed or replaced them."""

    def __init__(self, *files: Path) -> None:
        self._ids = {file.absolute(): _id(file) for file in files}

    def expect_in_place(self) -> None:
        """See that they are still what others find under their names.

        Raises:
            OSError: one is gone, or another file has taken its place.
        """
        for file, known in self._ids.items():
            if _id(file) != known:
                raise OSError(errno.ESTALE, "another file has taken its place", str(file))


def _id(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_dev, found.st_ino
