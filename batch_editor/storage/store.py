"""The output directory: its folders, its lock, and the one way in which an image gets its place."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import orjson

from batch_editor.errors import LockedError, StorageError
from batch_editor.records import SavedImage
from batch_editor.storage.inspect import ENDINGS, BadImage, fsync_directory, inspect_image, make_folder
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
            make_folder(self.root)
            for folder in (IMAGES, HISTORY, LANDING):
                (self.root / folder).mkdir(exist_ok=True)
            # Always, for who made them may have died before.
            fsync_directory(self.root)
            fsync_directory(self.root / IMAGES)
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
        return Landing(self.root / LANDING, str(attempt_id), self._executor)

    def landed(self, attempt_id: int) -> SavedImage | None:
        """The whole image that an attempt of a run that died had received, if it had."""
        path = self.root / LANDING / f"{attempt_id}.full"
        if not path.is_file():
            return None
        try:
            format, width, height = inspect_image(path)
        except BadImage:
            return None
        return SavedImage(str(path), _sha256(path), path.stat().st_size, format, width, height)

    def place(self, source: Path, output: str, sha256: str, format: str) -> str:
        """Give an image its name below the images folder; return its path.

        Done again after a crash anywhere in it, it comes to the same. A file that stands there with other content
        is moved to the history first: it was paid for. Links rather than renames, so that what is being read
        under either name stays whole.

        Raises:
            StorageError: the disk is in the way.
        """
        target = self._inside(f"{output}{ENDINGS[format]}")  # type: ignore[index]
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_symlink() or target.exists():
                if target.is_file() and not target.is_symlink() and _sha256(target) == sha256:
                    return self._relative(target)
                self._retire(target)
            _link(source, target)
            self._fsync_names(target.parent)
        except OSError as error:
            raise StorageError(f"{target}: can't be written ({error.strerror})") from error
        return self._relative(target)

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
        """Remove what an attempt left in the landing folder."""
        for ending in (".full", ".part"):
            (self.root / LANDING / f"{attempt_id}{ending}").unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what is left in the landing folder once every attempt is settled.

        Whole images as well: attempt numbers come again after a rehearsal, and its images must not pass for paid ones.
        """
        landing = self.root / LANDING
        try:
            for left in landing.iterdir():
                left.unlink(missing_ok=True)
            # Also if there was nothing left: what was removed before could come back by a power cut.
            fsync_directory(landing)
        except OSError as error:
            raise StorageError(f"{landing}: can't be cleared ({error.strerror})") from error

    def close(self) -> None:
        """Wait for the threads."""
        self._executor.shutdown()

    def _retire(self, path: Path) -> Path:
        if path.is_symlink() or not path.is_file():
            raise StorageError(f"{path}: something other than a file stands where an image belongs")
        sha256 = _sha256(path)
        kept = self._history(path, sha256)
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Not renamed: of two folders, a power cut may leave the one without the old name and the other without the new.
        if not kept.is_file() or _sha256(kept) != sha256:
            kept.unlink(missing_ok=True)
            _link(path, kept)
        self._fsync_names(kept.parent)
        path.unlink()
        return kept

    def _fsync_names(self, folder: Path) -> None:
        """Make the names in a folder durable, and those on the way to it from the images folder.

        Whoever made a folder on the way, in this run or in one that died, may not have come to that.
        """
        while folder != self.root:
            fsync_directory(folder)
            folder = folder.parent

    def _history(self, path: Path, sha256: str) -> Path:
        below = path.relative_to(self.root / IMAGES)
        if below.parts[0] == ".history":
            return path
        return self.root / HISTORY / below.with_name(f"{below.stem}.{sha256[:12]}{below.suffix}")

    def _inside(self, output: str) -> Path:
        """The path below the images folder, which no folder on the way leaves by a link."""
        target = self.root / IMAGES / output
        parent = target.parent.resolve()
        if not parent.is_relative_to((self.root / IMAGES).resolve()):
            raise StorageError(f"{target}: a link on the way leads out of the output directory")
        return target

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        # FAT, some network file systems and link counts at their limit know no further links.
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS, errno.EXDEV):
            raise
        _copy(source, target)


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
