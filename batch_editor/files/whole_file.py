"""A file that is whole under its name, or not there at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from batch_editor.files.regular import expect_regular, fsync_directory

_FRESH = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes its place at the block's end, durable; what stands there stays until then. Blocks.

    If the block raises, nothing has changed. A link is followed.

    Raises:
        NotAFile: something other than a file stands there.
        OSError: it can't be written.
    """
    path = path.resolve()
    with suppress(FileNotFoundError):
        expect_regular(path)
    # Always the same name: so one that a process left when it died doesn't stay.
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)  # whatever it is, nothing is written through it
    try:
        with os.fdopen(os.open(temporary, _FRESH, 0o666), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        fsync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
