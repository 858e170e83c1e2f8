"""Blocking work on threads, awaited: to its end, whatever is cancelled, for what it works with is closed after it.

`GroupThread` is for work that is cheaper done together: durable commits.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, asynccontextmanager, suppress
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


async def to_the_end(work: Callable[P, T], *values: P.args, **named: P.kwargs) -> T:
    """`asyncio.to_thread`, but a cancellation waits for the thread, however often it comes."""
    return await finished(partial(work, *values, **named))


async def finished(
    work: Callable[[], T], *, on_cancel: Callable[[], None] | None = None, executor: Executor | None = None
) -> T:
    """As `to_the_end`; `on_cancel` may let the thread end sooner. `executor`: the threads; None: the loop's own."""
    # No task, for those are cancelled one and all when a loop is closed, whatever their threads are at work on.
    future = asyncio.get_running_loop().run_in_executor(executor, copy_context().run, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if on_cancel is not None:
            on_cancel()
        while not future.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        future.exception()  # which nobody waits for any more
        raise


async def done(future: asyncio.Future[T]) -> None:
    """Wait until it is done, whatever it comes to; a cancellation of the caller waits for that as well."""
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


@asynccontextmanager
async def closed_on_a_thread() -> AsyncIterator[ExitStack]:
    """For what blocks when it is closed: folders are cleared, files are synced."""
    stack = ExitStack()
    try:
        yield stack
    finally:
        await to_the_end(stack.close)


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
        except BaseException as error:  # noqa: BLE001  # whatever it is: it is raised to the callers, see `_hand_out`
            return [error] * len(items)


def _hand_out(outcomes: Sequence[tuple[asyncio.Future[R], R | BaseException]]) -> None:
    for future, outcome in outcomes:
        if future.done():  # its caller was cancelled
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
