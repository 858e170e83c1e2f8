"""What the provider does wrong, and what becomes of the job that meets it. Numbers are those of the fault table."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest
from run_bench import INPUT, KEY, Bench, job, jobs, requests_of, sandbox, sha256_of
from run_recorder import Recorder, http, png

from batch_editor.sandbox import Sandbox, SandboxOptions

MIXED = (
    "429:0.1",
    "502:0.15",
    "504:0.1",
    "reset:0.1",
    "truncate:0.1",
    "truncate:0.05:close=1",
    "html:0.05",
    "empty:0.05",
    "503:0.1",
    "408:0.05",
)


async def test_all_jobs_survive_a_mixture_of_faults_and_the_manifest_counts_every_request(bench: Bench) -> None:
    wanted = jobs(60)
    async with sandbox(faults=MIXED, seed=3, latency="0-0.02") as provider:
        summary = await bench.run(
            wanted, provider, concurrency=20, retry__max_possibly_billed=20, retry__max_attempts=20
        )
    books = provider.books
    assert summary.exit_code == 0
    assert books.requests > 80
    by_job = {row["job_id"]: row for row in bench.rows()}
    lost = Counter(entry.body_sha256 for entry in books.log if entry.status != 429)
    for each in wanted:
        row = by_job[each["id"]]
        assert row["status"] == "succeeded"
        assert bench.stamp(each["id"]) == sha256_of(each)
        assert int(row["attempts"]) == requests_of(books, each)
        assert int(row["possibly_billed"]) == lost[sha256_of(each)] - 1
    assert summary.sent == books.requests
    # What the provider billed is what was confirmed and at most what is possibly billed besides.
    assert summary.cost.actual is not None
    assert summary.cost.actual <= books.billed_usd <= summary.cost.actual + summary.cost.possibly_billed + 1e-6


@pytest.mark.parametrize(
    ("fault", "possibly_billed"),
    [
        ("429", 0),
        ("408", 1),
        ("502", 1),
        ("503", 1),
        ("504", 1),
        ("524", 1),
        ("521", 0),
        ("reset", 1),
        ("truncate", 1),
        ("truncate:close=1", 1),
        ("html", 1),
        ("empty", 1),
    ],
)
async def test_faults_that_pass_are_tried_again(bench: Bench, fault: str, possibly_billed: int) -> None:
    """Rows 7, 10, 22, 36–39, 42, 43, 58 and 59."""
    wanted = job("mug")
    async with sandbox(faults=(f"{fault}:first=1",)) as provider:
        summary = await bench.run([wanted], provider)
    assert provider.books.requests == 2
    row = bench.row("mug")
    assert (row["status"], row["attempts"]) == ("succeeded", "2")
    assert row["possibly_billed"] == str(possibly_billed)
    assert (summary.retried, summary.possibly_billed) == (1, possibly_billed)
    assert bench.stamp("mug") == sha256_of(wanted)


@pytest.mark.parametrize(
    ("fault", "http_status", "kind"),
    [
        ("502", "502", "server_error"),
        ("504", "504", "timeout"),
        ("reset", "", "connection"),
        ("truncate", "200", "connection"),
        ("truncate:close=1", "200", "bad_response"),
        ("html", "200", "bad_response"),
        ("empty", "200", "bad_response"),
    ],
)
async def test_a_job_that_may_have_been_billed_twice_in_vain_ends_unknown(
    bench: Bench, fault: str, http_status: str, kind: str
) -> None:
    """Rows 7, 10, 36, 38, 42, 43, 58."""
    async with sandbox(faults=(fault,)) as provider:
        summary = await bench.run([job("mug")], provider)
        row = bench.row("mug")
        assert provider.books.requests == 2
        assert (row["status"], row["attempts"], row["possibly_billed"]) == ("unknown", "2", "2")
        assert (row["http_status"], row["error_kind"]) == (http_status, kind)
        assert (row["output_path"], row["actual_cost_usd"]) == ("", "")
        assert summary.exit_code == 1
        assert summary.cost.possibly_billed >= 2 * 0.0108
        again = await bench.run([job("mug")], provider)
        assert (again.sent, again.exit_code, provider.books.requests) == (0, 1, 2)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("400", "invalid_parameter"),
        ("400:text=Rejected by our safety system", "moderation"),
        ("403:text=Your prompt was flagged by moderation", "moderation"),
        ("406:text=Invalid value for the parameter size", "invalid_parameter"),
        ("413", "invalid_parameter"),
        ("409", "invalid_parameter"),
        ("422", "invalid_parameter"),
        ("500", "server_error"),
        ("501", "server_error"),
        ("redirect", "bad_response"),
    ],
)
async def test_what_is_refused_for_good_fails_its_own_job_after_one_request(
    bench: Bench, fault: str, kind: str
) -> None:
    """Rows 12, 13, 17, 23, 25, 26, 34 and 35."""
    kind_of_fault, colon, options = fault.partition(":")
    async with sandbox(faults=(f"{kind_of_fault}:prompt~bad{colon}{options}",)) as provider:
        summary = await bench.run([job("a"), job("b", "a bad one"), job("c")], provider)
    assert summary.exit_code == 1
    assert provider.books.requests == 3
    assert bench.statuses() == {"a": "succeeded", "b": "failed", "c": "succeeded"}
    row = bench.row("b")
    assert (row["attempts"], row["possibly_billed"], row["error_kind"]) == ("1", "0", kind)
    assert int(row["http_status"]) in provider.books.answered
    assert row["estimated_cost_usd"] == "0.0"
    assert provider.books.key_leaks == 0


async def test_fault_006_an_error_inside_a_200_may_have_been_billed_and_is_not_sent_again(bench: Bench) -> None:
    async with sandbox(faults=("json-error:text=The model gave up",)) as provider:
        await bench.run([job("mug")], provider)
    row = bench.row("mug")
    assert (row["status"], row["attempts"], row["possibly_billed"]) == ("unknown", "1", "1")
    assert (row["error_kind"], row["error"]) == ("bad_response", "HTTP 200 without an image: The model gave up")
    assert provider.books.requests == 1


@pytest.mark.parametrize("fault", ["garbage", "corrupt"])
async def test_fault_047_an_image_that_came_broken_was_paid_for_and_is_not_bought_again(
    bench: Bench, fault: str
) -> None:
    async with sandbox(faults=(fault,)) as provider:
        await bench.run([job("mug")], provider)
    row = bench.row("mug")
    assert (row["status"], row["attempts"], row["possibly_billed"]) == ("unknown", "1", "1")
    assert (row["error_kind"], row["http_status"]) == ("bad_response", "200")
    # What came is kept, under the name of the job and its attempt.
    (kept,) = bench.files()
    assert kept.startswith(".rejected/mug.attempt-1.")
    assert kept.endswith({"garbage": ".bin", "corrupt": ".png"}[fault])


async def test_fault_008_048_an_image_of_another_format_is_kept_under_its_true_ending(bench: Bench) -> None:
    wanted = job("mug", output_format="png")
    async with sandbox(faults=("wrong-format",)) as provider:
        await bench.run([wanted], provider)
    row = bench.row("mug")
    assert (row["status"], row["format"], row["output_path"]) == ("succeeded", "jpeg", "images/mug.jpg")
    assert bench.stamp("mug") == sha256_of(wanted)


async def test_fault_012_the_key_never_follows_a_redirect(bench: Bench) -> None:
    async with sandbox(faults=("redirect",)) as provider:
        await bench.run(jobs(3), provider)
    assert (provider.books.requests, provider.books.key_leaks) == (3, 0)
    assert "which is not followed" in bench.row("job-0")["error"]


async def test_fault_029_a_worker_that_waits_for_a_retry_does_not_hold_up_the_others(bench: Bench) -> None:
    async with sandbox(faults=("503:prompt~slow:retry-after=1:first=1",), latency="0.01") as provider:
        await bench.run([job("slow"), *jobs(5)], provider, concurrency=2)
    at = {entry.prompt: entry.at for entry in provider.books.log}
    assert max(at[f"edit job-{number}"] for number in range(5)) < at["edit slow"]
    assert provider.books.log[-1].at - provider.books.log[0].at >= 1.0


async def test_fault_030_a_retry_after_that_is_nonsense_is_ignored(bench: Bench, recorder: Recorder) -> None:
    replies = iter(
        http(b"{}", status="429 Too Many Requests", more=f"Retry-After: {text}\r\n")
        for text in ("inf", "1_000", "9" * 30)
    )

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(next(replies, http(png())))

    recorder.answer = answer
    began_at = time.monotonic()
    summary = await bench.run([job("mug")], recorder.base_url)
    assert summary.exit_code == 0
    assert len(recorder.requests) == 4
    assert time.monotonic() - began_at < 20


async def test_fault_038_by_default_a_job_that_always_times_out_there_costs_at_most_twice(bench: Bench) -> None:
    async with sandbox(faults=("504:billed=1:prompt~lost",)) as provider:
        summary = await bench.run([job("lost"), *jobs(4)], provider)
    assert requests_of(provider.books, job("lost")) == 2
    assert bench.statuses()["lost"] == "unknown"
    assert summary.jobs.succeeded == 4
    assert summary.cost.actual is not None
    assert summary.cost.actual < provider.books.billed_usd <= summary.cost.actual + summary.cost.possibly_billed


@pytest.mark.parametrize(
    ("answer", "sent"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 2),
        (http(png(), status="206 Partial Content"), 2),
        (http(b"{}", status="999 Odd", content_type="application/json"), 1),
        (http(b'{"request_id": "r1"}', status="202 Accepted", content_type="application/json"), 1),
    ],
    ids=["204", "206", "999", "202"],
)
async def test_fault_009_010_011_040_a_status_the_api_does_not_know_may_have_been_billed(
    bench: Bench, recorder: Recorder, answer: bytes, sent: int
) -> None:
    recorder.answer = answer
    await bench.run([job("mug")], recorder.base_url)
    row = bench.row("mug")
    assert (row["status"], row["possibly_billed"], row["error_kind"]) == ("unknown", str(sent), "bad_response")
    assert len(recorder.requests) == sent


async def test_fault_041_a_long_error_is_cut_and_its_controls_are_gone(bench: Bench, recorder: Recorder) -> None:
    text = ("<html><script>x()</script>\x1b[31m bad \u202e request " + "x" * 100_000).encode() + b"\xff"
    recorder.answer = http(text, status="400 Bad Request", content_type="text/html")
    await bench.run([job("mug")], recorder.base_url)
    error = bench.row("mug")["error"]
    assert error.startswith("HTTP 400 (Invalid parameters or request format): [31m bad request xxx")
    assert len(error) < 700
    assert error.isprintable()


@pytest.mark.parametrize(
    "answer",
    [
        http(png()).replace(b"Content-Length: ", b"Content-Length: 1, "),
        http(png()).replace(b"Content-Length: ", b"Content-Length: -"),
        b"nothing like HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Big: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
    ids=["two-lengths", "negative-length", "garbage", "huge-header"],
)
async def test_fault_045_046_064_a_broken_answer_is_no_status_of_the_provider(
    bench: Bench, recorder: Recorder, answer: bytes
) -> None:
    recorder.answer = answer
    await bench.run([job("mug")], recorder.base_url)
    row = bench.row("mug")
    assert (row["status"], row["attempts"], row["possibly_billed"]) == ("unknown", "2", "2")
    assert (row["error_kind"], row["http_status"]) == ("connection", "")


async def test_fault_051_compression_is_not_asked_for(bench: Bench, recorder: Recorder) -> None:
    await bench.run([job("mug")], recorder.base_url)
    assert recorder.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("declared", [True, False])
async def test_fault_052_a_body_without_end_is_cut_at_64_mib(
    bench: Bench, recorder: Recorder, *, declared: bool
) -> None:
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        length = "Content-Length: 10000000000\r\n" if declared else ""
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n{length}\r\n".encode())
        while True:
            writer.write(bytes(2**20))
            await writer.drain()
            sent += 2**20

    recorder.answer = flood
    await bench.run([job("mug")], recorder.base_url)
    row = bench.row("mug")
    assert (row["status"], row["attempts"]) == ("unknown", "1")
    assert row["error"] == "HTTP 200 with a body of more than 64 MiB"
    assert sent < 100 * 2**20
    assert bench.files() == []


@pytest.mark.parametrize("fault", ["hang", "slow:over=5"])
async def test_fault_054_055_056_what_takes_too_long_is_given_up_and_may_have_been_billed(
    bench: Bench, fault: str
) -> None:
    async with Sandbox(SandboxOptions(size_scale=0.3, key=KEY, faults=(fault,))) as provider:
        await bench.run([job("mug")], provider, api__timeout_s=0.3)
    row = bench.row("mug")
    assert (row["status"], row["attempts"], row["possibly_billed"]) == ("unknown", "2", "2")
    assert row["error_kind"] == "timeout"
    assert provider.books.requests == 2


async def test_fault_061_062_what_never_left_costs_nothing_and_is_tried_as_often_as_configured(bench: Bench) -> None:
    summary = await bench.run([job("mug")], "http://127.0.0.1:9/v1", retry__max_attempts=3)
    row = bench.row("mug")
    assert (row["status"], row["attempts"], row["possibly_billed"]) == ("failed", "3", "0")
    assert (row["error_kind"], summary.exit_code, summary.cost.possibly_billed) == ("connection", 1, 0)
    async with sandbox() as provider:
        summary = await bench.run([job("mug")], provider)
    assert (summary.exit_code, provider.books.requests) == (0, 1)


async def test_fault_004_a_result_link_that_has_expired_is_a_paid_result_lost(bench: Bench, recorder: Recorder) -> None:
    link = f'{{"output": "{recorder.url}/gone.png"}}'.encode()
    recorder.answer = http(link, content_type="application/json")
    recorder.answers["/gone.png"] = http(b"", status="410 Gone")
    summary = await bench.run([job("mug")], recorder.base_url)
    row = bench.row("mug")
    assert (row["status"], row["attempts"], row["possibly_billed"]) == ("unknown", "1", "1")
    assert row["error_kind"] == "result_lost"
    assert summary.exit_code == 1
    assert [request.path for request in recorder.requests] == ["/v1/gpt-image-1.5-edit", "/gone.png"]
    assert "x-api-key" not in recorder.requests[1].headers


async def test_fault_005_a_result_link_may_redirect_thrice_and_no_more(bench: Bench, recorder: Recorder) -> None:
    recorder.answer = http(f'{{"output": "{recorder.url}/1"}}'.encode(), content_type="application/json")
    for hop in range(1, 10):
        recorder.answers[f"/{hop}"] = http(b"", status="302 Found", more=f"Location: /{hop + 1}\r\n")
    recorder.answers["/4"] = http(png())
    await bench.run([job("mug")], recorder.base_url)
    assert bench.row("mug")["status"] == "succeeded"
    recorder.answers["/4"] = http(b"", status="302 Found", more="Location: /5\r\n")
    await bench.run([job("another")], recorder.base_url)
    assert bench.row("another")["error"] == "paid, but its link redirects more than 3 times"
    assert all("x-api-key" not in request.headers for request in recorder.requests if request.method == "GET")


async def test_fault_048_bytes_count_and_not_what_the_header_says(bench: Bench, recorder: Recorder) -> None:
    recorder.answer = http(png(), content_type="text/plain; charset=utf-8")
    await bench.run([job("mug")], recorder.base_url)
    assert bench.row("mug")["status"] == "succeeded"


async def test_an_input_that_the_provider_cannot_read_fails_its_job(bench: Bench) -> None:
    async with sandbox() as provider:
        summary = await bench.run([job("mug", image_urls=[f"{provider.url}/uploads/none.png"]), job("b")], provider)
    assert summary.exit_code == 1
    assert bench.statuses() == {"mug": "failed", "b": "succeeded"}
    assert "could not read image_urls[0]" in bench.row("mug")["error"]
    assert INPUT not in bench.row("mug")["image_urls"]
