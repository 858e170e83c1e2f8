"""Tables of shops as they were read, for the way back into the shop: compressed, each content once."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from batch_editor.errors import StorageError
from batch_editor.files import fsync_directory

INPUTS = "inputs"
_READ_BYTES = 2**20
_PART = ".table.part"  # always the same name: so one that a run left when it died doesn't stay
_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
# As gzip itself has it: 9 takes several times as long for a table of text, and saves little.
_LEVEL = 6


def keep_table(root: Path, open_table: Callable[[], BinaryIO], *, ending: str, read_at: float) -> Path:
    """Keep a table in the output directory as `inputs/<sha256 of what it holds><ending>.gz`, if it isn't there. Blocks.

    Its time of modification is `read_at`, the same for all tables of a run: so those of the last run are the newest
    ones, all of them. The file is whole under its name, or not there.

    Raises:
        StorageError: it can't be read, or can't be written.
    """
    folder = root / INPUTS
    try:
        folder.mkdir(exist_ok=True)
        if folder.is_symlink():
            raise StorageError(f"{folder}: a link that leads elsewhere; expected a folder")
        with open_table() as table:
            kept = folder / f"{_sha256(table)}{ending}.gz"
        if kept.exists():
            os.utime(kept, (read_at, read_at))
            return kept
        part = folder / _PART
        try:
            part.unlink(missing_ok=True)
            with open_table() as table, os.fdopen(os.open(part, _FRESH, 0o660), "wb") as file:
                # No name and no time: the same content makes the same file.
                with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=file, mtime=0) as compressed:
                    shutil.copyfileobj(table, compressed, _READ_BYTES)
                file.flush()
                os.fsync(file.fileno())
            os.utime(part, (read_at, read_at))
            part.replace(kept)
            fsync_directory(folder)
            fsync_directory(root)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: a table can't be kept there ({error.strerror or error})") from error
    return kept


def is_kept(root: Path, file: BinaryIO) -> bool:
    """Whether a file holds one of the tables that are kept in the output directory. Blocks.

    Raises:
        OSError: it can't be read.
    """
    return any((root / INPUTS).glob(f"{_sha256(file)}.*"))


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    for block in iter(partial(file.read, _READ_BYTES), b""):
        digest.update(block)
    return digest.hexdigest()
