"""Where one body lands: streamed to a file, hashed on the way, and sealed when it is a whole image."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import BinaryIO, TypeVar

from batch_editor.errors import StorageError
from batch_editor.records import SavedImage
from batch_editor.redaction import redact
from batch_editor.storage.inspect import fsync_directory, inspect_image, sniff

T = TypeVar("T")

# A hop to a thread costs 0.1 ms, a write of 64 KiB 0.03 ms: so bytes are gathered first. Much larger would show in
# the memory of thousands of bodies at once.
GATHER_BYTES = 256 * 2**10


class Landing:
    """A file for one attempt's body. Every method that touches the disk does so on a thread.

    `seal` turns it into `<name>.full`, which by construction is a whole, fsynced image; `keep` into `<name>.bad`,
    fsynced as well, which was paid for and is none. Anything else stays `<name>.part` and is removed by `discard`.
    """

    def __init__(self, folder: Path, name: str, executor: Executor) -> None:
        self._part = folder / f"{name}.part"
        self._full = folder / f"{name}.full"
        self._bad = folder / f"{name}.bad"
        self._executor = executor
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._gathered = bytearray()
        self.size_bytes = 0
        self.head = b""

    async def write(self, data: bytes) -> None:
        """Append. Returns when the bytes are gathered, or on their way to the disk."""
        if len(self.head) < 64:
            self.head += data[: 64 - len(self.head)]
        self.size_bytes += len(data)
        self._gathered += data
        if len(self._gathered) >= GATHER_BYTES:
            await self._run(self._flush)

    async def restart(self) -> None:
        """Forget what was written, to write something else."""
        await self._run(self._truncate)

    async def read(self) -> bytes:
        """Everything written so far. For answers that are JSON around an image."""
        return await self._run(self._read)

    async def seal(self) -> SavedImage:
        """Check that this is a whole image, make it durable, and say what it is.

        Raises:
            BadImage: it is not; nothing was sealed.
        """
        return await self._run(self._seal)

    async def keep(self) -> None:
        """Make what was written durable, though it is no image; text without anything that is, or looks like, a key."""
        await self._run(self._keep)

    async def discard(self) -> None:
        """Close and remove what was neither sealed nor kept."""
        await self._run(self._remove)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except OSError as error:
            raise StorageError(f"{self._part}: can't be written ({error.strerror or error})") from error

    def _flush(self) -> BinaryIO:
        if self._file is None:
            self._file = self._part.open("w+b")
        self._file.write(self._gathered)
        self._hash.update(self._gathered)
        self._gathered.clear()
        return self._file

    def _truncate(self) -> None:
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()
        self._gathered.clear()
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        self.head = b""

    def _read(self) -> bytes:
        file = self._flush()
        file.seek(0)
        data = file.read()
        file.seek(0, os.SEEK_END)
        return data

    def _seal(self) -> SavedImage:
        file = self._flush()
        file.flush()
        format, width, height = inspect_image(self._part)
        self._finish(file, self._full)
        return SavedImage(
            path=str(self._full),
            sha256=self._hash.hexdigest(),
            size_bytes=self.size_bytes,
            format=format,
            width=width,
            height=height,
        )

    def _keep(self) -> None:
        file = self._flush()
        if sniff(self.head) is None:
            # A page or an error may say the request over again, and the key with it. Latin-1 has a character for
            # every byte, and so changes none.
            text = self._read().decode("latin-1")
            if (clean := redact(text)) != text:
                self._truncate()
                file.write(clean.encode("latin-1"))
        self._finish(file, self._bad)

    def _finish(self, file: BinaryIO, name: Path) -> None:
        file.flush()
        os.fsync(file.fileno())
        file.close()
        self._part.rename(name)
        fsync_directory(name.parent)

    def _remove(self) -> None:
        if self._file is not None:
            self._file.close()
        self._part.unlink(missing_ok=True)
