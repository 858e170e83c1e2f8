"""A connection to PostgreSQL that is made when it is needed, and made anew when it was lost."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from batch_editor.errors import LedgerError, UsageError
from batch_editor.postgres.address import DatabaseAddress
from batch_editor.postgres.refusals import Refusal
from batch_editor.text import printable

if TYPE_CHECKING:
    import psycopg

CONNECT_S = 10
# Another process holds the lock for a few milliseconds; the server ends one that stands still with it after STALLED_S.
LOCK_WAIT_S = 20
STALLED_S = 5
# A server that hasn't answered by then hangs: longer than what it would say by itself.
ANSWER_S = 30.0
# Who ends waits so long for one that restarts, or is busy: a charge that isn't written keeps other runs from the rest
# of a budget, as if its attempt were in flight. Less where somebody wants the end. And after that no longer than a
# second for an answer.
LAST_S = 10.0
END_S = 3.0
HURRY_S = 1.0

# With each transaction, not once for the connection: behind a pooler the next one may be on another.
GUARDS = (
    f"SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = '{LOCK_WAIT_S}s';"
    f" SET LOCAL idle_in_transaction_session_timeout = '{STALLED_S}s'; "
)
# A dead peer is noticed within half a minute; what the address says goes before.
_DEFAULTS = {
    "connect_timeout": CONNECT_S,
    "application_name": "batch_editor",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


def expect_library(address: DatabaseAddress) -> None:
    """See that psycopg is there, and finds libpq.

    Raises:
        UsageError: it isn't.
    """
    try:
        import psycopg  # noqa: F401  # it is an extra's
    except ImportError as error:
        raise UsageError(
            f"budget.ledger {address}: needs psycopg and libpq ({printable(str(error))}); run: pip install"
            " 'batch_editor[postgres]'"
        ) from error


class DatabaseAway(LedgerError):
    """The database can't be reached, was lost, or lets others go first for too long: the same may work in a moment."""


class DatabaseRefused(LedgerError):
    """The database refuses for good."""

    def __init__(self, message: str, refusal: Refusal) -> None:
        super().__init__(message, transient=False)
        self.refusal = refusal


class Connection:
    """A connection to a database. Blocks; for one thread at a time, but `hurry` is for any.

    is_hurried: whether somebody wants the end, and ends_at: by when, on the monotonic clock.

    Raises, in all that follows:
        DatabaseAway, DatabaseRefused: what was asked may have been done all the same if the answer was lost.
    """

    def __init__(self, address: DatabaseAddress, password: str | None) -> None:
        self._address = address
        self._password = password
        self._db: psycopg.Connection[Any] | None = None
        self._in_transaction = False
        self.ends_at = math.inf
        self.is_hurried = threading.Event()
        self._asked: object | None = None  # what an answer is waited for to
        self._guard = threading.Lock()  # between whoever closes the socket and whoever cuts it

    def run(self, script: str, **values: object) -> list[tuple[Any, ...]]:
        """The rows of the last statement. Outside of `transaction`, all of the script or nothing of it, durable."""
        script = script if self._in_transaction else GUARDS + script
        with self._translated(), self._answered():
            if self._db is None:
                self._db = self._connect()
            cursor = self._db.execute(script.encode(), values or None)
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def transaction(self, first: str) -> Iterator[None]:
        """All of the block or nothing of it, durable at its end; within another one a part. `first` locks a row."""
        if self._in_transaction:
            yield
            return
        self._in_transaction = True
        try:
            # Whatever the database's default: what a lock was waited for is seen by the next statement alone. Not also
            # READ WRITE, which a standby refuses as what it will never do, and the lock as what it can't do yet.
            if not self.run(f"BEGIN ISOLATION LEVEL READ COMMITTED; {GUARDS}{first}"):
                raise LedgerError(
                    f"budget.ledger {self._address}: batch_editor_lock is empty; expected its one row. Run there:"
                    " INSERT INTO batch_editor_lock VALUES (1)",
                    transient=False,
                )
            yield
            self.run("COMMIT")
        except BaseException:  # whatever it is, it goes on; a connection within a transaction must not be used again
            self.close()
            raise
        finally:
            self._in_transaction = False

    def close(self) -> None:
        """Close it; what is asked later makes it anew."""
        with self._guard:
            if self._db is not None:
                self._db.close()
                self._db = None

    def finish(self) -> None:
        """From now on wait no longer than `LAST_S` in all, or `END_S` where it is hurried already."""
        self._hurry(END_S if self.is_hurried.is_set() else LAST_S)

    def hurry(self) -> None:
        """From now on wait no longer than `END_S` in all; also where a thread waits already."""
        self._hurry(END_S)

    def _hurry(self, within_s: float) -> None:
        self.ends_at = time.monotonic() + within_s
        self.is_hurried.set()
        with self._guard:
            if self._asked is not None:
                self._cut_later(self._asked)

    def _connect(self) -> psycopg.Connection[Any]:
        import psycopg  # not above: it is an extra's

        given = self._address.url.partition("?")[2]
        names = {each.partition("=")[0] for each in given.split("&")}
        options: dict[str, Any] = {name: value for name, value in _DEFAULTS.items() if name not in names}
        if self.is_hurried.is_set():
            options["connect_timeout"] = 2  # libpq's least
        if self._password is not None:
            options["password"] = self._password
        # Nothing of the session is relied on, so that a pooler may give each transaction another one.
        return psycopg.connect(
            self._address.url,
            autocommit=True,
            prepare_threshold=None,
            cursor_factory=psycopg.ClientCursor,
            client_encoding="utf8",
            **options,
        )

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Cut the connection where the block takes too long: libpq would wait for a server that hangs."""
        asked = object()
        with self._guard:
            self._asked = asked
            timer = self._cut_later(asked)
        try:
            yield
        finally:
            timer.cancel()
            with self._guard:
                self._asked = None

    def _cut_later(self, asked: object) -> threading.Timer:
        wait_s = max(HURRY_S, self.ends_at - time.monotonic()) if self.is_hurried.is_set() else ANSWER_S
        timer = threading.Timer(wait_s, self._cut, [asked])
        timer.daemon = True
        timer.start()
        return timer

    def _cut(self, asked: object) -> None:
        with self._guard, suppress(OSError):
            if self._asked is asked and self._db is not None and not self._db.closed:
                with socket.socket(fileno=os.dup(self._db.fileno())) as line:
                    line.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import psycopg  # as above

        try:
            yield
        except psycopg.Error as error:
            refusal = Refusal.read(error.sqlstate, str(error), is_connected=self._db is not None)
            self.close()
            if refusal.is_passing:
                raise DatabaseAway(f"budget.ledger {self._address}: {self._said(refusal)}") from error
            raise DatabaseRefused(f"budget.ledger {self._address}: {refusal.advice(self._address)}", refusal) from error

    def _said(self, refusal: Refusal) -> str:
        if refusal.code == "55P03":
            return f"another process has kept it locked for {LOCK_WAIT_S} s"
        if refusal.code == "25006":
            return f"is read-only ({refusal.words}); a standby becomes writable once it has taken over"
        return f"can't be reached ({refusal.words})"
