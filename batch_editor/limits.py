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
from batch_editor.schedule import Schedule

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
    return (rate.period_s + jitter_s + slack_s(rate)) / rate.count


def slack_s(rate: Rate) -> float:
    """Seconds that a late departure may be caught up with."""
    return SLACK_SHARE * rate.period_s


class GateClosed(Exception):
    """The run stops: no further request may leave."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to send one request: when it was given, and the how-manieth of the run it is."""

    at: float
    number: int


class Pace:
    """How many requests a period the provider takes, learnt from its 429s. Instants are given, not read.

    A 429 cuts the pace to what the provider took: the requests of the last period that it didn't refuse, over the
    time from the first of them to the end of the pause. Then the pace grows by a tenth at a time, and how long it
    waits for that doubles with each whole period that gave the same answer, and halves while nothing refuses it. So
    a run whose limit is set too high settles near the true one, asks for more now and then, and takes it if it can.

    A provider may also refuse some requests whatever the pace. That shows: they come at surely fewer requests a
    period than were taken before. Cuts would then only add up, so the full rate is tried; the pauses are kept. If
    too many are refused in that time, pace was the matter after all. Each trial that holds makes the next one
    longer, each that doesn't makes the next one later.
    """

    GROWTH = 1.1
    # Of a limit of 60/min, 8 periods keep 429s at 0.3 % of the requests; at 5/min at 3 %.
    PATIENCE_PERIODS = 8
    # A window counted at our end differs from the provider's by what is on its way; a tenth is more than that.
    SURELY_LESS = 0.9
    # Measured over less of a period than this, what was taken says little about a whole one.
    WATCHED = 0.8
    TRIAL_PERIODS = 4
    # A trial may have 5 refusals and 15 % of its requests: one in ten passes, and limits that name no pause, set ten
    # times too high (20–37 % refused), do not.
    TRIAL_REFUSALS = 5
    TRIAL_SHARE = 0.15

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._taken: deque[float] = deque()
        self._best = 0
        self._patience_s = rate.period_s / 6
        self._grows_at = float("inf")
        self._grown = False
        self._trial_until = float("-inf")
        self._trial_sent = self._trial_refused = 0
        self._trial_periods = self._trial_pause_periods = self.TRIAL_PERIODS
        self._next_trial_at = float("-inf")
        self.number = 0
        self.allowed = float(rate.count)

    def sent(self, now: float) -> Ticket:
        """Count one request, and grow if no 429 came for long enough."""
        self._forget(now)
        self._taken.append(now)
        self.number += 1
        self._trial_sent += 1
        if now >= self._grows_at:
            if self._grown:
                # Down to two periods: a window needs one to fill, and a refusal must still find the step it is for.
                self._patience_s = max(self._patience_s / 2, min(self._patience_s, 2 * self._rate.period_s))
            self._grown = True
            self.allowed = min(float(self._rate.count), self.allowed * self.GROWTH)
            self._grows_at = now + self._patience_s
        return Ticket(now, self.number)

    def not_taken(self, ticket: Ticket) -> None:
        """The provider refused the request of that ticket."""
        self._trial_refused += 1
        with suppress(ValueError):
            self._taken.remove(ticket.at)

    def slow_down(self, now: float, pause_s: float, *, again: bool) -> None:
        """A pause of `pause_s` seconds begins because of a 429.

        `again` where it came straight after the pause before: that was too short, and the pace is no better known.
        """
        self._forget(now)
        period = self._rate.period_s
        if now < self._trial_until:
            if self._trial_refused <= self.TRIAL_REFUSALS + self.TRIAL_SHARE * self._trial_sent:
                return
            self._trial_until = float("-inf")
            self._next_trial_at = now + self._trial_pause_periods * period
            self._trial_pause_periods *= 2
            self._best = 0
        taken = len(self._taken)
        if taken + 1 < self.SURELY_LESS * self._best and not again:
            self._best = 0
            if now >= self._next_trial_at:
                self._try_the_full_rate(now)
                return
        self._best = max(self._best, taken)
        watched_s = now + pause_s - self._taken[0] if self._taken else period
        measured = taken * period / max(watched_s, 1e-9)
        watched = watched_s >= self.WATCHED * period
        limit = measured if watched else max(measured, self._best)
        # Halved at most: a first request may be refused for what others sent.
        self.allowed = max(1.0, self.allowed / 2, min(self.allowed, limit))
        if not watched:
            self._patience_s = period / 6
        elif not again:
            self._patience_s = min(2 * self._patience_s, self.PATIENCE_PERIODS * period)
        self._grown = False
        self._grows_at = now + pause_s + self._patience_s

    def _try_the_full_rate(self, now: float) -> None:
        self.allowed = float(self._rate.count)
        self._patience_s = self._rate.period_s / 6
        self._trial_sent = self._trial_refused = 0
        self._trial_until = now + self._trial_periods * self._rate.period_s
        self._trial_periods *= 2

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0] <= now - self._rate.period_s:
            self._taken.popleft()


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
        schedule: the turns that runs of the same key share; None: this run is alone.
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
        schedule: Schedule | None = None,
    ) -> None:
        self._rate = rate
        self._schedule = schedule
        self._jitter_s = min(JITTER_S, JITTER_SHARE * rate.period_s)
        self._slack_s = slack_s(rate)
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
        self._first_after_pause = 0
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

    async def depart(self, ticket: Ticket | None = None) -> None:
        """The last word before the bytes go: wait out a pause that began meanwhile, or a stall of our own.

        A ticket says that now is a good time; writing the intent to the ledger takes a few milliseconds, on a busy
        disk many more, and requests held up together would leave together. What other runs send is not known here:
        beside them, a `ticket` that was held up for longer than a way may take gets another turn.

        Raises:
            GateClosed: the gate was closed meanwhile; the request must not leave.
        """
        loop = asyncio.get_running_loop()
        if self._schedule is not None and ticket is not None and loop.time() > ticket.at + self._jitter_s:
            await self._schedule.turn()
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
        self._pace.not_taken(ticket)
        same_episode = ticket.at <= self._episode_at
        again = ticket.number == self._first_after_pause
        if not same_episode:
            self._episode_at = now
            self._first_after_pause = self._pace.number + 1
            self._refusals = self._refusals + 1 if again else 1
        pause_s = self._pause_s(retry_after_s)
        if not same_episode:
            self._pace.slow_down(now, pause_s, again=again)
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
            if self._schedule is not None:
                await self._schedule.turn()
            if not self.pause_left_s():
                self._admit(self._pace.sent(loop.time()))
                self._due_at = self._next_due_at(loop.time())

    def _next_due_at(self, now: float) -> float:
        """When a pace that 429s have slowed lets the next one go; a late timer may be caught up with."""
        if self._pace.allowed >= self._rate.count:
            return now
        return max(self._due_at, now - self._slack_s) + spacing_s(self._rate) * self._rate.count / self._pace.allowed

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
        leak = (1 - 1e-6) / spacing_s(self._rate)
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
