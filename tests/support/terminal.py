"""A command line on a terminal of its own: reads what it shows, types answers."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from select import select

from tests.support.command import Forked

PATIENCE_S = 20.0


@dataclass
class Terminal:
    """What a process shows on its terminal, and the keys that it is sent."""

    process: Forked
    master: int
    shown: str = field(default="", init=False)

    def until(self, text: str) -> None:
        """Read until that is shown."""
        ends_at = time.monotonic() + PATIENCE_S
        while text not in self.shown:
            assert time.monotonic() < ends_at, f"{text!r} was not shown, but {self.shown!r}"
            self._read()

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def code(self) -> int:
        """The exit code, once the process has ended."""
        ends_at = time.monotonic() + PATIENCE_S
        while (code := self.process.poll()) is None:
            assert time.monotonic() < ends_at, f"still at work, having shown {self.shown!r}"
            self._read()
        while self._read():
            pass
        return code

    def _read(self) -> bool:
        ready, _, _ = select([self.master], [], [], 0.05)
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # how Linux says that nobody holds the other end any more
            return False
        self.shown += data.decode().replace("\r\n", "\n")
        return bool(data)


@contextmanager
def on_terminal(
    arguments: Sequence[str], *, cwd: Path, environment: Mapping[str, str], given: Path | None = None
) -> Iterator[Terminal]:
    """The command line with those arguments; it is gone when the block ends. `given`: what standard input is."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (40, 120))  # a bar has no room in none
    stdin = slave if given is None else os.open(given, os.O_RDONLY)
    process = Forked(arguments, [stdin, slave, slave], folder=cwd, environment=environment, terminal=True)
    for descriptor in {slave, stdin}:
        os.close(descriptor)
    try:
        yield Terminal(process, master)
    finally:
        process.send(signal.SIGKILL)
        process.wait()
        os.close(master)


async def conversation(
    arguments: Sequence[str],
    steps: Sequence[tuple[str, str]],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    given: Path | None = None,
) -> tuple[int, str]:
    """Exit code and everything shown, when each question is answered in turn."""

    def talk() -> tuple[int, str]:
        with on_terminal(arguments, cwd=cwd, environment=environment, given=given) as terminal:
            for question, answer in steps:
                terminal.until(question)
                terminal.type(answer)
            code = terminal.code()
            return code, terminal.shown

    return await asyncio.to_thread(talk)
