"""A process that forks a command line whenever it is told to: everything is imported, so a run starts in 20 ms.

A JSON object a line on standard input, {"arguments", "folder", "environment", "watch", "synchronous"}; two lines for
each on standard output, the new process's id and, once it has ended, its exit code (negative: the signal). What the
command prints goes to the files `out` and `err` of the folder.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import re
import sqlite3
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from PIL import Image

from batch_editor.cli.main import main

# Where uvloop is installed: what it reads from sockets, it reads by a call that isn't watched.
sys.modules["uvloop"] = None  # type: ignore[assignment]

# What a run imports late, so that a command such as --help is quick.
for late in ("batch_editor.runs.batch", "batch_editor.cli.logs", "batch_editor.sandbox", "pandas"):
    importlib.import_module(late)
Image.init()


class _Hasty(sqlite3.Connection):
    """A connection to a database that is told otherwise when its commits are durable."""

    synchronous = ""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return super().execute(re.sub(r"(PRAGMA synchronous =) \w+", rf"\1 {self.synchronous}", sql), *values)


def serve() -> None:
    """Until standard input ends."""
    gc.freeze()
    for line in sys.stdin:
        told = json.loads(line)
        pid = os.fork()
        if not pid:
            os._exit(_become(told))
        print(pid, flush=True)  # noqa: T201
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


def _become(told: Mapping[str, Any]) -> int:
    os.setsid()  # a signal to the tests' terminal is not one to the run
    os.chdir(told["folder"])
    os.environ.update(told["environment"])
    time.tzset()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for name, descriptor in (("out", 1), ("err", 2)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    if told["watch"] is not None:
        *texts, after, nth = told["watch"]
        ctypes.CDLL(None).watch(*(text.encode() for text in texts), after, ctypes.c_long(nth))
    if told["synchronous"] is not None:
        _Hasty.synchronous = told["synchronous"]
        sqlite3.connect = partial(sqlite3.connect, factory=_Hasty)  # type: ignore[assignment]
    sys.argv[1:] = told["arguments"]
    code = main(told["arguments"])
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    serve()
