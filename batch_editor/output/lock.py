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


def _holder(lock: int) -> str | None:
    try:
        holder = orjson.loads(os.pread(lock, 4096, 0))
        return f"process {holder['pid']} on {holder['host']} (since {holder['since']})"
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return None
