"""Pictures as files of the output directory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from batch_editor.errors import StorageError
from batch_editor.files import fsync_directory, open_regular
from batch_editor.output.hard_link import hard_link
from batch_editor.output.kept_files import KeptFile, files_below, remove_file
from batch_editor.output.picture_store import FINISHED, HISTORY, IMAGES, NewName, history_path


class LocalPictures:
    """See `PictureStore`."""

    where = "on disk"
    executor = None

    def __init__(self, root: Path) -> None:
        self.folder = root
        # Between a look at what stands under a name and its removal no other thread may give the name to an image.
        self._names = Lock()

    def prepare(self, ledger_id: str, say: Callable[[str], None]) -> None:
        """Nothing to do: that files can be written here is seen by whoever stages them."""

    def owner(self) -> None:
        """See `PictureStore`. The ledger is beside them."""

    def bring(self, names: Sequence[NewName]) -> None:
        """Nothing to do: this is where images were kept before."""

    def place(self, names: Sequence[NewName]) -> list[str]:
        """See `PictureStore`. Links rather than renames, so that what is being read under either name stays whole."""
        folders: set[str] = set()  # many images need one step a folder
        paths = [self._linked(name, folders) for name in names]
        self._keep(folders)
        return paths

    def set_aside(self, source: Path, path: str, sha256: str) -> None:
        """See `PictureStore`."""
        target = self.folder / path
        folders: set[str] = set()
        try:
            self._enter(target.parent, folders)
            hard_link(source, target)
        except OSError as error:
            raise StorageError(f"{target}: can't be written ({error.strerror})") from error
        self._keep(folders)  # also of a link that stood there: who made it may have died before

    def clear(self, path: str, sha256: str | None, *, keep: bool) -> None:
        """See `PictureStore`."""
        former = self.folder / path
        try:
            with self._names:
                if former.is_symlink() or not former.is_file() or file_sha256(former) != sha256:
                    return
                if keep:
                    self._retire(path)
                else:
                    former.unlink()
        except OSError as error:
            raise StorageError(f"{former}: can't be moved ({error.strerror})") from error

    def find(self, path: str | None, sha256: str) -> str | None:
        """See `PictureStore`."""
        if path is None:
            return None
        for candidate in (path, history_path(path, sha256)):
            file = self.folder / candidate
            try:
                if file.is_file() and file_sha256(file) == sha256:
                    return candidate
            except OSError as error:
                raise StorageError(f"{file}: can't be read ({error.strerror})") from error
        return None

    def former(self, sha256: str) -> Iterator[str]:
        """See `PictureStore`."""
        for path in sorted((self.folder / HISTORY).rglob(f"*.{sha256[:12]}.*")):
            yield path.relative_to(self.folder).as_posix()

    def standing(self) -> _Files:
        """See `PictureStore`."""
        return _Files(self.folder)

    def kept(self, folder: str) -> Iterator[KeptFile]:
        """See `PictureStore`."""
        return files_below(self.folder, folder)

    def remove_kept(self, folder: str, paths: Sequence[str]) -> None:
        """See `PictureStore`."""
        for path in paths:
            remove_file(self.folder, path)
        for parent in {(self.folder / path).parent for path in paths}:
            with suppress(OSError):  # not empty
                for each in self._way_to(parent):
                    if each == self.folder / folder:
                        break
                    each.rmdir()

    def open(self, path: str) -> BinaryIO | None:
        """See `PictureStore`. Nothing is read through a link that leads elsewhere."""
        file = self.folder / path
        try:
            if not file.resolve().is_relative_to(self.folder.resolve()):
                raise StorageError(f"{file}: a link on the way leads out of the output directory", transient=False)
            return open(file, "rb", opener=_opened)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"{file}: can't be read ({error.strerror})") from error

    def content_sha256(self, path: str) -> str | None:
        """See `PictureStore`."""
        file = self.folder / path
        if file.is_symlink() or not file.is_file():
            return None
        try:
            return file_sha256(file)
        except OSError as error:
            raise StorageError(f"{file}: can't be read ({error.strerror})") from error

    def written_at(self, path: str) -> float | None:
        """See `PictureStore`."""
        file = self.folder / path
        return file.stat().st_mtime if file.is_file() and not file.is_symlink() else None

    def place_finished(self, source: Path, path: str) -> None:
        """See `PictureStore`."""
        target = self.folder / path
        folders: set[str] = set()
        try:
            self._enter(target.parent, folders, within=FINISHED)
            source.replace(target)
        except OSError as error:
            in_the_way = isinstance(error, (FileExistsError, IsADirectoryError, NotADirectoryError))
            raise StorageError(f"{target}: can't be written ({error.strerror})", transient=not in_the_way) from error
        self._keep(folders)

    def finished_files(self) -> Callable[[str, int], bool]:
        """See `PictureStore`."""

        def stands(path: str, size_bytes: int) -> bool:
            """Whether it does now."""
            try:
                return os.lstat(self.folder / path).st_size == size_bytes
            except OSError:
                return False

        return stands

    def remove_finished(self, path: str) -> bool:
        """See `PictureStore`. Folders that it leaves empty go as well."""
        file = self.folder / path
        if not file.parent.resolve().is_relative_to(self.folder.resolve() / FINISHED):
            return False  # a link leads elsewhere
        if file.is_dir() and not file.is_symlink():
            return False  # somebody else's: it was never a file that was made here
        try:
            file.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise StorageError(f"{file}: can't be removed ({error.strerror})") from error
        with suppress(OSError):  # not empty
            for folder in self._way_to(file.parent):
                if folder != self.folder / FINISHED:
                    folder.rmdir()
        return True

    def keep_manifest(self, path: Path) -> None:
        """Nothing to do: it is beside them."""

    def hurry(self) -> None:
        """Nothing to do: a disk doesn't let wait."""

    def close(self) -> None:
        """Nothing to do: the threads are the caller's."""

    def _linked(self, name: NewName, folders: set[str]) -> str:
        """Give an image its name, which is durable when the `folders`, to which this adds, are; return its path."""
        path = name.path
        target = self.folder / path
        source = name.source if isinstance(name.source, Path) else self.folder / name.source
        try:
            self._enter(target.parent, folders)
            with self._names:
                if not hard_link(source, target):
                    if target.is_file() and not target.is_symlink() and file_sha256(target) == name.sha256:
                        return path
                    self._retire(path)
                    hard_link(source, target)
        except OSError as error:
            raise StorageError(f"{target}: can't be written ({error.strerror})") from error
        return path

    def _keep(self, folders: Iterable[str]) -> None:
        """Make the names in these folders durable."""
        for folder in folders:
            try:
                fsync_directory(folder)
            except OSError as error:
                # After one that failed, the next may succeed without having written what the first one should.
                raise StorageError(f"{folder}: can't be written ({error.strerror})", transient=False) from error

    def _retire(self, path: str) -> None:
        file = self.folder / path
        if file.is_symlink() or not file.is_file():
            raise StorageError(f"{file}: something other than a file stands where an image belongs", transient=False)
        sha256 = file_sha256(file)
        kept = self.folder / history_path(path, sha256)
        if not kept.parent.resolve().is_relative_to((self.folder / HISTORY).resolve()):
            raise StorageError(f"{kept}: a link on the way leads out of the output directory", transient=False)
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Not renamed: of two folders, a power cut may leave the one without the old name and the other without the new.
        if not kept.is_file() or file_sha256(kept) != sha256:
            kept.unlink(missing_ok=True)
            hard_link(file, kept)
        for folder in self._way_to(kept.parent):
            fsync_directory(folder)
        file.unlink()

    def _way_to(self, folder: Path) -> Iterator[Path]:
        """A folder below the output directory, and those on the way to it, whose names must be durable with its own.

        Whoever made a folder on the way, in this run or in one that died, may not have come to that.
        """
        while folder != self.folder:
            yield folder
            folder = folder.parent

    def _enter(self, folder: Path, folders: set[str], *, within: str = IMAGES) -> None:
        """Make a folder within that of images or another one, which no folder on the way leaves by a link."""
        way = list(self._way_to(folder))
        # Links are rare: to resolve each folder took a seventh of the time of saving a small image.
        if any(map(Path.is_symlink, way)) and not folder.resolve().is_relative_to(self.folder.resolve() / within):
            raise StorageError(f"{folder}: a link on the way leads out of the output directory", transient=False)
        folder.mkdir(parents=True, exist_ok=True)
        folders.update(map(str, way))


class _Files:
    """The paths of an output directory that are files."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and (self._root / path).is_file()


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _opened(path: str, flags: int) -> int:
    return open_regular(path, flags | os.O_NOFOLLOW)
