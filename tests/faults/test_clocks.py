"""Clocks that are set, and machines that sleep: intervals are measured by time that passes, deadlines by the clock."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from batch_editor.sandbox import Sandbox
from tests.support.bench import KEY, Bench, arrived, jobs, sandbox
from tests.support.command import Finished

pytestmark = pytest.mark.slow

# The clock of the wall, seen from within the process: real time and what has been set on top of it.
CLOCK = """
import os, sys, time
from batch_editor.cli.main import main
real = time.time
time.time = lambda: real() + {jump}
sys.exit(main(sys.argv[1:]))
"""


async def run_with_clock(bench: Bench, jump: str, provider: Sandbox, *more: str, after: int = 0) -> Finished:
    """A run whose clock is off by `jump`, seconds as an expression; `set` is true once so many requests have left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CLOCK.replace("{jump}", jump)),
        *map(str, [*bench.run_arguments(bench.write(jobs(24)), provider), *more]),
        cwd=bench.folder,
        env={**os.environ, "SEGMIND_API_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    await arrived(provider.books, after)
    (bench.folder / "set").touch()
    out, err = await process.communicate()
    assert process.returncode is not None
    return Finished(process.returncode, out.decode(), err.decode())


@pytest.mark.fault(81)
async def test_a_clock_that_jumps_to_and_fro_changes_neither_pace_nor_outcome(bench: Bench) -> None:
    async with sandbox(latency="0.1") as provider:
        jump = "(0, 3600, -3600)[int(20 * time.monotonic()) % 3]"
        finished = await run_with_clock(bench, jump, provider, "--rate", "10/s", "--concurrency", "8")
        assert finished.code == 0, finished.err
        assert provider.books.most_in_window(1.0) <= 10
        assert (provider.books.requests, provider.books.double_billed) == (24, 0)
    assert all(0 <= float(row["latency_s"]) < 30 for row in bench.rows())


@pytest.mark.fault(81)
async def test_a_clock_set_back_between_runs_delays_the_next_by_a_window_at_most(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(5), provider, rate_limit="5/s")
        with closing(sqlite3.connect(bench.out / "ledger.sqlite3")) as db, db:
            db.execute("UPDATE attempts SET sent_at = sent_at + 3600")
        began = provider.books.log[-1].at
        assert (await bench.run(jobs(10), provider, rate_limit="5/s")).exit_code == 0
        assert provider.books.most_in_window(1.0) <= 5
        # Not the hour that the clock says.
        assert provider.books.log[-1].at - began < 60


@pytest.mark.fault(81)
async def test_a_deadline_goes_by_the_clock_on_the_wall(bench: Bench) -> None:
    async with sandbox(latency="1.5") as provider:
        jump = "7200 * os.path.exists('set')"
        finished = await run_with_clock(bench, jump, provider, "--deadline=1h", "--concurrency=2", after=4)
        assert finished.code == 4, finished.err
        assert "the clock went forward by 2h 0m: it was set, or this machine slept" in finished.err
        sent = provider.books.requests
        assert 0 < sent < 24
        # What was in flight is finished.
        assert list(bench.statuses().values()).count("succeeded") == sent
    assert {row["error_kind"] for row in bench.rows() if row["status"] == "pending"} == {"deadline"}


@pytest.mark.fault(82)
async def test_requests_that_a_sleep_cut_off_may_have_been_billed_and_the_log_says_why(bench: Bench) -> None:
    """Asleep, time stands still while the clock goes on, and the other side gives connections up."""
    log = bench.folder / "log.jsonl"
    async with sandbox(latency="3", faults=("reset@1-2",)) as provider:
        jump = "36000 * os.path.exists('set')"
        finished = await run_with_clock(
            bench, jump, provider, "--limit=4", "--concurrency=4", f"--log-file={log}", after=4
        )
        assert finished.code == 0, finished.err
        assert "the clock went forward by 10h 0m" in finished.err
        assert provider.books.requests == 6
    assert sum(int(row["possibly_billed"]) for row in bench.rows()) == 2
    assert '"event":"clock jumped","jump_s":36000' in log.read_text(encoding="utf-8")
