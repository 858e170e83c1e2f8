"""A hard limit on money: reserved before anything is sent, released when the price is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# Sums of binary fractions: a limit of 1.20 takes five of 0.24.
TOLERANCE_USD = 1e-9


class Budget:
    """What may still be spent. `limit_usd` None is no limit.

    Invariant: spent + reserved ≤ limit, where an attempt is reserved at its max price and stays counted at it
    while its fate is unknown. So the provider's bill never passes the limit.
    """

    def __init__(self, limit_usd: float | None, *, spent_usd: float = 0.0) -> None:
        self._limit = float("inf") if limit_usd is None else limit_usd
        self._spent = spent_usd
        self._reserved = 0.0
        self._holders = 0
        self._released = asyncio.Event()
        self._closed = False

    @property
    def left_usd(self) -> float:
        """What may still be reserved."""
        return self._limit - self._spent - self._reserved

    @property
    def spent_usd(self) -> float:
        """Charged, or possibly charged."""
        return self._spent

    @property
    def closed(self) -> bool:
        """Whether nobody is to wait any longer."""
        return self._closed

    @property
    def reserved_usd(self) -> float:
        """In flight."""
        return self._reserved

    def exhausted(self, usd: float) -> bool:
        """Whether `usd` will never fit again: what is in flight could free nothing more for it."""
        return usd > self._limit - self._spent + TOLERANCE_USD

    async def reserve(
        self,
        usd: float,
        *,
        steady_usd: float | None = None,
        again: Callable[[], tuple[float, float | None]] | None = None,
    ) -> float | None:
        """What was set aside for a request of that max price; None if there is no room for it.

        Waits while a release may yet make room. `steady_usd` is what every request of its kind was charged so
        far: when nothing else is in flight and only so much is left, the request takes all of it. So a budget is
        used up, one request at a time at its end, and not left with the difference between max and real price.
        `again` gives both prices anew after each wait: the answers that make room teach them.
        """
        while usd > self.left_usd + TOLERANCE_USD:
            if self._closed:
                return None
            if not self._holders:
                if steady_usd is None or steady_usd > self.left_usd + TOLERANCE_USD:
                    return None
                usd = self.left_usd
                break
            self._released.clear()
            await self._released.wait()
            if again is not None:
                usd, steady_usd = again()
        self._reserved += usd
        self._holders += 1
        return usd

    def release(self, reserved_usd: float, charged_usd: float) -> None:
        """Give a reservation back, but for what was charged."""
        self._reserved -= reserved_usd
        self._holders -= 1
        self._spent += charged_usd
        self._released.set()

    def reopen(self, counted_usd: float) -> None:
        """Turn what a run before had counted as spent into a reservation again: its price is about to be known."""
        self._spent -= counted_usd
        self._reserved += counted_usd
        self._holders += 1

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._closed = True
        self._released.set()
