"""The rate gate: a steady rate that no window exceeds, and the pause that a 429 puts on everyone.

Why not `AsyncLimiter(60, 60)`: a leaky bucket of capacity B and rate r lets ⌊B + rW⌋ through in a window of length
W, so B = 60, r = 1/s admits 119 requests in the first minute. Here B is 1 plus what a late timer may catch up, and
r is low enough that no window of the provider's clock holds more than the limit, although requests may arrive up
to `jitter` later than they left: r = N / (T + jitter + slack), B = 1 + r × slack, so B + r (T + jitter) < N + 1.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

from aiolimiter import AsyncLimiter

from batch_editor.records import Rate

# How much the way to the provider may vary: handshakes and our own fsync before sending. 0.35 s keeps 99 % of a
# limit per minute; 4.5 % of a second keeps 95 % of a limit per second, where 5 ms were seen to be too little.
JITTER_S = 0.35
JITTER_SHARE = 0.045
# Timers fire late by a millisecond or two; without catching up, 100/s would come to 91/s.
SLACK_SHARE = 0.004


def spacing_s(rate: Rate) -> float:
    """Seconds between departures when requests wait: N of them fill the period, the jitter and the slack.

    >>> round(spacing_s(Rate(60, 60.0)), 3)
    1.01
    """
    jitter_s = min(JITTER_S, JITTER_SHARE * rate.period_s)
    return (rate.period_s + jitter_s + SLACK_SHARE * rate.period_s) / rate.count


class GateClosed(Exception):
    """The run stops: no further request may leave."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to send one request: when it was given, and how many the last period then held with it."""

    at: float
    held: int


class Pace:
    """How many requests a period the provider takes, learnt from its 429s. Instants are given, not read.

    A 429 cuts the pace to what the provider really took: the requests of the last period over the time from the
    first of them to the end of the pause. It is never cut below what was once taken in one period (`best`), for
    so much is allowed; and a 429 at much less than that is no matter of pace and cuts nothing. Then the pace
    grows by a tenth at a time. How long it waits for that doubles with each full period that confirmed the same
    ceiling, so a run under a limit that is set too high settles near the true one.
    """

    GROWTH = 1.1
    SURELY_LESS = 0.9

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._sent: deque[float] = deque()
        self._best = 0.0
        self._patience_s = rate.period_s / 6
        self._grows_at = float("inf")
        self.allowed = float(rate.count)

    def sent(self, now: float) -> Ticket:
        """Count one request."""
        self._forget(now)
        self._sent.append(now)
        return Ticket(now, len(self._sent))

    def accepted(self, ticket: Ticket) -> None:
        """The provider took that request, and so the ones in the period before it."""
        self._best = max(self._best, ticket.held)

    def refused(self, now: float, pause_s: float) -> None:
        """The provider refused one for coming too early, and wants `pause_s` seconds of quiet."""
        self._forget(now)
        if self._sent:
            self._sent.pop()
        taken = len(self._sent)
        period = self._rate.period_s
        if taken < self.SURELY_LESS * self._best:
            self._best *= self.SURELY_LESS
            self._patience_s = period / 6
        else:
            span = now + pause_s - self._sent[0] if self._sent else period
            measured = taken * period / max(span, 1e-9)
            self.allowed = max(1.0, min(self.allowed, max(measured, self._best)))
            confirmed = span >= 0.8 * period
            self._patience_s = min(2 * self._patience_s, 8 * period) if confirmed else period / 6
        self._grows_at = now + pause_s + self._patience_s

    def grow(self, now: float) -> bool:
        """Whether the pace has grown, as it does when no 429 came for long enough."""
        if now < self._grows_at:
            return False
        self.allowed = min(float(self._rate.count), self.allowed * self.GROWTH)
        self._grows_at = now + self._patience_s if self.allowed < self._rate.count else float("inf")
        return True

    def _forget(self, now: float) -> None:
        while self._sent and self._sent[0] <= now - self._rate.period_s:
            self._sent.popleft()


class RateGate:
    """Gives leave to send, one request at a time, first come, first served.

    `run` must be running in a task for `ticket` to return. Only holders of a worker slot should wait here, and
    send at once when they have their ticket: permits that pile up behind a slow slot would leave together.

    Parameters:
        rate: what the provider allows.
        recent: ages in seconds of the requests that runs before this one sent within the last period; they count.
        backoff_s, backoff_max_s: the pause after a 429 that names none, doubling up to the second.
        retry_after_max_s: the longest pause that the provider may ask for.
        on_pause: told of each pause, in seconds.
    """

    def __init__(
        self,
        rate: Rate,
        *,
        recent: Sequence[float] = (),
        backoff_s: float = 1.0,
        backoff_max_s: float = 60.0,
        retry_after_max_s: float = 600.0,
        on_pause: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._rate = rate
        self._jitter_s = min(JITTER_S, JITTER_SHARE * rate.period_s)
        self._slack_s = SLACK_SHARE * rate.period_s
        self._recent = recent
        self._backoff_s = backoff_s
        self._backoff_max_s = backoff_max_s
        self._retry_after_max_s = retry_after_max_s
        self._on_pause = on_pause
        self._pace = Pace(rate)
        self._departures: deque[float] = deque(maxlen=rate.count)
        self._waiters: deque[asyncio.Future[Ticket]] = deque()
        self._wanted = asyncio.Event()
        self._open_at = 0.0
        self._episode_at = float("-inf")
        self._refusals = 0
        self._closed = asyncio.Event()
        self._paced_at = 0.0

    @property
    def allowed(self) -> float:
        """Requests a period that are sent at present; the configured count unless 429s taught otherwise."""
        return self._pace.allowed

    def pause_left_s(self) -> float:
        """Seconds until requests may leave again; 0 when they may."""
        return max(0.0, self._open_at - asyncio.get_running_loop().time())

    async def ticket(self) -> Ticket:
        """Wait for leave to send one request.

        Raises:
            GateClosed: the gate was closed before it was this caller's turn.
        """
        if self._closed.is_set():
            raise GateClosed
        waiter: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._wanted.set()
        return await waiter

    async def depart(self) -> None:
        """The last word before the bytes go: wait out a pause that began meanwhile, or a stall of our own.

        A ticket says that now is a good time; writing the intent to the ledger takes a few milliseconds, on a busy
        disk many more, and requests held up together would leave together.

        Raises:
            GateClosed: the gate was closed meanwhile; the request must not leave.
        """
        loop = asyncio.get_running_loop()
        while not self._closed.is_set():
            earliest = self._open_at
            if len(self._departures) == self._rate.count:
                earliest = max(earliest, self._departures[0] + self._rate.period_s + 0.9 * self._jitter_s)
            if loop.time() >= earliest:
                self._departures.append(loop.time())
                return
            with suppress(TimeoutError):
                async with asyncio.timeout_at(earliest):
                    await self._closed.wait()
        raise GateClosed

    def accepted(self, ticket: Ticket) -> None:
        """The provider took the request of that ticket, whatever became of it."""
        self._pace.accepted(ticket)
        if ticket.at >= self._episode_at:
            self._refusals = 0

    def refused(self, ticket: Ticket, retry_after_s: float | None) -> None:
        """The provider answered 429: pause everyone, and go on more slowly.

        Requests that had left before the pause began and are refused as well belong to the same episode; they may
        lengthen it, but cut nothing further.
        """
        now = asyncio.get_running_loop().time()
        same_episode = ticket.at <= self._episode_at
        if not same_episode:
            self._refusals += 1
            self._episode_at = now
        pause_s = self._pause_s(retry_after_s)
        if not same_episode:
            self._pace.refused(now, pause_s)
        if now + pause_s > self._open_at and (retry_after_s or not same_episode):
            self._open_at = now + pause_s
            self._on_pause(pause_s)

    def close(self) -> None:
        """Turn everyone away who has not left yet."""
        self._closed.set()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(GateClosed())

    async def run(self) -> None:
        """Hand out tickets until cancelled."""
        loop = asyncio.get_running_loop()
        for age in self._recent:
            self._departures.append(loop.time() - age)
            self._pace.sent(loop.time() - age)
        limiter = await self._limiter(self._recent)
        while True:
            while not self._waiters:
                self._wanted.clear()
                await self._wanted.wait()
            if self._pace.grow(loop.time()) or self._pace.allowed != self._paced_at:
                limiter = await self._limiter([loop.time() - at for at in list(self._departures)[-1:]])
            await limiter.acquire()
            if (pause_s := self.pause_left_s()) > 0:
                await asyncio.sleep(pause_s)
            else:
                self._admit(self._pace.sent(loop.time()))

    def _admit(self, ticket: Ticket) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(ticket)
                return

    async def _limiter(self, ages: Sequence[float]) -> AsyncLimiter:
        """A bucket for the pace of the moment that has already seen requests of these ages, oldest first."""
        self._paced_at = self._pace.allowed
        leak = self._paced_at / (self._rate.period_s + self._jitter_s + self._slack_s) * (1 - 1e-6)
        burst = 1 + leak * self._slack_s
        limiter = AsyncLimiter(burst, burst / leak)
        await limiter.acquire(min(level_of(ages, leak), burst))
        return limiter

    def _pause_s(self, retry_after_s: float | None) -> float:
        if retry_after_s:
            return min(retry_after_s, self._retry_after_max_s)
        return min(self._backoff_s * 2.0 ** min(self._refusals - 1, 30), self._backoff_max_s)


def level_of(ages: Sequence[float], leak: float) -> float:
    """What a leaky bucket holds now, given the ages in seconds of what was poured in, oldest first.

    >>> level_of([1.0, 0.5], leak=1.0)
    1.0
    """
    level = 0.0
    for age, until in pairwise([*ages, 0.0]):
        level = max(0.0, level + 1 - (age - until) * leak)
    return level
