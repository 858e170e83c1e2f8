"""Where one body lands: streamed to a file, hashed on the way, and sealed when it is a whole image."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import TypeVar

from batch_editor.errors import StorageError
from batch_editor.records import SavedImage
from batch_editor.storage.inspect import inspect_image

T = TypeVar("T")

# A hop to a thread costs 0.1 ms, a write of 64 KiB 0.03 ms: so bytes are gathered first. Much larger would show in
# the memory of thousands of bodies at once.
GATHER_BYTES = 256 * 2**10


class Landing:
    """A file for one attempt's body. Every method that touches the disk does so on a thread.

    `seal` turns it into `<name>.full`, which by construction is a whole, fsynced image; anything else stays
    `<name>.part` and is removed by `discard`. That new name is durable after the next `Store.keep_landed`.
    """

    def __init__(self, folder: str, name: str, executor: Executor) -> None:
        self._part = f"{folder}/{name}.part"
        self._full = f"{folder}/{name}.full"
        self._executor = executor
        self._file: int | None = None
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
        """Check that this is a whole image, make its content durable, and say what it is.

        Raises:
            BadImage: it is not; nothing was sealed.
        """
        return await self._run(self._seal)

    async def discard(self) -> None:
        """Close and remove what was not sealed."""
        if self._file is not None:
            await self._run(self._remove)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except OSError as error:
            raise StorageError(f"{self._part}: can't be written ({error.strerror or error})") from error

    def _flush(self) -> int:
        if self._file is None:
            self._file = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        left = memoryview(self._gathered)
        while left:
            left = left[os.write(self._file, left) :]
        self._hash.update(self._gathered)
        self._gathered = bytearray()
        return self._file

    def _truncate(self) -> None:
        if self._file is not None:
            os.lseek(self._file, 0, os.SEEK_SET)
            os.truncate(self._file, 0)
        self._gathered = bytearray()
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        self.head = b""

    def _read(self) -> bytes:
        return os.pread(self._flush(), self.size_bytes, 0)

    def _seal(self) -> SavedImage:
        if self._file is None:  # a small one: looked at in memory, which spares a dozen changes of thread
            format, width, height = inspect_image(io.BytesIO(self._gathered))
            self._flush()
        else:
            self._flush()
            with Path(self._part).open("rb") as written:
                format, width, height = inspect_image(written)
        assert self._file is not None
        os.fsync(self._file)
        os.close(self._file)
        self._file = None
        Path(self._part).rename(self._full)
        return SavedImage(
            path=self._full,
            sha256=self._hash.hexdigest(),
            size_bytes=self.size_bytes,
            format=format,
            width=width,
            height=height,
        )

    def _remove(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        Path(self._part).unlink(missing_ok=True)
