"""Files of the output directory that nothing needs: former images, answers that are no result, a page's cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from batch_editor.errors import StorageError

# What `review` keeps to be quick.
PAGE_CACHE = ".review"


class KeptFile(NamedTuple):
    """A file or an object, by its path in the output directory; `since`: when it came there, in seconds since 1970."""

    path: str
    size_bytes: int
    since: float


def files_below(root: Path, folder: str) -> Iterator[KeptFile]:
    """The files of a folder of the output directory and of its folders. Nothing that a link leads to.

    A former image lies there since its other name was taken away, which the file system notes as the file's last
    change; its content may be much older.

    Raises:
        StorageError: they can't be listed.
    """
    if not _is_own(root, root / folder):
        return
    try:
        for place, _, names in os.walk(root / folder, onerror=_raise):
            for name in names:
                path = Path(place, name)
                with suppress(FileNotFoundError):  # a review page removes what its cache has no room for
                    status = path.lstat()
                    if not path.is_symlink():
                        since = max(status.st_mtime, status.st_ctime)
                        yield KeptFile(path.relative_to(root).as_posix(), status.st_size, since)
    except OSError as error:
        raise StorageError(f"{root / folder}: can't be read ({error.strerror})") from error


def remove_file(root: Path, path: str) -> None:
    """Remove a file of the output directory, if it is there and no link leads elsewhere on the way to it.

    Raises:
        StorageError: it can't be removed.
    """
    file = root / path
    if not _is_own(root, file.parent):
        return
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{file}: can't be removed ({error.strerror})") from error


def _is_own(root: Path, folder: Path) -> bool:
    """Whether there is such a folder, and no link on the way to it."""
    return folder.is_dir() and folder.resolve() == root.resolve() / folder.relative_to(root)


def _raise(error: OSError) -> None:
    raise error
