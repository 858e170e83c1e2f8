"""Providers that count requests in their own ways, and the clients that send to them through a limiter."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from batch_editor.records import Failure
from batch_editor.scheduling.rate_limiter import LimiterClosed, RateLimiter
from batch_editor.scheduling.send_policy import Permit
from tests.support.virtual_time import now


class Provider(Protocol):
    """Lets a request in (0.0), or says in how many seconds it would."""

    def wait_s(self, at: float) -> float: ...


class SlidingWindow:
    """At most `count` in any window of `period_s`; only requests that were let in count."""

    def __init__(self, count: int, period_s: float) -> None:
        self._let_in: deque[float] = deque(maxlen=count)
        self._period_s = period_s

    def wait_s(self, at: float) -> float:
        if len(self._let_in) == self._let_in.maxlen and (wait := self._let_in[0] + self._period_s - at) > 0:
            return wait
        self._let_in.append(at)
        return 0.0


class FixedWindow:
    """At most `count` between two full periods of the provider's clock."""

    def __init__(self, count: int, period_s: float) -> None:
        self._count, self._period_s = count, period_s
        self._window, self._held = 0, 0

    def wait_s(self, at: float) -> float:
        window = int(at // self._period_s)
        if window != self._window:
            self._window, self._held = window, 0
        if self._held == self._count:
            return (window + 1) * self._period_s - at
        self._held += 1
        return 0.0


class TokenBucket:
    """A bucket of `count` tokens, full at first, that fills again in `period_s`."""

    def __init__(self, count: int, period_s: float) -> None:
        self._count, self._fill = count, count / period_s
        self._tokens, self._seen_at = float(count), 0.0

    def wait_s(self, at: float) -> float:
        self._tokens = min(self._count, self._tokens + (at - self._seen_at) * self._fill)
        self._seen_at = at
        if self._tokens < 1:
            return (1 - self._tokens) / self._fill
        self._tokens -= 1
        return 0.0


class Moody:
    """Lets in what `provider` lets in, except for a share of requests that it refuses for no reason."""

    def __init__(self, rng: random.Random, share: float, *, wait_s: float = 1.0) -> None:
        self._rng, self._share, self._wait_s = rng, share, wait_s

    def wait_s(self, at: float) -> float:
        return self._wait_s if self._rng.random() < self._share else 0.0


@dataclass
class Log:
    """When requests left, when they were let in, when they were refused."""

    left: list[float] = field(default_factory=list)
    let_in: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def since(self, at: float) -> Log:
        return Log(*([t for t in times if t > at] for times in (self.left, self.let_in, self.refused)))

    @property
    def refused_share(self) -> float:
        return len(self.refused) / max(1, len(self.refused) + len(self.let_in))


def refuse(limiter: RateLimiter, permit: Permit, retry_after_s: float | None) -> None:
    """Answer a request with 429."""
    failure = Failure("rate_limited", "too many", scope="rate", transient=True, retry_after_s=retry_after_s)
    limiter.failed(permit, f"request {permit.number}", failure)


@asynccontextmanager
async def running(limiter: RateLimiter) -> AsyncIterator[RateLimiter]:
    task = asyncio.create_task(limiter.run())
    try:
        yield limiter
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def busy_run(
    limiter: RateLimiter,
    provider: Provider,
    *,
    for_s: float,
    workers: int,
    latency_s: float,
    says_when: bool = True,
    way_s: Callable[[], float] = lambda: 0.0,
) -> Log:
    """What happens when `workers` always have a request to send, until the time is over."""
    log = Log()

    async def worker() -> None:
        while True:
            permit = await limiter.permit()
            await limiter.depart()
            log.left.append(now())
            await asyncio.sleep(way_s())
            if wait_s := provider.wait_s(now()):
                log.refused.append(now())
                refuse(limiter, permit, wait_s if says_when else None)
            else:
                log.let_in.append(now())
                await asyncio.sleep(latency_s)
                limiter.succeeded(permit, latency_s)

    async with running(limiter):
        tasks = [asyncio.create_task(worker()) for _ in range(workers)]
        await asyncio.sleep(for_s)
        limiter.close()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, LimiterClosed):
                await task
    return log


def most_in_a_window(times: list[float], length_s: float) -> int:
    """The most that any closed window of that length holds, wherever it starts."""
    most, first = 0, 0
    for last, at in enumerate(times := sorted(times)):
        while times[first] < at - length_s:
            first += 1
        most = max(most, last - first + 1)
    return most
