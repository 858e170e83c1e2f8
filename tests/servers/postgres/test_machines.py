"""Runs on several machines, as processes with output directories of their own: one budget and one rate."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import AsyncExitStack
from typing import Any

import pytest

from batch_editor.sandbox import Sandbox
from tests.servers.postgres.conftest import Shared
from tests.support.bench import LOW_USD, Bench, arrived, job, jobs, sandbox
from tests.support.command import Process
from tests.support.postgres_server import PASSWORD

pytestmark = [pytest.mark.slow, pytest.mark.timeout(170)]

PROCESSES = 8
EACH = 8
RATE = 20
IN_FLIGHT = 4
# What is set aside where the provider hasn't named a price yet.
MAX_USD = 0.06


def configure(bench: Bench, shared: Shared, *, wait_s: float = 30, **budget: float) -> None:
    config: dict[str, Any] = {
        "budget": {"ledger": shared.url, **budget},
        "outputs": {"wait_s": wait_s},
        "rate_limit": f"{RATE}/s",
        "concurrency": IN_FLIGHT,
    }
    (bench.folder / "config.yaml").write_text(json.dumps(config))


class Machines:
    """Processes that work off manifests of their own against one provider."""

    def __init__(self, bench: Bench, provider: Sandbox, stack: AsyncExitStack) -> None:
        self._bench = bench
        self._provider = provider
        self._stack = stack
        self.manifests = [
            bench.write([job(f"{number}-{n}") for n in range(EACH)], name=f"m{number}.yaml")
            for number in range(PROCESSES)
        ]
        self._outs = [bench.folder / f"out-{number}" for number in range(PROCESSES)]

    async def start(self, number: int) -> Process:
        manifest = self.manifests[number]
        arguments = ("run", manifest, "-o", self._outs[number], "--base-url", self._provider.base_url)
        return await self._stack.enter_async_context(self._bench.started(*arguments, "--progress", "none", "--yes"))

    def move(self, number: int) -> None:
        """Where one goes on, as on another machine with the same disk."""
        self._outs[number] = self._outs[number].rename(self._bench.folder / f"moved-{number}")

    async def all_ended(self, processes: list[Process]) -> list[int]:
        """How they end, without a word that could tell the password."""
        async with asyncio.timeout(120):
            ended = await asyncio.gather(*(process.finished() for process in processes))
        for each in ended:
            assert PASSWORD not in each.out + each.err
            assert not any(word in each.err for word in ("Traceback", "never awaited")), each.err
        return [each.code for each in ended]


@pytest.mark.fault(110, 112)
async def test_eight_that_are_killed_while_the_server_crashes_pass_neither_budget_nor_rate(
    bench: Bench, shared: Shared
) -> None:
    per_day_usd = (PROCESSES * EACH - 4) * LOW_USD  # what is killed counts at its max price, so some more is left over
    configure(bench, shared, per_day_usd=per_day_usd)
    async with sandbox(latency="0.3", rate_limit=f"{RATE}/s") as provider, AsyncExitStack() as stack:
        machines = Machines(bench, provider, stack)
        processes = [await machines.start(number) for number in range(PROCESSES)]
        for deaths in ((0, 3), (6,)):
            async with asyncio.timeout(60):
                await arrived(provider.books, provider.books.requests + 10)
            for number in deaths:
                processes[number].kill()
            await asyncio.to_thread(shared.server.restart)
            for number in deaths:
                await processes[number].ended()
                machines.move(number)
                processes[number] = await machines.start(number)
        codes = await machines.all_ended(processes)
        assert set(codes) <= {0, 4}, codes
        assert 4 in codes
        spent, is_open = shared.sums()
        assert provider.books.billed_usd <= spent + 1e-9
        assert per_day_usd - MAX_USD < spent <= per_day_usd + 1e-9
        assert is_open == 0
        assert provider.books.most_in_window(1.0) <= RATE
        assert provider.books.answered[429] == 0

        configure(bench, shared, per_day_usd=100)
        processes = [await machines.start(number) for number, code in enumerate(codes) if code]
        assert set(await machines.all_ended(processes)) == {0}
        assert provider.books.most_in_window(1.0) <= RATE
        # Once each, and once more what was in flight in a process that was killed.
        assert PROCESSES * EACH <= provider.books.billed <= PROCESSES * EACH + 3 * IN_FLIGHT
        spent, is_open = shared.sums()
        assert provider.books.billed_usd <= spent + 1e-9
        assert is_open == 0


@pytest.mark.fault(110)
async def test_one_that_is_away_for_too_long_ends_runs_with_all_in_flight_saved(bench: Bench, shared: Shared) -> None:
    configure(bench, shared, wait_s=2, per_day_usd=100)
    manifest = bench.write(jobs(18))
    async with sandbox(latency="1.5") as provider:
        arguments = bench.run_arguments(manifest, provider, "--concurrency", "6", "--yes")
        async with bench.started(*arguments) as process:
            await arrived(provider.books, 6)
            shared.server.stop()
            try:
                finished = await process.finished()
                in_flight = provider.books.requests
                assert finished.code == 6, finished.err
                assert in_flight <= 12
                assert list(bench.statuses().values()).count("succeeded") == in_flight
                assert "can't be reached" in finished.err
                assert "nothing new is sent until it answers, for up to 2s" in finished.err
                again = await bench.command(*arguments)
                assert (again.code, provider.books.requests) == (6, in_flight), again.err
            finally:
                shared.server.start()
        assert (await bench.command(*arguments)).code == 0
        assert (provider.books.requests, provider.books.billed) == (18, 18)
        assert shared.sums() == pytest.approx((18 * LOW_USD, 0))


async def test_one_that_comes_back_in_time_is_waited_for(bench: Bench, shared: Shared) -> None:
    configure(bench, shared, wait_s=60, per_day_usd=100)
    async with sandbox(latency="0.2") as provider:
        arguments = bench.run_arguments(bench.write(jobs(30)), provider, "--concurrency", "6", "--yes")
        async with bench.started(*arguments) as process:
            await arrived(provider.books, 6)
            shared.server.stop()
            await asyncio.sleep(1)
            held = provider.books.requests
            await asyncio.sleep(0.5)
            assert provider.books.requests == held <= 12
            shared.server.start()
            finished = await process.finished()
        assert finished.code == 0, finished.err
        assert finished.err.count("nothing new is sent until it answers") == 1
        assert finished.err.count("answers again; resuming") == 1
        assert (provider.books.requests, provider.books.billed) == (30, 30)
        assert shared.sums() == pytest.approx((30 * LOW_USD, 0))


async def test_one_that_restarts_while_a_run_ends_gets_its_last_charges(bench: Bench, shared: Shared) -> None:
    configure(bench, shared, per_day_usd=100)
    async with sandbox(latency="0.5") as provider:
        limits = ("--concurrency", "1", "--max-cost", f"{5.5 * LOW_USD:.4f}", "--yes")
        arguments = bench.run_arguments(bench.write(jobs(8), quality="low"), provider, *limits)
        async with bench.started(*arguments) as process:
            await arrived(provider.books, 5)
            shared.server.stop()
            try:
                await asyncio.sleep(4)  # longer than who is in a hurry waits
            finally:
                shared.server.start()
            finished = await process.finished()
        assert (finished.code, provider.books.billed) == (4, 5), finished.err
        assert shared.sums() == pytest.approx((5 * LOW_USD, 0))


@pytest.mark.parametrize("how", ["away", "hangs"])
async def test_a_signal_ends_a_run_that_waits_for_it(bench: Bench, shared: Shared, how: str) -> None:
    configure(bench, shared, wait_s=600, per_day_usd=100)
    async with sandbox(latency="0.2") as provider:
        arguments = bench.run_arguments(bench.write(jobs(30)), provider, "--concurrency", "6", "--yes")
        async with bench.started(*arguments) as process:
            await arrived(provider.books, 6)
            if how == "away":
                shared.server.stop()
                try:
                    await asyncio.sleep(1.5)
                    process.send(signal.SIGTERM)
                    async with asyncio.timeout(30):
                        finished = await process.finished()
                finally:
                    shared.server.start()
            else:
                with shared.server.frozen():
                    await asyncio.sleep(1.5)
                    process.send(signal.SIGTERM)
                    async with asyncio.timeout(30):
                        finished = await process.finished()
        assert finished.code == 143, finished.err
        sent = provider.books.requests
        assert list(bench.statuses().values()).count("succeeded") == sent
        assert (await bench.command(*arguments)).code == 0
        assert (provider.books.requests, provider.books.billed) == (30, 30)
