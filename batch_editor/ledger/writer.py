"""The ledger's own thread: operations queue up, share one durable commit, and never block the event loop."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from batch_editor.ledger.ledger import Ledger

T = TypeVar("T")

_Operation = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class LedgerWriter:
    """Runs operations of a ledger on one thread, in the order they were asked for.

    What has queued up while the last commit went to disk shares the next one: a FULL commit costs 0.6 ms alone
    and 0.02 ms in a group of fifty. An operation's result is handed out only when it is durable.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._queue: SimpleQueue[_Operation | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, name="ledger", daemon=True)
        self._thread.start()

    async def do(self, operation: Callable[..., T], *values: Any) -> T:
        """The result of `operation(*values)`, a bound method of the ledger, once it is durable.

        Cancelling the caller doesn't take the operation back.

        Raises:
            LedgerError: the ledger could not be written.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put((lambda: operation(*values), future))
        return await asyncio.shield(future)

    def close(self) -> None:
        """Do what is queued, then end the thread. Blocks."""
        self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        closing = False
        while not closing:
            group: list[_Operation] = []
            item = self._queue.get()
            while True:
                if item is None:
                    closing = True
                    break
                group.append(item)
                if self._queue.empty():
                    break
                item = self._queue.get()
            if group:
                self._commit(group)

    def _commit(self, group: list[_Operation]) -> None:
        outcomes: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
        try:
            with self._ledger.transaction():
                for operation, future in group:
                    outcomes.append((future, operation(), None))
        except BaseException as error:  # noqa: BLE001  # whatever it is belongs to the callers, not to this thread
            failure = self._ledger.error(error) if isinstance(error, sqlite3.Error) else error
            outcomes = [(future, None, failure) for _, future in group]
        self._loop.call_soon_threadsafe(_settle, outcomes)


def _settle(outcomes: list[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
    for future, value, error in outcomes:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
            future.exception()  # the caller may have been cancelled: then nobody else asks for it
        else:
            future.set_result(value)
