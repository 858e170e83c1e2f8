"""Whole processes, by the operating system's own accounts, against a server that says what it saw."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Measured:
    """A finished process: seconds from start to end, processor seconds, and its largest resident size.

    Processes of its own that it waited for are in the processor seconds, and the largest of all in the size.
    """

    wall_s: float
    cpu_s: float
    peak_mib: float
    out: str
    exit_code: int


class Running:
    """A process under way; its output goes to files, for nobody reads a pipe while it is measured.

    `began_at` is by the system's monotonic clock, as the server's books are.
    """

    def __init__(self, command: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> None:
        self._out = tempfile.TemporaryFile()  # noqa: SIM115  # closed with this object: its process writes to it
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.began_at = time.monotonic()
        self._process = subprocess.Popen(
            command, cwd=folder, env={**kept, **environment}, stdout=self._out, stderr=subprocess.STDOUT
        )

    def cpu_s(self) -> float:
        """Processor seconds so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def send(self, number: int) -> None:
        """A signal."""
        self._process.send_signal(number)

    def finished(self) -> Measured:
        """Wait for its end."""
        _, status, used = os.wait4(self._process.pid, 0)
        wall_s = time.monotonic() - self.began_at
        self._process.returncode = os.waitstatus_to_exitcode(status)  # or Popen would wait for it again
        self._out.seek(0)
        return Measured(
            wall_s=wall_s,
            cpu_s=used.ru_utime + used.ru_stime,
            peak_mib=used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10),
            out=self._out.read().decode(errors="replace"),
            exit_code=self._process.returncode,
        )


class Server:
    """The cheap provider, in a process of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def look(self) -> Any:
        """What it has seen since the last `books`."""
        return self._get("look")

    def books(self) -> Any:
        """The same, and begin new books."""
        return self._get("books")

    def _get(self, name: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/{name}", timeout=60) as answer:  # our own server
            return orjson.loads(answer.read())


@contextmanager
def serving() -> Iterator[Server]:
    """The server, for as long as the block runs."""
    with subprocess.Popen(
        [sys.executable, HERE / "server.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Server(f"http://127.0.0.1:{process.stdout.readline().strip()}")
        finally:
            process.stdin.close()
