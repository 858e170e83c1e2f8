"""A thread that does whatever has queued up in one go, so that many pieces of work share a slow step."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_Outcome = tuple["asyncio.Future[R]", R | BaseException]

# Of those that go on in one turn of the loop. A group may be thousands, which all open a connection when they have
# their results: that would hold up everything else for more than a second.
AT_ONCE = 32


class GroupThread(Generic[T, R]):
    """Calls `work` with all items that wait, oldest first, on a thread of its own; `do` gives each its result.

    What queues up while one group is at work is the next one: groups grow with the load, and alone an item doesn't
    wait. `work` returns a result an item, in order. An exception among them is its item's, a raised one everybody's.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R | BaseException]], *, name: str) -> None:
        self._work = work
        self._queue: SimpleQueue[tuple[T, asyncio.Future[R] | Future[R]] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._outcomes: deque[_Outcome[R]] = deque()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    async def do(self, item: T) -> R:
        """The item's result. Cancelling the caller doesn't take the item back."""
        future: asyncio.Future[R] = self._loop.create_future()
        self._queue.put((item, future))
        return await future

    def leave(self, item: T) -> None:
        """Have the item done, with nobody to wait for its result."""
        self._queue.put((item, Future()))

    def wait(self, item: T) -> R:
        """The item's result, for a caller on another thread. Blocks."""
        future: Future[R] = Future()
        self._queue.put((item, future))
        return future.result()

    def close(self) -> None:
        """Do what is queued, then end the thread. Blocks."""
        self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        closing = False
        while not closing:
            group: list[tuple[T, asyncio.Future[R] | Future[R]]] = []
            entry = self._queue.get()
            while entry is not None:
                group.append(entry)
                if self._queue.empty():
                    break
                entry = self._queue.get()
            closing = entry is None
            if group:
                self._settle(group)

    def _settle(self, group: Sequence[tuple[T, asyncio.Future[R] | Future[R]]]) -> None:
        try:
            results = self._work([item for item, _ in group])
        except BaseException as error:  # noqa: BLE001  # whatever it is belongs to the callers, not to this thread
            results = [error] * len(group)
        on_loop: list[_Outcome[R]] = []
        for (_, future), result in zip(group, results, strict=True):
            if isinstance(future, asyncio.Future):
                on_loop.append((future, result))
            elif isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
        if on_loop:
            self._loop.call_soon_threadsafe(self._take, on_loop)

    def _take(self, outcomes: Sequence[_Outcome[R]]) -> None:
        at_work = bool(self._outcomes)
        self._outcomes.extend(outcomes)
        if not at_work:
            self._hand_out()

    def _hand_out(self) -> None:
        now = [self._outcomes.popleft() for _ in range(min(AT_ONCE, len(self._outcomes)))]
        if self._outcomes:
            self._loop.call_soon(self._hand_out)
        for future, result in now:
            if future.done():  # its caller was cancelled
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
