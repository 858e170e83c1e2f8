"""Where one body lands: streamed to a file, hashed on the way, and sealed when it is a whole image."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import TypeVar

from batch_editor.errors import StorageError
from batch_editor.records import SavedImage
from batch_editor.redaction import redact
from batch_editor.storage.inspect import BadImage, fsync_directory, inspect_image, sniff
from batch_editor.storage.patience import Patience

T = TypeVar("T")

# A hop to a thread costs 0.1 ms, a write of 64 KiB 0.03 ms: so bytes are gathered first. Much larger would show in
# the memory of thousands of bodies at once.
GATHER_BYTES = 256 * 2**10


class Landing:
    """A file for one attempt's body. Every method that touches the disk does so on a thread.

    `seal` turns it into `<name>.full`, which by construction is a whole, fsynced image; `keep` into `<name>.bad`,
    fsynced as well, which was paid for and is none. Anything else stays `<name>.part` and is removed by `discard`. A
    sealed name is durable after the next `Store.keep_landed`. What may come whole next time is `<name>.cut`.

    A body that the disk doesn't take is kept in memory until it does, for it is paid for: at most 64 MiB each, of
    an image 2 or 3 MB, and never more of them than requests are in flight, for the first trouble stops the run.
    """

    def __init__(self, folder: str, name: str, executor: Executor, patience: Patience) -> None:
        self._part = Path(f"{folder}/{name}.part")
        self._full = Path(f"{folder}/{name}.full")
        self._kept = {True: Path(f"{folder}/{name}.cut"), False: Path(f"{folder}/{name}.bad")}
        self._executor = executor
        self._patience = patience
        self._file: FileIO | None = None
        self._held = False
        self._lost = False
        self._restart()

    async def write(self, data: bytes) -> None:
        """Append. Returns when the bytes are gathered, or on their way to the disk."""
        if len(self.head) < 64:
            self.head += data[: 64 - len(self.head)]
        self.size_bytes += len(data)
        self._gathered += data
        if len(self._gathered) >= GATHER_BYTES and not self._held:
            try:
                await self._run(self._flush)
            except StorageError as error:
                self._held = True
                await self._patience.trouble(error)

    async def restart(self) -> None:
        """Forget what was written, to write something else."""
        await self._run(self._remove)
        self._restart()

    async def read(self) -> bytes:
        """Everything written so far. For answers that are JSON around an image."""
        return await self._run(self._read)

    async def seal(self) -> SavedImage:
        """Check that this is a whole image, make its content durable, and say what it is.

        Raises:
            BadImage: it is not; nothing was sealed.
            StorageError: the disk was in the way for as long as was waited for it.
        """
        return await self._patience.persist(lambda: self._run(self._seal))

    async def keep(self, *, passing: bool) -> None:
        """Make what was written durable, though it is no image; text without anything that is, or looks like, a key.

        `passing`: whether the same request may well give one.
        """
        await self._patience.persist(lambda: self._run(lambda: self._keep(self._kept[passing])))

    async def discard(self) -> None:
        """Close and remove what was neither sealed nor kept."""
        if self._file is not None:
            await self._run(self._remove)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except OSError as error:
            raise StorageError(f"{self._part}: can't be written ({error.strerror or error})") from error

    def _restart(self) -> None:
        self._hash = hashlib.sha256()
        self._written = 0
        # What is not on the disk, or no longer; the first `_hashed` bytes of it are in the hash already.
        self._gathered = bytearray()
        self._hashed = 0
        self.size_bytes = 0
        self.head = b""

    def _flush(self) -> FileIO:
        """Write what is gathered, or take back what was written before."""
        try:
            if self._file is None:
                self._part.unlink(missing_ok=True)  # whatever it is, nothing is written through a link
                self._file = FileIO(self._part, "x+")
            with memoryview(self._gathered) as rest:
                at = 0
                while at < len(rest):
                    at += self._file.write(rest[at:])
        except OSError:
            self._take_back()
            raise
        self._hash.update(memoryview(self._gathered)[self._hashed :])
        self._written += len(self._gathered)
        self._gathered = bytearray()
        self._hashed = 0
        return self._file

    def _take_back(self) -> None:
        """Hold the whole body in memory; its file is given up. An fsync that failed must not be tried again.

        After one the kernel may have dropped the pages: what is read back is compared with what was written.
        """
        if self._written:
            back = b""
            with suppress(OSError):
                back = self._on_disk()
            self._lost = hashlib.sha256(back).digest() != self._hash.digest()
            self._gathered[:0] = back
            self._hashed = len(back)
            self._written = 0
        self._remove()

    def _on_disk(self) -> bytes:
        blocks: list[bytes] = []
        while self._file is not None and (left := self._written - sum(map(len, blocks))):
            blocks.append(os.pread(self._file.fileno(), left, self._written - left))
            if not blocks[-1]:
                break
        return b"".join(blocks)

    def _read(self) -> bytes:
        return self._on_disk() + self._gathered

    def _seal(self) -> SavedImage:
        if self._lost:
            raise BadImage("a body that this machine's disk took and did not give back")
        image = None
        if self._file is None:  # looked at in memory, which spares a small one a dozen changes of thread
            image = inspect_image(io.BytesIO(self._gathered))
        file = self._flush()
        try:
            if image is None:
                with self._part.open("rb") as written:
                    image = inspect_image(written)
            self._finish(file, self._full)
        except OSError:
            self._take_back()
            raise
        format, width, height = image
        return SavedImage(
            path=str(self._full),
            sha256=self._hash.hexdigest(),
            size_bytes=self.size_bytes,
            format=format,
            width=width,
            height=height,
        )

    def _keep(self, name: Path) -> None:
        if sniff(self.head) is None:
            # A page or an error may say the request over again, and the key with it. Latin-1 has a character for
            # every byte, and so changes none.
            text = bytes(self._read()).decode("latin-1")
            if (clean := redact(text)) != text:
                self._remove()
                self._restart()
                self._gathered += clean.encode("latin-1")
        file = self._flush()
        try:
            self._finish(file, name)
            fsync_directory(name.parent)
        except OSError:
            self._take_back()
            raise

    def _finish(self, file: FileIO, name: Path) -> None:
        os.fsync(file.fileno())
        self._part.rename(name)
        file.close()
        self._file = None

    def _remove(self) -> None:
        """Close the file and remove what was not sealed; what stays all the same is swept away by the next run."""
        with suppress(OSError):
            if self._file is not None:
                self._file.close()
        with suppress(OSError):
            if self._file is not None:
                self._part.unlink(missing_ok=True)
        self._file = None
