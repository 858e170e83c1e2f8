"""The rate limiter: hands out permits to send, at a rate that no window exceeds, and waits as `SendPolicy` says."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from aiolimiter import AsyncLimiter

from batch_editor.errors import LedgerError
from batch_editor.records import Failure, Rate, RateSaid
from batch_editor.scheduling.retry import RetryPolicy
from batch_editor.scheduling.send_policy import Permit, SendPolicy, jitter_s, slack_s, spacing_s
from batch_editor.scheduling.shared_rate import SharedRateLimit

log = logging.getLogger("batch_editor")


class LimiterClosed(Exception):
    """The run stops: no further request may leave."""


@dataclass(frozen=True, slots=True)
class LimiterState:
    """What holds requests back at an instant.

    limit, allowed: the configured rate, and how many of its requests a period are sent at present; why: what last
    lowered or raised that. pause_s: seconds until a 429's pause is over. outage_s, probe_s: for how long the provider
    has been down, and seconds until it is tried again; both 0 while it answers. most_in_flight: what is allowed in
    flight after requests were dropped; None where nothing was.
    """

    limit: Rate
    allowed: float
    why: str
    pause_s: float
    outage_s: float
    probe_s: float
    most_in_flight: int | None


class RateLimiter:
    """Gives leave to send, one request at a time, first come, first served.

    `run` must be running in a task for `permit` to return. Only holders of a worker slot should wait here, and
    send at once when they have their permit: permits that pile up behind a slow slot would leave together. Every
    permit is given back, by how its request ended: `succeeded`, `failed` or `gone`.

    What it learns is logged as `rate_lowered`, `rate_raised` and `concurrency_lowered`, with `old`, `new` and `why`;
    rates are in requests a period, as `limit` is.

    Parameters:
        rate: what the provider allows.
        recent: ages in seconds of the requests that earlier runs sent within the last period, oldest first.
        retry: how long a 429 pauses it, see `SendPolicy`; None: the defaults.
        shared: the rate limit that all runs of the same key share; None: this run is alone.
        requests: what it limits, as the log calls it.
    """

    def __init__(
        self,
        rate: Rate,
        *,
        recent: Sequence[float] = (),
        retry: RetryPolicy | None = None,
        shared: SharedRateLimit | None = None,
        requests: str = "edits",
    ) -> None:
        self._rate = rate
        self._recent = recent
        self._shared = shared
        self._requests = requests
        self._policy = SendPolicy(rate, retry)
        self._departures: deque[float] = deque(maxlen=rate.count)
        self._waiters: deque[asyncio.Future[Permit]] = deque()
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._closed = asyncio.Event()

    @property
    def allowed(self) -> float:
        """Requests a period that are sent at present; the configured count unless 429s lowered it."""
        return self._policy.adaptive.allowed

    @property
    def outage(self) -> bool:
        """Whether the provider is taken to be down: the circuit breaker is open, or half-open."""
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
        """Seconds until the circuit breaker lets the next request try; 0 while the provider answers."""
        return self._policy.breaker.wait_s(self._now())

    def state(self) -> LimiterState:
        """What holds requests back now."""
        cut = self._policy.concurrency.cut
        return LimiterState(
            limit=self._rate,
            allowed=self.allowed,
            why=self._policy.adaptive.reason,
            pause_s=self.pause_left_s(),
            outage_s=self.outage_s(),
            probe_s=self.held_s(),
            most_in_flight=None if math.isinf(cut) else int(cut),
        )

    async def permit(self) -> Permit:
        """Wait for leave to send one request.

        Raises:
            LimiterClosed: the limiter was closed before it was this caller's turn.
            LedgerError: what the runs share can't be used.
        """
        if self._closed.is_set():
            raise LimiterClosed
        waiter: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._wanted.set()
        return await waiter

    async def depart(self, permit: Permit | None = None) -> None:
        """Wait, just before the request is sent, for a pause that began since the permit, or after a stall.

        Between the permit and the request the intent is written to the ledger. On a stuck disk many requests wait
        there; without this they would leave together. Requests of other runs are not known here: beside them, a
        `permit` that was held up for too long takes another turn of the shared rate limit.

        Raises:
            LimiterClosed: the limiter was closed meanwhile; the request must not leave.
            LedgerError: what the runs share can't be used; nor may it then.
        """
        leave_by = math.inf if permit is None else permit.leave_by
        while not self._closed.is_set():
            earliest = self._policy.open_at
            if len(self._departures) == self._rate.count:
                earliest = max(earliest, self._departures[0] + self._rate.period_s + 0.9 * jitter_s(self._rate))
            if self._now() < earliest:
                await _set_or_time(self._closed, earliest)
            elif self._shared is not None and self._now() > leave_by:
                leave_by = await self._shared.turn() + self._now()  # in this order
            else:
                self._departures.append(self._now())
                return
        raise LimiterClosed

    def said(self, permit: Permit, said: RateSaid) -> None:
        """The answer to that permit's request says what the provider's limit is: no more is sent."""
        self._tell_changes(lambda: self._policy.said(permit, said, self._now()))
        self._changed.set()

    def succeeded(self, permit: Permit, latency_s: float) -> None:
        """The request gave its image."""
        self._policy.succeeded(permit, latency_s)
        self._changed.set()

    def failed(self, permit: Permit, request: str, failure: Failure) -> None:
        """The request, by its fingerprint, failed: that may lower the rate, pause it, or open the circuit breaker."""
        self._tell_changes(lambda: self._policy.failed(permit, request, failure, self._now()))
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
        self._turn_away(LimiterClosed())

    async def run(self) -> None:
        """Hand out permits until cancelled."""
        for age in self._recent:
            self._departures.append(self._now() - age)
            self._policy.sent_before(self._now() - age)
        bucket = await self._bucket()
        while True:
            while not self._waiters:
                self._wanted.clear()
                await self._wanted.wait()
            if (at := self._policy.free_at(self._now())) > self._now():
                self._changed.clear()
                await _set_or_time(self._changed, at)
                continue
            await bucket.acquire()
            leave_by = math.inf
            if self._shared is not None:
                try:
                    leave_by = await self._shared.turn() + self._now()
                except LedgerError as error:
                    self._turn_away(error)
                    continue
            if self._policy.free_at(self._now()) <= self._now():
                self._tell_changes(partial(self._admit, leave_by))

    def _admit(self, leave_by: float) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(replace(self._policy.sent(self._now()), leave_by=leave_by))
                return

    def _turn_away(self, error: Exception) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(error)

    async def _bucket(self) -> AsyncLimiter:
        """A leaky bucket for the configured rate, as full as the requests of earlier runs have left it.

        It is never replaced: a fresh one would forget what the old one had let through.
        """
        leak = 1 / spacing_s(self._rate)
        burst = 1 + leak * slack_s(self._rate)
        bucket = AsyncLimiter(burst, burst / leak)
        await bucket.acquire(min(self._policy.backlog(self._now()), burst))
        return bucket

    def _tell_changes(self, work: Callable[[], None]) -> None:
        """Log what `work` changes: without it nobody could learn why a run is slow."""
        adaptive, concurrency = self._policy.adaptive, self._policy.concurrency
        rate, limit = adaptive.allowed, concurrency.cut
        work()
        if adaptive.allowed != rate:
            log.info(
                "rate_lowered" if adaptive.allowed < rate else "rate_raised",
                extra={
                    "requests": self._requests,
                    "limit": str(self._rate),
                    "old": round(rate, 1),
                    "new": round(adaptive.allowed, 1),
                    "why": adaptive.reason,
                },
            )
        if concurrency.cut < limit:
            log.info(
                "concurrency_lowered",
                extra={
                    "requests": self._requests,
                    "old": None if math.isinf(limit) else int(limit),
                    "new": int(concurrency.cut),
                    "why": "503, 504 or time-outs came for so many that chance doesn't explain it",
                },
            )

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


async def _set_or_time(event: asyncio.Event, at: float) -> None:
    """Wait for the event, or until that instant of the loop's clock."""
    with suppress(TimeoutError):
        async with asyncio.timeout_at(None if math.isinf(at) else at):
            await event.wait()
