"""Starts command lines by forking itself: everything is imported already, so one costs 0.05 s of CPU instead of 1.

`-m tests.support.command_server N` reads from the socket that is its descriptor N, until that is closed. A message is
{"arguments", "folder", "environment", "terminal", "anew"}, with four descriptors: what are the command line's standard
ones, and where its process id and in the end its exit code (negative: the signal) are written, 4 bytes each.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from PIL import Image

import batch_editor

_LARGEST = 1 << 20


def serve(channel: socket.socket) -> Mapping[str, Any] | None:
    """Until the channel is closed; in the process of a command line, what it was told, its descriptors being set."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the tests
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, _LARGEST, 4)
        if not message:
            return None
        if not os.fork():
            channel.close()
            return _begun(json.loads(message), descriptors)
        for each in descriptors:
            os.close(each)


def _begun(told: Mapping[str, Any], descriptors: Sequence[int]) -> Mapping[str, Any]:
    """In a process that waits for the command line and tells of it; returns in that one alone."""
    *standard, report = descriptors
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        for each in standard:
            os.close(each)
        _tell(report, pid)
        _, status = os.waitpid(pid, 0)
        _tell(report, os.waitstatus_to_exitcode(status))
        os._exit(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, each in enumerate(standard):
        os.dup2(each, number)
    for each in descriptors:
        os.close(each)
    return told


def _tell(report: int, number: int) -> None:
    os.write(report, number.to_bytes(4, sys.byteorder, signed=True))


def become(told: Mapping[str, Any]) -> None:
    """As if Python had been started for `-m batch_editor` with these arguments, in that folder and environment."""
    folder, arguments, environment = told["folder"], told["arguments"], told["environment"]
    os.chdir(folder)
    if told["terminal"]:
        # The leader of a session takes a terminal for its own by opening it; only then is Ctrl-C a signal.
        os.setsid()
        os.close(os.open(os.ttyname(2), os.O_RDWR))
    if told["anew"]:
        os.execve(sys.executable, [sys.executable, "-m", "batch_editor", *arguments], environment)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv[1:] = arguments
    sys.path[0] = str(Path.cwd())
    sys.stdin = _stream(sys.stdin, "r")
    sys.stdout = _stream(sys.stdout, "w")
    sys.stderr = _stream(sys.stderr, "w", buffering=1)
    runpy.run_module("batch_editor", run_name="__main__", alter_sys=True)


def _stream(like: TextIO, mode: str, *, buffering: int = -1) -> TextIOWrapper:
    """As that one, on the same descriptor, with nothing read or found out yet."""
    stream = open(like.fileno(), mode, buffering, like.encoding, like.errors, closefd=False)  # noqa: SIM115
    assert isinstance(stream, TextIOWrapper)
    return stream


# It is installed for its own tests alone.
_WANT_RAY = ("cluster.ray_driver",)


def _import_all() -> None:
    for each in pkgutil.walk_packages(batch_editor.__path__, "batch_editor."):
        if not each.name.endswith(("__main__", *_WANT_RAY)):
            importlib.import_module(each.name)
    Image.init()
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _import_all()
    wanted = serve(socket.socket(fileno=int(sys.argv[1])))
    if wanted is not None:
        become(wanted)
