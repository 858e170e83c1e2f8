"""A bounded worker pool: lazy, back-pressured, structured. Knows nothing of HTTP, images or money."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Final, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Requeue(Generic[T]):
    """What work returns to have its item done again: the item, and in how many seconds."""

    item: T
    delay_s: float


_END: Final = object()


class Pool(Generic[T]):
    """Does every item of a source once, at most `concurrency` at a time.

    An item is drawn only when a worker is free for it, so slow workers slow the source (back-pressure). A worker that
    returns `Requeue` is free at once; its item comes back when it is due, before fresh ones. While
    `concurrency + SPARE` items wait to come back, nothing fresh is drawn, so that an outage doesn't fill the memory.
    """

    # With few workers, a few items with long delays must not keep fresh ones from being drawn.
    SPARE = 16

    def __init__(
        self,
        source: AsyncIterator[T],
        work: Callable[[T], Awaitable[Requeue[T] | None]],
        *,
        concurrency: int,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}; expected at least 1")
        self._source = source
        self._work = work
        self._concurrency = concurrency
        self._waiting: list[tuple[float, int, T]] = []
        self._order = count()
        self._busy = 0
        self._dry = False
        self._stopped = False
        # Guards `_source` and `_waiting`: one worker at a time takes the next item, first come, first served.
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def busy(self) -> int:
        """How many items are being worked on."""
        return self._busy

    @property
    def waiting(self) -> int:
        """How many items wait to come back."""
        return len(self._waiting)

    def stop(self) -> None:
        """Draw nothing more. Items at work are finished; what waits to come back is dropped."""
        self._stopped = True
        self._changed.set()

    async def run(self) -> None:
        """Return when everything is done, or everything at work after `stop`.

        Raises:
            BaseException: the first error of a worker or of the source, unwrapped; the other workers are
                cancelled.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(self._worker())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors.exceptions[0].__cause__

    async def _worker(self) -> None:
        while (item := await self._next()) is not _END:
            try:
                again = await self._work(item)  # type: ignore[arg-type]  # the sentinel is gone here
                if again is not None:
                    due = asyncio.get_running_loop().time() + again.delay_s
                    heapq.heappush(self._waiting, (due, next(self._order), again.item))
            finally:
                self._busy -= 1
                self._changed.set()

    async def _next(self) -> T | object:
        loop = asyncio.get_running_loop()
        async with self._turn:
            while not self._stopped:
                if self._waiting and self._waiting[0][0] <= loop.time():
                    self._busy += 1
                    return heapq.heappop(self._waiting)[2]
                if not self._dry and len(self._waiting) < self._concurrency + self.SPARE:
                    try:
                        item = await anext(self._source)
                    except StopAsyncIteration:
                        self._dry = True
                        continue
                    if self._stopped:
                        break
                    self._busy += 1
                    return item
                if self._dry and not self._waiting and not self._busy:
                    break
                self._changed.clear()
                due = self._waiting[0][0] if self._waiting else None
                try:
                    async with asyncio.timeout_at(due):
                        await self._changed.wait()
                except TimeoutError:
                    pass
        return _END
