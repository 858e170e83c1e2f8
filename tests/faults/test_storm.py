"""Many faults at once: everything that can succeed does, the books agree to the cent, and nothing kills the run."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from tests.support.bench import Bench, jobs, requests_of, sandbox, sha256_of
from tests.support.fates import edits
from tests.support.recorder import Recorder, http, png

HALF_GOES_WRONG = (
    *("429:0.05", "502:0.07:billed=1", "504:0.05:billed=1", "503:0.05", "408:0.03", "520:0.03", "521:0.02"),
    *("reset:0.05", "truncate:0.05", "truncate:0.03:close=1", "html:0.05", "empty:0.05"),
)

# Answers that may be better the next time, and what each says of the money.
ODD = [
    b"",
    b"HTTP/1.1 20",
    b"\x16\x03\x01 no TLS here\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"HTTP/1.0 200 OK\r\n\r\n" + png()[:-9],
    http(png())[:-9],
    http(png(), status="206 Partial Content"),
    http(png()).replace(b"Content-Length: ", b"Content-Length: -"),
    http(png(), more=f"X-Long: {'x' * 70_000}\r\n"),
    http(b"", content_type="image/png"),
    http(b"\x1f\x8b\x08junk", more="Content-Encoding: gzip\r\n"),
    http(b"<html>Busy</html>", content_type="text/html"),
    http(b'{"image": "iVBOR', content_type="application/json"),
    http(b'{"error":' * 1000 + b"1" + b"}" * 1000, status="502 Bad Gateway"),
    http(b"\xff\xfe\0", status="503 Busy", more="Retry-After: -1\r\nRetry-After: NaN\r\n"),
    http(b"", status="504 Late", more="x-cost: NaN\r\nDate: never\r\nRetry-After: Sun, 32 Nov 2026 25:61:61 GMT\r\n"),
    http(b"[]", status="429 Slow", more="x-rate-limit-reset-at-utc: 9999-99-99\r\nRetry-After: \r\n"),
    http(b"", status="524 Late", content_type="\xff;;;"),
]


@pytest.mark.slow
async def test_all_jobs_survive_a_mixture_of_faults_and_the_manifest_counts_every_request(bench: Bench) -> None:
    wanted = jobs(100)
    async with sandbox(faults=HALF_GOES_WRONG, seed=3, latency="0-0.02") as provider:
        summary = await bench.run(
            wanted, provider, concurrency=20, retry__max_possibly_billed=50, retry__max_attempts=50
        )
    books = provider.books
    assert summary.exit_code == 0
    assert books.requests > 1.3 * len(wanted)
    by_job = {row["job_id"]: row for row in bench.rows()}
    lost = Counter(entry.body_sha256 for entry in books.log if entry.status not in (429, 521))
    for each in wanted:
        row = by_job[each["id"]]
        assert row["status"] == "succeeded"
        assert bench.stamp(each["id"]) == sha256_of(each)
        assert int(row["attempts"]) == requests_of(books, each)
        assert int(row["possibly_billed"]) == lost[sha256_of(each)] - 1
    assert summary.sent == books.requests
    # Confirmed is what the provider charged for the answers that gave an image: the last one of each.
    charged = {entry.body_sha256: entry.billed_usd for entry in books.log}
    confirmed_usd = sum(usd or 0.0 for usd in charged.values())
    assert summary.cost.actual == pytest.approx(confirmed_usd, abs=1e-6)
    assert books.billed_usd <= confirmed_usd + summary.cost.possibly_billed + 1e-6


@pytest.mark.slow
async def test_no_answer_however_odd_ends_a_run(bench: Bench, recorder: Recorder) -> None:
    rng = random.Random(7)
    odd = ODD * 4
    rng.shuffle(odd)
    good = iter([True, True, False] * len(odd))

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(http(png(), more="x-cost: 0.0108\r\n") if next(good, True) or not odd else odd.pop())

    recorder.answer = answer
    async with asyncio.timeout(50):
        summary = await bench.run(
            jobs(180), recorder.base_url, concurrency=20, retry__max_possibly_billed=50, retry__max_attempts=50
        )
    assert (odd, summary.exit_code, summary.jobs.succeeded) == ([], 0, 180)
    assert summary.sent == len(edits(recorder)) == 180 + 4 * len(ODD)
    assert summary.possibly_billed == 4 * (len(ODD) - 1)  # all but the 429
    assert summary.cost.actual == pytest.approx(180 * 0.0108)
