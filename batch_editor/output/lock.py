"""The lock of an output directory: one process at a time, and a word on which."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import orjson

from batch_editor.errors import LockedError, StorageError
from batch_editor.files import open_regular


@contextmanager
def locked(root: Path) -> Iterator[str | None]:
    """Hold the directory for this process; yields who held it last, if that process died at it.

    The kernel frees the lock however a process ends; the file's text only tells people who holds it, and is
    emptied by whoever leaves in good order.

    Raises:
        LockedError: another process holds it; the message says which.
        StorageError: its file can't be opened or locked.
    """
    path = root / ".lock"
    try:
        lock = open_regular(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o660)
    except OSError as error:
        raise StorageError(f"{path}: can't be opened ({error.strerror})") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise StorageError(f"{root}: can't be locked ({error.strerror})") from error
            holder = _holder(lock) or "another process"
            raise LockedError(f"{root}: {holder} is at work here; wait for it, or stop it") from None
        dead = _holder(lock)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        held = orjson.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})
        # Its text is a courtesy, the lock isn't: a disk that is full or gone is met where it matters.
        with suppress(OSError):
            os.ftruncate(lock, 0)
            os.pwrite(lock, held, 0)
        try:
            yield dead
        finally:
            with suppress(OSError):
                os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def holder_of(root: Path) -> str | None:
    """Which process is at work on a directory, by what it wrote; None if none is, or it died on this machine.

    For whoever only looks: to try the lock would keep a process out that wants it at that instant.
    """
    holder = process_at_work(root)
    return None if holder is None else str(holder)


def process_at_work(root: Path) -> Holder | None:
    """As `holder_of`, for programs."""
    try:
        lock = open_regular(root / ".lock", os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        holder = _read(lock)
        return None if holder is None or (holder.is_here and _is_gone(holder.pid, os.fstat(lock))) else holder
    finally:
        os.close(lock)


class Holder(NamedTuple):
    """A process that holds a directory's lock, by what it wrote there."""

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        since = self.since.replace("T", " ").replace("+00:00", " UTC")
        return f"process {self.pid} on {self.host} (since {since})"

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, a process of this machine."""
        return self.host == socket.gethostname()

    def has_open(self, root: Path) -> bool:
        """Whether a process of that number has the lock open here and now, so that it is the one that is meant.

        A machine of the same name may be another one, as containers are, and numbers come again. Where the system
        doesn't tell, it is taken to be so.
        """
        if not Path("/proc/self/fd").is_dir():
            return True
        try:
            return _has_open(self.pid, (root / ".lock").stat())
        except OSError:
            return False


def _holder(lock: int) -> str | None:
    holder = _read(lock)
    return None if holder is None else str(holder)


def _read(lock: int) -> Holder | None:
    try:
        holder = orjson.loads(os.pread(lock, 4096, 0))
        return Holder(int(holder["pid"]), holder["host"], holder["since"])
    except (OSError, ValueError, KeyError, TypeError):  # JSON's error is a ValueError
        return None


def _is_gone(pid: int, lock: os.stat_result) -> bool:
    """Whether a process of this machine has ended that held a lock, or its number is another process's by now."""
    if not _is_alive(pid):
        return True
    try:
        return not _has_open(pid, lock)
    except OSError:  # it is somebody else's, or the system doesn't tell
        return False


def _has_open(pid: int, file: os.stat_result) -> bool:
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            if os.path.samestat(each.stat(), file):
                return True
    return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True
