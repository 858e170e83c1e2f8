"""Where one body lands: streamed to a file, hashed on the way, and sealed when it is a whole image."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, suppress
from functools import partial
from threading import Lock
from typing import TypeVar

from batch_editor.errors import StorageError
from batch_editor.files import fsync_directory, let_go
from batch_editor.group_thread import GroupThread
from batch_editor.images import BadImage, ImageFormat, inspect_image, sniff
from batch_editor.output.gathered import Gathered
from batch_editor.output.patience import Patience
from batch_editor.records import SavedImage
from batch_editor.text import redact

T = TypeVar("T")

# A hop to a thread costs 0.1 ms and more while others want Python's lock, a write of 64 KiB 0.03 ms: so bytes are
# gathered first; where there is much of all bodies together, no more than is worth a hop.
GATHER_BYTES = 2**20
LARGE_BYTES = 64 * 2**10
# Of what is read back, in one go.
READ_BYTES = 2**20
# The kernel takes 1024 pieces in one call.
PIECES = 512


class Landing:
    """A file for one attempt's body. Every method that touches the disk does so on a thread.

    `seal` turns it into `<name>.full`, which by construction is a whole, fsynced image; `keep` into `<name>.bad`,
    fsynced as well, which was paid for and is none. Anything else stays `<name>.part` and is removed by `discard`. A
    sealed name is durable after the next `Store.keep_landed`. What may come whole next time is `<name>.cut`.

    A body that the disk doesn't take is kept in memory until it does, for it is paid for: at most 64 MiB each, of
    an image 2 or 3 MB, and never more of them than requests are in flight, for the first trouble stops the run.
    """

    def __init__(
        self,
        folder: str,
        name: str,
        *,
        executor: Executor,
        sealer: GroupThread[Landing, SavedImage],
        gathered: Gathered,
        patience: Patience,
    ) -> None:
        self._folder = folder
        self._name = f"{folder}/{name}"
        self._part = f"{folder}/{name}.part"
        self._executor = executor
        self._sealer = sealer
        self._all = gathered
        self._counted = 0
        self._patience = patience
        # Whoever is cancelled discards what a thread may be at work on: a descriptor that is closed under it would be
        # another file's by then.
        self.lock = Lock()
        self._file: int | None = None
        self._held = False
        self._left = False
        self._restart()

    async def write(self, data: bytes) -> None:
        """Append. Returns when the bytes are gathered or written."""
        if len(self.head) < 64:
            self.head += data[: 64 - len(self.head)]
        self.size_bytes += len(data)
        self._gathered.append(data)
        self._counted += len(data)
        self._all.size_bytes += len(data)
        enough = LARGE_BYTES if self._all.is_much else GATHER_BYTES
        if self._counted >= enough and not self._held:
            try:
                with self._all.writing(self._counted):
                    await self._run(self._flush)
                    self._uncount()
            except StorageError as error:
                self._held = True
                await self._patience.trouble(error)

    async def room(self) -> None:
        """Wait for this body's turn to have more in memory, if nothing of it is there and the disk is behind."""
        if not self._counted:
            await self._all.turn()

    async def restart(self) -> None:
        """Forget what was written, to write something else."""
        await self._run(self._remove)
        self._uncount()
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
        return await self._patience.persist(self._sealed)

    async def keep(self, *, passing: bool) -> None:
        """Make what was written durable, though it is no image; text without anything that is, or looks like, a key.

        `passing`: whether the same request may well give one.
        """
        await self._patience.persist(lambda: self._run(lambda: self._keep(".cut" if passing else ".bad")))
        # By itself: the body has its name, and is not to be written once more.
        await self._patience.persist(lambda: self._run(lambda: fsync_directory(self._folder)))

    async def discard(self) -> None:
        """Close and remove what was neither sealed nor kept, nor is about to be sealed."""
        self._uncount()
        # Who holds the lock may be about to open the file.
        if not self._left and (self._file is not None or self.lock.locked()):
            await self._run(self._drop)

    async def _sealed(self) -> SavedImage:
        queued = False
        try:
            if self.size_bytes >= LARGE_BYTES:  # it takes a few milliseconds, so it is done beside others
                await self._run(self._complete)
            queued = True
            return await self._sealer.do(self)
        except asyncio.CancelledError:
            # All of it has come, and it is paid for: sealed all the same, for the run's end to find.
            self._left = True
            if not queued:
                self._sealer.leave(self)
            raise

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._alone, work)
        except OSError as error:
            raise self._unwritten(error) from error

    def _alone(self, work: Callable[[], T]) -> T:
        with self.lock:
            return work()

    def _uncount(self) -> None:
        self._all.size_bytes -= self._counted
        self._counted = 0

    def _unwritten(self, error: OSError) -> StorageError:
        return StorageError(f"{self._part}: can't be written ({error.strerror or error})")

    def _restart(self) -> None:
        self._hash = hashlib.sha256()
        self._lost = False
        self._written = 0
        # What is not on the disk, or no longer; the first `_hashed` pieces of it are in the hash already.
        self._gathered: list[bytes] = []
        self._hashed = 0
        self._seen: tuple[ImageFormat, int, int] | None = None
        self.size_bytes = 0
        self.head = b""

    def _flush(self) -> int:
        """Write what is gathered, or take back what was written before."""
        try:
            if self._file is None:
                self._file = self._opened()
            _write(self._file, self._gathered)
        except OSError:
            self._take_back()
            raise
        for block in self._gathered[self._hashed :]:
            self._hash.update(block)
        self._written = self.size_bytes
        self._gathered = []
        self._hashed = 0
        return self._file

    def _opened(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        try:
            return os.open(self._part, flags, 0o666)
        except FileExistsError:
            os.unlink(self._part)  # whatever it is, nothing is written through a link
            return os.open(self._part, flags, 0o666)

    def _take_back(self) -> None:
        """Hold the whole body in memory; its file is given up. An fsync that failed must not be tried again.

        After one the kernel may have dropped the pages: what is read back is compared with what was written.
        """
        if self._written:
            back = b""
            with suppress(OSError):
                back = self._on_disk()
            self._lost = hashlib.sha256(back).digest() != self._hash.digest()
            self._gathered[:0] = [back]
            self._hashed = 1
            self._written = 0
        self._remove()

    def _on_disk(self) -> bytes:
        blocks: list[bytes] = []
        while self._file is not None and (left := self._written - sum(map(len, blocks))):
            blocks.append(os.pread(self._file, left, self._written - left))
            if not blocks[-1]:
                break
        return b"".join(blocks)

    def _read(self) -> bytes:
        return b"".join([self._on_disk(), *self._gathered])

    def _complete(self) -> int:
        """Write the rest, and see that it is a whole image.

        Raises:
            BadImage: it is not.
        """
        if self._lost:
            raise BadImage("a body that this machine's disk took and did not give back")
        if self._file is None and self._seen is None:  # in memory, which spares a small one a dozen system calls
            self._seen = inspect_image(io.BytesIO(b"".join(self._gathered)))
        file = self._flush()
        if self._seen is None:
            try:
                with open(self._part, "rb", buffering=READ_BYTES) as written:
                    self._seen = inspect_image(written)
            except OSError:
                self._take_back()
                raise
        return file

    def _seal(self, file: int) -> SavedImage:
        try:
            self._finish(file, ".full")
        except OSError:
            self._take_back()
            raise
        assert self._seen is not None
        format, width, height = self._seen
        return SavedImage(
            path=f"{self._name}.full",
            sha256=self._hash.hexdigest(),
            size_bytes=self.size_bytes,
            format=format,
            width=width,
            height=height,
        )

    def _keep(self, ending: str) -> None:
        if sniff(self.head) is None:
            # A page or an error may say the request over again, and the key with it. Latin-1 has a character for
            # every byte, and so changes none.
            text = bytes(self._read()).decode("latin-1")
            if (clean := redact(text)) != text:
                self._remove()
                self._restart()
                self._gathered = [clean.encode("latin-1")]
                self.size_bytes = len(self._gathered[0])
        file = self._flush()
        try:
            self._finish(file, ending)
        except OSError:
            self._take_back()
            raise

    def _finish(self, file: int, ending: str) -> None:
        os.fsync(file)
        if self.size_bytes >= LARGE_BYTES:
            let_go(file)  # nobody reads it soon, and the next one is written ten times as fast where it was
        os.rename(self._part, self._name + ending)
        self._file = None
        with suppress(OSError):  # all of it is durable
            os.close(file)

    def _drop(self) -> None:
        """Remove it for good: what is asked of it after that finds nothing."""
        self._remove()
        self._lost = True

    def _remove(self) -> None:
        """Close the file and remove what was not sealed; what stays all the same is swept away by the next run."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                os.close(file)
            with suppress(OSError):
                os.unlink(self._part)


def seal_all(landings: Sequence[Landing]) -> list[SavedImage | BaseException]:
    """Make bodies durable, and say what each is, or what is in its way. Blocks.

    All are on their way to the disk before the first is waited for: so one thread is quicker than eight that wait
    for a file each (77 µs a file of 1 KB instead of 93, and 27 µs of a processor instead of 76).
    """
    with ExitStack() as held:
        for landing in landings:
            held.enter_context(landing.lock)
        files = [_tried(landing, landing._complete) for landing in landings]
        for file in files:
            if isinstance(file, int):
                let_go(file)
        outcomes = [
            _tried(landing, partial(landing._seal, file)) if isinstance(file, int) else file
            for landing, file in zip(landings, files, strict=True)
        ]
        for landing, outcome in zip(landings, outcomes, strict=True):
            if landing._left and isinstance(outcome, BaseException):
                landing._remove()
        return outcomes


def _write(file: int, blocks: Sequence[bytes]) -> None:
    """Append all of them; copied nowhere on the way."""
    rest = [memoryview(block) for block in blocks]
    while rest:
        written = os.writev(file, rest[:PIECES])
        while rest and written >= len(rest[0]):
            written -= len(rest.pop(0))
        if written:
            rest[0] = rest[0][written:]


def _tried(landing: Landing, work: Callable[[], T]) -> T | BaseException:
    try:
        return work()
    except OSError as error:
        return landing._unwritten(error)
    except Exception as error:  # noqa: BLE001  # of one body: the others have nothing to do with it
        return error
