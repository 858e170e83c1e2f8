"""Connections that fail, and what they say of money: a request that never left is free."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from tests.support.bench import RETRY_FAILED, Bench, job, jobs, sandbox
from tests.support.fates import edits, failed, fate, head_of, in_turn, listening, request_of, reset, succeeded, unknown
from tests.support.recorder import Recorder, http, png

# A request that no socket buffer holds, so that it is still on its way when the server has had enough.
LARGE = job("mug", image_urls=["data:image/png;base64," + "A" * 8_000_000])


@pytest.mark.fault(57)
@pytest.mark.slow
async def test_a_reset_before_the_request_was_all_sent_may_have_been_billed(bench: Bench) -> None:
    """How much of it arrived can't be told from here: once its headers went out, it counts as sent."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        reset(writer)

    async with listening(cut) as provider:
        assert await fate(bench, provider, of=LARGE) == unknown("connection", "", sent=3)
        assert provider.connections == 3
    assert bench.row("mug")["error"].startswith("the connection broke before an answer: ")


@pytest.mark.parametrize("ending", ["orderly", "reset", "never"])
@pytest.mark.fault(57)
@pytest.mark.slow
async def test_an_answer_before_the_request_was_all_sent_is_heard(bench: Bench, ending: str) -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(http(b'{"error": "too large"}', status="413 Content Too Large"))
        await writer.drain()
        if ending == "reset":
            await asyncio.sleep(0.2)
            reset(writer)
        if ending == "never":
            await reader.read()

    async with listening(early) as provider:
        assert await fate(bench, provider, of=LARGE) == failed("invalid_parameter", 413)


@pytest.mark.fault(57, 58)
async def test_a_connection_that_ends_without_an_answer_may_have_been_billed(bench: Bench) -> None:
    async def hear_and_reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        reset(writer)

    async def hear_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)

    for handler in (hear_and_reset, hear_and_close):
        async with listening(handler) as provider:
            bench.out = bench.folder / handler.__name__
            bench.images = bench.out / "images"
            assert await fate(bench, provider) == unknown("connection", "", sent=3)
    assert bench.row("mug")["error"] == "the connection broke before an answer: the server closed it"


@pytest.mark.fault(59)
async def test_a_reset_in_the_middle_of_an_answer_is_a_cut(bench: Bench) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(http(png())[:-20])
        await writer.drain()
        await asyncio.sleep(0.1)
        reset(writer)

    async with listening(cut) as provider:
        assert await fate(bench, provider) == unknown("connection", 200, sent=3)
    assert bench.row("mug")["error"].startswith("the answer was cut off: ")


@pytest.mark.fault(60)
async def test_no_request_is_sent_on_a_connection_that_may_be_stale(bench: Bench) -> None:
    requests = 0

    async def keep_alive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await request_of(reader)
        requests += 1
        writer.write(http(png(), more="Connection: keep-alive\r\nKeep-Alive: timeout=600\r\n"))
        await writer.drain()
        if await reader.read(1):  # a second one, on a connection that closes just now
            requests += 1

    async with listening(keep_alive) as provider:
        summary = await bench.run(jobs(6), provider.base_url(), concurrency=2)
        assert (summary.exit_code, summary.sent, summary.possibly_billed) == (0, 6, 0)
        assert (provider.connections, requests) == (6, 6)


@pytest.mark.fault(61)
async def test_a_name_that_does_not_resolve_costs_nothing(bench: Bench) -> None:
    found = await fate(bench, "http://provider.invalid/v1", retry__max_attempts=3)
    assert found == failed("connection", "", sent=3)
    assert bench.row("mug")["error"].startswith("not reached: Cannot connect to host provider.invalid:80")


@pytest.mark.fault(62)
async def test_what_is_refused_costs_nothing_and_the_next_run_sends_it_if_told_to(bench: Bench) -> None:
    found = await fate(bench, "http://127.0.0.1:9/v1", retry__max_attempts=3)
    assert found == failed("connection", "", sent=3)
    async with sandbox() as provider:
        summary = await bench.run([job("mug")], provider, options=RETRY_FAILED)
    assert (summary.exit_code, provider.books.requests) == (0, 1)


@pytest.mark.fault(63)
async def test_a_certificate_that_nobody_vouches_for_stops_the_run_and_never_sees_the_key(
    bench: Bench,
) -> None:
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).with_name("self_signed.pem"))
    async with listening(hear, tls=tls) as provider:
        summary = await bench.run(jobs(5), provider.base_url(scheme="https"), concurrency=1)
    assert (summary.exit_code, summary.jobs.pending, summary.possibly_billed) == (3, 5, 0)
    assert "the provider's certificate is not valid" in bench.row("job-0")["error"]
    assert heard == []


@pytest.mark.parametrize("answer", ["http", "reset", "silence"])
@pytest.mark.fault(63)
@pytest.mark.slow
async def test_a_handshake_that_fails_costs_nothing_and_is_tried_again(bench: Bench, answer: str) -> None:
    async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if answer == "http":
            writer.write(http(b"", status="400 Bad Request"))
            await writer.drain()
        elif answer == "reset":
            reset(writer)
        else:
            await asyncio.Event().wait()

    async with listening(fail) as provider:
        url = provider.base_url(scheme="https")
        found = await fate(bench, url, retry__max_attempts=2, api__connect_timeout_s=0.5)
        assert provider.connections == 2
    assert found == failed("connection", "", sent=2)


@pytest.mark.parametrize(
    "answer",
    [
        b"nothing like HTTP\r\n\r\n",
        b"",
        b"HTTP/1.1 20",
        png(),
        bytes(10_000),
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Big: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Nul: \0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(50_000)) + b"\r\n",
    ],
    ids=["text", "nothing", "half", "image", "zeros", "ssh", "http-3", "huge", "no-colon", "nul", "many"],
)
@pytest.mark.fault(64)
async def test_garbage_in_place_of_http_may_have_been_billed_and_is_tried_again(
    bench: Bench, recorder: Recorder, answer: bytes
) -> None:
    recorder.answer = in_turn(answer)
    assert await fate(bench, recorder) == succeeded(sent=2, billed=1)


@pytest.mark.fault(64)
async def test_garbage_for_ever_ends_unknown_and_says_what_came(bench: Bench, recorder: Recorder) -> None:
    recorder.answer = b"nothing like HTTP\r\n\r\n"
    assert await fate(bench, recorder) == unknown("connection", "", sent=3)
    assert bench.row("mug")["error"] == (
        "the answer was no HTTP that can be read: Bad status line: Expected HTTP/, RTSP/ or ICE/: b'nothing like HTTP'"
    )


@pytest.mark.fault(64)
async def test_headers_that_are_only_long_or_odd_lose_no_image(bench: Bench, recorder: Recorder) -> None:
    recorder.answer = in_turn(
        http(png(), more=f"Content-Security-Policy: {'x' * 40_000}\r\n"),
        http(png(), more="Set-Cookie: a=b; Domain=.example.com; Expires=never\r\n" * 60),
        http(png(), more="x-request-id: é日本\r\nx-cost: 0.1\r\nx-cost: 0.1\r\n"),
        http(png()).replace(b"200 OK", b"200"),
        http(png()).replace(b"HTTP/1.1", b"HTTP/1.0"),
    )
    summary = await bench.run(jobs(6), recorder.base_url, concurrency=1)
    assert (summary.exit_code, len(edits(recorder))) == (0, 6)
    assert all("cookie" not in seen.headers for seen in recorder.requests)


@pytest.mark.fault(65)
@pytest.mark.slow
async def test_a_proxy_of_the_environment_never_sees_the_key_of_what_is_on_this_machine(
    bench: Bench, recorder: Recorder
) -> None:
    manifest = bench.write(jobs(1))
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), recorder.url)
    async with sandbox() as provider:
        finished = await bench.command(*bench.run_arguments(manifest, provider), environment=proxies)
    assert finished.code == 0
    assert (provider.books.requests, recorder.requests) == (1, [])
