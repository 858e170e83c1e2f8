"""The page of the run, as its server tells it: also of a run that is killed, that another begins after, that stops."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from batch_editor.ledger import readings, run_readings
from batch_editor.ledger.figure_readings import RunRow
from batch_editor.output import Holder, process_at_work
from batch_editor.output.run_status import FILE_NAME, RunStatus, Stopping, read_status
from batch_editor.review.index import Index
from batch_editor.review.live import Live, state_of
from batch_editor.sandbox import Sandbox
from tests.support.bench import LOW_USD, Bench, arrived, jobs, sandbox
from tests.support.command import Process
from tests.support.page import Page, reviewed

WITHIN_S = 25.0


@asynccontextmanager
async def running(
    bench: Bench, provider: Sandbox, *more: str, count: int = 12, first: int = 4
) -> AsyncIterator[Process]:
    """A run of so many jobs, so many at a time, in a process of its own, once as many have arrived."""
    manifest = bench.write(jobs(count))
    arguments = bench.run_arguments(manifest, provider, "--concurrency", str(first), *more)
    before = provider.books.requests
    async with bench.started(*arguments) as process:
        await arrived(provider.books, before + first)
        yield process


async def until(page: Page, claim: Callable[[Any], bool]) -> Any:
    """How the run stands, once that holds."""
    found: Any = None
    ends_at = time.monotonic() + WITHIN_S
    while found is None or not claim(found):
        assert time.monotonic() < ends_at, found
        await asyncio.sleep(0.1)
        found = await page.get("/api/run")
    return found


@asynccontextmanager
async def streamed(page: Page) -> AsyncIterator[AsyncIterator[Any]]:
    """The `live` events of a page's stream."""

    async def events(response: aiohttp.ClientResponse) -> AsyncIterator[Any]:
        kind = ""
        async for line in response.content:
            name, _, value = line.decode().strip().partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                assert kind == "live", value
                yield json.loads(value)

    async with page._session.get(URL(f"{page.origin}/api/run/events", encoded=True)) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield events(response)


async def test_a_run_is_told_as_it_goes_and_its_figures_are_the_ledger_s(bench: Bench) -> None:
    async with sandbox(latency="0.5", faults=["400:0.2"], seed=5) as provider:
        await bench.run(jobs(1), provider)
        async with reviewed(bench.out) as page, streamed(page) as events:
            first = await anext(events)
            assert first["state"] == "ended"
            assert first["words"] == "The last run has ended with exit code 0."
            async with running(bench, provider, "--max-cost", "5") as process:
                seen = [each async for each in _until_ended(events, first["run"]["run_id"])]
                assert (await process.finished()).code == 1
    states = [each["state"] for each in seen]
    assert "running" in states
    assert states[-1] == "ended"
    at_work = [each for each in seen if each["state"] == "running"]
    assert at_work[-1]["status"]["budget_usd"] == 5.0
    assert at_work[-1]["words"].startswith("A run is at work, process ")
    last = seen[-1]
    assert last["status"] is None
    with readings.reading(bench.out) as db:
        standing, run = readings.standing(db), readings.last_run(db)
        assert run is not None
        cost = run_readings.cost_of(db, run.run_id)
    assert last["jobs"] == {
        "total": 12,
        **{name: getattr(standing.jobs, name) for name in ("succeeded", "failed", "pending", "unknown")},
    }
    assert last["figures"]["sums"]["confirmed_usd"] == pytest.approx(cost.charged_usd, abs=1e-6)
    assert provider.books.billed_usd == pytest.approx(standing.jobs.succeeded * LOW_USD)
    assert [(each["kind"], each["count"]) for each in last["failures"]] == [("invalid_parameter", standing.jobs.failed)]
    assert len(last["latest"]) == min(11, standing.jobs.succeeded)
    assert last["latest"][0]["thumb"].startswith("/thumb/")


async def _until_ended(events: AsyncIterator[Any], before: str) -> AsyncIterator[Any]:
    async with asyncio.timeout(WITHIN_S):
        async for each in events:
            yield each
            if each["state"] == "ended" and each["run"]["run_id"] != before:
                return


async def test_jobs_are_counted_at_the_instant_of_the_figures(bench: Bench, tmp_path: Path) -> None:
    """The index of many jobs takes so long to read that it is seconds older."""
    async with sandbox(faults=["400@4"]) as provider:
        await bench.run(jobs(2), provider)
        older = Path(shutil.copytree(bench.out, tmp_path / "older"))
        await bench.run(jobs(5), provider, concurrency=1)
    found = await asyncio.to_thread(Live(bench.out, Index(older)).look)
    assert found["jobs"] == {"total": 5, "succeeded": 4, "failed": 1, "pending": 0, "unknown": 0}
    assert found["figures"]["sums"]["images"] == 2


async def test_a_run_that_is_killed_is_told_as_such_and_the_one_after_it_too(bench: Bench) -> None:
    async with sandbox(latency="1.5") as provider, running(bench, provider) as process, reviewed(bench.out) as page:
        found = await until(page, lambda found: found["state"] == "running" and found["status"]["in_flight"] == 4)
        process.kill()
        await process.ended()
        found = await until(page, lambda found: found["state"] == "died")
        assert re.match(r"The run died \(its last word is of \d{4}-\d\d-\d\d [\d:]{8} UTC\): ", found["words"])
        assert found["words"].endswith(
            f" UTC): process {process.pid} on {socket.gethostname()} is gone without an end. What was saved is"
            " safe, and the same command again resumes. 4 requests were in flight, and may have been billed."
        )
        assert not found["can_stop"]
        async with running(bench, provider) as again:
            await until(page, lambda found: found["state"] == "running")
            assert (await again.finished()).code == 0
        found = await until(page, lambda found: found["state"] == "ended")
        assert found["figures"]["runs"] == 2  # they share a budget
        assert found["jobs"]["succeeded"] == 12


async def test_stop_gently_finishes_what_is_in_flight_and_is_said_once(bench: Bench) -> None:
    async with (
        sandbox(latency="2") as provider,
        running(bench, provider) as process,
        reviewed(bench.out) as page,
    ):
        found = await until(page, lambda found: found["can_stop"])
        said = {"run_id": found["status"]["run_id"]}
        assert "not at work any more" in (await page.post("/api/run/stop", {"run_id": "other"}, status=409))["error"]
        assert not (await page.post("/api/run/stop", said))["can_stop"]
        refused = await page.post("/api/run/stop", said, status=409)
        assert refused["error"] == "it stops already, or doesn't listen"
        found = await until(page, lambda found: found["state"] in ("stopping", "ended"))
        finished = await process.finished()
        assert finished.code == 130
        assert "SIGINT: 4 requests in flight are paid for and will be finished" in finished.err
        found = await until(page, lambda found: found["state"] == "ended")
        assert found["words"] == (
            "The last run has ended with exit code 130: by SIGINT; running the same command again resumes."
        )
        assert found["jobs"]["succeeded"] == provider.books.requests == 4


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 403),  # no Origin
        ({"Content-Type": "application/json", "Origin": "http://evil.example"}, 403),
        ({"Content-Type": "text/plain", "Origin": "OWN"}, 403),
        ({"Content-Type": "application/json", "Origin": "OWN", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "application/json", "Origin": "OWN"}, 409),
    ],
)
async def test_only_this_server_s_pages_can_stop_a_run(page: Page, headers: dict[str, str], status: int) -> None:
    sent = {name: page.origin if value == "OWN" else value for name, value in headers.items()}
    answer = await page.ask("/api/run/stop", method="POST", data=b'{"run_id": "r"}', headers=sent)
    assert answer.status == status
    async with Page(page._url, enters=False) as stranger:
        assert (await stranger.ask("/api/run/stop", method="POST", data=b"{}", headers=sent)).status == 403
        assert (await stranger.ask("/api/run/events")).status == 403
        assert (await stranger.ask("/run")).status == 403


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"run_id": 1}', b'{"run_id": "r", "pid": 1}'])
async def test_what_isnt_a_request_to_stop_is_refused(page: Page, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Origin": page.origin}
    answer = await page.ask("/api/run/stop", method="POST", data=body, headers=headers)
    assert (answer.status, json.loads(answer.body)["error"]) == (400, 'expected {"run_id": "…"}')


async def test_no_signal_goes_to_a_process_that_doesnt_have_the_lock(bench: Bench) -> None:
    """Numbers of processes come again, and another machine may be called as this one is."""
    async with sandbox(latency="0.5") as provider, running(bench, provider, first=2) as process:
        status = await _status(bench.out)
        process.kill()
        await process.ended()
    bystander = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        (bench.out / ".lock").write_text(
            json.dumps({"pid": bystander.pid, "host": socket.gethostname(), "since": "now"}), encoding="utf-8"
        )
        told = json.loads((bench.out / FILE_NAME).read_bytes()) | {"pid": bystander.pid, "written_at": time.time()}
        (bench.out / FILE_NAME).write_text(json.dumps(told), encoding="utf-8")
        assert process_at_work(bench.out) is None
        async with reviewed(bench.out) as page:
            found = await page.get("/api/run")
            assert (found["state"], found["can_stop"]) == ("died", False)
            refused = await page.post("/api/run/stop", {"run_id": status.run_id}, status=409)
            assert refused["error"] == "that run is not at work any more"
        (bench.out / ".lock").write_text(json.dumps({"pid": 7, "host": "elsewhere", "since": "now"}), encoding="utf-8")
        (bench.out / FILE_NAME).write_text(json.dumps(told | {"pid": 7, "host": "elsewhere"}), encoding="utf-8")
        async with reviewed(bench.out) as page:
            found = await page.get("/api/run")
            assert (found["state"], found["can_stop"]) == ("running", False)
            refused = await page.post("/api/run/stop", {"run_id": status.run_id}, status=409)
            assert refused["error"].endswith("is not a process of this machine; stop it there")
        assert bystander.returncode is None
    finally:
        bystander.kill()
        await bystander.wait()


async def _status(out: Path) -> RunStatus:
    async with asyncio.timeout(WITHIN_S):
        while (status := read_status(out)) is None:  # noqa: ASYNC110  # a file
            await asyncio.sleep(0.05)
    return status


async def test_a_run_that_is_held_is_said_to_be_silent(bench: Bench) -> None:
    now = [0.0]
    async with sandbox(latency="1") as provider, running(bench, provider, count=40) as process:
        await _status(bench.out)
        process.send(signal.SIGSTOP)
        live = Live(bench.out, Index(bench.out), clock=lambda: time.time() + now[0])
        assert (await asyncio.to_thread(live.look))["state"] == "running"
        now[0] = 65.0
        await asyncio.sleep(1)
        found = await asyncio.to_thread(live.look)
        assert found["state"] == "silent"
        assert "has said nothing since 20" in found["words"]
        assert not found["can_stop"]
        process.send(signal.SIGCONT)


async def test_a_page_that_looks_keeps_the_server_and_no_stream_keeps_it_from_ending(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(1), provider)
    async with bench.started("review", bench.out, "--no-open", "--end-when-idle", "2") as process:
        async with Page((await process.line()).split()[-1]) as page, streamed(page) as events:
            await anext(events)
            await asyncio.sleep(3.5)
            assert (await page.ask("/api/run")).status == 200
            began_at = time.monotonic()
            process.send(signal.SIGINT)
            with pytest.raises((StopAsyncIteration, aiohttp.ClientError)):
                await anext(events)
        assert (await process.finished()).code == 0
        assert time.monotonic() - began_at < 5


RUN = RunRow("r", "r", 0, 1.0, None, None, "here", 7, 9, 1.0, 60.0, None, None)
ENDED = RUN._replace(ended_at=5.0, exit_code=0)
HOLDER = Holder(7, "here", "now")


def test_what_the_lock_the_ledger_and_the_run_s_word_come_to(tmp_path: Path) -> None:
    assert state_of(None, None, None, quiet_s=0.0) == "none"
    assert state_of(None, HOLDER, None, quiet_s=0.0) == "beginning"
    assert state_of(ENDED, HOLDER, None, quiet_s=0.0) == "beginning"
    assert state_of(ENDED, None, None, quiet_s=0.0) == "ended"
    assert state_of(RUN, None, None, quiet_s=0.0) == "died"
    assert state_of(RUN, HOLDER._replace(pid=8), None, quiet_s=0.0) == "died"
    assert state_of(RUN, HOLDER._replace(host="there"), None, quiet_s=0.0) == "died"
    assert state_of(RUN, HOLDER, None, quiet_s=0.0) == "quiet"
    (tmp_path / FILE_NAME).write_text(STATUS, encoding="utf-8")
    status = read_status(tmp_path)
    assert status is not None
    assert state_of(RUN, HOLDER, status, quiet_s=0.0) == "running"
    assert state_of(ENDED, HOLDER, status, quiet_s=0.0) == "running"  # the ledger isn't read beside it
    assert state_of(RUN, HOLDER, status, quiet_s=11.0) == "silent"
    assert state_of(RUN, HOLDER, replace(status, stopping=Stopping("signal", "by SIGINT")), quiet_s=0.0) == "stopping"
    assert state_of(RUN, HOLDER, replace(status, pid=8), quiet_s=0.0) == "quiet"
    assert state_of(RUN, None, status, quiet_s=0.0) == "died"
    assert state_of(ENDED, None, status, quiet_s=0.0) == "ended"


STATUS = """{"run_id": "r", "pid": 7, "host": "here", "sandbox": false, "stop_signal": "SIGINT", "started_at": 1.0,
"written_at": 2.0, "jobs": 9, "jobs_succeeded": 3, "jobs_failed": 1, "sent": 5, "retried": 1, "in_flight": 2,
"concurrency": 64, "per_min": 60.0, "sent_last_minute": 61, "limit": "60/min", "limit_per_min": 60.0,
"allowed_per_min": 45.0, "eta_s": null, "latency_p50_s": 4.0, "latency_p95_s": 6.0, "confirmed_usd": 0.5,
"possibly_billed": 1, "possibly_billed_usd": 0.2, "reserved_usd": 0.4, "spent_usd": 0.7, "budget_usd": null,
"slow": [], "failing": [], "stopping": null}"""


async def test_an_empty_output_directory_says_that_nothing_has_run(bench: Bench) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(1), provider)
    with readings.reading(bench.out) as db:
        assert readings.last_run(db) is not None
    with closing(sqlite3.connect(bench.out / "ledger.sqlite3", isolation_level=None)) as db:
        db.execute("DELETE FROM runs")
        db.execute("DELETE FROM attempts")
    async with reviewed(bench.out) as page:
        found = await page.get("/api/run")
    assert (found["state"], found["words"], found["figures"]) == ("none", "Nothing has run here yet.", None)
