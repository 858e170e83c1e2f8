"""What ends a run before its work is done: budgets, deadlines, failures."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from batch_editor import UsageError, last_summary
from tests.support.bench import Bench, jobs, sandbox

LOW_USD = 0.0108


@pytest.mark.fault(84)
@pytest.mark.slow
async def test_the_budget_is_never_passed_by_what_the_provider_bills(bench: Bench) -> None:
    faults = ("502:0.1:billed=1", "reset:0.1", "truncate:0.05", "504:0.1:billed=1", "500:0.05")
    async with sandbox(faults=faults, latency="0-0.05", seed=5) as provider:
        summary = await bench.run(jobs(150), provider, concurrency=30, budget__max_cost_usd=2.0)
    assert summary.exit_code == 4
    assert provider.books.billed_usd <= 2.0
    assert summary.jobs.pending > 0
    assert summary.stop is not None
    assert summary.stop.kind == "budget"
    # Attempts without an answer count at their max price, the others at what they cost.
    assert summary.cost.actual is not None
    assert 1.8 < summary.cost.actual + summary.cost.possibly_billed <= 2.0 + 1e-6


async def test_without_faults_the_budget_is_used_to_the_last_job_that_surely_fits(bench: Bench) -> None:
    async with sandbox() as provider:
        summary = await bench.run(jobs(40), provider, concurrency=30, budget__max_cost_usd=0.25)
    assert summary.exit_code == 4
    assert 0.15 < provider.books.billed_usd <= 0.25


async def test_a_budget_too_small_for_any_job_is_a_mistake_and_sends_nothing(bench: Bench) -> None:
    async with sandbox() as provider:
        with pytest.raises(UsageError, match="is below the price of the first job"):
            await bench.run(jobs(3), provider, budget__max_cost_usd=0.001)
    assert (provider.books.requests, bench.out.exists()) == (0, False)


@pytest.mark.slow
async def test_a_budget_is_one_for_a_run_and_those_that_go_on_with_it(bench: Bench) -> None:
    async with sandbox() as provider:
        for _ in range(3):
            summary = await bench.run(jobs(40), provider, concurrency=5, budget__max_cost_usd=0.25)
            assert summary.exit_code == 4
        assert provider.books.billed_usd <= 0.25
        raised = await bench.run(jobs(40), provider, concurrency=5, budget__max_cost_usd=0.35)
        assert raised.exit_code == 4
        assert 0.25 < provider.books.billed_usd <= 0.35


async def test_after_a_finished_run_the_budget_starts_anew(bench: Bench) -> None:
    async with sandbox() as provider:
        first = await bench.run(jobs(10), provider, concurrency=2, budget__max_cost_usd=0.2)
        second = await bench.run(jobs(20), provider, concurrency=2, budget__max_cost_usd=0.2)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert provider.books.billed_usd == pytest.approx(20 * LOW_USD)


@pytest.mark.slow
async def test_nothing_is_started_that_would_end_after_the_deadline(bench: Bench) -> None:
    began_at = time.monotonic()
    async with sandbox(latency="0.5") as provider:
        summary = await bench.run(jobs(100), provider, concurrency=2, deadline="3s")
        assert provider.books.in_flight == 0
    assert summary.exit_code == 4
    assert summary.stop is not None
    assert summary.stop.kind == "deadline"
    assert time.monotonic() - began_at < 8
    assert 0 < summary.jobs.succeeded == provider.books.requests < 20
    assert summary.jobs.pending == 100 - summary.jobs.succeeded


@pytest.mark.slow
async def test_a_deadline_that_is_near_when_nothing_is_left_has_stopped_nothing(bench: Bench) -> None:
    # After 5.8 s, what would leave then would be back too late; the second one is in flight and is not.
    async with sandbox(latency="3.2") as provider:
        summary = await bench.run(jobs(2), provider, concurrency=1, deadline="9s")
    assert summary.jobs.succeeded == 2
    assert (summary.exit_code, summary.stop, summary.as_json()["stopped_by"]) == (0, None, None)
    assert not any(line.startswith("Stopped") for line in summary.lines())
    assert last_summary(bench.out).stop is None


async def test_too_many_failures_stop_the_run_and_the_commonest_is_named(bench: Bench) -> None:
    faults = ("500@3:text=Odd one", "400:text=The size is wrong")
    async with sandbox(faults=faults) as provider:
        summary = await bench.run(jobs(50), provider, concurrency=1, max_failures="5")
    assert (summary.exit_code, provider.books.requests) == (4, 5)
    assert summary.stop is not None
    assert summary.stop.message == (
        "5 of 5 jobs failed, which max_failures 5 does not allow; 4 of them with invalid_parameter, "
        "for example job-4: HTTP 400 (Invalid parameters or request format): The size is wrong"
    )
    assert Counter(bench.statuses().values()) == {"failed": 5, "pending": 45}


async def test_a_share_of_failures_counts_once_there_are_enough_jobs_to_tell(bench: Bench) -> None:
    async with sandbox(faults=("400@1-10",)) as provider:
        summary = await bench.run(jobs(60), provider, concurrency=1, max_failures="40%")
    assert (summary.exit_code, summary.jobs.failed, provider.books.requests) == (4, 10, 20)


async def test_a_run_that_meets_its_limit_with_nothing_left_has_finished(bench: Bench) -> None:
    async with sandbox(faults=("400",)) as provider:
        summary = await bench.run(jobs(5), provider, concurrency=1, max_failures="5")
    assert (summary.exit_code, summary.jobs.failed, summary.jobs.pending) == (1, 5, 0)
    assert provider.books.requests == 5
