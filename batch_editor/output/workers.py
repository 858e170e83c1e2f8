"""A bounded pool of processes that look at pixels. A picture that crashes or hangs one costs that process alone.

Processes of our own rather than `concurrent.futures`: its pool breaks as a whole with one process, can't end one that
hangs, and starts the caller's `__main__` anew, which a script without a guard doesn't survive.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import LifoQueue
from typing import Any

import orjson

from batch_editor.errors import MachineError
from batch_editor.images import pixels

# An image of the largest size takes 50 to 100 ms: at the highest rate that is sold, 1,000 a minute, two are busy. Two
# at least, so that one that hangs doesn't hold up the rest.
PROCESSES = min(4, max(2, os.cpu_count() or 1))
# The most pixels that are decoded take 2 s; a minute is for a machine that is busy otherwise.
LIMIT_S = 60
START_S = 60
# A decoder of hostile bytes gets what it needs to start, and not the key.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL")


class Unchecked(Exception):
    """A process crashed or hung over a picture; of the picture nothing is known."""


class Workers:
    """At most `count` processes, for as many pictures at a time; started when first needed, ended by `close`."""

    def __init__(self, count: int = PROCESSES, *, limit_s: int = LIMIT_S) -> None:
        self.count = count
        self._limit_s = limit_s
        # Last in, first out: a process that runs is asked before another one is started.
        self._slots: LifoQueue[_Worker | None] = LifoQueue()
        for _ in range(count):
            self._slots.put(None)
        self._live: set[_Worker] = set()
        self._closed = False

    def start(self) -> None:
        """Start one process. Blocks; before money is spent, a machine on which none can run is to be known.

        Raises:
            MachineError: it does not start.
        """
        worker: _Worker | None = None
        try:
            worker = self._slots.get() or self._started()
        finally:
            self._slots.put(worker)

    def ask(self, order: Mapping[str, Any]) -> str | None:
        """What is wrong with a picture, see `pixels`; None if nothing is. Blocks until a process is free, and is done.

        Raises:
            Unchecked: the process crashed or hung over it.
            MachineError: no process can be started.
        """
        worker: _Worker | None = None
        try:
            worker = self._slots.get() or self._started()
            return worker.ask(order)
        except Unchecked:
            if worker is not None:
                self._live.discard(worker)
                worker.end()
                worker = None
            raise
        finally:
            self._slots.put(worker)

    def close(self) -> None:
        """End the processes, at whatever they are: who still asks one hears `Unchecked`."""
        self._closed = True
        for worker in list(self._live):
            worker.kill()
        for _ in range(self.count):
            if (idle := self._slots.get()) is not None:
                idle.end()

    def _started(self) -> _Worker:
        if self._closed:
            raise Unchecked("the run is over")
        worker = _Worker(self._limit_s)
        self._live.add(worker)
        return worker


class _Worker:
    """One process, for one picture at a time."""

    def __init__(self, limit_s: int) -> None:
        self._limit_s = limit_s
        try:
            self._process = subprocess.Popen(  # noqa: S603  # nothing in it comes from outside
                # By its path and with -P: nothing in the working directory may pass for a module of ours.
                [sys.executable, "-P", str(Path(pixels.__file__)), str(limit_s)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            )
        except OSError as error:
            raise MachineError(f"no process to check images in can be started ({error.strerror})") from error
        if self._line(START_S) != {"ready": True}:
            self.end()
            raise MachineError(
                f"the process to check images in ends at its start; expected {sys.executable} to import Pillow."
                " checks: header does without"
            )

    def ask(self, order: Mapping[str, Any]) -> str | None:
        """The process's answer."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it was ended from outside; then there is no answer either
            self._process.stdin.write(json.dumps(order).encode() + b"\n")  # orjson refuses names that aren't UTF-8
            self._process.stdin.flush()
        # A little later than the process ends itself, if it can.
        answer = self._line(self._limit_s + 5)
        if answer is None:
            raise Unchecked(f"the process that decoded it ended, or took longer than {self._limit_s} s")
        return answer["fault"]  # type: ignore[no-any-return]

    def kill(self) -> None:
        """End it, at whatever it is; who asks it hears so."""
        self._process.kill()

    def end(self) -> None:
        """End it and let go of it. Nobody may be asking it."""
        self.kill()
        self._process.communicate()

    def _line(self, limit_s: float) -> dict[str, Any] | None:
        """The next answer; None if the process ended or was too slow."""
        assert self._process.stdout is not None
        watchdog = threading.Timer(limit_s, self._process.kill)
        watchdog.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        return orjson.loads(line) if line.endswith(b"\n") else None
