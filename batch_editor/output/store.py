"""The output directory: its folders, and the one way in which an image gets its place."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock

from batch_editor.errors import StorageError
from batch_editor.files import fsync_directory, make_folder
from batch_editor.images import ENDINGS, BadImage, inspect_image, sniff
from batch_editor.output.disk_reserve import free_disk_reserve
from batch_editor.output.disk_retry import DiskRetry
from batch_editor.output.hard_link import hard_link
from batch_editor.output.staged_file import ALL_BODIES_BYTES, BodyMemory, StagedFile
from batch_editor.records import SavedImage

IMAGES = "images"
HISTORY = "images/.history"
REJECTED = "images/.rejected"
STAGED = "images/.landing"

# What an attempt has received: a whole image, no image, or what may be one next time; see `StagedFile`.
_RECEIVED = (".full", ".bad", ".cut")

# They hash and check; more of them would only take Python's lock from one another.
THREADS = 4


class Store:
    """An output directory. Everything but `staged_file` blocks; on the loop, call it through a thread.

    Paths that go in and out are relative to the directory, with `/`. `memory_bytes`: how much all bodies together may
    hold in memory until they are committed.
    """

    def __init__(self, root: Path, *, memory_bytes: int = ALL_BODIES_BYTES) -> None:
        self.root = root
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self._memory = BodyMemory(memory_bytes)
        # Between a look at what stands under a name and its removal no other thread may give the name to an image.
        self._names = Lock()

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
            for folder in (IMAGES, HISTORY, STAGED):
                try:
                    (self.root / folder).mkdir(exist_ok=True)
                except FileExistsError as error:
                    raise StorageError(
                        f"{self.root / folder}: something else stands there; expected a folder"
                    ) from error
                if (self.root / folder).resolve() != self.root.resolve() / folder:
                    raise StorageError(f"{self.root / folder}: a link that leads elsewhere; expected a folder")
            # Always, for who made them may have died before.
            fsync_directory(self.root)
            fsync_directory(self.root / IMAGES)
            with tempfile.TemporaryFile(dir=self.root / STAGED) as probe:
                probe.write(b"probe")
                os.fsync(probe.fileno())
        except OSError as error:
            raise StorageError(
                f"{self.root}: can't be written ({error.strerror}); choose another directory with --output"
            ) from error

    def staged_file(self, attempt_id: int, disk_retry: DiskRetry) -> StagedFile:
        """A file for that attempt's body."""
        path = self.root / STAGED / str(attempt_id)
        return StagedFile(path, executor=self._executor, memory=self._memory, disk_retry=disk_retry)

    def staged_image(self, attempt_id: int) -> SavedImage | None:
        """The whole image that an attempt of a run that died had received, if it had.

        Raises:
            StorageError: there is a file, and the disk doesn't give it back.
        """
        path = self.root / STAGED / f"{attempt_id}.full"
        try:
            if path.is_symlink() or not path.is_file():
                return None
            with path.open("rb") as file:
                format, width, height = inspect_image(file)
            return SavedImage(str(path), _sha256(path), path.stat().st_size, format, width, height)
        except BadImage:
            return None
        except OSError as error:
            raise StorageError(f"{path}: can't be read ({error.strerror})") from error

    def holds_spoiled(self, attempt_id: int) -> bool:
        """Whether an attempt of a run that died had received a body that is no image."""
        return (self.root / STAGED / f"{attempt_id}.bad").is_file()

    def reject(self, attempt_id: int, output: str, number: int) -> str | None:
        """Keep what an attempt received and what is no result; return its path, None if nothing was received.

        It is named after the job's output, the number of its attempt and the content: so nothing is ever overwritten,
        and done again after a crash it comes to the same.

        Raises:
            StorageError: the disk refuses to read or write.
        """
        received = (self.root / STAGED / f"{attempt_id}{ending}" for ending in _RECEIVED)
        source = next((path for path in received if path.is_file()), None)
        if source is None:
            return None
        target = self.root / REJECTED / output
        try:
            with source.open("rb") as file:
                format = sniff(file.read(12))
            ending = ENDINGS[format] if format else ".bin"
            target = self.root / REJECTED / f"{output}.attempt-{number}.{_sha256(source)[:12]}{ending}"
            folders: set[str] = set()
            self._enter(target.parent, folders)
            hard_link(source, target)
            self.keep(folders)  # also of a link that stood there: who made it may have died before
        except OSError as error:
            raise StorageError(f"{target}: can't be written ({error.strerror})") from error
        return target.relative_to(self.root).as_posix()

    def place(self, source: Path | str, output: str, sha256: str, format: str, folders: set[str]) -> str:
        """Give an image its name below the images folder; return its path.

        The name is durable when `keep` has been called with `folders`, to which this adds: so many images need one
        step a folder. Done again after a crash anywhere in it, it comes to the same. A file that stands there with
        other content is moved to the history first: it was paid for. Links rather than renames, so that what is
        being read under either name stays whole.

        Raises:
            StorageError: the disk refuses to read or write.
        """
        path = f"{IMAGES}/{output}{ENDINGS[format]}"  # type: ignore[index]
        target = self.root / path
        try:
            self._enter(target.parent, folders)
            with self._names:
                if not hard_link(source, target):
                    if target.is_file() and not target.is_symlink() and _sha256(target) == sha256:
                        return path
                    self._retire(target)
                    hard_link(source, target)
        except OSError as error:
            raise StorageError(f"{target}: can't be written ({error.strerror})") from error
        return path

    def keep(self, folders: Iterable[str]) -> None:
        """Make the names in these folders durable.

        Raises:
            StorageError: the disk refuses to read or write.
        """
        for folder in folders:
            try:
                fsync_directory(folder)
            except OSError as error:
                # After one that failed, the next may succeed without having written what the first one should.
                raise StorageError(f"{folder}: can't be written ({error.strerror})", transient=False) from error

    def clear(self, path: str, sha256: str | None, *, keep: bool) -> None:
        """Take an image's former name away, if the image is still the one with that content.

        With `keep` it moves to the history; without, it stands under another name already.

        Raises:
            StorageError: the disk refuses to read or write.
        """
        former = self.root / path
        try:
            with self._names:
                if former.is_symlink() or not former.is_file() or _sha256(former) != sha256:
                    return
                if keep:
                    self._retire(former)
                else:
                    former.unlink()
        except OSError as error:
            raise StorageError(f"{former}: can't be moved ({error.strerror})") from error

    def find(self, path: str | None, sha256: str) -> Path | None:
        """Where the image with that content is: under its path, or in the history.

        Raises:
            StorageError: there is a file, and the disk doesn't give it back.
        """
        if path is None:
            return None
        for candidate in self.places(path, sha256):
            try:
                if candidate.is_file() and _sha256(candidate) == sha256:
                    return candidate
            except OSError as error:
                raise StorageError(f"{candidate}: can't be read ({error.strerror})") from error
        return None

    def places(self, path: str, sha256: str) -> tuple[Path, Path]:
        """Where an image with that content may be: under its path, and in the history."""
        return self.root / path, self._history(self.root / path, sha256)

    def stage_copy(self, source: Path, name: str, sha256: str) -> Path | None:
        """Another directory's image as a file of the staging folder; None where it isn't there, or has other content.

        A second name for it, or a copy on another file system: whole, or gone with the next `sweep`.

        Raises:
            StorageError: there is no room for it.
        """
        staged = self.root / STAGED / name
        try:
            staged.unlink(missing_ok=True)
            if source.is_symlink() or not source.is_file():
                return None
            hard_link(source, staged)
            return staged if _sha256(staged) == sha256 else None
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise StorageError(f"{staged}: can't be written ({error.strerror})") from error
            return None

    def holds(self, path: str) -> bool:
        """Whether there is a file of that path."""
        return (self.root / path).is_file()

    def forget(self, attempt_id: int) -> None:
        """Remove what an attempt received from the staging folder; what else it left goes with the next `sweep`."""
        for ending in _RECEIVED:
            with suppress(OSError):
                (self.root / STAGED / f"{attempt_id}{ending}").unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what is left in the staging folder once the fate of every attempt is known.

        Whole images as well: attempt numbers come again after a rehearsal, and its images must not pass for paid ones.

        Raises:
            StorageError: the disk refuses to read or write.
        """
        staged = self.root / STAGED
        try:
            for left in staged.iterdir():
                left.unlink(missing_ok=True)
            # Also if there was nothing left: what was removed before could come back by a power cut.
            fsync_directory(staged)
        except OSError as error:
            raise StorageError(f"{staged}: can't be emptied ({error.strerror})") from error

    def keep_unclaimed(self) -> int:
        """Move whole staged images to the history; return how many. For images whose attempt is not known.

        Raises:
            StorageError: the disk refuses to read or write.
        """
        kept: list[Path] = []
        try:
            for left in (self.root / STAGED).glob("*.full"):
                if not left.stem.isdecimal():
                    continue
                if (image := self.staged_image(int(left.stem))) is not None:
                    name = f"unclaimed-{image.sha256[:12]}{ENDINGS[image.format]}"
                    hard_link(left, self.root / HISTORY / name)
                    kept.append(left)
            self.keep([str(self.root / HISTORY)])
            for left in kept:
                left.unlink()
        except OSError as error:
            raise StorageError(f"{self.root / STAGED}: can't be emptied ({error.strerror})") from error
        return len(kept)

    def close(self) -> None:
        """Wait for the threads."""
        self._executor.shutdown()

    def make_room(self) -> None:
        """Free the disk reserve, and make folders again that somebody has removed."""
        free_disk_reserve(self.root)
        with suppress(OSError):
            # Not the directory itself: it may be a mount that is away.
            for folder in (IMAGES, HISTORY, STAGED):
                (self.root / folder).mkdir(exist_ok=True)

    def _retire(self, path: Path) -> Path:
        if path.is_symlink() or not path.is_file():
            raise StorageError(f"{path}: something other than a file stands where an image belongs", transient=False)
        sha256 = _sha256(path)
        kept = self._history(path, sha256)
        if not kept.parent.resolve().is_relative_to((self.root / HISTORY).resolve()):
            raise StorageError(f"{kept}: a link on the way leads out of the output directory", transient=False)
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Not renamed: of two folders, a power cut may leave the one without the old name and the other without the new.
        if not kept.is_file() or _sha256(kept) != sha256:
            kept.unlink(missing_ok=True)
            hard_link(path, kept)
        for folder in self._way_to(kept.parent):
            fsync_directory(folder)
        path.unlink()
        return kept

    def _way_to(self, folder: Path) -> Iterator[Path]:
        """A folder below the images folder, and those on the way to it, whose names must be durable with its own.

        Whoever made a folder on the way, in this run or in one that died, may not have come to that.
        """
        while folder != self.root:
            yield folder
            folder = folder.parent

    def _history(self, path: Path, sha256: str) -> Path:
        below = path.relative_to(self.root / IMAGES)
        if below.parts[0] == ".history":
            return path
        return self.root / HISTORY / below.with_name(f"{below.stem}.{sha256[:12]}{below.suffix}")

    def _enter(self, folder: Path, folders: set[str]) -> None:
        """Make a folder below the images folder, which no folder on the way leaves by a link."""
        way = list(self._way_to(folder))
        # Links are rare: to resolve each folder took a seventh of the time of saving a small image.
        if any(map(Path.is_symlink, way)) and not folder.resolve().is_relative_to((self.root / IMAGES).resolve()):
            raise StorageError(f"{folder}: a link on the way leads out of the output directory", transient=False)
        folder.mkdir(parents=True, exist_ok=True)
        folders.update(map(str, way))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
