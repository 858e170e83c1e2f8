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
    """Leave to send one request: when it was given, and the how-manieth it was."""

    at: float
    number: int


class Pace:
    STEP = 1.1
    SURELY_LESS = 0.9
    FEW = 3
    MOOD = 4
    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._sent: deque[float] = deque()
        self._number = 0
        self._refused_at_number = 0
        self._best = 0
        self._patience_s = rate.period_s / 6
        self._grows_at = float("inf")
        self._mood_until = float("-inf")
        self._mood_periods = self.MOOD
        self.allowed = float(rate.count)
        self.log = []

    def sent(self, now: float) -> Ticket:
        """Count one request."""
        self._forget(now)
        self._sent.append(now)
        self._number += 1
        if now >= self._grows_at:
            self.allowed = min(float(self._rate.count), self.allowed * self.STEP)
            self._grows_at = now + self._patience_s
        return Ticket(now, self._number)

    def stretch_before(self, ticket: Ticket) -> int:
        """How many requests have left since the last 429, that one included."""
        return ticket.number - self._refused_at_number

    def refused(self, ticket: Ticket, now: float, pause_s: float) -> None:
        """The provider refused that one for coming too early, and wants `pause_s` seconds of quiet."""
        self._forget(now)
        lasted = self.stretch_before(ticket)
        self._refused_at_number = self._number
        if now < self._mood_until:
            return
        period = self._rate.period_s
        taken = len(self._sent) - 1
        if taken + 1 < self.SURELY_LESS * self._best:
            self.allowed = float(self._rate.count)
            self._mood_until = now + self._mood_periods * period
            self._mood_periods *= 2
            self._best = 0
            self._patience_s = period / 6
            self.log.append((now,"mood",taken))
            return
        self._best = max(self._best, taken)
        span = now + pause_s - self._sent[0] if self._sent else period
        measured = taken * period / max(span, 1e-9)
        limit = max(measured, self._best)
        if 1 < lasted <= self.FEW: limit = min(limit, self.allowed / self.STEP)
        self.allowed = max(1.0, self.allowed / 2, min(self.allowed, limit))
        if span >= 0.8 * period:
            self._patience_s = min(2 * self._patience_s, 8 * period)
            if self._patience_s == 8 * period: self._mood_periods = self.MOOD
        else:
            self._patience_s = period / 6
        self._grows_at = now + pause_s + self._patience_s
        self.log.append((now,lasted,taken,measured,self._best, self.allowed))

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
        self._turn_s = rate.period_s + self._jitter_s + self._slack_s
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
        self._due_at = 0.0

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

    def refused(self, ticket: Ticket, retry_after_s: float | None) -> None:
        """The provider answered 429: pause everyone, and go on more slowly.

        Requests that had left before the pause began and are refused as well belong to the same episode; they may
        lengthen it, but cut nothing further. Without a word from the provider, pauses double as long as the first
        requests after each are refused again.
        """
        now = asyncio.get_running_loop().time()
        same_episode = ticket.at <= self._episode_at
        # Requests may overtake each other on their way by as much as they vary.
        soon = ticket.at <= self._open_at + self._jitter_s and not retry_after_s
        again = self._refusals > 0 and (soon or self._pace.stretch_before(ticket) == 1)
        if not same_episode:
            self._episode_at = now
            self._refusals = self._refusals + 1 if again else 1
        pause_s = self._pause_s(retry_after_s)
        if not same_episode:
            self._pace.refused(ticket, now, pause_s)
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
            if (early_s := max(self._open_at, self._due_at) - loop.time()) > 0:
                await asyncio.sleep(early_s)
                continue
            await limiter.acquire()
            if not self.pause_left_s():
                self._admit(self._pace.sent(loop.time()))
                self._due_at = self._next_due_at(loop.time())

    def _next_due_at(self, now: float) -> float:
        """When a pace that 429s have slowed lets the next one go; a late timer may be caught up with."""
        if self._pace.allowed >= self._rate.count:
            return now
        return max(self._due_at, now - self._slack_s) + self._turn_s / self._pace.allowed

    def _admit(self, ticket: Ticket) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(ticket)
                return

    async def _limiter(self, ages: Sequence[float]) -> AsyncLimiter:
        """A bucket for the whole rate that has already seen requests of these ages, oldest first.

        It is never replaced, for a fresh one would forget what the old one had let through.
        """
        leak = self._rate.count / self._turn_s * (1 - 1e-6)
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
