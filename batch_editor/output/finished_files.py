"""Finished files on their way to their names, and away again. They cost nothing: what is replaced is not kept."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from batch_editor.errors import StorageError
from batch_editor.files import fsync_directory
from batch_editor.output.picture_store import FINISHED, PictureStore

_STAGED = f"{FINISHED}/.staged"


class FinishedFiles:
    """The finished files of an output directory. Paths are relative to it, with `/`. Threads may share it; all blocks.

    A file is made in the staging folder, durable there, and then put under its name: whoever reads that name sees the
    former file or the new one, each whole.

    Raises, in all that follows:
        StorageError: the disk or the bucket refuses.
    """

    def __init__(self, root: Path, pictures: PictureStore) -> None:
        self._root = root
        self._pictures = pictures
        # Nobody else's: a node of a cluster may still write what a run that died has asked of it.
        self._prefix = secrets.token_hex(4)
        self._numbers = count(1)
        self._stands: Callable[[str, int], bool] = lambda path, size_bytes: False

    def prepare(self) -> None:
        """Make the folders, remove what a process that died has left staged, and see which files there are. Blocks.

        Raises:
            StorageError: a folder can't be made or written, or is a link that leads elsewhere.
        """
        staged = self._root / _STAGED
        try:
            for folder in (self._root / FINISHED, staged):
                folder.mkdir(exist_ok=True)
                if folder.resolve() != self._root.resolve() / folder.relative_to(self._root):
                    raise StorageError(f"{folder}: a link that leads elsewhere; expected a folder")
            for left in staged.iterdir():
                left.unlink(missing_ok=True)  # nodes of a cluster may still be at it
            fsync_directory(self._root)  # always, for who made the folder may have died before
        except OSError as error:
            raise StorageError(f"{staged}: can't be written ({error.strerror})") from error
        self._stands = self._pictures.finished_files()

    @contextmanager
    def staged(self) -> Iterator[Path]:
        """Where a file is to be made; gone at the block's end, unless it has its name."""
        path = self._root / _STAGED / f"{self._prefix}-{next(self._numbers)}.part"
        try:
            yield path
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    @contextmanager
    def picture(self, path: str) -> Iterator[Path]:
        """A picture as a file, for as long as the block lasts; one that isn't there is a path of nothing.

        Raises:
            StorageError: a bucket's picture can't be copied here.
        """
        if self._pictures.folder is not None:
            yield self._pictures.folder / path
            return
        with self.staged() as copy:
            content = self._pictures.open(path)
            if content is not None:
                try:
                    with content, copy.open("wb") as file:
                        shutil.copyfileobj(content, file)
                except OSError as error:
                    raise StorageError(f"{copy}: can't be written ({error.strerror})") from error
            yield copy

    def place(self, staged: Path, path: str) -> None:
        """Give a staged file its name, durably; what stood there is gone.

        An error that isn't `transient` is one of this path alone: something else stands in the way.
        """
        self._pictures.place_finished(staged, path)

    def stands(self, path: str, size_bytes: int) -> bool:
        """Whether a finished file of that size stood there when `prepare` looked, or does now."""
        return self._stands(path, size_bytes)

    def remove(self, path: str) -> bool:
        """Remove a finished file; return whether there may have been one."""
        return self._pictures.remove_finished(path)

    def clean(self) -> None:
        """Remove the staging folder, which is empty now, and the one around it if that is."""
        with suppress(OSError):
            (self._root / _STAGED).rmdir()
            (self._root / FINISHED).rmdir()
