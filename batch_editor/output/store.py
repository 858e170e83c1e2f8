"""The output directory: its folders, what is staged in them, and where its pictures have their names."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from batch_editor.errors import StorageError
from batch_editor.files import fsync_directory, make_folder
from batch_editor.images import ENDINGS, BadImage, inspect_image, sniff
from batch_editor.output.disk_reserve import elsewhere, free_disk_reserve
from batch_editor.output.disk_retry import DiskRetry
from batch_editor.output.hard_link import hard_link
from batch_editor.output.local_pictures import LocalPictures, file_sha256
from batch_editor.output.picture_store import HISTORY, IMAGES, REJECTED, NewName, PictureStore
from batch_editor.output.staged_file import ALL_BODIES_BYTES, BodyMemory, StagedFile
from batch_editor.records import SavedImage

STAGED = "images/.landing"

# What an attempt has received: a whole image, no image, or what may be one next time; see `StagedFile`.
_RECEIVED = (".full", ".bad", ".cut")

# They hash and check; more of them would only take Python's lock from one another.
THREADS = 4


class Store:
    """An output directory. Everything but `staged_file` blocks; on the loop, call it through a thread.

    Paths that go in and out are relative to the directory, with `/`. `pictures`: where images get their names, for
    whoever made it to close; in the directory itself, by default. `memory_bytes`: how much all bodies together may hold
    in memory until they are committed.
    """

    def __init__(
        self, root: Path, pictures: PictureStore | None = None, *, memory_bytes: int = ALL_BODIES_BYTES
    ) -> None:
        self.root = root
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self.pictures: PictureStore = pictures or LocalPictures(root)
        self._memory = BodyMemory(memory_bytes)

    @property
    def executor(self) -> ThreadPoolExecutor:
        """The threads that write what is staged; for other work on these files."""
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
            message = f"{self.root}: can't be written ({error.strerror}); {elsewhere(self.root)}"
            raise StorageError(message) from error

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
            return SavedImage(str(path), file_sha256(path), path.stat().st_size, format, width, height)
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
        try:
            with source.open("rb") as file:
                format = sniff(file.read(12))
            sha256 = file_sha256(source)
        except OSError as error:
            raise StorageError(f"{source}: can't be read ({error.strerror})") from error
        ending = ENDINGS[format] if format else ".bin"
        path = f"{REJECTED}/{output}.attempt-{number}.{sha256[:12]}{ending}"
        self.pictures.set_aside(source, path, sha256)
        return path

    def stage_copy(self, pictures: PictureStore, path: str, name: str, sha256: str) -> Path | None:
        """Another directory's picture as a file of the staging folder; None where it isn't there, or has other content.

        A second name for it, or a copy from another file system or a bucket: whole, or gone with the next `sweep`.

        Raises:
            StorageError: there is no room for it, or a bucket refuses.
        """
        staged = self.root / STAGED / name
        try:
            staged.unlink(missing_ok=True)
            if pictures.folder is None:
                _copy(pictures, path, staged)
            elif (source := pictures.folder / path).is_file() and not source.is_symlink():
                hard_link(source, staged)
            return staged if staged.is_file() and file_sha256(staged) == sha256 else None
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise StorageError(f"{staged}: can't be written ({error.strerror})") from error
            return None

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
        names: list[NewName] = []
        try:
            for left in (self.root / STAGED).glob("*.full"):
                if left.stem.isdecimal() and (image := self.staged_image(int(left.stem))) is not None:
                    name = f"{HISTORY.removeprefix(f'{IMAGES}/')}/unclaimed-{image.sha256[:12]}"
                    names.append(NewName(left, name, image.sha256, image.format))
                    kept.append(left)
            self.pictures.place(names)
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


def _copy(pictures: PictureStore, path: str, target: Path) -> None:
    """Write a picture to a file, durably; nothing where it isn't there."""
    if (source := pictures.open(path)) is not None:
        with source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, 2**20)
            copy.flush()
            os.fsync(copy.fileno())
