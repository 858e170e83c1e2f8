"""Processes that a test has started, and pictures over which they hang: by the kernel's word."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def children() -> list[int]:
    """The decoders that this process has started and that have not ended, oldest first."""
    while True:
        with suppress(FileNotFoundError):  # a thread or a process has ended meanwhile: its children are another's now
            pids = sorted(
                int(pid) for task in Path("/proc/self/task").glob("*/children") for pid in task.read_text().split()
            )
            return [pid for pid in pids if _is_decoder(Path(f"/proc/{pid}"))]


def _is_decoder(process: Path) -> bool:
    return b"--multiprocessing-fork" in (process / "cmdline").read_bytes()


class Hanging:
    """A file whose readers wait for good, for this process is its writer and writes nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: set[int] = set()

    async def reader(self) -> int:
        """The next process that reads it. The kernel has no event for it: polled."""
        while True:
            for pid in self._readers():
                if pid not in self._seen:
                    self._seen.add(pid)
                    return pid
            await asyncio.sleep(0.01)

    def _readers(self) -> Iterator[int]:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                links = [os.readlink(each) for each in (process / "fd").iterdir()]  # noqa: PTH115  # quick
                # One that is only being started has this process's files, and its command line.
                reads = str(self._path) in links and _is_decoder(process)
            except OSError:  # it has ended, or is somebody else's
                continue
            if reads:
                yield int(process.name)


@contextmanager
def hanging(path: Path) -> Iterator[Hanging]:
    """The file that stands there is one that hangs its readers; they are let go at the end, and it is gone."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)  # not O_WRONLY, which would wait for a reader
    try:
        yield Hanging(path)
    finally:
        os.close(writer)
        path.unlink()
