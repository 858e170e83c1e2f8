"""A file that is whole under its name, or not there at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from batch_editor.files.regular import expect_regular, fsync_directory

_FRESH = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LEFT = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BUSY = (errno.EWOULDBLOCK, errno.EACCES)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes its place at the block's end, durable; what stands there stays until then. Blocks.

    If the block raises, nothing has changed. A link is followed.

    Raises:
        NotAFile: something other than a file stands there.
        OSError: it can't be written, or another process is writing it.
    """
    path = path.resolve()
    with suppress(FileNotFoundError):
        expect_regular(path)
    # Always the same name: so one that a process left when it died doesn't stay.
    temporary = path.with_name(f".{path.name}.part")
    with os.fdopen(_own(temporary), "w+b") as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            if _is_at(file.fileno(), temporary):
                temporary.unlink()
            raise
    fsync_directory(path.parent)


def _own(path: Path) -> int:
    """A new file that no other process writes, locked until it is closed.

    Only who has locked what stands under the name takes it away: so nobody's file is taken for another's.

    Raises:
        OSError: another process is writing it.
    """
    while True:
        _remove_left(path)
        with suppress(FileExistsError):
            file = os.open(path, _FRESH, 0o666)
            if _lock(file) and _is_at(file, path):
                return file
            os.close(file)  # another process took it for one that was left, in the moment before it was locked


def _remove_left(path: Path) -> None:
    """Remove what a process left that died; whatever it is, nothing is written through it."""
    try:
        left = os.open(path, _LEFT)
    except OSError:  # nothing, or no file
        path.unlink(missing_ok=True)
        return
    try:
        if not _lock(left):
            raise OSError(errno.EBUSY, "another process is writing it", str(path))
        if _is_at(left, path):
            path.unlink()
    finally:
        os.close(left)


def _lock(file: int) -> bool:
    """Keep others from a file that is being written; False if somebody is at it. It ends with the process."""
    from fcntl import LOCK_EX, LOCK_NB, flock  # not above: Windows has none, which is said by `require_posix`

    try:
        flock(file, LOCK_EX | LOCK_NB)
    except OSError as error:
        return error.errno not in _BUSY  # some networks' file systems know no locks
    return True


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False
