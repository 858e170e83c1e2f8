"""What was paid for waits while this machine is in its way: a full disk is freed, a lost mount comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from batch_editor.errors import MachineError

T = TypeVar("T")

# The first try after the very first comes at once, for room has been made then.
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0


class Patience:
    """Does again what a machine was in the way of, at growing intervals, until its time is up.

    The time is one for all: it runs from the first trouble on, which `hears` is told of to stop the run. `make_room`
    frees what was set aside for such a case; it blocks, and is called on a thread. One at a time tries again: where
    there is room for two of four images, four together would each find too little.
    """

    def __init__(self, limit_s: float, *, make_room: Callable[[], None]) -> None:
        self._limit_s = limit_s
        self._make_room = make_room
        self._ends_at: float | None = None
        self._turn = asyncio.Lock()
        self.hears: Callable[[MachineError], None] = lambda error: None

    async def trouble(self, error: MachineError) -> None:
        """Make room, and let the run hear of it."""
        if self._ends_at is None:
            self._ends_at = asyncio.get_running_loop().time() + self._limit_s
        self.hears(error)
        await asyncio.to_thread(self._make_room)

    async def persist(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` comes to, however often it must be done.

        Raises:
            MachineError: it failed to the end, or in a way that will not pass.
        """

        async def alone() -> T:
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
