"""The rate limiter: a steady rate that no window exceeds, and whatever else holds requests back.

Why not `AsyncLimiter(60, 60)`: a leaky bucket of capacity B and rate r lets ⌊B + rW⌋ through in a window of length
W, so B = 60, r = 1/s admits 119 requests in the first minute. Here B is 1 plus what a late timer may catch up, and
r is low enough that no window of the provider's clock holds more than the limit, although requests may arrive up
to `jitter` later than they left: r = N / (T + jitter + slack), B = 1 + r × slack, so B + r (T + jitter) < N + 1.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

from aiolimiter import AsyncLimiter

from batch_editor.records import Failure, Rate
from batch_editor.scheduling.adaptive_rate import Permit
from batch_editor.scheduling.send_policy import JITTER_S, JITTER_SHARE, SendPolicy, slack_s, spacing_s
from batch_editor.scheduling.shared_rate import SharedRateLimit

# Permits given in one turn of the event loop. Each opens a connection: thousands at once, as after a pause at a high
# rate, would hold up everything else for more than a second.
AT_ONCE = 32


class LimiterClosed(Exception):
    """The run stops: no further request may leave."""


class RateLimiter:
    """Gives leave to send, one request at a time, first come, first served.

    `run` must be running in a task for `permit` to return. Only holders of a worker slot should wait here, and
    send at once when they have their permit: permits that pile up behind a slow slot would leave together. Every
    permit is given back, by how its request ended: `succeeded`, `failed` or `gone`.

    Parameters:
        rate: what the provider allows.
        recent: ages in seconds of the requests that runs before this one sent within the last period; they count.
        backoff_s, backoff_max_s, retry_after_max_s: see `SendPolicy`.
        shared: the turns that runs of the same key share; None: this run is alone.
    """

    def __init__(
        self,
        rate: Rate,
        *,
        recent: Sequence[float] = (),
        backoff_s: float = 1.0,
        backoff_max_s: float = 60.0,
        retry_after_max_s: float = 600.0,
        shared: SharedRateLimit | None = None,
    ) -> None:
        self._rate = rate
        self._shared = shared
        self._jitter_s = min(JITTER_S, JITTER_SHARE * rate.period_s)
        self._slack_s = slack_s(rate)
        self._recent = recent
        self._policy = SendPolicy(
            rate, backoff_s=backoff_s, backoff_max_s=backoff_max_s, retry_after_max_s=retry_after_max_s
        )
        self._departures: deque[float] = deque(maxlen=rate.count)
        self._waiters: deque[asyncio.Future[Permit]] = deque()
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._closed = asyncio.Event()

    @property
    def allowed(self) -> float:
        """Requests a period that are sent at present; the configured count unless 429s taught otherwise."""
        return self._policy.allowed

    @property
    def outage(self) -> bool:
        """Whether the provider is taken to be down."""
        return self._policy.breaker.is_open

    def outage_s(self) -> float:
        """For how many seconds it has been; 0 while the provider answers."""
        return self._policy.breaker.open_for_s(self._now())

    def hopeless(self) -> bool:
        """Whether the provider has been tried in vain as often as a run does."""
        return self._policy.breaker.hopeless

    def only_refused_s(self) -> float:
        """For how many seconds the provider has answered nothing but 429s; 0 if anything else came last."""
        return self._policy.only_refused_s(self._now())

    def pause_left_s(self) -> float:
        """Seconds until a 429's pause is over; 0 when it is."""
        return max(0.0, self._policy.open_at - self._now())

    def held_s(self) -> float:
        """Seconds until an outage's next try; 0 while the provider answers."""
        return self._policy.breaker.wait_s(self._now())

    async def permit(self) -> Permit:
        """Wait for leave to send one request.

        Raises:
            LimiterClosed: the limiter was closed before it was this caller's turn.
        """
        if self._closed.is_set():
            raise LimiterClosed
        waiter: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._wanted.set()
        return await waiter

    async def depart(self, permit: Permit | None = None) -> None:
        """The last word before the bytes go: wait out a pause that began meanwhile, or a stall of our own.

        A permit says that now is a good time; writing the intent to the ledger takes a few milliseconds, on a busy
        disk many more, and requests held up together would leave together. What other runs send is not known here:
        beside them, a `permit` that was held up for longer than a way may take gets another turn.

        Raises:
            LimiterClosed: the limiter was closed meanwhile; the request must not leave.
        """
        if self._shared is not None and permit is not None and self._now() > permit.at + self._jitter_s:
            await self._shared.turn()
        while not self._closed.is_set():
            earliest = self._policy.open_at
            if len(self._departures) == self._rate.count:
                earliest = max(earliest, self._departures[0] + self._rate.period_s + 0.9 * self._jitter_s)
            if self._now() >= earliest:
                self._departures.append(self._now())
                return
            with suppress(TimeoutError):
                async with asyncio.timeout_at(earliest):
                    await self._closed.wait()
        raise LimiterClosed

    def succeeded(self, permit: Permit, latency_s: float) -> None:
        """The request gave its image."""
        self._policy.succeeded(permit, latency_s)
        self._changed.set()

    def failed(self, permit: Permit, request: str, failure: Failure) -> None:
        """The request, by its fingerprint, failed: that may slow the run, pause it, or begin an outage."""
        self._policy.failed(permit, request, failure, self._now())
        self._changed.set()

    def unreached(self, request: str) -> None:
        """What a request needs could not be uploaded: the provider may be down."""
        self._policy.breaker.failed(request, None, self._now())

    def gone(self, permit: Permit) -> None:
        """The request did not leave after all. Has no effect on a permit that was given back already."""
        self._policy.gone(permit)
        self._changed.set()

    def close(self) -> None:
        """Turn everyone away who has not left yet."""
        self._closed.set()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(LimiterClosed())

    async def run(self) -> None:
        """Hand out permits until cancelled."""
        for age in self._recent:
            self._departures.append(self._now() - age)
            self._policy.sent_before(self._now() - age)
        limiter = await self._limiter(self._recent)
        admitted = 0
        while True:
            while not self._waiters:
                self._wanted.clear()
                await self._wanted.wait()
            if (at := self._policy.next_at(self._now())) > self._now():
                self._changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(None if math.isinf(at) else at):
                        await self._changed.wait()
                continue
            await limiter.acquire()
            if self._shared is not None:
                await self._shared.turn()
            if self._policy.next_at(self._now()) <= self._now():
                self._admit()
                admitted += 1
                if admitted % AT_ONCE == 0:
                    await asyncio.sleep(0)

    def _admit(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(self._policy.sent(self._now()))
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

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def level_of(ages: Sequence[float], leak: float) -> float:
    """What a leaky bucket holds now, given the ages in seconds of what was poured in, oldest first.

    >>> level_of([1.0, 0.5], leak=1.0)
    1.0
    """
    level = 0.0
    for age, until in pairwise([*ages, 0.0]):
        level = max(0.0, level + 1 - (age - until) * leak)
    return level
