"""The files of a schedule: printed one after the other, or written into a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from batch_editor.errors import StorageError, UsageError
from batch_editor.files import make_folder, whole_file
from batch_editor.text import escape_bytes

_SECRET_MODE = 0o600


@dataclass(frozen=True, slots=True)
class NightlyFile:
    """One file: its name, its text. `secret`: a key is to be put into it, so it is never overwritten nor printed."""

    name: str
    text: str
    secret: bool = False


def listed(files: Sequence[NightlyFile]) -> Iterator[str]:
    """The files' texts; where there are several, each below its name, as `systemctl cat` shows units."""
    shown = [file for file in files if not file.secret]
    for file in shown:
        if len(shown) > 1:
            yield f"# {file.name}"
        yield file.text


def write_all(files: Sequence[NightlyFile], folder: Path, *, force: bool = False) -> list[str]:
    """Write the files into the folder; return what became of each, for people. Blocks.

    Raises:
        UsageError: one is there already, and `force` isn't given.
        StorageError: one can't be written.
    """
    there = [folder / file.name for file in files if not file.secret and os.path.lexists(folder / file.name)]
    if there and not force:
        raise UsageError(
            f"{escape_bytes(str(there[0]))} is there already: --force overwrites it, --to DIR writes elsewhere"
        )
    try:
        make_folder(folder)
        return [_write(file, folder / file.name) for file in files]
    except OSError as error:
        name = error.filename or folder
        raise StorageError(f"{name}: can't be written ({error.strerror or error})") from error


def _write(file: NightlyFile, path: Path) -> str:
    if not file.secret:
        with whole_file(path) as target:
            target.write(file.text.encode())
        return f"Wrote {path}"
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _SECRET_MODE), "wb") as secret:
            secret.write(file.text.encode())
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            return f"Kept {path}, which others can read; run: chmod 600 {path}"
        return f"Kept {path}, as it was"
    return f"Wrote {path}, which only you may read (mode 600)"
