"""How a run stands, by the file that pages read: its figures are the ledger's and the provider's."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from batch_editor.ledger import readings, run_readings
from batch_editor.output.run_status import FILE_NAME, RunStatus, Slow, read_status, write_status
from batch_editor.records import Rate
from batch_editor.runs.live import CALM_S, TOLD_EVERY_S, _News
from batch_editor.runs.slow import why_slow
from batch_editor.scheduling import LimiterState
from tests.support.bench import LOW_USD, Bench, arrived, jobs, sandbox


@asynccontextmanager
async def watched(out: Path) -> AsyncIterator[list[RunStatus]]:
    """Every status that stands in the file while the block lasts, as somebody sees it who looks all the time."""
    seen: list[RunStatus] = []
    over = asyncio.Event()

    async def look() -> None:
        while not over.is_set():
            status = await asyncio.to_thread(read_status, out)
            if status is not None and status not in seen:
                seen.append(status)
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        try:
            yield seen
        finally:
            over.set()


async def test_a_run_tells_once_a_second_how_it_stands(bench: Bench) -> None:
    async with sandbox(latency="1") as provider, watched(bench.out) as seen:
        await bench.run(jobs(6), provider, concurrency=2, budget__max_cost_usd=5)
    assert provider.books.billed_usd == pytest.approx(6 * LOW_USD)
    assert len(seen) >= 3
    first, last = seen[0], seen[-1]
    assert (first.jobs, first.jobs_succeeded, first.concurrency, first.budget_usd) == (6, 0, 2, 5.0)
    assert (first.pid, first.host, first.stop_signal, first.sandbox) == (os.getpid(), socket.gethostname(), None, False)
    assert [each.jobs_succeeded for each in seen] == sorted(each.jobs_succeeded for each in seen)
    assert max(each.in_flight for each in seen) == 2
    for each in seen:
        assert each.confirmed_usd == pytest.approx(each.jobs_succeeded * LOW_USD)
        assert each.spent_usd + each.reserved_usd <= 5.0
    assert last.latency_p50_s == pytest.approx(1.0, abs=0.5)
    assert last.eta_s is not None
    assert not (bench.out / FILE_NAME).exists()  # the ledger says the rest


async def test_its_money_is_the_ledger_s_and_the_provider_s_to_the_cent(bench: Bench) -> None:
    """With failures that were billed, those that cost nothing, others that are made again, and one still in flight."""
    faults = ["hang:prompt~edit job-39", "502:0.2:billed=1", "garbage:0.1", "429:0.1", "400:0.1"]
    async with sandbox(latency="0.1", seed=3, faults=faults) as provider:
        run = asyncio.create_task(
            bench.run(jobs(40), provider, concurrency=4, retry__max_attempts=8, retry__max_possibly_billed=9)
        )
        last = await settled(bench.out, in_flight=1)
        with readings.reading(bench.out) as db:
            (begun,) = db.execute("SELECT run_id FROM runs").fetchone()
            cost, standing = run_readings.cost_of(db, begun), readings.standing(db)
            (open_usd,) = db.execute("SELECT sum(charged_usd) FROM attempts WHERE state = 'sent'").fetchone()
            failing = dict(
                db.execute(
                    "SELECT error_kind, count(*) FROM attempts WHERE error_kind IS NOT NULL GROUP BY 1",
                )
            )
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run
    assert last.run_id == begun
    jobs_now = standing.jobs
    assert (last.jobs_succeeded, last.jobs_failed) == (jobs_now.succeeded, jobs_now.failed + jobs_now.unknown)
    assert last.confirmed_usd == pytest.approx(cost.charged_usd)
    assert last.confirmed_usd == pytest.approx(last.jobs_succeeded * LOW_USD)
    assert last.possibly_billed == cost.possibly_billed
    assert last.possibly_billed_usd == pytest.approx(cost.possibly_usd)
    assert last.reserved_usd == pytest.approx(open_usd)
    assert last.possibly_billed > 0
    assert {each.kind: each.count for each in last.failing} == failing
    assert last.sent == provider.books.requests
    charged = sum(entry.billed_usd or 0.0 for entry in provider.books.log if entry.status is not None)
    assert charged == pytest.approx((last.jobs_succeeded + last.possibly_billed) * LOW_USD)
    assert charged <= last.confirmed_usd + last.possibly_billed_usd  # an upper bound, where nobody says the charge


async def settled(out: Path, *, in_flight: int) -> RunStatus:
    """The status once nothing but so many requests is left to wait for."""
    async with asyncio.timeout(40):
        while True:
            status = await asyncio.to_thread(read_status, out)
            if (
                status
                and status.in_flight == in_flight
                and status.jobs_succeeded + status.jobs_failed == status.jobs - 1
            ):
                return status
            await asyncio.sleep(0.1)


async def test_a_run_that_is_killed_leaves_its_last_word(bench: Bench) -> None:
    manifest = bench.write(jobs(8))
    async with sandbox(latency="2") as provider:
        async with bench.started(*bench.run_arguments(manifest, provider)) as process:
            await arrived(provider.books, 8)
            async with asyncio.timeout(20):
                while (status := read_status(bench.out)) is None or status.in_flight < 8:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert (status.pid, status.stop_signal) == (process.pid, "SIGINT")
            process.kill()
            await process.ended()
        assert read_status(bench.out) is not None
        assert (await bench.run(manifest, provider)).exit_code == 0
    assert read_status(bench.out) is None


async def test_a_run_that_is_asked_to_stop_says_so_at_once(bench: Bench) -> None:
    manifest = bench.write(jobs(8))
    async with (
        sandbox(latency="2") as provider,
        bench.started(*bench.run_arguments(manifest, provider, "--concurrency", "2")) as process,
    ):
        await arrived(provider.books, 2)
        process.send(signal.SIGINT)
        async with asyncio.timeout(20):
            while (status := read_status(bench.out)) is None or status.stopping is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert status.stopping.kind == "signal"
        assert status.stop_signal is None  # a second one would drop what is paid for
        assert (await process.finished()).code == 130


async def test_a_disk_that_refuses_the_file_is_no_trouble_of_the_run_s(bench: Bench) -> None:
    async with sandbox(latency="1.2") as provider:
        await bench.run(jobs(1), provider)
        (bench.out / FILE_NAME).mkdir()
        (bench.out / FILE_NAME / "something").touch()
        assert (await bench.run(jobs(2), provider)).exit_code == 0


DROPPED = "at most 12 of 64 requests are in flight, for the provider drops too many (503, 504, no answer in time)"


def state(**changes: object) -> LimiterState:
    told = {"limit": Rate(60, 60.0), "allowed": 60.0, "why": "as configured", "pause_s": 0.0}
    return LimiterState(**{**told, "outage_s": 0.0, "probe_s": 0.0, "most_in_flight": None, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("held", "others", "said"),
    [
        (state(), {}, []),
        (
            state(outage_s=90.0, probe_s=20.0),
            {},
            ["outage: the provider has been down for 1m 30s; it is tried with one request at a time, next in 20s"],
        ),
        (state(pause_s=12.0), {}, ["pause: the provider answered 429: nothing is sent for another 12s"]),
        (state(pause_s=0.3), {}, ["pause: the provider answered 429: nothing is sent for another 1s"]),
        (
            state(allowed=45.0, why="429 after 50 requests within 60 s"),
            {},
            ["rate: the rate is lowered to 45 of 60/min: 429 after 50 requests within 60 s"],
        ),
        (
            state(most_in_flight=12),
            {},
            ["dropped: " + DROPPED],
        ),
        (state(most_in_flight=64), {}, []),
        (
            state(),
            {"in_flight": 64, "latency_s": 120.0},
            ["concurrency: all 64 of `concurrency` are in flight, and an answer takes 120 s: that is 32 a minute"],
        ),
        (state(), {"in_flight": 64, "latency_s": 62.0}, []),  # the rate is what limits
        (state(), {"in_flight": 63, "latency_s": 120.0}, []),
    ],
)
def test_why_a_run_is_slow_is_said_in_words(held: LimiterState, others: dict[str, float], said: list[str]) -> None:
    how = {"in_flight": 3, "latency_s": 60.0, **others}
    found = why_slow(held, in_flight=int(how["in_flight"]), concurrency=64, latency_s=how["latency_s"])
    assert [f"{each.cause}: {each.message}" for each in found] == said


def test_a_terminal_hears_why_it_is_slow_when_that_changes_and_no_oftener() -> None:
    said: list[str] = []
    news = _News(said.append)
    lowered = Slow("rate", "the rate is lowered")
    for second in range(10):
        news.hear([lowered], float(second))
    assert said == ["slow: the rate is lowered"]
    news.hear([], 10.0)
    assert said[1:] == ["not slow any more: the rate is what the settings allow"]
    for second in range(11, 11 + int(TOLD_EVERY_S) - 12):  # up and down within a minute
        news.hear([lowered] if second % 2 else [], float(second))
    assert len(said) == 2
    news.hear([], 99.0)
    news.hear([lowered], 100.0)
    assert said[2:] == ["slow: the rate is lowered"]


def test_the_log_has_a_reason_once_though_it_comes_and_goes_within_seconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "batch_editor")
    news = _News(lambda line: None)
    full = Slow("concurrency", "all 20 are in flight")
    for second in range(30):
        news.hear([full] if second % 3 else [], float(second))
    assert caplog.messages == ["slow"]
    for second in range(30, 30 + int(CALM_S)):
        news.hear([], float(second))
    assert caplog.messages == ["slow", "not slow any more"]
    news.hear([full], 60.0)
    assert caplog.messages[2:] == ["slow"]


def test_a_pause_is_news_when_it_lasts_and_an_outage_is_the_monitor_s_to_tell() -> None:
    said: list[str] = []
    news = _News(said.append)
    for second in range(4):
        news.hear([Slow("pause", "429"), Slow("outage", "down"), Slow("concurrency", "full")], float(second))
    assert said == []
    news.hear([Slow("pause", "429")], 5.0)
    assert said == ["slow: 429"]


async def test_a_run_that_is_slowed_down_says_why(bench: Bench) -> None:
    manifest = bench.write(jobs(40))
    async with sandbox(rate_limit="10/s", latency="0.1") as provider:
        arguments = [*bench.run_arguments(manifest, provider), "--rate", "60/s", "-v"]
        done = await bench.command(*arguments)
    assert done.code == 0
    slow = [line for line in done.err.splitlines() if line.startswith("slow: the rate is lowered to ")]
    assert len(slow) == 1
    assert " of 60/s: 429 after " in slow[0]
    assert " slow cause=rate why=the rate is lowered to " in done.err


def test_a_status_comes_back_as_it_was_written_and_nonsense_is_none(tmp_path: Path) -> None:
    assert read_status(tmp_path) is None
    for nonsense in (b"", b"{}", b"[1]", b'{"run_id": 1}', b"\xff"):
        (tmp_path / FILE_NAME).write_bytes(nonsense)
        assert read_status(tmp_path) is None
    told = json.loads(_EXAMPLE) | {"written_at": time.time(), "of_a_later_version": 1}
    (tmp_path / FILE_NAME).write_text(json.dumps(told), encoding="utf-8")
    status = read_status(tmp_path)
    assert status is not None
    write_status(tmp_path, status)
    assert read_status(tmp_path) == status
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


_EXAMPLE = """{"run_id": "r", "pid": 1, "host": "h", "sandbox": false, "stop_signal": "SIGINT", "started_at": 1.0,
"written_at": 2.0, "jobs": 9, "jobs_succeeded": 3, "jobs_failed": 1, "sent": 5, "retried": 1, "in_flight": 2,
"concurrency": 64, "per_min": 60.0, "sent_last_minute": 61, "limit": "60/min", "limit_per_min": 60.0,
"allowed_per_min": 45.0, "eta_s": null, "latency_p50_s": 4.0, "latency_p95_s": 6.0, "confirmed_usd": 0.5,
"possibly_billed": 1, "possibly_billed_usd": 0.2, "reserved_usd": 0.4, "spent_usd": 0.7, "budget_usd": null,
"slow": [{"cause": "rate", "message": "m"}], "failing": [{"kind": "k", "count": 1, "job_id": "j", "error": "e"}],
"stopping": {"kind": "signal", "message": "m"}}"""
