"""Statuses: how far each reaches, whether it may be billed, whether it is tried again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.bench import INPUT, RETRY_FAILED, Bench, job, jobs, requests_of, sandbox
from tests.support.fates import failed, fate, fates, in_turn, stopped, succeeded, unknown
from tests.support.recorder import Recorder, http, png

LOW_USD = 0.0108

# Successes and redirects --------------------------------------------------------------------------------------------


@pytest.mark.fault(9)
async def test_another_success_may_have_been_billed_and_is_not_sent_again(bench: Bench, recorder: Recorder) -> None:
    statuses = (201, 202, 203, 207)
    recorder.answer = in_turn(
        *(http(b'{"request_id": "r1"}', status=f"{status} Taken", more="x-request-id: r1\r\n") for status in statuses)
    )
    found = await fates(bench, recorder, jobs(4), concurrency=1)
    assert found == [unknown("bad_response", status, sent=1) for status in statuses]
    assert {row["request_id"] for row in bench.rows()} == {"r1"}
    assert bench.rows()[1]["error"] == 'HTTP 202 (Not a status of this API): {"request_id":"r1"}'


@pytest.mark.fault(10)
async def test_a_success_without_a_body_is_tried_again(bench: Bench, recorder: Recorder) -> None:
    recorder.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    assert await fate(bench, recorder) == unknown("bad_response", 204, sent=3)


@pytest.mark.fault(10)
async def test_a_200_without_a_body_is_tried_again(bench: Bench) -> None:
    async with sandbox(faults=("empty",)) as provider:
        assert await fate(bench, provider) == unknown("bad_response", 200, sent=3)
    assert bench.row("mug")["error"] == "HTTP 200 with an empty body"


@pytest.mark.fault(11)
async def test_a_part_that_nobody_asked_for_is_no_image(bench: Bench, recorder: Recorder) -> None:
    recorder.answer = http(png(), status="206 Partial Content", more="Content-Range: bytes 0-76/900\r\n")
    assert await fate(bench, recorder) == unknown("bad_response", 206, sent=3)
    assert bench.row("mug")["error"] == "HTTP 206 (Not a status of this API)"


@pytest.mark.fault(12)
async def test_the_key_never_follows_a_redirect(bench: Bench) -> None:
    async with sandbox(faults=("redirect",)) as provider:
        assert await fate(bench, provider) == failed("bad_response", 307)
    assert bench.row("mug")["error"] == (
        "HTTP 307 (Redirected) to localhost, which is not followed: the key would go there"
    )


@pytest.mark.fault(12)
async def test_a_redirect_to_nowhere_is_a_failure_like_others(bench: Bench, recorder: Recorder) -> None:
    statuses = (300, 301, 302, 303, 304, 307, 308)
    locations = ("http://[", "//", "", "\xff\xfe", "javascript:", "http://127.0.0.1:99999/")
    recorder.answer = in_turn(
        *(
            f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
            for status in statuses
            for location in locations
        )
    )
    found = await fates(bench, recorder, jobs(len(statuses) * len(locations)), concurrency=1)
    assert found == [failed("bad_response", status) for status in statuses for _ in locations]


# Refusals of one job ------------------------------------------------------------------------------------------------


@pytest.mark.fault(13, 17, 23, 25, 26, 34, 35)
async def test_what_is_refused_for_good_fails_its_own_job_after_one_request(
    bench: Bench,
) -> None:
    """A 500 as well: the provider's page calls it a parameter's fault, and `retry.statuses` can say otherwise."""
    refusals = [
        ("400", "invalid_parameter", ""),
        ("400", "moderation", ":text=Rejected by our safety system"),
        ("403", "moderation", ":text=Your prompt was flagged by moderation"),
        ("406", "invalid_parameter", ":text=Invalid value for the parameter size"),
        *((status, "invalid_parameter", "") for status in ("409", "411", "413", "414", "415", "422", "423", "431")),
        *((status, "server_error", "") for status in ("500", "501", "505")),
    ]
    faults = tuple(f"{status}:prompt~<{n}>{options}" for n, (status, _, options) in enumerate(refusals))
    wanted = [job("first"), *(job(f"bad-{n}", f"edit <{n}>") for n in range(len(refusals))), job("last")]
    async with sandbox(faults=faults) as provider:
        first, *bad, last = await fates(bench, provider, wanted)
    assert bad == [failed(kind, status) for status, kind, _ in refusals]
    assert (first.status, last.status) == ("succeeded", "succeeded")
    assert {row["estimated_cost_usd"] for row in bench.rows() if row["status"] == "failed"} == {"0.0"}
    assert provider.books.billed_usd == pytest.approx(2 * LOW_USD)


@pytest.mark.fault(13)
async def test_refusals_of_every_job_stop_nothing_unless_told_to(bench: Bench) -> None:
    """A row of equal 400s from the start stops a run by `max_failures`, which is off: they cost nothing."""
    async with sandbox(faults=("400:text=Bad size",)) as provider:
        every = await bench.run(jobs(12), provider, concurrency=1)
        assert (every.exit_code, every.jobs.failed, provider.books.requests) == (1, 12, 12)
    async with sandbox(faults=("400:text=Bad size",)) as provider:
        five = await bench.run(jobs(12), provider, concurrency=1, max_failures="5", options=RETRY_FAILED)
    assert (five.exit_code, provider.books.requests) == (4, 5)


async def test_an_input_that_the_provider_cannot_read_fails_its_job(bench: Bench) -> None:
    async with sandbox() as provider:
        summary = await bench.run([job("mug", image_urls=[f"{provider.url}/uploads/none.png"]), job("b")], provider)
    assert summary.exit_code == 1
    assert bench.statuses() == {"mug": "failed", "b": "succeeded"}
    assert "could not read image_urls[0]" in bench.row("mug")["error"]
    assert INPUT not in bench.row("mug")["image_urls"]


# Refusals of the account or the model -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("401", "auth"),
        ("402", "credits"),
        ("403", "auth"),
        ("404", "not_found"),
        ("405", "not_found"),
        ("406", "credits"),
        ("406:text=Team spend limit reached", "credits"),
        ("406:text=Invalid content type", "bad_request"),
        ("410", "retired"),
    ],
)
@pytest.mark.fault(14, 15, 16, 17, 18, 19, 20, 21, 24)
async def test_a_refusal_of_the_account_or_the_model_stops_the_run(bench: Bench, fault: str, kind: str) -> None:
    name, colon, options = fault.partition(":")
    async with sandbox(faults=(f"{name}@10+{colon}{options}",), latency="0.02") as provider:
        summary = await bench.run(jobs(30), provider, concurrency=4)
    books = provider.books
    assert summary.exit_code == 3
    assert summary.stop is not None
    assert summary.stop.kind == "refused"
    # Those in flight beside the first one that is refused may be refused as well; nothing is drawn after that.
    assert books.requests < 10 + 2 * 4
    assert Counter(bench.statuses().values()) == {"succeeded": books.billed, "pending": 30 - books.billed}
    refused = [row for row in bench.rows() if row["status"] == "pending" and row["http_status"]]
    assert len(refused) == books.requests - books.billed
    assert {row["error_kind"] for row in refused} == {kind}
    assert {row["estimated_cost_usd"] for row in bench.rows() if row["status"] == "pending"} == {""}


@pytest.mark.parametrize("text", ["Missing API key", "Invalid API key SG_fedcba9876543210"])
@pytest.mark.fault(14)
async def test_a_key_that_is_refused_at_once_costs_one_request(bench: Bench, recorder: Recorder, text: str) -> None:
    recorder.answer = http(f'{{"error": "{text}"}}'.encode(), status="401 Unauthorized")
    summary = await bench.run(jobs(20), recorder.base_url, concurrency=1)
    assert (summary.exit_code, len(recorder.requests)) == (3, 1)
    said = text.replace("SG_fedcba9876543210", "[key]")
    assert bench.row("job-0")["error"] == f"HTTP 401 (Missing or invalid API key): {said}"


@pytest.mark.fault(15)
async def test_after_a_refusal_the_next_run_does_the_rest(bench: Bench) -> None:
    async with sandbox(faults=("401@5+",), latency="0.02") as provider:
        await bench.run(jobs(20), provider, concurrency=4)
        finished = provider.books.billed
    async with sandbox() as provider:
        summary = await bench.run(jobs(20), provider)
    assert (summary.exit_code, provider.books.requests) == (0, 20 - finished)


@pytest.mark.fault(15)
async def test_what_is_in_flight_when_the_key_is_revoked_is_finished(bench: Bench) -> None:
    async with sandbox(faults=("401@8",), latency="0.5") as provider:
        summary = await bench.run(jobs(30), provider, concurrency=8)
    assert (summary.exit_code, summary.jobs.succeeded) == (3, 7)
    assert (provider.books.requests, provider.books.billed) == (8, 7)


@pytest.mark.fault(19)
async def test_a_page_under_a_405_is_told_without_its_tags(bench: Bench, recorder: Recorder) -> None:
    page = b"<!doctype html><title>405</title><style>p{}</style><p>Method Not Allowed</p>"
    recorder.answer = http(page, status="405 Method Not Allowed", content_type="text/html")
    assert await fate(bench, recorder) == stopped("not_found", 405)
    assert bench.row("mug")["error"] == "HTTP 405 (The endpoint does not take this request): 405 Method Not Allowed"


@pytest.mark.fault(21)
async def test_credits_that_run_out_stop_the_run(bench: Bench) -> None:
    async with sandbox(credits_usd=5 * LOW_USD + 0.001) as provider:
        summary = await bench.run(jobs(20), provider, concurrency=1)
    assert (summary.exit_code, summary.jobs.succeeded, provider.books.requests) == (3, 5, 6)


# 429, and when to come back -----------------------------------------------------------------------------------------


@pytest.mark.fault(27)
@pytest.mark.slow
async def test_a_rate_set_too_high_settles_near_the_true_one_with_few_refusals(bench: Bench) -> None:
    async with sandbox(rate_limit="10/s") as provider:
        summary = await bench.run(jobs(35), provider, rate_limit="40/s", concurrency=40)
    books = provider.books
    assert summary.jobs.succeeded == 35
    assert books.billed == 35
    # Those in flight when the first refusal comes are refused with it; after that the pace is the provider's.
    assert books.answered[429] <= 25
    assert summary.possibly_billed == 0


@pytest.mark.fault(27)
async def test_refusals_use_up_no_attempt(bench: Bench) -> None:
    async with sandbox(faults=("429@1-8",)) as provider:
        assert await fate(bench, provider, retry__max_attempts=1) == succeeded(sent=9)


@pytest.mark.fault(27)
@pytest.mark.slow
async def test_a_refusal_s_reset_holds_everybody_back(bench: Bench, recorder: Recorder) -> None:
    reset_at = datetime.now(UTC) + timedelta(seconds=2)
    arrived: list[datetime] = []

    async def answer(writer: asyncio.StreamWriter) -> None:
        arrived.append(datetime.now(UTC))
        if len(arrived) == 1:
            more = f"x-rate-limit-reset-at-utc: {reset_at.isoformat()}\r\n"
            writer.write(http(b"{}", status="429 Too Many Requests", more=more))
        else:
            writer.write(http(png()))

    recorder.answer = answer
    summary = await bench.run(jobs(5), recorder.base_url, concurrency=1)
    assert (summary.exit_code, len(arrived)) == (0, 6)
    assert arrived[1] >= reset_at - timedelta(milliseconds=50)


@pytest.mark.fault(28)
@pytest.mark.slow
async def test_a_429_holds_everybody_back_for_as_long_as_it_says(bench: Bench) -> None:
    async with sandbox(faults=("429@5:retry-after=1",)) as provider:
        summary = await bench.run(jobs(15), provider, rate_limit="200/s", concurrency=5)
    assert summary.jobs.succeeded == 15
    refused = provider.books.log[4]
    assert refused.status == 429
    during = [entry for entry in provider.books.log if refused.at + 0.05 < entry.at < refused.at + 0.95]
    assert during == []


@pytest.mark.parametrize(
    "header",
    [
        *("Retry-After: 1.25", "Retry-After:  1.25 ", "retry-after-ms: 1250", "Retry-After: 1s250ms"),
        *("x-ratelimit-reset-requests: 1.25s", "x-ratelimit-reset-requests: 1250ms", "x-ratelimit-reset: 1.25"),
    ],
)
@pytest.mark.fault(28)
@pytest.mark.slow
async def test_a_429_may_say_how_long_in_many_ways(bench: Bench, recorder: Recorder, header: str) -> None:
    arrived: list[float] = []

    async def answer(writer: asyncio.StreamWriter) -> None:
        arrived.append(time.monotonic())
        refusal = http(b"{}", status="429 Too Many Requests", more=f"{header}\r\n")
        writer.write(refusal if len(arrived) == 1 else http(png()))

    recorder.answer = answer
    assert await fate(bench, recorder) == succeeded(sent=2)
    assert 1.2 < arrived[1] - arrived[0] < 10


@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"])
@pytest.mark.fault(29)
@pytest.mark.slow
async def test_a_date_to_come_back_at_is_read_by_the_server_s_clock(
    bench: Bench, recorder: Recorder, form: str
) -> None:
    # A server whose clock is years away from ours.
    server_now = datetime(2031, 3, 3, 10, 0, 0, tzinfo=UTC)
    arrived: list[float] = []

    async def answer(writer: asyncio.StreamWriter) -> None:
        arrived.append(time.monotonic())
        at = server_now + timedelta(seconds=1)
        more = f"Date: {server_now.strftime('%a, %d %b %Y %H:%M:%S GMT')}\r\nRetry-After: {at.strftime(form)}\r\n"
        refusal = http(b"{}", status="429 Too Many Requests", more=more)
        writer.write(refusal if len(arrived) == 1 else http(png()))

    recorder.answer = answer
    assert (await bench.run(jobs(1), recorder.base_url)).exit_code == 0
    assert 0.95 < arrived[1] - arrived[0] < 20


NONSENSE = (
    "-1",
    "+500",
    "900,5",
    "1700000000",
    "900 s",
    "abc",
    "",
    "120, 60",
    "inf",
    "1_000",
    "9" * 30,
    "9" * 6000,
    "٧٧٧٧",
    "Sun, 99 Nov",
)


@pytest.mark.fault(30, 31)
async def test_a_retry_after_that_is_nonsense_or_past_is_ignored(bench: Bench, recorder: Recorder) -> None:
    past = ("0", "Sun, 06 Nov 1994 08:49:37 GMT")
    replies = (
        http(b"{}", status="429 Too Many Requests").replace(b"\r\n\r\n", f"\r\nRetry-After: {text}\r\n\r\n".encode())
        for text in NONSENSE + past
    )

    recorder.answer = in_turn(*replies)
    async with asyncio.timeout(30):
        assert await fate(bench, recorder) == succeeded(sent=1 + len(NONSENSE + past))


@pytest.mark.fault(32)
@pytest.mark.slow
async def test_a_pause_beyond_the_deadline_ends_the_run_there(bench: Bench, recorder: Recorder) -> None:
    recorder.answer = http(b"{}", status="429 Too Many Requests", more="Retry-After: 999999999999\r\n")
    async with asyncio.timeout(30):
        summary = await bench.run(jobs(3), recorder.base_url, concurrency=1, deadline="2s")
    assert (summary.exit_code, summary.jobs.pending, len(recorder.requests)) == (4, 3, 1)
    assert summary.stop is not None
    assert summary.stop.kind == "deadline"


@pytest.mark.parametrize("unit", ["9999-12-31T23:59:59Z", "1e21", "9" * 19])
@pytest.mark.fault(32)
async def test_a_huge_pause_is_capped(bench: Bench, recorder: Recorder, unit: str) -> None:
    recorder.answer = in_turn(http(b"{}", status="429 Too Many Requests", more=f"Retry-After: {unit}\r\n"))
    async with asyncio.timeout(30):
        assert await fate(bench, recorder, retry__retry_after_max_s=0.2) == succeeded(sent=2)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.fault(27)
@pytest.mark.slow
async def test_a_provider_that_only_refuses_for_too_long_ends_the_run_with_its_work_left(
    bench: Bench, version: str
) -> None:
    async with sandbox(faults=("429@3+",)) as provider:
        began_at = time.monotonic()
        summary = await bench.run(jobs(6), provider, concurrency=2, retry__give_up_s=1.0, api__version=version)
        assert 1.0 <= time.monotonic() - began_at < 15
        assert provider.books.answered == {200: 2, 429: provider.books.requests - 2}
    assert (summary.exit_code, summary.jobs.succeeded, summary.jobs.pending) == (4, 2, 4)
    assert summary.stop is not None
    assert summary.as_json()["stopped_by"] == "rate_limited"
    assert summary.stop.message == (
        "the provider has answered nothing but 429 for 1s (HTTP 429 (Too many requests)); see"
        " whether something else uses this key, or lower rate_limit, then run the same command again"
    )
    async with sandbox() as provider:
        again = await bench.run(jobs(6), provider, api__version=version)
        assert (again.exit_code, provider.books.billed) == (0, 4)


@pytest.mark.fault(27)
@pytest.mark.slow
async def test_refusals_between_which_anything_else_is_answered_end_no_run(bench: Bench, recorder: Recorder) -> None:
    began_at = time.monotonic()
    answers = (http(png()), http(b'{"error": "bad size"}', status="400 Bad Request"))
    due = [began_at + 0.5 * n for n in range(1, 9)]
    given: list[float] = []

    async def answer(writer: asyncio.StreamWriter) -> None:
        if len(given) < len(due) and time.monotonic() >= due[len(given)]:
            given.append(time.monotonic())
            writer.write(answers[len(given) % 2])
        else:
            writer.write(http(b"{}", status="429 Too Many Requests"))

    recorder.answer = answer
    summary = await bench.run(jobs(len(due)), recorder.base_url, concurrency=1, retry__give_up_s=2.0)
    assert (summary.jobs.succeeded, summary.jobs.failed, summary.jobs.pending) == (4, 4, 0)
    assert given[-1] - began_at >= 4.0


@pytest.mark.fault(33)
async def test_a_reset_that_cannot_be_is_ignored(bench: Bench, recorder: Recorder) -> None:
    now = datetime.now(UTC)
    resets = (
        (now - timedelta(hours=1)).isoformat(),
        (now + timedelta(hours=1)).isoformat(),
        str(int((now - timedelta(hours=1)).timestamp() * 1000)),
        "soon",
        "",
    )
    replies = (
        http(b"{}", status="429 Too Many Requests", more=f"x-rate-limit-reset-at-utc: {text}\r\n") for text in resets
    )

    recorder.answer = in_turn(*replies)
    async with asyncio.timeout(30):
        assert await fate(bench, recorder) == succeeded(sent=1 + len(resets))


# What may have been billed ------------------------------------------------------------------------------------------


@pytest.mark.fault(22, 36, 37, 38, 39)
async def test_a_gateway_s_trouble_is_tried_again(bench: Bench) -> None:
    unbilled = (521, 523)
    statuses = (408, 425, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 529, 530)
    async with sandbox(faults=tuple(f"{status}:prompt~<{status}>:first=1" for status in statuses)) as provider:
        found = await fates(bench, provider, [job(f"job-{status}", f"edit <{status}>") for status in statuses])
    assert found == [succeeded(sent=2, billed=int(status not in unbilled)) for status in statuses]


@pytest.mark.fault(22, 36, 38, 39)
async def test_a_job_that_may_have_been_billed_thrice_in_vain_ends_unknown(bench: Bench) -> None:
    kinds = {408: "timeout", 502: "server_error", 504: "timeout", 522: "server_error"}
    wanted = [job(f"job-{status}", f"edit <{status}>") for status in kinds]
    async with sandbox(faults=tuple(f"{status}:prompt~<{status}>" for status in kinds)) as provider:
        found = await fates(bench, provider, wanted)
        assert found == [unknown(kind, status, sent=3) for status, kind in kinds.items()]
        again = await bench.run(wanted, provider)
        assert (again.sent, again.exit_code, provider.books.requests) == (0, 1, 12)


@pytest.mark.fault(37)
@pytest.mark.slow
async def test_a_worker_that_waits_for_a_retry_does_not_hold_up_the_others(bench: Bench) -> None:
    async with sandbox(faults=("503:prompt~slow:retry-after=1:first=1",), latency="0.01") as provider:
        await bench.run([job("slow"), *jobs(5)], provider, concurrency=2)
    at = {entry.prompt: entry.at for entry in provider.books.log}
    assert max(at[f"edit job-{number}"] for number in range(5)) < at["edit slow"]
    assert provider.books.log[-1].at - provider.books.log[0].at >= 1.0


@pytest.mark.fault(38)
async def test_by_default_a_job_that_always_times_out_there_costs_at_most_thrice(bench: Bench) -> None:
    async with sandbox(faults=("504:billed=1:prompt~lost",)) as provider:
        summary = await bench.run([job("lost"), *jobs(4)], provider)
    assert requests_of(provider.books, job("lost")) == 3
    assert bench.statuses()["lost"] == "unknown"
    assert summary.jobs.succeeded == 4
    assert summary.cost.actual is not None
    assert summary.cost.actual < provider.books.billed_usd <= summary.cost.actual + summary.cost.possibly_billed


@pytest.mark.fault(40)
async def test_a_status_that_the_api_does_not_know_may_have_been_billed(bench: Bench, recorder: Recorder) -> None:
    kinds = {**dict.fromkeys((101, 205, 600, 999), "bad_response"), **dict.fromkeys((507, 598), "server_error")}
    recorder.answer = in_turn(*(f"HTTP/1.1 {status} Odd\r\nContent-Length: 0\r\n\r\n".encode() for status in kinds))
    found = await fates(bench, recorder, jobs(len(kinds)), concurrency=1)
    assert found == [unknown(kind, status, sent=1) for status, kind in kinds.items()]


@pytest.mark.parametrize("status", ["99", "abc"])
@pytest.mark.fault(40)
async def test_what_is_no_status_at_all_is_a_broken_answer(bench: Bench, recorder: Recorder, status: str) -> None:
    recorder.answer = f"HTTP/1.1 {status} Odd\r\nContent-Length: 0\r\n\r\n".encode()
    assert await fate(bench, recorder) == unknown("connection", "", sent=3)


@pytest.mark.parametrize("first", ["100 Continue", "103 Early Hints"])
@pytest.mark.fault(40)
async def test_an_interim_answer_comes_before_the_answer(bench: Bench, recorder: Recorder, first: str) -> None:
    recorder.answer = f"HTTP/1.1 {first}\r\nLink: </style.css>\r\n\r\n".encode() * 3 + http(png())
    assert await fate(bench, recorder) == succeeded()


# Bodies of errors ---------------------------------------------------------------------------------------------------


@pytest.mark.fault(41)
async def test_a_long_error_is_cut_and_its_controls_are_gone(bench: Bench, recorder: Recorder) -> None:
    text = ("<html><script>x()</script>\x1b[31m bad \u202e request " + "x" * 10_000_000).encode() + b"\xff"
    recorder.answer = http(text, status="400 Bad Request", content_type="text/html")
    assert await fate(bench, recorder) == failed("invalid_parameter", 400)
    error = bench.row("mug")["error"]
    assert error.startswith("HTTP 400 (Invalid parameters or request format): [31m bad request xxx")


@pytest.mark.fault(41)
async def test_an_error_s_body_may_be_anything(bench: Bench, recorder: Recorder) -> None:
    said = {
        b"[1, 2]": ": [1,2]",
        b"null": "",
        b"\xff\xfe": ": \ufffd\ufffd",
        png(): "",
        b'{"error":' * 1000 + b"1" + b"}" * 1000: ": JSON that is nested without end",
        b'{"odd":' + b"[" * 900 + b"]" * 900 + b"}": ": JSON that is nested without end",
        b"[" * 60_000: ": " + "[" * 499 + "…",
    }
    recorder.answer = in_turn(
        *(http(body, status="400 Bad", content_type="application/json; charset=nonsense") for body in said)
    )
    assert await fates(bench, recorder, jobs(7), concurrency=1) == [failed("invalid_parameter", 400)] * 7
    head = "HTTP 400 (Invalid parameters or request format)"
    assert [row["error"] for row in bench.rows()] == [head + tail for tail in said.values()]


@pytest.mark.fault(41)
@pytest.mark.slow
async def test_an_error_whose_text_never_ends_is_heard_all_the_same(bench: Bench, recorder: Recorder) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 1000000\r\n\r\nno such key")
        while True:
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.write(b".")

    recorder.answer = drip
    async with asyncio.timeout(30):  # and not the 300 s of an attempt
        assert await fate(bench, recorder) == stopped("auth", 401)
    assert bench.row("mug")["error"].startswith("HTTP 401 (Missing or invalid API key): no such key")


@pytest.mark.fault(41)
async def test_an_error_whose_text_breaks_off_is_heard_all_the_same(bench: Bench, recorder: Recorder) -> None:
    recorder.answer = http(b"too many", status="400 Bad Request")[:-3]
    assert await fate(bench, recorder) == failed("invalid_parameter", 400)
    assert bench.row("mug")["error"] == "HTTP 400 (Invalid parameters or request format): too m"
