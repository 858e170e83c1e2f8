"""Finished files on their way to their names, and away again. They cost nothing: what is replaced is not kept."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path

from batch_editor.errors import StorageError
from batch_editor.files import fsync_directory

FINISHED = "finished"
_STAGED = f"{FINISHED}/.staged"


class FinishedFiles:
    """The finished files of an output directory. Paths are relative to it, with `/`. Threads may share it; all blocks.

    A file is made in the staging folder, durable there, and takes its name by a rename: whoever reads that name sees
    the former file or the new one, each whole.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._numbers = count(1)

    def prepare(self) -> None:
        """Make the folders, and remove what a process that died has left staged.

        Raises:
            StorageError: the disk refuses.
        """
        staged = self._root / _STAGED
        try:
            for folder in (self._root / FINISHED, staged):
                folder.mkdir(exist_ok=True)
                if folder.resolve() != self._root.resolve() / folder.relative_to(self._root):
                    raise StorageError(f"{folder}: a link that leads elsewhere; expected a folder")
            for left in staged.iterdir():
                left.unlink()
        except OSError as error:
            raise StorageError(f"{staged}: can't be written ({error.strerror})") from error

    def staged(self) -> Path:
        """Where the next file is to be made."""
        return self._root / _STAGED / f"{next(self._numbers)}.part"

    def place(self, staged: Path, path: str, folders: set[str]) -> None:
        """Give a staged file, which is durable, its name; what stood there is gone.

        The name is durable when `keep` has been called with `folders`, to which this adds.

        Raises:
            StorageError: the disk refuses; not `transient` if something else stands in the way of this file alone.
        """
        target = self._root / path
        try:
            self._enter(target.parent, folders)
            staged.replace(target)
        except OSError as error:
            in_the_way = isinstance(error, (FileExistsError, IsADirectoryError, NotADirectoryError))
            raise StorageError(f"{target}: can't be written ({error.strerror})", transient=not in_the_way) from error

    def keep(self, folders: Iterable[str]) -> None:
        """Make the names in these folders durable.

        Raises:
            StorageError: the disk refuses.
        """
        for folder in folders:
            try:
                fsync_directory(folder)
            except OSError as error:
                raise StorageError(f"{folder}: can't be written ({error.strerror})") from error

    def size_of(self, path: str) -> int | None:
        """The size of a finished file in bytes; None where there is none of that name."""
        try:
            found = os.lstat(self._root / path)
        except OSError:
            return None
        return found.st_size

    def remove(self, path: str) -> bool:
        """Remove a finished file, and folders that it leaves empty; return whether it was there.

        Raises:
            StorageError: the disk refuses.
        """
        target = self._root / path
        if self._leads_out(target.parent):
            return False
        try:
            target.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(f"{target}: can't be removed ({error.strerror})") from error
        with suppress(OSError):  # not empty
            for folder in target.relative_to(self._root).parents:
                if len(folder.parts) > 1:
                    (self._root / folder).rmdir()
        return True

    def clean(self) -> None:
        """Remove the staging folder, which is empty now, and the one around it if that is."""
        with suppress(OSError):
            (self._root / _STAGED).rmdir()
            (self._root / FINISHED).rmdir()

    def _enter(self, folder: Path, folders: set[str]) -> None:
        if self._leads_out(folder):
            raise StorageError(f"{folder}: a link on the way leads out of the output directory", transient=False)
        folder.mkdir(parents=True, exist_ok=True)
        while folder != self._root:
            folders.add(str(folder))
            folder = folder.parent
        folders.add(str(self._root))

    def _leads_out(self, folder: Path) -> bool:
        return not folder.resolve().is_relative_to(self._root.resolve() / FINISHED)
