"""A provider that is down for a while: the run holds, tries, and goes on; no job is lost to it."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from PIL import Image

from tests.support.bench import Bench, arrived, jobs, sandbox


@pytest.mark.parametrize("fault", ["502", "503", "504", "reset"])
@pytest.mark.fault(66)
@pytest.mark.slow
async def test_an_outage_loses_no_job_and_is_not_fed(bench: Bench, fault: str) -> None:
    """Requests 11 to 40 fail, many of them billed: more than twice for some jobs, were they charged for it."""
    async with sandbox(faults=(f"{fault}@11-40",), latency="0.05") as provider:
        summary = await bench.run(jobs(60), provider, concurrency=10, retry__max_attempts=2)
    assert summary.exit_code == 0
    assert summary.jobs.succeeded == 60
    assert provider.books.answered[200] == 60
    # Those in flight fail with the first five; then one at a time tries, until it gets through.
    assert provider.books.requests == 60 + 30


@pytest.mark.fault(66)
@pytest.mark.slow
async def test_during_an_outage_one_request_at_a_time_tries(bench: Bench) -> None:
    async with sandbox(faults=("503@11-40",), latency="0.05") as provider:
        await bench.run(jobs(60), provider, concurrency=10)
    # Ten were in flight when the first failed, and four more may have left before the fifth.
    tries = provider.books.log[25:40]
    # An answer's latency and the longest backoff lie between two.
    assert min(later.at - earlier.at for earlier, later in pairwise(tries)) > 0.099


@pytest.mark.fault(66)
@pytest.mark.slow
async def test_a_provider_that_can_not_be_reached_for_a_while_loses_no_job(bench: Bench) -> None:
    async with sandbox(latency="0.02") as provider:
        port = int(provider.base_url.rpartition(":")[2].partition("/")[0])
        flags: dict[str, Any] = {"concurrency": 4, "retry__backoff_max_s": 0.2, "rate_limit": "100/s"}
        run = asyncio.create_task(bench.run(jobs(60), provider, **flags))
        await arrived(provider.books, 20)
    before = provider.books.billed
    await asyncio.sleep(1.0)
    async with sandbox(latency="0.02", port=port) as provider:
        summary = await run
    assert summary.exit_code == 0
    # What was in flight when the first one went away may have been billed in vain.
    assert 60 <= before + provider.books.billed <= 60 + 4


@pytest.mark.fault(66)
@pytest.mark.slow
async def test_an_outage_that_does_not_end_ends_the_run_with_its_work_left(bench: Bench) -> None:
    async with sandbox(faults=("503",)) as provider:
        summary = await bench.run(jobs(30), provider, concurrency=10)
        stopped = provider.books.requests
    assert summary.exit_code == 4
    assert summary.stop is not None
    assert "has been down" in summary.stop.message
    assert "HTTP 503" in summary.stop.message
    assert summary.jobs.pending >= 25
    # Four failures are no outage yet, so others take their slots; then tries, one at a time.
    assert 40 < stopped <= 4 + 10 + 40
    async with sandbox() as provider:
        summary = await bench.run(jobs(30), provider)
    assert summary.exit_code in (0, 1)
    assert summary.jobs.pending == 0


async def test_a_few_jobs_that_always_fail_are_no_outage(bench: Bench) -> None:
    async with sandbox(faults=("503",)) as provider:
        summary = await bench.run(jobs(4), provider, retry__max_attempts=3, retry__max_possibly_billed=9)
    assert summary.exit_code == 1
    assert provider.books.requests == 4 * 3


@pytest.mark.slow
async def test_uploads_that_fail_in_an_outage_are_not_charged_to_their_jobs(bench: Bench) -> None:
    Image.new("RGB", (64, 64), "red").save(bench.folder / "mug.png")
    async with sandbox() as provider:
        port = int(provider.base_url.rpartition(":")[2].partition("/")[0])
    work = [dict(job, image_urls=["mug.png"]) for job in jobs(12)]
    flags: dict[str, Any] = {"concurrency": 12, "retry__max_attempts": 2, "retry__backoff_max_s": 0.2}
    run = asyncio.create_task(bench.run(work, provider, **flags))
    await asyncio.sleep(1.0)
    async with sandbox(port=port) as provider:
        summary = await run
    assert summary.exit_code == 0
    assert provider.books.billed == 12
