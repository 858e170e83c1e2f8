"""Whatever happens to a run, the provider's bill stays within its budget; `random_runs.py 200` is the long version."""

from __future__ import annotations

import pytest

from batch_editor import UsageError
from tests.money.random_runs import Story, live
from tests.support.bench import LOW_USD, Bench, job, jobs, priced, sandbox

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(10))
async def test_the_bill_stays_within_the_budget_and_uses_it(bench: Bench, seed: int) -> None:
    outcome = await live(Story.of(seed), bench)
    assert outcome.within
    assert set(outcome.codes) <= {0, 1, 4}
    assert not outcome.judged or outcome.used_up


async def test_a_budget_is_used_up_where_the_price_of_a_kind_is_known(bench: Bench) -> None:
    async with sandbox() as provider:
        summary = await bench.run(jobs(100), provider, concurrency=20, budget__max_cost_usd=0.5)
    assert (summary.exit_code, summary.jobs.succeeded) == (4, 46)
    assert provider.books.billed_usd == pytest.approx(46 * LOW_USD)
    assert 0.95 * 0.5 <= provider.books.billed_usd <= 0.5


async def test_three_cheap_charges_of_what_the_model_chooses_promise_nothing(bench: Bench) -> None:
    """Its fourth choice may be the most expensive."""
    async with sandbox() as provider:
        for seed in range(8):
            out = bench.folder / str(seed)
            before_usd = provider.books.billed_usd
            chosen = jobs(30, name=f"{seed}", quality="auto")
            await bench.run(chosen, provider, out=out, concurrency=1, budget__max_cost_usd=0.45)
            assert provider.books.billed_usd - before_usd <= 0.45


@pytest.mark.fault(85)
async def test_a_provider_that_is_dearer_than_its_list_passes_the_budget_by_no_more_than_its_first_surprise(
    bench: Bench,
) -> None:
    """Nobody can set aside what nobody knows; from the first charge on it is known."""
    async with sandbox(endpoint=priced(12.0)) as provider:
        summary = await bench.run(jobs(30), provider, concurrency=1, budget__max_cost_usd=0.5)
    assert summary.exit_code == 4
    # Each costs 10.8 cents where the list says 5.1 at most: five do not fit.
    assert provider.books.billed_usd == pytest.approx(4 * 0.108)


async def test_a_budget_below_the_price_of_the_first_job_is_a_mistake(bench: Bench) -> None:
    async with sandbox() as provider:
        with pytest.raises(UsageError) as refused:
            await bench.run([job("a", "x" * 100)], provider, budget__max_cost_usd=0.02)
    assert str(refused.value) == (
        "the budget of $0.02 is below the price of the first job, which may cost up to $0.0517; raise --max-cost,"
        " or choose a lower quality or size"
    )
    assert (provider.books.requests, bench.out.exists()) == (0, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-1", "error: command line: budget.max_cost_usd is '-1'; expected more than 0"),
        ("0", "error: command line: budget.max_cost_usd is '0'; expected more than 0"),
        ("much", "error: command line: budget.max_cost_usd is 'much'; expected a number"),
        ("nan", "error: command line: budget.max_cost_usd is 'nan'; expected a finite number"),
    ],
)
async def test_a_budget_that_is_none_is_a_mistake(bench: Bench, text: str, said: str) -> None:
    async with sandbox() as provider:
        refused = await bench.command(*bench.run_arguments(bench.write(jobs(1)), provider, "--max-cost", text))
    assert (refused.code, refused.out, refused.err.strip()) == (2, "", said)
    assert (provider.books.requests, bench.out.exists()) == (0, False)
