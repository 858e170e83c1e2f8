"""How fast and how many at once, by the provider's clock."""

from __future__ import annotations

import pytest

from tests.support.bench import Bench, jobs, sandbox

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("concurrency", "count"), [(7, 40), (500, 520)])
async def test_as_many_requests_are_in_flight_as_configured_and_never_more(
    bench: Bench, concurrency: int, count: int
) -> None:
    async with sandbox(latency="0.2" if concurrency == 7 else "2.5") as provider:
        summary = await bench.run(jobs(count), provider, concurrency=concurrency)
    assert summary.jobs.succeeded == count
    assert provider.books.peak_in_flight == concurrency


async def test_one_at_a_time_is_one_at_a_time(bench: Bench) -> None:
    async with sandbox(latency="0.01") as provider:
        await bench.run(jobs(6), provider, concurrency=1)
    assert provider.books.peak_in_flight == 1


async def test_no_window_holds_more_than_the_rate_limit_and_most_of_it_is_used(bench: Bench) -> None:
    async with sandbox(rate_limit="20/s", latency="0.1-0.3") as provider:
        summary = await bench.run(jobs(80), provider, rate_limit="20/s", concurrency=60)
    books = provider.books
    assert summary.jobs.succeeded == 80
    assert books.answered == {200: 80}
    assert books.most_in_window(1.0) <= 20
    # 80 requests at 20/s are 4 s; 4.5 % are kept back for the way to the provider.
    assert books.log[-1].at - books.log[0].at < 4 / 0.9


async def test_retries_count_against_the_rate_limit(bench: Bench) -> None:
    async with sandbox(faults=("502:first=1",)) as provider:
        summary = await bench.run(jobs(20), provider, rate_limit="20/s", concurrency=20)
    assert summary.jobs.succeeded == 20
    assert provider.books.requests == 40
    assert provider.books.most_in_window(1.0) <= 20


@pytest.mark.fault(83)
async def test_the_next_run_knows_what_the_last_one_sent(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(10), provider, rate_limit="10/s")
        await bench.run(jobs(20), provider, rate_limit="10/s")
    assert provider.books.requests == 20
    assert provider.books.most_in_window(1.0) <= 10
