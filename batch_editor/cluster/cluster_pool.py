"""A pool whose calls are made on the nodes of a cluster, by way of a process that speaks with it."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

from batch_editor.cluster.calls import FROM_DRIVER, Call, Opened, Opening, Outcome, Proof, Sent, installed_version
from batch_editor.errors import MachineError, StorageError, UsageError
from batch_editor.processes import LIMIT_S, START_S, CallFailed, NewFile
from batch_editor.text import printable

P = ParamSpec("P")
T = TypeVar("T")

_DRIVER = "batch_editor.cluster.ray_driver"
# Of an output directory that the nodes have too.
_PROOF = ".cluster"
# To connect, for which Ray tries 40 s, and to hear from every node.
_OPEN_S = 60 + START_S
# Calls under way: twice the cores, so that none waits for this process; each has a thread here. Where files travel they
# are in memory as well: 256 MB of Ray's, for pictures of 2 MB.
_MOST_CALLS = 512
_MOST_THAT_TRAVEL = 128
# A node that is lost takes its calls with it, and a machine out of memory its workers; so often it happens to no call
# that isn't at fault itself. A function's own crash is none of it, see `carried_out`.
_RETRIES = 5
# As Ray writes to standard error: when, how bad, by whom, and where in its source.
_LOGGED = re.compile(r"\[[^\]]* [A-Z] [^\]]*\] [\w.]+:\d+: (.+)")
# What Python and Ray need, and not the key.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "HOME", "TMPDIR")
# Nothing is sent home. What runs its machine out of memory is made again as often as what loses its node, and not for
# good, which is Ray's default.
_RAY_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_task_oom_retries": "5"}


class ClusterPool:
    """See `Pool`. Nodes read and write files below `shared` themselves; other files travel with the calls.

    Raises:
        UsageError: there is no such cluster, or a node isn't fit.
        MachineError: no process can be started, or `shared` can't be written.
    """

    def __init__(self, address: str, shared: Path | None, *, limit_s: float = LIMIT_S, retries: int = _RETRIES) -> None:
        self._shared = None if shared is None else shared.resolve()
        # Held while a call is packed and sent, so that the files of one call at a time are in memory. Another one than
        # `_lock`: who hands outcomes out must never wait for who sends, or both ends wait for each other.
        self._sending = threading.Lock()
        self._lock = threading.Lock()  # of all that follows
        self._waiting: dict[int, Future[Outcome]] = {}
        self._number = 0
        self._ended: Exception | None = None
        with ExitStack() as stack:
            proof = Proof(installed_version(), self._shared and self._shared / _PROOF, secrets.token_hex(16))
            if proof.folder is not None:
                stack.callback(shutil.rmtree, proof.folder, ignore_errors=True)
                _write_proof(proof.folder, proof.token)
            said = stack.enter_context(tempfile.TemporaryFile())
            self._process, self._connection = _started(said)
            stack.enter_context(self._connection)
            stack.callback(self._process.wait)
            stack.callback(self._process.kill)
            opening = Opening(address, proof, START_S, limit_s, retries)
            cores = _opened(self._connection, opening, said)
            self.count = min(_MOST_THAT_TRAVEL if shared is None else _MOST_CALLS, max(4, 2 * cores))
            self._reader = threading.Thread(target=self._read, args=(said,), name="cluster", daemon=True)
            self._reader.start()
            self._open = stack.pop_all()

    @property
    def driver_pid(self) -> int:
        """The process that speaks with the cluster."""
        return self._process.pid

    def start(self, function: Callable[[], object]) -> None:
        """See `Pool`."""
        try:
            self.call(function)
        except CallFailed as failed:
            raise MachineError(f"a node of the cluster can't work: {failed}") from failed

    def call(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """See `Pool`. A node that isn't fit any more, or a cluster that is lost, is a `MachineError`."""
        future = Future[Outcome]()
        with self._lock:
            if self._ended is not None:
                raise self._ended
            self._number += 1
            number = self._number
            self._waiting[number] = future
        with self._sending, suppress(OSError):  # then `_read` ends, and says why
            packed = [self._packed(each) for each in args], {name: self._packed(each) for name, each in named.items()}
            self._connection.send((number, Call(function, *packed)))
            del packed
        outcome = future.result()
        if outcome.failed is not None:
            raise CallFailed(outcome.failed)
        if outcome.refused is not None:
            raise MachineError(printable(outcome.refused))
        new = [each for each in (*args, *named.values()) if isinstance(each, NewFile)]
        for path, data in zip(new, outcome.written, strict=False):  # nothing where the node has written them itself
            _write(path, data)
        result: T = outcome.result
        return result

    def close(self) -> None:
        """See `Pool`. Ray ends the tasks of a driver that is gone."""
        self._end(CallFailed("the run is over"))
        with self._open:
            self._process.kill()
            self._reader.join()

    def _packed(self, value: Any) -> Any:
        """A value as it goes to a node: of a file that the node doesn't have, its content, if it is there."""
        match value:
            case NewFile():
                return NewFile(value.absolute())
            case Path():
                path = value.resolve()
                if self._shared is not None and path.is_relative_to(self._shared):
                    return path
                try:
                    return Sent(path.read_bytes())
                except OSError:
                    return path
            case list():
                return [self._packed(each) for each in value]
            case _:
                return value

    def _read(self, said: IO[bytes]) -> None:
        """Hand outcomes out, until the other side is gone."""
        with suppress(EOFError, OSError):
            while True:
                number, outcome = self._connection.recv()
                with self._lock:
                    future = self._waiting.pop(number, None)
                if future is not None:
                    future.set_result(outcome)
        self._end(MachineError(f"the Ray cluster is lost ({_last_words(said)}); running again resumes"))

    def _end(self, why: Exception) -> None:
        with self._lock:
            if self._ended is None:
                self._ended = why
            waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            future.set_exception(why)


def _write_proof(folder: Path, token: str) -> None:
    try:
        shutil.rmtree(folder, ignore_errors=True)  # of a run that died
        folder.mkdir()
        (folder / FROM_DRIVER).write_text(token, encoding="ascii")
    except OSError as error:
        raise StorageError(f"{folder}: can't be written ({error.strerror})") from error


def _started(said: IO[bytes]) -> tuple[subprocess.Popen[bytes], Connection]:
    """The process that speaks with the cluster, and the way to it. What it says to nobody goes to `said`."""
    ours, its = Pipe()
    kept = {name: value for name, value in os.environ.items() if name in _ENVIRONMENT or name.startswith("RAY_")}
    try:
        with its:
            process = subprocess.Popen(  # noqa: S603  # nothing in it comes from outside
                [sys.executable, "-P", "-m", _DRIVER, str(its.fileno())],
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,  # apart from the terminal's signals
                cwd="/",  # Ray has every node look for modules in it
                env={**kept, **_RAY_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
    except OSError as error:
        ours.close()
        raise MachineError(f"no process can be started to speak with the cluster: {error}") from error
    return process, ours


def _opened(connection: Connection, opening: Opening, said: IO[bytes]) -> int:
    """How many cores the cluster has, once all its nodes are seen to be fit."""
    try:
        connection.send(opening)
        if not connection.poll(_OPEN_S):
            raise UsageError(f"the Ray cluster at {opening.address} hasn't answered for {_OPEN_S} s")
        opened: Opened = connection.recv()
    except (EOFError, OSError) as error:
        raise UsageError(f"Ray can't be used: {_last_words(said)}") from error
    if opened.faults:
        raise UsageError("\n".join(printable(fault) for fault in opened.faults))
    return opened.cores


def _last_words(said: IO[bytes]) -> str:
    """The first sentence of what the process said last: if it can, of what Ray said, which a trace may follow."""
    said.seek(0)
    lines = [line for line in said.read()[-20_000:].decode(errors="replace").splitlines() if line.strip()]
    logged = [found[1] for line in lines if (found := _LOGGED.match(line))]
    last = (logged or lines or ["its process ended"])[-1]
    return printable(last.partition(". ")[0].strip())


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(f"{path.parent}: can't be written ({error.strerror})") from error
