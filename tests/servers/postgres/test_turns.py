"""Turns of the rate limit in a database: far enough apart by the server's clock, whatever holds them up."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack

import pytest

from batch_editor.postgres import Database, make_tables, read_database_address
from batch_editor.records import Rate
from batch_editor.scheduling import RateLimiter, SharedRateDatabase
from batch_editor.scheduling.send_policy import jitter_s
from tests.servers.postgres.conftest import Shared
from tests.support.simulated_provider import most_in_a_window, running

pytestmark = pytest.mark.slow


def database_of(shared: Shared) -> Database:
    database = Database(read_database_address(shared.url), wait_s=30, say=lambda _: None)
    connection = database.connect()
    make_tables(connection, None)
    connection.close()
    return database


async def departures(shared: Shared, rate: Rate, *, runs: int, for_s: float, crashes: int) -> list[float]:
    """When requests leave, of runs that share turns, each held up now and then between its permit and the last word."""
    left: list[float] = []
    rng = random.Random(25)

    async def worker(limiter: RateLimiter) -> None:
        while time.monotonic() < ends_at:
            permit = await limiter.permit()
            if rng.random() < 0.1:
                await asyncio.sleep(rng.choice([0.1, 0.3, 0.6, 1.1]))
            await limiter.depart(permit)
            left.append(time.monotonic())

    async with AsyncExitStack() as stack:
        databases = [database_of(shared) for _ in range(runs)]
        turns = [SharedRateDatabase(each, "a key", rate) for each in databases]
        for each in turns:
            stack.push_async_callback(asyncio.to_thread, each.close)
        limiters = [await stack.enter_async_context(running(RateLimiter(rate, shared=each))) for each in turns]
        ends_at = time.monotonic() + for_s
        tasks = [asyncio.create_task(worker(limiter)) for limiter in limiters for _ in range(6)]
        for _ in range(crashes):
            await asyncio.sleep(for_s / (crashes + 1))
            await asyncio.to_thread(shared.server.restart)
        await asyncio.gather(*tasks)
    return left


@pytest.mark.fault(110, 113)
@pytest.mark.parametrize(("rate", "crashes", "share"), [(Rate(40, 1.0), 0, 0.5), (Rate(40, 1.0), 2, 0.2)], ids=str)
async def test_no_window_of_all_runs_together_holds_more_than_the_limit(
    shared: Shared, rate: Rate, crashes: int, share: float
) -> None:
    for_s = 6.0 if crashes else 3.0
    left = await departures(shared, rate, runs=4, for_s=for_s, crashes=crashes)
    # Whatever the way to the provider takes, up to the jitter.
    assert most_in_a_window(left, rate.period_s + 0.999 * jitter_s(rate)) <= rate.count
    assert len(left) >= share * for_s * rate.count


async def test_an_instant_that_another_clock_wrote_is_not_waited_for(shared: Shared) -> None:
    turns = SharedRateDatabase(database_of(shared), "a key", Rate(10, 1.0))
    try:
        await turns.turn()
        shared.server.ask(shared.name, "UPDATE batch_editor_turns SET due = due + 86400")
        async with asyncio.timeout(5):
            await turns.turn()
        ((key,),) = shared.server.ask(shared.name, "SELECT key FROM batch_editor_turns")
        assert key == "a key"
    finally:
        await asyncio.to_thread(turns.close)
