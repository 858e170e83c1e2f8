"""Functions called in other processes, a few at a time: one that hangs or crashes there costs its own call alone.

The pool is pebble's: that of `concurrent.futures` breaks as a whole with one process, and can't end one that hangs.
"""

from __future__ import annotations

import io
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import context, popen_spawn_posix, reduction, resource_tracker, util
from multiprocessing.process import BaseProcess
from pathlib import Path, PosixPath
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from batch_editor.errors import MachineError

P = ParamSpec("P")
T = TypeVar("T")

# Two at least, so that a call that hangs doesn't hold up the rest.
PROCESSES = min(4, max(2, os.cpu_count() or 1))
# For calls of a few seconds: a minute is for a machine that is busy otherwise.
LIMIT_S = 60
START_S = 60
# A process ends itself this much later than it is ended from outside, for who started it may have died of a kill.
_LATER_S = 5
# A pool that breaks may forget a call that has just come: each caller looks this often whether it is broken.
_LOOK_S = 1
# What runs there gets what Python needs to start, and not the key.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL")

# Without modules of the working directory, and without a word of what a kill of this process left to be tidied up.
_TRACKER = {"PYTHONSAFEPATH": "1", "PYTHONWARNINGS": "ignore:resource_tracker"}


class CallFailed(Exception):
    """A call gave no result: its process crashed or hung, or the function raised something."""


class NewFile(PosixPath):
    """A path that a call is to write a file at; nothing is there before. A pool may have to bring it from elsewhere."""


class Pool(Protocol):
    """Where functions are called, apart from this process. Threads may share it."""

    @property
    def count(self) -> int:
        """How many calls may be under way at the same time."""

    def start(self, function: Callable[[], object]) -> None:
        """Call a function that only shows that its module can be imported there. Blocks.

        Raises:
            MachineError: no call can be made.
        """

    def call(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """What the function, which is a module's and no script's, returns. Blocks until there is room, and it is done.

        It may be called twice, and then has to come to the same.

        Raises:
            CallFailed: it took longer than the limit, crashed, or raised something.
            MachineError: no call can be made.
        """

    def close(self) -> None:
        """Give up what is under way: who waits for a call gets a `CallFailed`. Blocks for a moment."""


class _Call(NamedTuple):
    function: Callable[..., Any]
    args: Sequence[Any] = ()
    named: Mapping[str, Any] = {}

    def made(self, limit_s: int) -> Any:
        """What it returns; made in a process, which the kernel ends after `limit_s` seconds, whatever runs there."""
        signal.alarm(limit_s)
        try:
            return self.function(*self.args, **self.named)
        finally:
            signal.alarm(0)


class Processes:
    """`count` processes, started when first needed and ended by `close`. Threads may share them."""

    def __init__(self, count: int = PROCESSES, *, limit_s: float = LIMIT_S) -> None:
        self.count = count
        self._limit_s = limit_s
        self._lock = threading.Lock()  # of the pool, which is replaced when it breaks
        self._pool: ProcessPool | None = None
        self._waiting: set[ProcessFuture[Any]] = set()
        self._closed = False

    def start(self, function: Callable[[], object]) -> None:
        """Call a function that only shows that its module can be imported there. Blocks.

        Raises:
            MachineError: no process can be started, or none can call it.
        """
        try:
            self._outcome(_Call(function), within_s=START_S)
        except CallFailed as failed:
            raise MachineError(f"a process that was started to work in does not: {failed}") from failed

    def call(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """What the function, which is a module's and no script's, returns. Blocks until a process is free, and is done.

        Raises:
            CallFailed: it took longer than the limit, crashed, or raised something.
            MachineError: no process can be started.
        """
        result: T = self._outcome(_Call(function, args, named))
        return result

    def close(self) -> None:
        """End the processes, at whatever they are: who waits for a call gets a `CallFailed`. Blocks for a moment."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            _end(pool)
        for future in list(self._waiting):
            future.cancel()  # type: ignore[no-untyped-call]  # pebble's

    def _outcome(self, call: _Call, *, within_s: float | None = None) -> Any:
        """What the call returns. `within_s`: how long it may wait for its turn as well."""
        try:
            return self._waited_for(call, within_s)
        except BrokenProcessPool:
            # One of its processes died at rest, as of a machine out of memory; if a new pool breaks, none can start.
            try:
                return self._waited_for(call, within_s)
            except BrokenProcessPool as error:
                why = error.__cause__ if isinstance(error.__cause__, OSError) else f"{sys.executable} ends at once"
                raise MachineError(f"no process can be started to work in: {why}") from error

    def _waited_for(self, call: _Call, within_s: float | None) -> Any:
        """As `_outcome`; where the pool turns out to be broken the next call has a new one.

        Raises:
            BrokenProcessPool: it was broken, or broke meanwhile.
        """
        pool, future = self._scheduled(call)
        give_up_at = math.inf if within_s is None else time.monotonic() + within_s
        try:
            while not wait([future], _LOOK_S).done and pool.active:
                if time.monotonic() > give_up_at:
                    raise CallFailed(f"it has not begun after {within_s} s")
            error = future.exception() if future.done() else BrokenProcessPool()
        except CancelledError:
            raise CallFailed("the run is over") from None
        finally:
            self._waiting.discard(future)
        match error:
            case None:
                return future.result()
            case BrokenProcessPool():
                self._replace(pool)
                raise error
            case ProcessExpired():
                raise CallFailed("its process ended") from error
            case TimeoutError():
                raise CallFailed(f"it took longer than {self._limit_s:g} s") from error
            case _:
                raise CallFailed(f"{type(error).__name__}: {error}") from error

    def _scheduled(self, call: _Call) -> tuple[ProcessPool, ProcessFuture[Any]]:
        with self._lock:
            if self._closed:
                raise CallFailed("the run is over")
            if self._pool is None:
                self._pool = ProcessPool(self.count, initializer=_ignore_signals, context=_CONTEXT)
            pool = self._pool
            try:
                _start_tracker()
                future = pool.schedule(call.made, (math.ceil(self._limit_s) + _LATER_S,), timeout=self._limit_s)
            except (OSError, RuntimeError) as error:  # pebble's are RuntimeErrors
                self._pool = None
                _end(pool)
                raise BrokenProcessPool from error.__cause__ or error
            self._waiting.add(future)
            return pool, future

    def _replace(self, broken: ProcessPool) -> None:
        with self._lock:
            if self._pool is not broken:
                return
            self._pool = None
        _end(broken)


def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]  # pebble's
    pool.join()


def _ignore_signals() -> None:
    """First of all in a process. Ctrl-C goes to every process of a terminal, and a service's end to all of its own:
    what was paid for is still to be worked on then.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


# How a process is started. `multiprocessing` itself hands on the environment with the key, runs the caller's script
# anew, which breaks one without a guard, and imports what lies in the working directory. It has no settings for these.


class _CleanPopen(popen_spawn_posix.Popen):
    """A new Python that knows nothing of this one but where its modules are. As `popen_spawn_posix.Popen` otherwise."""

    def _launch(self, process: BaseProcess) -> None:
        pickled = io.BytesIO()
        context.set_spawning_popen(self)
        try:
            # Modules come from where this process has them; "" is the working directory, in which anything may lie.
            folders = [*filter(None, sys.path), str(Path(__file__).parents[1])]
            reduction.dump({"name": process.name, "sys_path": folders}, pickled)
            reduction.dump(process, pickled)
        finally:
            context.set_spawning_popen(None)
        handed_on: list[int] = self._fds  # type: ignore[attr-defined]  # its type stub lacks it
        read_end, write_end = os.pipe()
        self.sentinel, held_end = os.pipe()  # readable once nobody holds its other end
        self.finalizer = util.Finalize(self, _close, (self.sentinel, write_end))
        program = f"from multiprocessing.spawn import spawn_main; spawn_main({read_end})"
        try:
            self._process = subprocess.Popen(  # noqa: S603  # nothing in it comes from outside
                [sys.executable, "-P", "-c", program, "--multiprocessing-fork"],
                pass_fds=(*handed_on, read_end, held_end),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # apart from the terminal's signals before `_ignore_signals`, too
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            )
        finally:
            os.close(read_end)
            os.close(held_end)
        self.pid = self._process.pid
        with suppress(BrokenPipeError), open(write_end, "wb", closefd=False) as file:  # it may have ended already
            file.write(pickled.getbuffer())

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """The exit code, negative for a signal; None if it still runs."""
        self.returncode = self._process.poll() if flag else self._process.wait()
        return self.returncode

    def terminate(self) -> None:
        """End it, whatever it ignores and wherever it hangs."""
        self.kill()


class _Process(context.SpawnProcess):
    @staticmethod
    def _Popen(process: BaseProcess) -> _CleanPopen:  # noqa: N802  # the name that it has there
        return _CleanPopen(process)


class _Context(context.SpawnContext):
    Process = _Process


_CONTEXT = _Context()


def _close(*ends: int) -> None:
    for each in ends:
        os.close(each)


def _start_tracker() -> None:
    """Start what tidies up after multiprocessing's locks: one more process, which takes its settings from here."""
    said = {name: os.environ.get(name) for name in _TRACKER}
    os.environ.update(_TRACKER)
    try:
        resource_tracker.ensure_running()
    finally:
        for name, value in said.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value
