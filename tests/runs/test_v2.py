"""v2: submitted, written down, polled, fetched. What was submitted is never submitted again."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sqlite3
from collections import Counter
from typing import Any

import pytest

from batch_editor import make_plan
from batch_editor.client import http as http_client
from batch_editor.sandbox import Sandbox
from tests.support.bench import REHEARSAL, RETRY_FAILED, Bench, arrived, job, jobs, sandbox, sha256_of
from tests.support.recorder import Recorder, http, png

pytestmark = pytest.mark.timeout(120)


async def run(bench: Bench, what: Any, provider: Sandbox | str, **flags: Any) -> Any:
    return await bench.run(what, provider, api__version="v2", **flags)


def attempts(bench: Bench) -> list[tuple[str, str | None, float]]:
    """State, the provider's id and charge of every attempt."""
    with sqlite3.connect(bench.out / "ledger.sqlite3") as db:
        found = db.execute("SELECT state, request_id, charged_usd FROM attempts ORDER BY attempt_id").fetchall()
    db.close()
    return found


async def queued(provider: Sandbox, count: int) -> None:
    """Wait until so many requests are submitted and polled."""
    while len(provider.books.polled_at) < count:  # noqa: ASYNC110  # the books have no event for it
        await asyncio.sleep(0.005)


async def test_every_job_is_submitted_polled_and_fetched_without_the_key(bench: Bench) -> None:
    async with sandbox(latency="0.2-0.4") as provider:
        summary = await run(bench, jobs(8), provider)
    books = provider.books
    assert (summary.exit_code, books.requests, books.billed, books.key_leaks) == (0, 8, 8, 0)
    assert len(books.polled_at) >= 16
    assert summary.cost.actual == pytest.approx(books.billed_usd)
    for each in jobs(8):
        assert bench.stamp(each["id"]) == sha256_of(each)
        row = bench.row(each["id"])
        assert row["request_id"].startswith(sha256_of(each)[:12])
        assert float(row["actual_cost_usd"]) > 0
        assert 0.2 <= float(row["latency_s"]) < 30


@pytest.mark.parametrize("status", ["201 Created", "202 Accepted"])
async def test_an_id_that_comes_slowly_is_waited_for(
    bench: Bench, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    monkeypatch.setattr(http_client, "ERROR_BODY_S", 0.05)

    async def accept(writer: asyncio.StreamWriter) -> None:
        answer = http(b'{"request_id": "r-1", "status": "QUEUED"}', status=status, content_type="application/json")
        writer.write(answer[:-20])
        await writer.drain()
        await asyncio.sleep(0.3)
        writer.write(answer[-20:])
        await writer.drain()

    done = {"status": "COMPLETED", "output": f"{recorder.url}/image.png"}
    recorder.answers = {
        "/v2/gpt-image-1.5-edit": accept,
        "/v2/requests/r-1/status": http(json.dumps(done).encode(), content_type="application/json"),
    }
    summary = await run(bench, jobs(1), recorder.base_url)
    assert (summary.exit_code, attempts(bench)[0][1]) == (0, "r-1")


async def test_the_id_is_durable_before_the_first_poll(bench: Bench, recorder: Recorder) -> None:
    seen: list[list[tuple[str, str | None, float]]] = []
    done = {"status": "COMPLETED", "output": f"{recorder.url}/image.png", "metrics": {"cost": 0.2}}

    async def status(writer: asyncio.StreamWriter) -> None:
        seen.append(await asyncio.to_thread(attempts, bench))
        writer.write(http(json.dumps(done).encode(), content_type="application/json"))

    queued = {"request_id": "r-1", "status": "QUEUED"}
    recorder.answers = {
        "/v2/gpt-image-1.5-edit": http(json.dumps(queued).encode(), content_type="application/json"),
        "/v2/requests/r-1/status": status,
        "/image.png": http(png()),
    }
    summary = await run(bench, jobs(1), recorder.base_url)
    assert summary.exit_code == 0
    [[(state, request_id, _)]] = seen
    assert (state, request_id) == ("accepted", "r-1")
    posted, polled, fetched = recorder.requests
    assert [each.headers.get("x-api-key") is not None for each in (posted, polled, fetched)] == [True, True, False]
    assert bench.row("job-0")["actual_cost_usd"] == "0.2"


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted"])
@pytest.mark.fault(9)
async def test_v1_may_accept_as_well(bench: Bench, recorder: Recorder, status: str) -> None:
    queued = {"request_id": "r-1", "poll_url": "https://elsewhere.example/r-1"}
    recorder.answers = {
        "/v1/gpt-image-1.5-edit": http(json.dumps(queued).encode(), status=status, content_type="application/json"),
        "/v2/requests/r-1/status": http(b'{"status": "COMPLETED"}', content_type="application/json"),
        "/v2/requests/r-1": http(
            json.dumps({"status": "COMPLETED", "images": [{"url": f"{recorder.url}/a.png"}]}).encode(),
            content_type="application/json",
        ),
    }
    summary = await bench.run(jobs(1), recorder.base_url)
    assert summary.exit_code == 0
    assert [each.method for each in recorder.requests] == ["POST", "GET", "GET", "GET"]


@pytest.mark.fault(26)
async def test_a_failed_job_is_over_and_costs_nothing(bench: Bench) -> None:
    async with sandbox(
        faults=("failed:prompt~job-1:text=no mug in sight", "failed:prompt~job-2:text=unsafe")
    ) as provider:
        summary = await run(bench, jobs(4), provider)
    assert (summary.exit_code, provider.books.requests, provider.books.billed) == (1, 4, 2)
    row = bench.row("job-1")
    assert (row["status"], row["error_kind"], row["http_status"]) == ("failed", "inference_failed", "422")
    assert row["error"] == "the provider ran it and it failed: no mug in sight"
    assert (row["possibly_billed"], row["estimated_cost_usd"]) == ("0", "0.0")
    async with sandbox() as provider:
        await run(bench, jobs(4), provider)
        assert provider.books.requests == 0


@pytest.mark.fault(18)
async def test_an_expired_record_is_a_lost_result_and_not_submitted_again(bench: Bench) -> None:
    async with sandbox(faults=("lost:prompt~job-1",)) as provider:
        summary = await run(bench, jobs(3), provider)
        again = await run(bench, jobs(3), provider)
    assert (summary.exit_code, again.exit_code) == (1, 1)
    assert (provider.books.requests, provider.books.billed) == (3, 3)
    row = bench.row("job-1")
    assert (row["status"], row["error_kind"], row["possibly_billed"]) == ("unknown", "result_lost", "1")
    assert summary.cost.possibly_billed > 0


@pytest.mark.slow
async def test_polls_that_go_wrong_are_made_again_and_nothing_else_is(bench: Bench) -> None:
    faults = (
        "poll-503:0.2",
        "poll-502:0.1",
        "poll-429:0.1:retry-after=0",
        "poll-reset:0.1",
        "poll-html:0.1",
        "poll-empty:0.1",
    )
    async with sandbox(faults=faults, latency="0-0.1") as provider:
        summary = await run(bench, jobs(30), provider)
    books = provider.books
    assert (summary.exit_code, books.requests, books.billed) == (0, 30, 30)
    assert {row["attempts"] for row in bench.rows()} == {"1"}
    assert summary.possibly_billed == 0


@pytest.mark.slow
async def test_a_429_on_polls_slows_polls_and_counts_for_nothing(bench: Bench) -> None:
    async with sandbox(faults=("poll-429:first=3:retry-after=1",)) as provider:
        summary = await run(bench, jobs(2), provider, retry__max_attempts=1)
        at = provider.books.polled_at
    assert (summary.exit_code, provider.books.requests, summary.retried) == (0, 2, 0)
    assert at[-1] - at[0] >= 1.0


@pytest.mark.slow
async def test_polls_keep_to_the_rate_limit(bench: Bench) -> None:
    async with sandbox(latency="1") as provider:
        summary = await run(bench, jobs(12), provider, rate_limit="10/s")
    assert summary.exit_code == 0
    # Beside the polls, each job fetches its result once.
    assert provider.books.most_polls_in_window(1.0) <= 10 + 12
    assert provider.books.most_in_window(1.0) <= 10


@pytest.mark.slow
async def test_what_is_not_there_in_time_is_collected_by_the_next_run(bench: Bench) -> None:
    async with sandbox(latency="3") as provider:
        first = await run(bench, jobs(2), provider, api__timeout_s=0.5)
        assert first.exit_code == 4
        row = bench.row("job-0")
        assert (row["status"], row["error_kind"], row["possibly_billed"]) == ("pending", "timeout", "1")
        assert "the next run fetches its result" in row["error"]
        await provider.books.idle()
        second = await run(bench, jobs(2), provider)
    assert (second.exit_code, second.sent) == (0, 0)
    assert (provider.books.requests, provider.books.billed) == (2, 2)
    row = bench.row("job-0")
    assert (row["status"], row["possibly_billed"], row["attempts"]) == ("succeeded", "0", "1")
    assert row["error"] == ""
    assert second.cost.possibly_billed == 0


@pytest.mark.parametrize("beside", ["failed", "unknown"])
@pytest.mark.slow
async def test_what_was_submitted_and_is_not_done_in_time_outweighs_jobs_that_failed(bench: Bench, beside: str) -> None:
    """Whoever runs again on 4 alone would leave it to be lost."""
    fault, flags = {"failed": ("400@1", {}), "unknown": ("reset@1", {"retry__max_attempts": 1})}[beside]
    async with sandbox(latency="3", faults=(fault,)) as provider:
        summary = await run(bench, jobs(3), provider, api__timeout_s=0.5, concurrency=1, **flags)
        assert Counter(bench.statuses().values()) == {beside: 1, "pending": 2}
        assert (summary.exit_code, summary.stop) == (4, None)
        status = await bench.command("status", bench.out, "--json")
        assert status.json["exit_code"] == 4


async def test_a_plan_doesnt_count_results_that_are_to_be_fetched(bench: Bench) -> None:
    async with sandbox(latency="3") as provider:
        await run(bench, jobs(3), provider, api__timeout_s=0.3)
        plan = make_plan([bench.write(jobs(4))], bench.settings(provider), output=bench.out)
    assert (plan.jobs, plan.requests) == (4, 1)


@pytest.mark.slow
async def test_a_deadline_lets_what_was_submitted_finish(bench: Bench) -> None:
    async with sandbox(latency="4") as provider:
        summary = await run(bench, jobs(5), provider, concurrency=2, deadline="2s")
    assert summary.exit_code == 4
    assert Counter(bench.statuses().values()) == {"succeeded": 2, "pending": 3}
    assert (provider.books.requests, provider.books.billed) == (2, 2)


@pytest.mark.slow
async def test_the_built_in_sandbox_speaks_v2(bench: Bench) -> None:
    manifest = bench.write(jobs(2))
    finished = await bench.command(
        "run", manifest, "-o", bench.out, "--sandbox", "--json", environment={"BATCH_EDITOR_API__VERSION": "v2"}
    )
    assert (finished.code, finished.json["jobs"]["succeeded"]) == (0, 2)


async def test_no_option_submits_again_a_request_whose_result_can_still_be_fetched(bench: Bench) -> None:
    async with sandbox(latency="3") as provider:
        await run(bench, jobs(2), provider, api__timeout_s=0.3)
        summary = await run(bench, jobs(2), provider, api__timeout_s=0.3, options=RETRY_FAILED)
        assert (summary.sent, provider.books.requests) == (0, 2)


@pytest.mark.slow
async def test_a_second_signal_drops_polls_and_the_next_run_fetches_the_results(bench: Bench) -> None:
    manifest = bench.write(jobs(6))
    async with sandbox(latency="3") as provider:
        arguments = bench.run_arguments(manifest, provider, "--concurrency", "4")
        version = {"BATCH_EDITOR_API__VERSION": "v2"}
        async with bench.started(*arguments, environment=version) as process:
            await queued(provider, 4)
            await asyncio.sleep(0.5)
            process.send(signal.SIGINT)
            await asyncio.sleep(0.3)
            process.send(signal.SIGINT)
            finished = await asyncio.wait_for(process.finished(), 20)
        assert finished.code == 130
        assert "the next run fetches the results of those that were submitted" in finished.err
        assert Counter(state for state, *_ in attempts(bench)) == {"accepted": 4}
        assert {row["possibly_billed"] for row in bench.rows()} == {"0", "1"}
        summary = await run(bench, manifest, provider)
    assert (summary.exit_code, summary.sent) == (0, 2)
    assert (provider.books.requests, provider.books.billed, provider.books.double_billed) == (6, 6, 0)


@pytest.mark.slow
async def test_a_job_that_is_no_longer_wanted_is_collected_into_the_history(bench: Bench) -> None:
    async with sandbox(latency="2") as provider:
        await run(bench, jobs(1), provider, api__timeout_s=0.3)
        await provider.books.idle()
        summary = await run(bench, [job("job-0", "something else")], provider)
    assert (summary.exit_code, provider.books.requests) == (0, 2)
    assert len([name for name in bench.files() if name.startswith(".history/")]) == 1


@pytest.mark.slow
async def test_the_budget_counts_what_is_not_collected_yet_and_then_what_it_cost(bench: Bench) -> None:
    """A job here costs $0.0108, and $0.051 at most: while one is open, no other fits into $0.065."""
    limit: dict[str, Any] = {"budget__max_cost_usd": 0.065}
    async with sandbox(latency="3") as provider:
        first = await run(bench, jobs(2), provider, api__timeout_s=0.3, **limit)
        assert (first.exit_code, provider.books.requests) == (4, 1)
        second = await run(bench, jobs(2), provider, **limit)
    assert (second.exit_code, second.sent, provider.books.billed_usd) == (0, 1, 0.0216)


async def test_a_key_that_polls_refuse_stops_the_run_and_loses_nothing(bench: Bench) -> None:
    async with sandbox(faults=("poll-401:first=1",)) as provider:
        summary = await run(bench, jobs(1), provider)
        assert (summary.exit_code, bench.statuses()) == (3, {"job-0": "pending"})
        again = await run(bench, jobs(1), provider)
    assert (again.exit_code, provider.books.requests) == (0, 1)


async def test_a_submission_without_an_answer_is_possibly_billed_and_made_again(bench: Bench) -> None:
    async with sandbox(faults=("reset:first=1:prompt~job-1", "502:first=1:billed=1:prompt~job-2")) as provider:
        summary = await run(bench, jobs(3), provider)
    assert (summary.exit_code, provider.books.requests, provider.books.billed) == (0, 5, 5)
    assert [row["possibly_billed"] for row in bench.rows()] == ["0", "1", "1"]


async def test_a_ledger_that_cannot_take_the_id_costs_no_result(bench: Bench) -> None:
    async with sandbox(latency="0.2") as provider:
        await run(bench, jobs(1), provider)
        with sqlite3.connect(bench.out / "ledger.sqlite3") as db:
            db.execute(
                "CREATE TRIGGER full BEFORE UPDATE ON attempts WHEN new.state = 'accepted'"
                " BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            )
        db.close()
        summary = await run(bench, jobs(2), provider)
        assert (summary.exit_code, provider.books.requests) == (6, 2)
        assert bench.stamp("job-1") == sha256_of(jobs(2)[1])


async def test_a_rehearsal_that_was_killed_is_not_asked_after(bench: Bench) -> None:
    """Its provider died with it."""
    async with sandbox(latency="3") as provider:
        await run(bench, jobs(1), provider, api__timeout_s=0.3, options=REHEARSAL)
        assert [state for state, *_ in attempts(bench)] == ["unknown"]
    async with sandbox() as provider:
        summary = await run(bench, jobs(1), provider, options=REHEARSAL)
        assert (summary.exit_code, provider.books.requests) == (0, 1)


@pytest.mark.parametrize(
    "said", ['{"request_id": "../../v1/get-user-credits", "status": "QUEUED"}', '{"status": "QUEUED"}']
)
async def test_an_acceptance_without_a_usable_id_may_have_been_billed(
    bench: Bench, recorder: Recorder, said: str
) -> None:
    recorder.answer = http(said.encode(), content_type="application/json")
    await run(bench, jobs(1), recorder.base_url)
    assert {each.path for each in recorder.requests} == {"/v2/gpt-image-1.5-edit"}
    row = bench.row("job-0")
    assert (row["status"], row["error_kind"], row["possibly_billed"]) == ("unknown", "bad_response", "1")


@pytest.mark.slow
async def test_kill_9_at_any_moment_loses_no_submitted_job_and_pays_none_twice(bench: Bench) -> None:
    rng = random.Random(11)
    wanted = jobs(40)
    manifest = bench.write(wanted)
    version = {"BATCH_EDITOR_API__VERSION": "v2"}
    async with sandbox(latency="0.3-1") as provider:
        books = provider.books
        arguments = bench.run_arguments(manifest, provider, "--concurrency", "6")
        lost = 0
        for _ in range(8):
            before = len(books.polled_at)
            async with bench.started(*arguments, environment=version) as process:
                ended = asyncio.ensure_future(process.finished())
                polled = asyncio.ensure_future(queued(provider, before + rng.randint(1, 12)))
                await asyncio.wait([ended, polled], return_when=asyncio.FIRST_COMPLETED)  # it may do all of it before
                polled.cancel()
                await asyncio.sleep(rng.uniform(0, 0.3))
                process.send(signal.SIGKILL)
                finished = await ended
            if finished.code != -signal.SIGKILL:
                break
            # A submission whose answer had not been written down is the one thing that a kill can lose.
            lost += sum(state == "sent" for state, *_ in attempts(bench))
        summary = await run(bench, wanted, provider)
        await books.idle()
    assert summary.exit_code == 0
    assert books.key_leaks == 0
    assert books.double_billed <= lost
    assert books.requests <= 40 + lost
    for each in wanted:
        row = bench.row(each["id"])
        assert bench.stamp(each["id"]) == sha256_of(each)
        assert books.billed_by_body[sha256_of(each)] <= int(row["attempts"])
        assert int(row["possibly_billed"]) == int(row["attempts"]) - 1
    assert not any((bench.images / ".landing").iterdir())
    await arrived(books, 40)
