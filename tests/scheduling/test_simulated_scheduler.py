"""The simulation beside the scheduler that it stands for: the real pool and limiter, on virtual time."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from batch_editor.records import Failure, Rate
from batch_editor.scheduling.pool import Pool, Requeue
from batch_editor.scheduling.rate_limiter import RateLimiter
from batch_editor.scheduling.retry import RetryPolicy, backoff
from batch_editor.scheduling.simulation import Failed, Workload, simulate_often, smoothed, spread_latencies
from tests.support.virtual_time import run

pytestmark = pytest.mark.slow

POLICY = RetryPolicy(max_attempts=5, backoff_s=1.0, backoff_max_s=60.0)
STEADY = spread_latencies(57.0)
LONG_TAILED = spread_latencies(57.0, sigma=0.9)


def workload(
    requests: int, *, rate: str = "60/min", concurrency: int = 64, latencies_s: list[float] = STEADY
) -> Workload:
    return Workload(requests, concurrency, Rate.parse(rate), latencies_s, 0.0, [], POLICY)


SHAPES = {
    "rate-bound": workload(300),
    "concurrency-bound": workload(200, concurrency=8),
    "long-tailed": workload(300, latencies_s=LONG_TAILED),
    "tiny": workload(5),
    "one": workload(1),
    "many in flight": workload(3000, rate="6000/min", concurrency=1000),
    "10 % 502": replace(workload(300), failure_share=0.1, failures=[Failed(40.0), Failed(5.0)]),
    "10 % 504": replace(workload(300), failure_share=0.1, failures=[Failed(60.0, dropped=True)]),
    "40 % 504": replace(workload(300), failure_share=0.4, failures=[Failed(90.0, dropped=True)]),
    "2 % 429": replace(workload(300), refused_share=0.02, refused_s=0.2, pause_s=5.0),
    "5 % 429, short": replace(workload(200, rate="300/min", latencies_s=[0.3, 0.4]), refused_share=0.05, pause_s=1.0),
    "10 % 429, per second": replace(
        workload(400, rate="20/s", latencies_s=[0.3, 0.4]), refused_share=0.1, refused_s=0.01, pause_s=1.0
    ),
    "an outage at every turn": replace(
        workload(200, rate="20/s", latencies_s=[0.3, 0.4]), failure_share=0.7, failures=[Failed(0.1)]
    ),
}


def real_s(work: Workload, seed: int) -> float:
    """How long the pool and the limiter of a run take for it, on virtual time."""
    rng = random.Random(seed)

    async def main() -> float:
        limiter = RateLimiter(work.rate, retry=POLICY)

        async def source() -> AsyncIterator[tuple[int, int]]:
            for number in range(work.requests):
                yield number, 1

        async def attempt(item: tuple[int, int]) -> Requeue[tuple[int, int]] | None:
            number, tries = item
            permit = await limiter.permit()
            await limiter.depart()
            if work.refused_share and rng.random() < work.refused_share:
                await asyncio.sleep(work.refused_s)
                refused = Failure("rate_limited", "", scope="rate", transient=True, retry_after_s=work.pause_s)
                limiter.failed(permit, str(number), refused)
                return Requeue(item, 0.0)
            if tries < POLICY.max_attempts and rng.random() < work.failure_share:
                failed = rng.choice(work.failures)
                await asyncio.sleep(failed.latency_s)
                limiter.failed(
                    permit, str(number), Failure("timeout" if failed.dropped else "server_error", "", transient=True)
                )
                if limiter.outage:
                    return Requeue(item, limiter.held_s())
                return Requeue((number, tries + 1), backoff(tries, POLICY, rng))
            latency_s = rng.choice(work.latencies_s)
            await asyncio.sleep(latency_s)
            limiter.succeeded(permit, latency_s)
            return None

        gating = asyncio.create_task(limiter.run())
        pool = Pool(source(), attempt, concurrency=work.concurrency)
        await pool.run()
        gating.cancel()
        return asyncio.get_running_loop().time()

    return run(main())


@pytest.mark.parametrize("name", SHAPES)
def test_the_simulated_run_takes_as_long_as_the_real_one(name: str) -> None:
    work = SHAPES[name]
    runs = max(3, min(200, 5_000 // work.requests))
    real = statistics.fmean(real_s(work, seed) for seed in range(runs))
    simulated = statistics.fmean(course.end_s for course in simulate_often(work, repeats=2 * runs))
    # What is left is chance: runs that are met by an outage differ most.
    assert simulated == pytest.approx(real, rel=0.2 if "outage" in name else 0.08)


@pytest.mark.parametrize("sigma", [0.5, 0.8])
def test_sixty_latencies_tell_of_slower_ones_than_were_seen(sigma: float) -> None:
    """Over many histories, for one history may lack a tail, or have more than its share."""
    simulated = []
    for history in range(20):
        rng = random.Random(history)
        seen = [rng.lognormvariate(-sigma * sigma / 2, sigma) for _ in range(60)]
        work = workload(200, rate="6000/min", concurrency=200, latencies_s=smoothed(seen))
        simulated += [course.end_s for course in simulate_often(work, seed=history, repeats=3)]
    true = workload(200, rate="6000/min", concurrency=200, latencies_s=spread_latencies(1.0, sigma=sigma, draws=5000))
    expected = [course.end_s for course in simulate_often(true, repeats=41)]
    assert statistics.median(simulated) == pytest.approx(statistics.median(expected), rel=0.06)
