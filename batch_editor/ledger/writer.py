"""The ledger's own thread: operations queue up, share one durable commit, and never block the event loop."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from batch_editor.ledger.database import Ledger
from batch_editor.threads import GroupThread

T = TypeVar("T")


class LedgerWriter:
    """Runs operations of a ledger on one thread, in the order they were asked for.

    What has queued up while the last commit went to disk shares the next one: a FULL commit costs 0.6 ms alone
    and 0.02 ms in a group of fifty. An operation's result is returned only when it is durable. An operation that
    fails leaves nothing behind, and fails alone; where the transaction itself fails, all its operations do.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._thread: GroupThread[Callable[[], Any], Any] = GroupThread(self._commit, name="ledger")

    async def do(self, operation: Callable[..., T], *values: Any) -> T:
        """The result of `operation(*values)`, a bound method of the ledger, once it is durable.

        Cancelling the caller doesn't take the operation back.

        Raises:
            LedgerError: the ledger could not be written.
        """
        return cast("T", await self._thread.do(partial(operation, *values)))

    def close(self) -> None:
        """Do what is queued, then end the thread. Blocks."""
        self._thread.close()

    def _commit(self, operations: Sequence[Callable[[], Any]]) -> list[Any]:
        try:
            with self.ledger.transaction():
                return [self._outcome(operation) for operation in operations]
        except sqlite3.Error as error:
            raise self.ledger.error(error) from error

    def _outcome(self, operation: Callable[[], Any]) -> Any:
        """What the operation returns, or raises."""
        try:
            with self.ledger.savepoint():
                return operation()
        except BaseException as error:  # whatever it is: it is raised to its caller, and not to the others
            if not self.ledger.connection.in_transaction:
                raise  # SQLite has given up the whole transaction, as on a full disk
            return self.ledger.error(error) if isinstance(error, sqlite3.Error) else error
