"""The shared budget's file in the hands of a process that hangs: what was paid for is recorded all the same."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from batch_editor import LedgerError
from batch_editor.money import SpendingFile
from batch_editor.money.shared_budget import SharedBudget
from tests.support.bench import Bench, arrived, jobs, sandbox

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
MODEL = "gpt-image-1.5-edit"


@contextmanager
def held(path: Path) -> Iterator[None]:
    """As by a process that stands still within a transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def opened(path: Path) -> Iterator[SpendingFile]:
    spending = SpendingFile(path, "here", per_day_usd=1.0, per_month_usd=None)
    try:
        yield spending
    finally:
        spending.close()


@contextmanager
def at_work(spending: SpendingFile) -> Iterator[SharedBudget]:
    shared = SharedBudget(spending)
    try:
        yield shared
    finally:
        shared.close()


@pytest.mark.slow
async def test_results_are_recorded_while_another_process_holds_the_file(bench: Bench) -> None:
    file = bench.folder / "spending"
    flags: dict[str, Any] = {"budget__ledger": file, "budget__per_day_usd": 10.0}

    def states() -> dict[str, int]:
        with closing(sqlite3.connect(bench.out / "ledger.sqlite3")) as db:
            return dict(db.execute("SELECT state, count(*) FROM attempts GROUP BY 1"))

    async with sandbox(latency="0.5") as provider:
        run = asyncio.create_task(bench.run(jobs(12), provider, concurrency=4, **flags))
        await arrived(provider.books, 4)
        with held(file):
            async with asyncio.timeout(10):
                while states() != {"succeeded": 4}:  # noqa: ASYNC110  # a ledger has no event for it
                    await asyncio.sleep(0.05)
            assert provider.books.requests == 4
        summary = await run
        assert (summary.exit_code, provider.books.requests) == (0, 12)
    with closing(sqlite3.connect(file)) as db:
        ((spent, open_attempts),) = db.execute("SELECT sum(usd), sum(open) FROM spending").fetchall()
    assert (spent, open_attempts) == (pytest.approx(provider.books.billed_usd), 0)


@pytest.mark.slow
async def test_who_waits_for_the_file_for_too_long_is_told_what_is_in_the_way(tmp_path: Path) -> None:
    with opened(tmp_path / "s") as spending, at_work(spending) as shared, held(tmp_path / "s"):
        spending.hurry()
        with pytest.raises(LedgerError) as caught:
            await shared.reserve("a", 0.1, NOON, steady_usd=None, endpoint=MODEL)
    assert str(caught.value) == (
        f"{tmp_path / 's'}: budget.ledger can't be used (another process has kept it locked for 1 s; end that process,"
        " and run again)"
    )


@pytest.mark.slow
async def test_what_could_not_be_charged_is_charged_later_and_before_what_is_reserved_anew(tmp_path: Path) -> None:
    with opened(tmp_path / "s") as spending, at_work(spending) as shared:
        for attempt in "abc":
            assert await shared.reserve(attempt, 0.3, NOON, steady_usd=None, endpoint=MODEL)
        spending.hurry()
        with held(tmp_path / "s"):
            shared.charge("a", 0.1)
            shared.charge("b", 0.0)
            with pytest.raises(LedgerError):
                await shared.reserve("d", 0.3, NOON, steady_usd=None, endpoint=MODEL)
        # As after an attempt that was withdrawn: its number comes again.
        assert await shared.reserve("b", 0.5, NOON, steady_usd=None, endpoint=MODEL)
        assert (await shared.room(NOON))[0] == pytest.approx(0.1)
        shared.charge("c", 0.2)
        assert (await shared.room(NOON))[0] == pytest.approx(0.2)


@pytest.mark.parametrize("freed", [True, False])
@pytest.mark.slow
async def test_what_is_left_to_be_charged_at_the_end_is_or_counts_as_it_was_reserved(
    tmp_path: Path, freed: bool
) -> None:
    with opened(tmp_path / "s") as spending:
        with at_work(spending) as shared:
            assert await shared.reserve("a", 0.3, NOON, steady_usd=None, endpoint=MODEL)
            spending.hurry()
            with held(tmp_path / "s"):
                shared.charge("a", 0.1)
                await asyncio.sleep(1.5)
                if not freed:
                    shared.close()
        assert spending.left_usd(NOON) == pytest.approx(0.9 if freed else 0.7)
        assert spending.open_attempts() == ([] if freed else ["a"])


@pytest.mark.slow
async def test_who_ends_does_not_wait_as_long(tmp_path: Path) -> None:
    with opened(tmp_path / "s") as spending, held(tmp_path / "s"):
        shared = SharedBudget(spending)
        waiting = asyncio.create_task(shared.reserve("a", 0.1, NOON, steady_usd=None, endpoint=MODEL))
        await asyncio.sleep(0.3)
        began_at = time.monotonic()
        await asyncio.to_thread(shared.close)
        assert time.monotonic() - began_at < 5
        with pytest.raises(LedgerError):
            await waiting
