"""One attempt's body on its way to the disk: in memory while it comes, then checked and committed as a file."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from batch_editor.errors import StorageError
from batch_editor.files import fsync_directory, let_go
from batch_editor.images import BadImage, ImageFormat, inspect_image, sniff
from batch_editor.output.disk_retry import DiskRetry
from batch_editor.records import SavedImage
from batch_editor.text import redact
from batch_editor.threads import finished

T = TypeVar("T")

# An image of the largest size is 3 MB as PNG, and 6 MB as base64 in JSON.
BODY_BYTES = 16 * 2**20
ALL_BODIES_BYTES = 128 * 2**20
# A body that streams is written in parts of this size: a change of thread costs more than a smaller write.
PART_BYTES = 64 * 2**10
# Read and hashed in one go, where a file is read back.
READ_BYTES = 2**20


@dataclass(slots=True)
class BodyMemory:
    """How much all bodies may hold in memory, and how much they do. For use on one event loop."""

    limit_bytes: int = ALL_BODIES_BYTES
    used_bytes: int = 0

    def hold(self, more_bytes: int) -> None:
        """Count so many more; with a minus, so many less."""
        self.used_bytes += more_bytes


class StagedFile:
    """The body of one attempt. Methods that touch the disk do so on a thread; a cancellation waits for that thread.

    A body stays in memory until it is committed. Beyond 16 MiB, or 128 MiB for all, it streams to `<name>.part`.
    `commit` makes it `<name>.full`: a whole image, durable under that name. `keep` makes it `<name>.bad`: paid for, and
    no image; or `<name>.cut`, where the next try may give one. `discard` removes anything else.

    A body that the disk refuses is held in memory until the disk takes it, for it is paid for: at most 64 MiB each. The
    first refusal stops the run, so there are never more of them than requests in flight.
    """

    def __init__(self, path: Path, *, executor: Executor, memory: BodyMemory, disk_retry: DiskRetry) -> None:
        self._path = path
        self._part = self._named(".part")
        self._executor = executor
        self._memory = memory
        self._disk_retry = disk_retry
        self._file: int | None = None
        self._may_stream = True
        self._held_bytes = 0
        self._forget()

    async def write(self, data: bytes) -> None:
        """Append. Returns when the bytes are in memory, or written."""
        if len(self.head) < 64:
            self.head += data[: 64 - len(self.head)]
        self.size_bytes += len(data)
        self._blocks.append(data)
        self._hold(len(data))
        too_much = self.size_bytes > BODY_BYTES or self._memory.used_bytes > self._memory.limit_bytes
        if self._may_stream and too_much and self._held_bytes >= PART_BYTES:
            try:
                await self._on_thread(self._write_out)
            except StorageError as error:
                self._may_stream = False
                await self._disk_retry.trouble(error)
            self._hold(sum(map(len, self._blocks)) - self._held_bytes)

    async def restart(self) -> None:
        """Forget what was written, to write something else."""
        await self._on_thread(self._remove)
        self._forget()

    async def read(self) -> bytes:
        """Everything written so far. For answers that are JSON around an image."""
        return await self._on_thread(self._read)

    async def commit(self) -> SavedImage:
        """Check that this is a whole image, make it durable, and return what it is.

        A commit that has begun ends, even if its caller is cancelled: all of the image has come, and it is paid for.

        Raises:
            BadImage: it is not a whole image; nothing was committed.
            StorageError: the disk refused it for as long as the disk is retried.
        """
        return await self._disk_retry.persist(lambda: self._on_thread(self._commit_image))

    async def keep(self, *, transient: bool) -> None:
        """Make a body durable that is no image. Text is kept without anything that is, or looks like, a key.

        `transient`: whether the same request may well give an image next time.
        """
        await self._disk_retry.persist(lambda: self._on_thread(lambda: self._keep(".cut" if transient else ".bad")))

    async def discard(self) -> None:
        """Close, and remove what was neither committed nor kept."""
        self._hold(-self._held_bytes)
        if self._file is not None:
            await self._on_thread(self._remove)

    def _named(self, ending: str) -> Path:
        return self._path.with_name(self._path.name + ending)

    async def _on_thread(self, work: Callable[[], T]) -> T:
        try:
            return await finished(work, executor=self._executor)
        except OSError as error:
            raise StorageError(f"{self._part}: can't be written ({error.strerror or error})") from error

    def _hold(self, more_bytes: int) -> None:
        self._held_bytes += more_bytes
        self._memory.hold(more_bytes)

    def _forget(self) -> None:
        self._hold(-self._held_bytes)
        self._blocks: list[bytes] = []  # what is not in the file
        self._hash = hashlib.sha256()  # of what is in the file
        self._written_bytes = 0
        self._is_lost = False
        self.size_bytes = 0
        self.head = b""

    def _write_out(self) -> None:
        """Move what is in memory to the file."""
        data = b"".join(self._blocks)
        try:
            self._append(data)
        except OSError:
            self._take_back()
            raise
        self._hash.update(data)
        self._written_bytes += len(data)
        self._blocks = []

    def _append(self, data: bytes) -> int:
        if self._file is None:
            self._file = self._opened()
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        return self._file

    def _opened(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        try:
            return os.open(self._part, flags, 0o666)
        except FileExistsError:
            self._part.unlink()  # whatever it is: nothing is written through a link
            return os.open(self._part, flags, 0o666)

    def _take_back(self) -> None:
        """Hold the whole body in memory, and give its file up. An fsync that failed must not be tried again.

        After one the kernel may have dropped the pages: what is read back is compared with what was written.
        """
        if self._written_bytes:
            back = b""
            with suppress(OSError):
                back = self._in_file()
            self._is_lost = hashlib.sha256(back).digest() != self._hash.digest()
            self._blocks.insert(0, back)
            self._hash = hashlib.sha256()
            self._written_bytes = 0
        self._remove()

    def _in_file(self) -> bytes:
        blocks: list[bytes] = []
        while self._file is not None and (left := self._written_bytes - sum(map(len, blocks))):
            blocks.append(os.pread(self._file, left, self._written_bytes - left))
            if not blocks[-1]:
                break
        return b"".join(blocks)

    def _read(self) -> bytes:
        return b"".join([self._in_file(), *self._blocks])

    def _commit_image(self) -> SavedImage:
        if self._is_lost:
            raise BadImage("a body that this machine's disk took and did not give back")
        format, width, height = self._inspected()
        sha256 = self._make_durable(".full")
        return SavedImage(str(self._named(".full")), sha256, self.size_bytes, format, width, height)

    def _inspected(self) -> tuple[ImageFormat, int, int]:
        if not self._written_bytes:
            return inspect_image(io.BytesIO(b"".join(self._blocks)))
        self._write_out()
        try:
            with self._part.open("rb", buffering=READ_BYTES) as written:
                return inspect_image(written)
        except OSError:
            self._take_back()
            raise

    def _keep(self, ending: str) -> None:
        if sniff(self.head) is None:
            # A page or an error may repeat the request, and the key with it. Latin-1 has a character for every byte,
            # and so changes none.
            text = self._read().decode("latin-1")
            if (clean := redact(text)) != text:
                self._remove()
                self._hash, self._written_bytes = hashlib.sha256(), 0
                self._blocks = [clean.encode("latin-1")]
                self.size_bytes = len(self._blocks[0])
        self._make_durable(ending)

    def _make_durable(self, ending: str) -> str:
        """Give the file its name, content and name durable; return the content's SHA-256.

        If any of it fails, all of it is done again, with a new file. A file that got its name stays until then.
        """
        rest = b"".join(self._blocks)
        try:
            file = self._append(rest)
            os.fsync(file)
            # Nobody reads it soon, and the page cache has other uses.
            let_go(file)
            self._part.rename(self._named(ending))
            fsync_directory(self._path.parent)
        except OSError:
            self._take_back()
            raise
        digest = self._hash.copy()
        digest.update(rest)
        self._file = None
        with suppress(OSError):  # all of it is durable
            os.close(file)
        return digest.hexdigest()

    def _remove(self) -> None:
        """Close and remove the file. One that can't be removed is swept away by the next run."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                os.close(file)
            with suppress(OSError):
                self._part.unlink()
