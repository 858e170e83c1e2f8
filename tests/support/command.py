"""Processes of the command line."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


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


class Process:
    """A command line at work."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it had ended just then
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.send(signal.SIGKILL)

    async def line(self) -> str:
        """The next line of standard output."""
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode()

    async def error_line(self) -> str:
        """The next line of standard error; empty at its end."""
        assert self._process.stderr is not None
        return (await self._process.stderr.readline()).decode()

    async def finished(self) -> Finished:
        out, err = await self._process.communicate()
        assert self._process.returncode is not None
        return Finished(self._process.returncode, out.decode(), err.decode())

    async def ended(self) -> None:
        """Until the process is gone; what it said is still to be read."""
        await self._process.wait()

    async def end(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()
