"""Reservations a second in PostgreSQL, beside bare psycopg that sends the same statements; and turns of the rate limit.

    python benchmarks/shared_spending.py [--quick] [--seconds 3]

Both work in turns, from one connection and from eight, so that what else runs on the machine slows both. `grouped` is
as a run has it: 64 requests in flight, whose reservations share transactions. The server is Debian's, its files are in
memory.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for tests.support, from wherever this is started

from batch_editor.money import SharedBudget, SpendingDatabase  # noqa: E402
from batch_editor.money.spending_database import LOCK, RESERVE  # noqa: E402
from batch_editor.postgres import Database, read_database_address, table_names  # noqa: E402
from batch_editor.postgres.connection import GUARDS  # noqa: E402
from batch_editor.records import Rate  # noqa: E402
from batch_editor.scheduling import SharedRateDatabase  # noqa: E402
from tests.support.postgres_server import PASSWORD, Postgres, postgres  # noqa: E402

TURNS = 4
IN_FLIGHT = 64
Reserve = Callable[[str], object]


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn")
    parser.add_argument("--quick", action="store_true", help="half a second each")
    options = parser.parse_args()
    seconds = 0.5 if options.quick else options.seconds
    os.environ["SHOP_DB_PASSWORD"] = PASSWORD
    with postgres() as server:
        opened(server).close()
        for connections in (1, 8):
            ours, bare = [], []
            for _ in range(TURNS):
                ours.append(by_threads([ours_on(server) for _ in range(connections)], seconds))
                bare.append(by_threads([bare_on(server) for _ in range(connections)], seconds))
            said = f"{max(ours):7.0f} a second, bare psycopg {max(bare):7.0f}: {max(ours) / max(bare):.2f}"
            print(f"{connections} connection{'s' * (connections > 1)}: {said}")
        print(f"grouped:      {asyncio.run(grouped(server, seconds)):7.0f} a second")
        print(f"turns:        {asyncio.run(turns(server, seconds)):7.0f} a second")


def opened(server: Postgres) -> SpendingDatabase:
    """Limits that are never reached, so that each reservation looks them all up."""
    database = Database(read_database_address(server.url("postgres")), wait_s=5, say=print)
    spending = SpendingDatabase(database, "bench", per_day_usd=1e9, per_month_usd=1e9)
    spending.prove(time.time())
    return spending


def ours_on(server: Postgres) -> Reserve:
    """A reservation by this package, on a connection of its own."""
    spending, now = opened(server), time.time()
    return lambda attempt: spending.reserve(attempt, 0.01, now, steady_usd=None, endpoint="a")


def bare_on(server: Postgres) -> Reserve:
    """The same statements by psycopg alone."""
    db = psycopg.connect(
        host="127.0.0.1",
        port=server.port,
        user="postgres",
        password=PASSWORD,
        dbname="postgres",
        autocommit=True,
        cursor_factory=psycopg.ClientCursor,
    )
    names, now = table_names(None), time.time()
    begin, statement = f"BEGIN; {GUARDS}{LOCK.format(**names)}".encode(), RESERVE.format(**names).encode()
    day = int(now // 86_400)
    values: dict[str, Any] = {"owner": "bench", "usd": 0.01, "now": now, "since": now - 300, "tolerance": 1e-9}
    values |= {"today": day, "first": day - 5, "end": day + 25, "and_open": True, "steady_usd": None}
    values |= {"per_day_usd": 1e9, "per_month_usd": 1e9, "approval": None, "approved_usd": None, "endpoint": "a"}

    def reserve(attempt: str) -> None:
        db.execute(begin)
        db.execute(statement, {**values, "attempt": attempt})
        db.execute(b"COMMIT")

    return reserve


def by_threads(workers: list[Reserve], seconds: float) -> float:
    """How many a second they make together, each on a thread."""
    ends_at = time.perf_counter() + seconds

    def work(reserve: Reserve) -> int:
        count = 0
        while time.perf_counter() < ends_at:
            reserve(f"{id(reserve)}-{time.monotonic_ns()}")
            count += 1
        return count

    with ThreadPoolExecutor(len(workers)) as threads:
        return sum(threads.map(work, workers)) / seconds


async def grouped(server: Postgres, seconds: float) -> float:
    """How many a run makes with so many requests in flight."""
    shared, now = SharedBudget(opened(server)), time.time()
    ends_at = time.perf_counter() + seconds

    async def worker(number: int) -> int:
        count = 0
        while time.perf_counter() < ends_at:
            count += 1
            await shared.reserve(f"g{number}-{time.monotonic_ns()}", 0.01, now, steady_usd=None, endpoint="a")
        return count

    counts = await asyncio.gather(*(worker(number) for number in range(IN_FLIGHT)))
    await asyncio.to_thread(shared.close)
    return sum(counts) / seconds


async def turns(server: Postgres, seconds: float) -> float:
    """How many turns one run takes, of a rate that none has to wait for."""
    database = Database(read_database_address(server.url("postgres")), wait_s=5, say=print)
    shared = SharedRateDatabase(database, "bench", Rate(1_000_000, 1.0))
    ends_at, count = time.perf_counter() + seconds, 0
    while time.perf_counter() < ends_at:
        await shared.turn()
        count += 1
    await asyncio.to_thread(shared.close)
    return count / seconds


if __name__ == "__main__":
    main()
