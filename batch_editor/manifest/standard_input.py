"""Standard input as a file that can be read from its beginning more than once."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import IO, BinaryIO

# What stands for it on a command line, and how messages call it.
STANDARD_INPUT = Path("-")
NAME = "stdin"


@cache
def gather_standard_input() -> IO[bytes]:
    """Copy all of standard input to an unnamed temporary file, once for a process. Blocks until its end.

    A table is looked at first and may be read twice; a pipe could be read once only, and Ctrl-C wouldn't reach a thread
    that waits for it: the command line therefore calls this before anything else begins.

    Raises:
        OSError: it is closed, or can't be kept.
    """
    if sys.stdin is None:
        raise OSError("standard input is closed")
    file = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process; nothing is left of it however that ends
    shutil.copyfileobj(sys.stdin.buffer, file)
    file.flush()
    return file


def open_standard_input() -> BinaryIO:
    """All of it from the beginning; one reader at a time.

    Raises:
        OSError: it can't be read.
    """
    descriptor = os.dup(gather_standard_input().fileno())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.fdopen(descriptor, "rb")
