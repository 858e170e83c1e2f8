"""How much of all bodies is in memory, and which of them may go on when the disk is behind."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

# Of all bodies together. Beyond it each is written as soon as it is worth a hop to a thread.
ALL_BYTES = 64 * 2**20
# Of what waits for the disk. Beyond it a body that has written its part lets others go first: two thousand that all go
# on have 256 KB each in memory, for so much comes at once from a network that is quicker than the disk.
WRITING_BYTES = 64 * 2**20
BLOCK_BYTES = 256 * 2**10
# Whoever may go on has something to write soon, or is at a slow network's mercy, and the next ones don't wait for that.
SOON_S = 0.1


class Gathered:
    """What all bodies of a store hold in memory. For use on one event loop."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._writing_bytes = 0
        self._expected_bytes = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_much(self) -> bool:
        """Whether bodies should be written in smaller parts than they would be."""
        return self.size_bytes >= ALL_BYTES

    @contextmanager
    def writing(self, size_bytes: int) -> Iterator[None]:
        """While so much of a body waits for the disk, and is written."""
        self._writing_bytes += size_bytes
        self._expected_bytes = max(self._expected_bytes - BLOCK_BYTES, 0)
        try:
            yield
        finally:
            self._writing_bytes -= size_bytes
            self._let_go_on()

    async def turn(self) -> None:
        """Wait until a body that has nothing left in memory may have more, first come, first served.

        That depends on the disk alone: whoever else is at a slow network's mercy holds up nobody.
        """
        if self._waiting or self._writing_bytes >= WRITING_BYTES:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn

    def _let_go_on(self) -> None:
        while self._waiting and self._writing_bytes + self._expected_bytes < WRITING_BYTES:
            turn = self._waiting.popleft()
            if not turn.done():  # cancelled
                turn.set_result(None)
                self._expected_bytes += BLOCK_BYTES
        if self._waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SOON_S, self._expect_no_longer)

    def _expect_no_longer(self) -> None:
        self._timer = None
        self._expected_bytes = 0
        self._let_go_on()
