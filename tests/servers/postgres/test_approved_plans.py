"""An approved plan whose amount several machines share by a database."""

from __future__ import annotations

import asyncio

import pytest

from batch_editor import Selection
from batch_editor.planning import PlanFile
from batch_editor.shard import Shard
from tests.servers.postgres.conftest import Shared
from tests.support.approved_plan import save, spent_of
from tests.support.bench import LOW_USD, Bench, jobs, sandbox, with_options

WANTED = jobs(24)


async def test_shards_of_one_plan_spend_its_amount_once(bench: Bench, shared: Shared) -> None:
    amount = 10 * LOW_USD
    flags = {"budget__ledger": shared.url, "concurrency": 2}
    async with sandbox(latency="0.02-0.05", faults=("502:0.2:billed=1",)) as provider:
        path = save(bench, WANTED, provider, budget__max_cost_usd=amount, budget__ledger=shared.url)
        assert "PASSWORD" not in str(PlanFile.read(path).settings["budget.ledger"])

        async def run(number: int) -> int:
            options = with_options(plan=path, selection=Selection(shard=Shard(number, 3)))
            out = bench.folder / f"out-{number}"
            return (await bench.run(WANTED, provider, options=options, out=out, **flags)).exit_code

        await asyncio.gather(*map(run, range(3)))
        assert provider.books.billed_usd <= amount + 1e-9
        codes = await asyncio.gather(*map(run, range(3)))
        assert 4 in codes
        assert provider.books.billed_usd <= amount + 1e-9
    assert not spent_of(path).exists()


@pytest.mark.parametrize("copies", [1, 3])
async def test_copies_of_a_plan_count_in_one_place(bench: Bench, shared: Shared, copies: int) -> None:
    amount = 8 * LOW_USD
    async with sandbox() as provider:
        path = save(bench, WANTED, provider, budget__max_cost_usd=amount, budget__ledger=shared.url)
        for number in range(copies):
            copy = bench.folder / f"plan-{number}.json"
            copy.write_bytes(path.read_bytes())
            out = bench.folder / f"out-{number}"
            options = with_options(plan=copy)
            summary = await bench.run(WANTED, provider, options=options, out=out, budget__ledger=shared.url)
            assert (summary.exit_code, summary.stop is not None and summary.stop.kind) == (4, "budget")
            assert summary.stop is not None
            assert summary.stop.message.startswith("the approval is spent: Mara Lind approved $0.09")
        assert provider.books.billed_usd <= amount + 1e-9
    assert shared.sums()[1] == 0
