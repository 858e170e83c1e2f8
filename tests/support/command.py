"""Processes of the command line."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from select import select
from typing import Any, Self

from batch_editor.endpoints import TODAY

ROOT = Path(__file__).parents[2]
# Variables that say through which proxy hosts are reached, and whose certificates are trusted.
OF_THE_NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
# What Python reads when it starts: where one of these is given, it is started anew.
_OF_PYTHON = ("PYTHON", "LC_", "LANG")
_AT_START = dict(os.environ)


@dataclass(frozen=True)
class Finished:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


def kept_environment() -> dict[str, str]:
    """The variables of a process of the command line: none of the developer's, and no coverage is measured."""
    ours = ("BATCH_EDITOR_", "SEGMIND_", "COV_")
    return {
        name: value
        for name, value in os.environ.items()
        if name == TODAY or not (name.startswith(ours) or name.upper() in OF_THE_NETWORK)
    }


class Forked:
    """A command line that the server of command lines has started.

    It is the server's own Python, forked; `anew`: one that is started for it, as a shell does. `terminal`: it leads a
    session of its own on the terminal that is its standard error.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        standard: Sequence[int],
        *,
        folder: Path,
        environment: Mapping[str, str],
        anew: bool = False,
        terminal: bool = False,
    ) -> None:
        given = {name for name, value in environment.items() if _AT_START.get(name) != value}
        told = {
            "arguments": list(arguments),
            "folder": str(folder),
            "environment": dict(environment),
            "anew": anew or any(name.startswith(_OF_PYTHON) for name in given),
            "terminal": terminal,
        }
        self.report, writing = os.pipe()
        try:
            socket.send_fds(_server(), [json.dumps(told).encode()], [*standard, writing])
        finally:
            os.close(writing)
        self.pid = int.from_bytes(os.read(self.report, 4), sys.byteorder, signed=True)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None if it still runs."""
        if self.returncode is None and select([self.report], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self) -> int:
        """The exit code, once it has ended."""
        if self.returncode is None:
            self.returncode = int.from_bytes(os.read(self.report, 4), sys.byteorder, signed=True)
            os.close(self.report)
        return self.returncode

    def send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it had ended just then
                os.kill(self.pid, number)


class Process:
    """A command line at work, whose output is read."""

    def __init__(self, forked: Forked, out: asyncio.StreamReader, err: asyncio.StreamReader) -> None:
        self._forked = forked
        self._out = out
        self._err = err
        self.pid = forked.pid

    @classmethod
    async def started(cls, arguments: Sequence[str], *, stdin: int = asyncio.subprocess.DEVNULL, **how: Any) -> Self:
        """`stdin`: a descriptor; `how` as for `Forked`."""
        (out, said), (err, told) = os.pipe(), os.pipe()
        given = os.open(os.devnull, os.O_RDONLY) if stdin == asyncio.subprocess.DEVNULL else os.dup(stdin)
        try:
            forked = Forked(arguments, [given, said, told], **how)
        finally:
            for each in (given, said, told):
                os.close(each)
        return cls(forked, await _read(out), await _read(err))

    def send(self, number: signal.Signals) -> None:
        self._forked.send(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.send(signal.SIGKILL)

    async def line(self) -> str:
        """The next line of standard output."""
        return (await self._out.readline()).decode()

    async def error_line(self) -> str:
        """The next line of standard error; empty at its end."""
        return (await self._err.readline()).decode()

    async def finished(self) -> Finished:
        out, err = await asyncio.gather(self._out.read(), self._err.read())
        await self.ended()
        return Finished(self._forked.wait(), out.decode(), err.decode())

    async def ended(self) -> None:
        """Until the process is gone; what it said is still to be read."""
        if self._forked.poll() is None:
            ended = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.add_reader(self._forked.report, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(self._forked.report)
            self._forked.wait()

    async def end(self) -> None:
        self.kill()
        await self.finished()


async def _read(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0))
    return reader


@cache
def _server() -> socket.socket:
    """What starts command lines, for as long as the tests run."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.command_server", str(its.fileno())],
            cwd=ROOT,
            env=kept_environment(),
            stdin=subprocess.DEVNULL,
            pass_fds=[its.fileno()],
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours
