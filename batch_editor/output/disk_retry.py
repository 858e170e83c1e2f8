"""Repeats what this machine refused: room is made on a full disk, a lost mount comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from batch_editor.errors import MachineError

T = TypeVar("T")

# The second try comes at once, for room has been made by then.
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0


class DiskRetry:
    """Repeats work that saves what was paid for, at growing intervals, until the time is up.

    The time is the same for all work: it runs from the first error on. `on_trouble` is called with every error, to stop
    the run. `make_room` frees the disk reserve; it blocks, and is called on a thread. One piece of work is retried at a
    time: where there is room for two of four images, four together would each find too little.
    """

    def __init__(
        self, limit_s: float, *, make_room: Callable[[], None], on_trouble: Callable[[MachineError], None]
    ) -> None:
        self._limit_s = limit_s
        self._make_room = make_room
        self._on_trouble = on_trouble
        self._ends_at: float | None = None
        self._turn = asyncio.Lock()

    async def trouble(self, error: MachineError) -> None:
        """Report an error, and make room."""
        if self._ends_at is None:
            self._ends_at = asyncio.get_running_loop().time() + self._limit_s
        self._on_trouble(error)
        await asyncio.to_thread(self._make_room)

    async def persist(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, however often it must be repeated.

        Raises:
            MachineError: it failed until the time was up, or in a way that no retry mends.
        """

        async def alone() -> T:
            """The work while no other that was refused is tried."""
            async with self._turn:
                return await work()

        pause_s = 0.0
        attempt = work
        while True:
            try:
                return await attempt()
            except MachineError as error:
                await self.trouble(error)
                assert self._ends_at is not None
                if not error.transient or asyncio.get_running_loop().time() + pause_s > self._ends_at:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(max(2 * pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
            attempt = alone
