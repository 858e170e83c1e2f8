"""The output directory: its folders, its lock, and the one way in which an image gets its place."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import socket
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import orjson

from batch_editor.errors import LockedError, StorageError
from batch_editor.records import SavedImage
from batch_editor.storage.inspect import ENDINGS, BadImage, fsync_directory, inspect_image
from batch_editor.storage.landing import Landing

IMAGES = "images"
HISTORY = "images/.history"
LANDING = "images/.landing"

# Enough to keep a disk busy; more only queue on it.
THREADS = 8


class Store:
    """An output directory. Everything but `landing` blocks; on the loop, call it through a thread.

    Paths that go in and out are relative to the directory, with `/`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._landing = str(root / LANDING)
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="store")

    @property
    def executor(self) -> ThreadPoolExecutor:
        """The threads that write; for other work on these files."""
        return self._executor

    def prepare(self) -> None:
        """Make the folders, and see that files can be written, linked and made durable here.

        Raises:
            StorageError: they can't.
        """
        try:
            for folder in (IMAGES, HISTORY, LANDING):
                (self.root / folder).mkdir(parents=True, exist_ok=True)
            for folder in (IMAGES, LANDING):
                if (self.root / folder).resolve() != self.root.resolve() / folder:
                    raise StorageError(f"{self.root / folder}: a link that leads elsewhere; expected a folder")
            with tempfile.TemporaryFile(dir=self.root / LANDING) as probe:
                probe.write(b"probe")
                os.fsync(probe.fileno())
        except OSError as error:
            raise StorageError(
                f"{self.root}: can't be written ({error.strerror}); choose another directory with --output"
            ) from error

    @contextmanager
    def locked(self) -> Iterator[str | None]:
        """Hold the directory for this process; yields who held it last, if that process died at it.

        The kernel frees the lock however a process ends; the file's text only tells people who holds it, and is
        emptied by whoever leaves in good order.

        Raises:
            LockedError: another process holds it; the message says which.
        """
        try:
            lock = (self.root / ".lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise StorageError(f"{self.root}: can't be locked ({error.strerror})") from error
        with lock as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise StorageError(f"{self.root}: can't be locked ({error.strerror})") from error
                holder = _holder(file) or "another process"
                raise LockedError(f"{self.root}: {holder} is at work here; wait for it, or stop it") from None
            dead = _holder(file)
            file.truncate(0)
            since = datetime.now(UTC).isoformat(timespec="seconds")
            file.write(orjson.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}).decode())
            file.flush()
            try:
                yield dead
            finally:
                file.truncate(0)

    def landing(self, attempt_id: int) -> Landing:
        """A place for that attempt's body."""
        return Landing(self._landing, str(attempt_id), self._executor)

    def landed(self, attempt_id: int) -> SavedImage | None:
        """The whole image that an attempt of a run that died had received, if it had."""
        path = self.root / LANDING / f"{attempt_id}.full"
        if not path.is_file():
            return None
        try:
            with path.open("rb") as file:
                format, width, height = inspect_image(file)
        except BadImage:
            return None
        return SavedImage(str(path), _sha256(path), path.stat().st_size, format, width, height)

    def keep_landed(self) -> None:
        """Make the names of sealed images durable; one step for as many as have landed since the last time.

        Raises:
            StorageError: the disk is in the way.
        """
        self.keep({self.root / LANDING})

    def place(self, source: Path, output: str, sha256: str, format: str, folders: set[Path]) -> str:
        """Give an image its name below the images folder; return its path.

        The name is durable when `keep` has been called with `folders`, to which this adds: so many images need one
        step a folder. Done again after a crash anywhere in it, it comes to the same. A file that stands there with
        other content is moved to the history first: it was paid for. Links rather than renames, so that what is
        being read under either name stays whole.

        Raises:
            StorageError: the disk is in the way.
        """
        target = self.root / IMAGES / f"{output}{ENDINGS[format]}"  # type: ignore[index]
        try:
            if target.parent not in folders:
                self._enter(target.parent, folders)
            if not _link(source, target):
                if target.is_file() and not target.is_symlink() and _sha256(target) == sha256:
                    return self._relative(target)
                self._retire(target)
                _link(source, target)
        except OSError as error:
            raise StorageError(f"{target}: can't be written ({error.strerror})") from error
        return self._relative(target)

    def keep(self, folders: Iterable[Path]) -> None:
        """Make the names in these folders durable.

        Raises:
            StorageError: the disk is in the way.
        """
        for folder in folders:
            try:
                fsync_directory(folder)
            except OSError as error:
                raise StorageError(f"{folder}: can't be written ({error.strerror})") from error

    def clear(self, path: str, sha256: str | None, *, keep: bool) -> None:
        """Take an image's former name away, if the image is still the one with that content.

        With `keep` it moves to the history; without, it stands under another name already.
        """
        former = self.root / path
        try:
            if former.is_symlink() or not former.is_file() or _sha256(former) != sha256:
                return
            if keep:
                self._retire(former)
            else:
                former.unlink()
        except OSError as error:
            raise StorageError(f"{former}: can't be moved ({error.strerror})") from error

    def find(self, path: str | None, sha256: str) -> Path | None:
        """Where the image with that content is: under its path, or in the history."""
        if path is None:
            return None
        for candidate in (self.root / path, self._history(self.root / path, sha256)):
            if candidate.is_file() and _sha256(candidate) == sha256:
                return candidate
        return None

    def holds(self, path: str) -> bool:
        """Whether there is a file of that path."""
        return (self.root / path).is_file()

    def forget(self, attempt_id: int) -> None:
        """Remove an attempt's sealed image from the landing folder; what else it left goes with the next `sweep`."""
        (self.root / LANDING / f"{attempt_id}.full").unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what is left in the landing folder once every attempt is settled.

        Whole images as well: attempt numbers come again after a rehearsal, and its images must not pass for paid ones.
        """
        for left in (self.root / LANDING).iterdir():
            left.unlink(missing_ok=True)

    def close(self) -> None:
        """Wait for the threads."""
        self._executor.shutdown()

    def _retire(self, path: Path) -> Path:
        if path.is_symlink() or not path.is_file():
            raise StorageError(f"{path}: something other than a file stands where an image belongs")
        kept = self._history(path, _sha256(path))
        kept.parent.mkdir(parents=True, exist_ok=True)
        path.replace(kept)
        # An image that came out of the history is a link of the one there, and renaming it onto that leaves both.
        path.unlink(missing_ok=True)
        fsync_directory(kept.parent)
        return kept

    def _history(self, path: Path, sha256: str) -> Path:
        below = path.relative_to(self.root / IMAGES)
        if below.parts[0] == ".history":
            return path
        return self.root / HISTORY / below.with_name(f"{below.stem}.{sha256[:12]}{below.suffix}")

    def _enter(self, folder: Path, folders: set[Path]) -> None:
        """Make a folder below the images folder, which no folder on the way leaves by a link."""
        if not folder.resolve().is_relative_to((self.root / IMAGES).resolve()):
            raise StorageError(f"{folder}: a link on the way leads out of the output directory")
        folders.add(folder)
        if not folder.is_dir():
            folders.update(each.parent for each in (folder, *folder.parents) if not each.exists())
            folder.mkdir(parents=True, exist_ok=True)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def _link(source: Path, target: Path) -> bool:
    """Whether the target could be made; False if something stands there."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError as error:
        # FAT, some network file systems and link counts at their limit know no further links.
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS, errno.EXDEV):
            raise
        if target.is_symlink() or target.exists():
            return False
        _copy(source, target)
    return True


def _copy(source: Path, target: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".copy-", delete=False) as copy:
        with source.open("rb") as original:
            while block := original.read(2**20):
                copy.write(block)
        copy.flush()
        os.fsync(copy.fileno())
    Path(copy.name).replace(target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _holder(file: TextIO) -> str | None:
    file.seek(0)
    try:
        holder = orjson.loads(file.read())
        return f"process {holder['pid']} on {holder['host']} (since {holder['since']})"
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
