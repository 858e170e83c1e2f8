"""Files and folders as POSIX has them: opened only if they are regular files, made durable under their names.

A FIFO in the place of a file would be waited for without end, on a thread that gets no signal.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote_to_bytes

from batch_editor.errors import UsageError

# Locks on files, and the limit of open files; Python has neither on Windows.
_NEEDED = ("fcntl", "resource")

_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a link"),
    (stat.S_ISSOCK, "a socket"),
)


def require_posix() -> None:
    """Return if this Python has the modules that only POSIX systems have, before an import deep inside fails.

    Raises:
        UsageError: it lacks one, as on Windows.
    """
    for name in _NEEDED:
        try:
            import_module(name)
        except ImportError as error:
            raise UsageError(
                f"batch-editor needs Linux, macOS or another POSIX system: this Python has no module {name}. "
                "On Windows, run it inside WSL (https://learn.microsoft.com/windows/wsl/install)"
            ) from error


class NotAFile(OSError):
    """Something other than a regular file stands at a path; `strerror` says what."""

    def __init__(self, path: str | os.PathLike[str], mode: int) -> None:
        kind = next((kind for is_one, kind in _KINDS if is_one(mode)), "a device")
        super().__init__(errno.EINVAL, f"{kind}; expected a file", os.fspath(path))


def open_regular(path: str | os.PathLike[str], flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
    """As `os.open`, for regular files alone; without waiting for anybody. Also the `opener` of `open`.

    Raises:
        NotAFile: something else stands there; with `os.O_NOFOLLOW` a link is something else.
        OSError: as `os.open`.
    """
    try:
        file = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, mode)
    except OSError as error:
        # Each kind has an error of its own, in words that only a programmer knows ("No such device or address").
        with suppress(FileNotFoundError):
            expect_regular(path, follow_links=not flags & os.O_NOFOLLOW)
        raise error from None
    found = os.fstat(file).st_mode
    if not stat.S_ISREG(found):
        os.close(file)
        raise NotAFile(path, found)
    return file


def expect_regular(path: str | os.PathLike[str], *, follow_links: bool = True) -> None:
    """See that what stands at a path is a file.

    Raises:
        NotAFile: it is something else.
        OSError: there is nothing, or it can't be looked at.
    """
    found = Path(path).stat(follow_symlinks=follow_links).st_mode
    if not stat.S_ISREG(found):
        raise NotAFile(path, found)


def make_folder(path: Path) -> None:
    """Make a folder and what is missing above it, durable under their names."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for each in missing:
        fsync_directory(each.parent)


def path_to_text(path: str) -> str:
    r"""An absolute path as text that can be stored: a `file:` link where its name isn't UTF-8.

    >>> path_to_text("/photos/caf\udce9.jpg"), path_to_text("/photos/café.jpg")
    ('file:///photos/caf%E9.jpg', '/photos/café.jpg')
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        return Path(path).as_uri()
    return path


def path_from_text(text: str) -> str:
    """The path that `path_to_text` made that text of."""
    return os.fsdecode(unquote_to_bytes(text.removeprefix("file://"))) if text.startswith("file:///") else text


def let_go(descriptor: int) -> None:
    """Tell the system that a file's pages aren't needed: it begins to write those that are not on the disk yet, and
    takes back the memory of the others. Where it doesn't know of such a thing, nothing happens.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def fsync_directory(path: Path | str) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
