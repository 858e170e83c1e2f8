"""The disk reserve: space that a run takes at its start, and frees when the disk is full."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from batch_editor.errors import StorageError
from batch_editor.output.picture_store import IMAGES

FILE_NAME = ".ballast"

# For each request in flight: an image of the largest size is 3 MB as PNG. At most 64 MiB: hardly more images are on
# their way to the disk at once, and what finds no room is held in memory.
EACH_BYTES = 3 * 2**20
MOST_BYTES = 64 * 2**20
# And for the ledger, which can't record what was paid without a page to write it on.
LEDGER_BYTES = 4 * 2**20


def take_disk_reserve(root: Path, in_flight: int) -> None:
    """Reserve the space that so many requests in flight may need.

    Raises:
        StorageError: there is not so much, or the directory can't be written.
    """
    size = min(in_flight * EACH_BYTES, MOST_BYTES) + LEDGER_BYTES
    path = root / FILE_NAME
    try:
        path.unlink(missing_ok=True)  # that of a run that died
        if not in_flight:
            return
        with path.open("xb") as file:
            _allocate(file.fileno(), size)
    except OSError as error:
        free_disk_reserve(root)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageError(f"{root}: can't be written ({error.strerror})") from error
        raise StorageError(
            f"{root}: {error.strerror}; {in_flight} requests in flight need {size >> 20} MiB free for what"
            f" comes back. Make room, lower --concurrency, or {elsewhere(root)}"
        ) from error


def elsewhere(root: Path) -> str:
    """The advice to use another output directory, but not where images are that would be bought again there."""
    try:
        with os.scandir(root / IMAGES) as files:
            has_images = any(not file.name.startswith(".") for file in files)
    except OSError:
        has_images = False
    if has_images:
        return "see to the disk: in another directory everything would be bought again"
    return "choose another directory with --output"


def free_disk_reserve(root: Path) -> None:
    """Free the reserved space. On a disk that is gone nothing happens."""
    with suppress(OSError):
        (root / FILE_NAME).unlink(missing_ok=True)


def _allocate(file: int, size_bytes: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size_bytes)
        return
    for _ in range(size_bytes >> 20):  # macOS
        os.write(file, bytes(2**20))
