"""A database that runs share, and how long one that is away is waited for."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from batch_editor.errors import UsageError
from batch_editor.postgres.address import DatabaseAddress
from batch_editor.postgres.connection import Connection, DatabaseAway, DatabaseRefused, expect_library
from batch_editor.text import duration

T = TypeVar("T")

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
# A server that is restarted is back within seconds; who only begins would rather hear of one that is away.
START_S = 10.0


class Database:
    """A database and the connections to it. Everything blocks; threads may share it, but not a connection.

    Parameters:
        wait_s: how long one that is away is waited for.
        say: gets a line when it is away, and when it answers again.

    Raises:
        UsageError: the extra isn't installed, or the variable that should hold the password isn't set.
    """

    def __init__(self, address: DatabaseAddress, *, wait_s: float, say: Callable[[str], None]) -> None:
        expect_library(address)
        self.address = address
        self._password = address.password()
        self._wait_s = wait_s
        self._say = say
        self._guard = threading.Lock()
        self._waiting = 0  # threads that wait for it: the first to begin and the last to end have something to say
        self._connections: list[Connection] = []
        self._rng = random.Random()

    def connect(self) -> Connection:
        """A connection; made when something is asked. Whoever asks for it closes it."""
        connection = Connection(self.address, self._password)
        with self._guard:
            self._connections.append(connection)
        return connection

    def proved(self, connection: Connection, work: Callable[[], T]) -> T:
        """The result of work that shows, before money is spent, that the database can be used.

        Raises:
            UsageError: it refuses what the settings say: no such database, a wrong password, no rights.
            LedgerError: it can't be reached.
        """
        try:
            return self._repeated(connection, work, min(self._wait_s, START_S))
        except DatabaseRefused as error:
            raise UsageError(str(error)) from error

    def patiently(self, connection: Connection, work: Callable[[], T]) -> T:
        """The result of work, all of which is done again while the database is away: for `wait_s` at most.

        Or for a few seconds, once `hurry` was called.

        Raises:
            LedgerError: it still is, or refuses.
        """
        return self._repeated(connection, work, self._wait_s)

    def hurry(self) -> None:
        """Wait for nothing longer than a few seconds from now on: somebody wants the end."""
        with self._guard:
            connections = list(self._connections)
        for each in connections:
            each.hurry()

    def _repeated(self, connection: Connection, work: Callable[[], T], wait_s: float) -> T:
        ends_at = time.monotonic() + wait_s
        try:
            return work()
        except DatabaseAway:
            pass  # most of all a connection that was lost while nothing was asked
        try:
            return work()
        except DatabaseAway as error:
            if time.monotonic() > connection.ends_at:
                raise
            with self._waiting_for(error, wait_s):
                return self._again(connection, work, ends_at)

    def _again(self, connection: Connection, work: Callable[[], T], ends_at: float) -> T:
        pause_s = FIRST_PAUSE_S
        while True:
            if connection.is_hurried.is_set():
                time.sleep(FIRST_PAUSE_S)
            else:
                connection.is_hurried.wait(pause_s * self._rng.uniform(0.5, 1))
            try:
                return work()
            except DatabaseAway:
                if time.monotonic() + pause_s > min(ends_at, connection.ends_at):
                    raise
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    @contextmanager
    def _waiting_for(self, error: DatabaseAway, wait_s: float) -> Iterator[None]:
        """Say that it is away, and that it is back; once, of several threads that wait for it."""
        with self._guard:
            self._waiting += 1
            if self._waiting == 1 and wait_s:
                self._say(f"warning: {error}; nothing new is sent until it answers, for up to {duration(wait_s)}")
        is_back = False
        try:
            yield
            is_back = True
        finally:
            with self._guard:
                self._waiting -= 1
                if is_back and not self._waiting:
                    self._say(f"budget.ledger {self.address} answers again; resuming")
