"""What holds a run back, in one sentence with the next step; whether it fits; and afterwards, why it was otherwise."""

from __future__ import annotations

import re

import pytest

from tests.support.bench import LOW_USD, Bench, jobs, priced, sandbox


@pytest.mark.slow
def test_the_rate_limit_is_the_limit_when_there_are_slots_enough(bench: Bench) -> None:
    plan = bench.plan(jobs(500), rate_limit="60/min", concurrency=64)
    assert (plan.limited_by, plan.advice) == (
        "rate limit",
        "rate limit 60/min is the limit; 57 requests would be in flight, concurrency 64 is enough",
    )
    assert plan.duration_s[1] == pytest.approx(500 * 1.01 * 1.01 + 1.5 * 57, rel=0.05)


@pytest.mark.slow
def test_concurrency_is_the_limit_when_more_slots_would_use_the_rate(bench: Bench) -> None:
    plan = bench.plan(jobs(1000), rate_limit="60/min", concurrency=8)
    assert plan.limited_by == "concurrency"
    told = re.fullmatch(
        r"concurrency 8 gives 8\.[345]/min; 57 would use your 60/min and finish in (1[789])m \d+s instead of"
        r" (2h|1h 5\d)m?( \d+m)?",
        plan.advice,
    )
    assert told, plan.advice


def test_the_advice_never_names_more_slots_than_there_are_requests(bench: Bench) -> None:
    plan = bench.plan(jobs(20), rate_limit="6000/min", concurrency=4)
    assert plan.limited_by == "concurrency"
    assert "; 20 would use your 6000/min and finish in" in plan.advice


def test_latency_is_the_limit_when_all_are_in_flight_together(bench: Bench) -> None:
    plan = bench.plan(jobs(10), rate_limit="60/min", concurrency=64)
    assert (plan.limited_by, plan.advice) == (
        "latency",
        "the provider's 57 s an image is the limit; all 10 requests are in flight together",
    )


async def test_nothing_is_the_limit_when_there_is_nothing_to_send(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(2), provider)
    plan = bench.plan(jobs(2))
    assert (plan.limited_by, plan.advice, plan.requests) == ("nothing", "nothing to send", 0)
    assert (plan.cost.expected_usd, plan.duration_s) == (0, (0.0, 0.0, 0.0))
    assert "Speed: nothing to send" in list(plan.lines())


async def test_the_plan_says_whether_the_budget_fits_and_the_run_does_as_many(bench: Bench) -> None:
    plan = bench.plan(jobs(40), budget__max_cost_usd=0.25)
    async with sandbox() as provider:
        summary = await bench.run(jobs(40), provider, concurrency=5, budget__max_cost_usd=0.25)
    assert plan.budget is not None
    assert (plan.budget.limit, plan.budget.fits, plan.budget.requests) == ("$0.25", False, 23)
    assert summary.jobs.succeeded == 23
    assert "Budget: $0.25 does not fit: 23 of 40 requests do" in list(plan.lines())
    rest = bench.plan(jobs(40), budget__max_cost_usd=0.35)
    assert rest.budget is not None
    assert (rest.budget.limit, rest.budget.requests) == ("$0.35 ($0.25 of it spent)", 9)


def test_a_budget_that_is_enough_fits(bench: Bench) -> None:
    assert "Budget: $1.00 fits" in list(bench.plan(jobs(40), budget__max_cost_usd=1).lines())


def test_a_budget_below_the_first_price_fits_none(bench: Bench) -> None:
    plan = bench.plan(jobs(40), budget__max_cost_usd=0.03)
    assert plan.budget is not None
    assert (plan.budget.fits, plan.budget.requests) == (False, 0)


@pytest.mark.slow
async def test_a_run_that_went_as_planned_has_nothing_to_explain(bench: Bench) -> None:
    async with sandbox(latency="0.5") as provider:
        await bench.run(jobs(24, name="before"), provider, concurrency=4)
        summary = await bench.run(jobs(12), provider, concurrency=4)
        told = await bench.command("status", "out", "--json")
    plan = summary.as_json()["plan"]
    assert plan["requests"] == {"expected": 12, "actual": 12}
    assert plan["cost_usd"] == {"expected": pytest.approx(12 * LOW_USD), "actual": pytest.approx(12 * LOW_USD)}
    assert [why for why in plan["why"] if "cost" in why or "image" in why] == []
    assert told.json["plan"]["requests"] == plan["requests"]
    assert told.json["plan"]["cost_usd"] == plan["cost_usd"]
    assert told.json["plan"]["duration_s"]["expected"] == plan["duration_s"]["expected"]


async def test_a_dearer_provider_faults_and_failures_are_told_as_reasons(bench: Bench) -> None:
    faults = ("400:prompt~job-1", "502:prompt~job-2:first=1:billed=1")
    async with sandbox(endpoint=priced(2.4), faults=faults) as provider:
        summary = await bench.run(jobs(8), provider)
        shown = await bench.command("status", "out")
    comparison = summary.comparison
    assert comparison is not None
    assert (comparison.expected_requests, comparison.images) == (8, 7)
    assert comparison.why == (
        "1 request gave no image",
        "up to $0.05 for 1 attempt possibly billed without a result",
        "an image cost $0.0216 instead of $0.0108",
    )
    # Seven images at twice the price, and what the failed attempt may have cost at most.
    assert comparison.actual_usd == pytest.approx(7 * 2 * LOW_USD + 0.05118, abs=0.0001)
    line = next(line for line in shown.out.splitlines() if line.startswith("Plan: "))
    assert "; it was $0.20 and " in line
    assert line.endswith(f" for 7: {'; '.join(comparison.why)}")


@pytest.mark.slow
async def test_refusals_by_429_are_a_reason(bench: Bench) -> None:
    async with sandbox(faults=("429@2-3:retry-after=1",)) as provider:
        summary = await bench.run(jobs(6), provider, concurrency=1)
    assert summary.comparison is not None
    assert summary.comparison.why == ("2 requests were refused with 429 and waited",)


async def test_quicker_answers_than_assumed_are_a_reason(bench: Bench) -> None:
    async with sandbox() as provider:
        summary = await bench.run(jobs(6), provider)
    assert summary.comparison is not None
    assert summary.comparison.why == ("answers came quicker than assumed",)
    line = next(line for line in summary.lines() if line.startswith("Plan: "))
    assert re.fullmatch(
        r"Plan: \$0\.06 and 1m \d+s for 6 images; it was \$0\.06 and \d+s for 6: answers came quicker than assumed",
        line,
    )
