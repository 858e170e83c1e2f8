"""The end of a run by the clock, or by what goes wrong."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from batch_editor import load_settings
from batch_editor.config.deadline import deadline_at
from tests.support.bench import Bench, jobs, sandbox

# A busy machine may slow one of two runs alone, so where the two disagree both are measured again.
MEASUREMENTS = 3


@pytest.mark.slow
async def test_nothing_is_started_that_would_end_after_the_deadline_and_all_in_flight_is_finished(bench: Bench) -> None:
    async with sandbox(latency="0.3-0.6") as provider:
        opened_at = time.time()
        settings_read_at = time.time()
        summary = await bench.run(jobs(300), provider, concurrency=6, deadline="4s")
        books = provider.books
        assert books.in_flight == 0
    deadline = settings_read_at - opened_at + 4.0
    assert summary.exit_code == 4
    assert summary.stop is not None
    assert (summary.stop.kind, summary.stop.message) == (
        "deadline",
        "no further request would be back before the deadline",
    )
    # By the provider's clock: an attempt takes at least 0.3 s, and at the 95th percentile nearly 0.6 s; starting one
    # takes a while as well.
    assert books.log[-1].at <= deadline - 0.4
    assert books.log[-1].at >= deadline - 1.5
    ended = [datetime.fromisoformat(row["finished_at"]).timestamp() for row in bench.rows() if row["finished_at"]]
    late = [at for at in ended if at > settings_read_at + 4.0]
    assert len(late) <= 0.05 * len(ended) + 1
    assert summary.jobs.succeeded == books.billed == len(ended)
    assert summary.jobs.pending == 300 - len(ended)


@pytest.mark.slow
async def test_a_plan_says_how_many_jobs_fit_and_a_run_does_about_as_many(bench: Bench) -> None:
    async with sandbox(latency="0.3-0.5") as provider:
        for number in range(MEASUREMENTS):
            before, out = bench.folder / f"before-{number}", bench.folder / f"out-{number}"
            await bench.run(jobs(30, name=f"before-{number}"), provider, out=before, concurrency=6)
            wanted = jobs(200, name=f"wanted-{number}")
            plan = bench.plan(wanted, out=out, history=[before], concurrency=6, deadline="3s")
            summary = await bench.run(wanted, provider, out=out, concurrency=6, deadline="3s")
            fit = plan.deadline
            if agree := fit is not None and fit.requests == pytest.approx(summary.jobs.succeeded, rel=0.35):
                break
    assert agree
    assert fit is not None
    assert not fit.fits
    assert any(line.endswith(f"does not fit: {fit.requests} of 200 requests do") for line in plan.lines())


def test_a_plan_that_ends_before_the_deadline_fits(bench: Bench) -> None:
    plan = bench.plan(jobs(5), deadline="2h")
    assert plan.deadline is not None
    assert (plan.deadline.fits, plan.deadline.requests) == (True, 5)
    assert f"Deadline: {plan.deadline.limit} fits" in list(plan.lines())


@pytest.mark.slow
async def test_a_deadline_is_an_instant_that_waiting_does_not_move(bench: Bench) -> None:
    settings = load_settings(flags={"deadline": "1s"})
    ends_at = settings.ends_at
    assert ends_at is not None
    await asyncio.sleep(1.1)
    assert settings.ends_at == ends_at
    async with sandbox() as provider:
        summary = await bench.run(jobs(3), provider, deadline=f"{datetime.now() + timedelta(seconds=0.3):%FT%T.%f}")
    # It had passed before anything could be sent, and that is no error of the command.
    assert summary.exit_code in (0, 4)


BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("now", "text", "hours"),
    [
        (datetime(2026, 10, 24, 22, 0, tzinfo=BERLIN), "06:00", 9),  # the clock goes back: an hour more
        (datetime(2026, 3, 28, 22, 0, tzinfo=BERLIN), "06:00", 7),  # and forward: an hour less
        (datetime(2026, 6, 1, 22, 0, tzinfo=BERLIN), "06:00", 8),
        (datetime(2026, 10, 31, 23, 0, tzinfo=NEW_YORK), "06:00", 8),
        (datetime(2026, 10, 24, 22, 0, tzinfo=BERLIN), "8h", 8),  # a duration knows no clock
        (datetime(2026, 3, 28, 22, 0, tzinfo=BERLIN), "8h", 8),
        (datetime(2026, 10, 24, 22, 0, tzinfo=BERLIN), "2026-10-25T06:00", 9),
        (datetime(2026, 6, 1, 6, 0, tzinfo=BERLIN), "06:00", 24),  # now is not the next one
        (datetime(2026, 3, 29, 1, 30, tzinfo=BERLIN), "02:30", 1),  # skipped that night: 03:30 on the new clock
        (datetime(2026, 10, 25, 2, 45, tzinfo=BERLIN), "02:30", 0.75),  # shown twice that night
    ],
)
def test_a_time_of_day_is_the_next_one_on_the_clock(now: datetime, text: str, hours: float) -> None:
    assert (deadline_at(text, now).timestamp() - now.timestamp()) / 3600 == hours


@pytest.mark.parametrize(("now", "hours"), [("2026, 10, 24, 22", 9), ("2026, 3, 28, 22", 7), ("2026, 6, 1, 22", 8)])
@pytest.mark.slow
def test_the_clock_is_that_of_this_machine_through_summer_time(now: str, hours: float) -> None:
    program = (
        "from datetime import datetime; from batch_editor.config.deadline import deadline_at;"
        f" now = datetime({now}); print((deadline_at('06:00', now).timestamp() - now.timestamp()) / 3600)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TZ": "Europe/Berlin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(told.stdout) == hours


async def test_a_run_going_wrong_stops_and_names_the_commonest_cause_with_an_example(bench: Bench) -> None:
    async with sandbox(faults=("500@2:text=Odd one", "400:text=The size is wrong")) as provider:
        summary = await bench.run(jobs(50), provider, concurrency=1, max_failures="4")
    assert (summary.exit_code, provider.books.requests, summary.jobs.pending) == (4, 4, 46)
    assert summary.stop is not None
    assert summary.stop.message == (
        "4 of 4 jobs failed, which max_failures 4 does not allow; 3 of them with invalid_parameter,"
        " for example job-3: HTTP 400 (Invalid parameters or request format): The size is wrong"
    )


@pytest.mark.parametrize(
    ("faults", "sent", "code"),
    [("400@1-5", 20, 4), ("400@1-4", 60, 1), ("400@16-25", 20, 4), ("400", 20, 4)],
    ids=["a quarter", "a fifth less one", "late", "all"],
)
@pytest.mark.slow
async def test_a_share_of_failures_is_judged_after_twenty_jobs(bench: Bench, faults: str, sent: int, code: int) -> None:
    async with sandbox(faults=(faults,)) as provider:
        summary = await bench.run(jobs(60), provider, concurrency=1, max_failures="25%")
    assert (summary.exit_code, provider.books.requests) == (code, sent)
