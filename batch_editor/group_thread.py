"""A thread that takes all operations that have queued up, and does them in one go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class GroupThread(Generic[T, R]):
    """Calls `work` with all items that wait, oldest first, on a thread of its own; `do` returns each one's result.

    What queues up while one group is at work is the next group: groups grow with the load, and a lone item doesn't
    wait. `work` returns one result an item, in order. An exception among them is raised to that item's caller, one that
    `work` raises to all callers of the group. Belongs to the running loop.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R | BaseException]], *, name: str) -> None:
        self._work = work
        self._queue: SimpleQueue[tuple[T, asyncio.Future[R] | None] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    async def do(self, item: T) -> R:
        """The item's result. Cancelling the caller doesn't take the item back."""
        future: asyncio.Future[R] = self._loop.create_future()
        self._queue.put((item, future))
        return await future

    def leave(self, item: T) -> None:
        """Have the item done, with nobody to wait for its result."""
        self._queue.put((item, None))

    def close(self) -> None:
        """Do what is queued, then end the thread. Blocks."""
        self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        closing = False
        while not closing:
            group: list[tuple[T, asyncio.Future[R] | None]] = []
            entry = self._queue.get()
            while entry is not None:
                group.append(entry)
                if self._queue.empty():
                    break
                entry = self._queue.get()
            closing = entry is None
            if group:
                outcomes = self._outcomes([item for item, _ in group])
                waiting = [
                    (future, outcome)
                    for (_, future), outcome in zip(group, outcomes, strict=True)
                    if future is not None
                ]
                if waiting:
                    self._loop.call_soon_threadsafe(_hand_out, waiting)

    def _outcomes(self, items: Sequence[T]) -> Sequence[R | BaseException]:
        try:
            return self._work(items)
        except BaseException as error:  # noqa: BLE001  # whatever it is belongs to the callers, not to this thread
            return [error] * len(items)


def _hand_out(outcomes: Sequence[tuple[asyncio.Future[R], R | BaseException]]) -> None:
    for future, outcome in outcomes:
        if future.done():  # its caller was cancelled
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
