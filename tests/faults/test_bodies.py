"""Answers under a 200: images in every wrapping, and what only looks like one."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import resource
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from batch_editor.links.loopback import is_loopback_url
from batch_editor.sandbox import Sandbox, SandboxOptions
from tests.support.bench import KEY, Bench, job, jobs, sandbox, sha256_of
from tests.support.fates import document, edits, failed, fate, fates, head_of, in_turn, listening, succeeded, unknown
from tests.support.recorder import Recorder, http, png


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end


# Images -------------------------------------------------------------------------------------------------------------


@pytest.mark.fault(1)
async def test_the_headers_of_an_image_say_what_it_cost(bench: Bench, recorder: Recorder) -> None:
    recorder.answer = http(png(), more="x-cost: 0.24\r\nX-Request-Id: r-1\r\nx-remaining-credits: 7\r\n")
    assert await fate(bench, recorder) == succeeded()
    row = bench.row("mug")
    assert (row["actual_cost_usd"], row["request_id"], row["format"]) == ("0.24", "r-1", "png")


ABSURD = ("-1", "NaN", "inf", "1e9", "free", "", "$0.24", "0,24", "1_0", "٢", "0x1", "9" * 400)


@pytest.mark.fault(1)
async def test_a_cost_that_cannot_be_is_not_believed_and_counts_at_the_dearest_price(
    bench: Bench, recorder: Recorder
) -> None:
    recorder.answer = in_turn(*(http(png(), more="x-cost: COST\r\n").replace(b"COST", c.encode()) for c in ABSURD))
    wanted = jobs(len(ABSURD) + 3)
    first = await bench.run(wanted, recorder.base_url, concurrency=1, budget__max_cost_usd=0.0512 * len(ABSURD))
    assert (first.exit_code, first.jobs.succeeded, first.cost.actual) == (4, len(ABSURD), None)
    assert {row["actual_cost_usd"] for row in bench.rows()} == {""}


@pytest.mark.parametrize("answer", ["image", "base64", "url"])
@pytest.mark.fault(2, 3)
async def test_an_image_comes_as_bytes_as_base64_or_as_a_link(bench: Bench, answer: Any) -> None:
    wanted = jobs(5)
    async with Sandbox(SandboxOptions(size_scale=0.3, key=KEY, answer=answer)) as provider:
        summary = await bench.run(wanted, provider)
    assert summary.exit_code == 0
    for each in wanted:
        assert bench.stamp(each["id"]) == sha256_of(each)
    assert (provider.books.requests, provider.books.key_leaks) == (5, 0)
    assert [row["actual_cost_usd"] for row in bench.rows()] == ["0.0108"] * 5


@pytest.mark.fault(2)
async def test_base64_that_is_cut_or_none_is_no_image(bench: Bench, recorder: Recorder) -> None:
    text = base64.b64encode(png()).decode()
    recorder.answer = in_turn(
        document({"image": f"data:image/png;base64,{text}"}, more="x-cost: 0.1\r\n"),
        document({"image": text[:-10] + "*" * 10}),
        document({"image": base64.b64encode(b"no image, and longer than any word or two would be").decode()}),
    )
    found = await fates(bench, recorder, jobs(3), concurrency=1)
    assert [each.status for each in found] == ["succeeded", "unknown", "unknown"]
    assert len(recorder.requests) == 3


# Results behind links -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "410 Gone"])
@pytest.mark.fault(4)
async def test_a_result_link_that_has_expired_is_a_paid_result_lost(
    bench: Bench, recorder: Recorder, status: str
) -> None:
    recorder.answer = document({"output": f"{recorder.url}/gone.png?sig=1"}, more="x-request-id: r-1\r\n")
    recorder.answers["/gone.png?sig=1"] = http(b"", status=status)
    assert await fate(bench, recorder) == unknown("result_lost", 200, sent=1)
    assert bench.row("mug")["request_id"] == "r-1"
    # Named, for somebody may yet get by hand what was paid for; without its signature.
    assert bench.row("mug")["error"] == (
        f"paid, but its link {recorder.url}/gone.png answers HTTP {status[:3]}: it has expired"
    )


@pytest.mark.fault(3)
@pytest.mark.slow
async def test_a_link_that_fails_at_first_is_fetched_again_and_not_paid_again(bench: Bench, recorder: Recorder) -> None:
    recorder.answer = document({"images": [{"url": f"{recorder.url}/a.png"}]})
    recorder.answers["/a.png"] = in_turn(http(b"busy", status="503 Busy"), http(png())[:-9])
    assert await fate(bench, recorder) == succeeded()
    assert len(recorder.requests) == 4


@pytest.mark.fault(3)
@pytest.mark.slow
async def test_a_link_that_drips_is_given_up_in_time(bench: Bench, recorder: Recorder) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.05)

    recorder.answer = document({"output": f"{recorder.url}/slow.png"})
    recorder.answers["/slow.png"] = drip
    assert await fate(bench, recorder, api__timeout_s=1) == unknown("result_lost", 200, sent=1)
    assert bench.row("mug")["error"].endswith("/slow.png could not be fetched: no end of it in time")


@pytest.mark.fault(3)
async def test_a_link_that_is_none_loses_its_own_result_alone(bench: Bench, recorder: Recorder) -> None:
    links = ("http://[::1", "http://127.0.0.1:99999/a.png", "http:///a.png", "http://127.0.0.1:0/", "http://")
    recorder.answer = in_turn(*(document({"output": link}) for link in links))
    found = await fates(bench, recorder, jobs(len(links) + 1), concurrency=1)
    assert [each.kind for each in found] == [*["result_lost"] * len(links), ""]
    assert bench.row("job-0")["error"] == ("paid, but its link http://[::1 leads to something that is no http(s) link")


@pytest.mark.fault(3)
async def test_a_link_into_a_private_network_is_not_followed(bench: Bench, recorder: Recorder) -> None:
    # The provider by a name that says nothing of where it is, as a real one's: links to this machine are refused.
    base_url = recorder.base_url.replace("127.0.0.1", "0x7f.1")
    links = (f"{recorder.url}/a.png", recorder.url.replace("127.0.0.1", "0x7f.1"), "http://169.254.169.254/latest")
    recorder.answer = in_turn(*(document({"output": link}) for link in links))
    await bench.run(jobs(3), base_url, concurrency=1)
    assert [row["error_kind"] for row in bench.rows()] == ["result_lost"] * 3
    assert all("is not a public address" in row["error"] for row in bench.rows())
    assert [seen.method for seen in recorder.requests] == ["POST"] * 3


NETWORKS = (
    *("169.254.169.254", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
    *("[fd00:ec2::254]", "[fe80::1]", "[::ffff:10.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a00:1]", "[2002:a00:1::]"),
)


@pytest.mark.parametrize("base", ["127.0.0.1", "localhost"])
@pytest.mark.fault(102)
async def test_a_base_url_on_this_machine_lets_results_of_this_machine_through_and_of_no_network(
    bench: Bench, recorder: Recorder, base: str
) -> None:
    port = recorder.url.rpartition(":")[2]
    here = ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]")
    links = [f"http://{host}:{port}/a.png" for host in (*here, *NETWORKS)]
    redirects = [f"{recorder.url}/to/{number}" for number in range(len(NETWORKS))]
    for number, host in enumerate(NETWORKS):
        more = f"Location: http://{host}:{port}/a.png\r\n"
        recorder.answers[f"/to/{number}"] = http(b"", status="302 Found", more=more)
    recorder.answers["/a.png"] = http(png())
    recorder.answer = in_turn(*(document({"output": link}) for link in (*links, *redirects)))
    wanted = jobs(len(links) + len(redirects))
    await bench.run(wanted, recorder.base_url.replace("127.0.0.1", base), concurrency=1)
    rows = bench.rows()
    reached, refused = rows[: len(here)], rows[len(here) :]
    assert [row["status"] for row in reached] == ["succeeded"] * len(here)
    assert {(row["status"], row["error_kind"], row["possibly_billed"]) for row in refused} == {
        ("unknown", "result_lost", "1")
    }
    assert [row["job_id"] for row in refused if "is not a public address" not in row["error"]] == []
    assert len(edits(recorder)) == len(wanted)


@pytest.mark.parametrize("base", ["http://10.0.0.1/v1", "http://0.0.0.0/v1", "https://api.example.com/v1"])
@pytest.mark.fault(102)
def test_no_other_base_url_lets_results_of_this_machine_through(base: str) -> None:
    assert not is_loopback_url(base)


@pytest.mark.fault(5)
async def test_a_result_link_may_redirect_thrice_and_no_more(bench: Bench, recorder: Recorder) -> None:
    recorder.answer = document({"output": f"{recorder.url}/1"})
    for hop in range(1, 10):
        recorder.answers[f"/{hop}"] = http(b"", status="302 Found", more=f"Location: /{hop + 1}\r\n")
    recorder.answers["/4"] = http(png())
    assert await fate(bench, recorder) == succeeded()
    recorder.answers["/4"] = http(b"", status="302 Found", more="Location: /5\r\n")
    await bench.run([job("another")], recorder.base_url)
    assert bench.row("another")["error"] == f"paid, but its link {recorder.url}/1 redirects more than 3 times"
    assert all("x-api-key" not in request.headers for request in recorder.requests if request.method == "GET")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://[", "ftp://example.com/a.png"])
@pytest.mark.fault(5)
async def test_a_redirect_of_a_link_to_anything_else_loses_the_result(
    bench: Bench, recorder: Recorder, location: str
) -> None:
    recorder.answer = document({"output": f"{recorder.url}/a.png"})
    recorder.answers["/a.png"] = http(b"", status="302 Found", more=f"Location: {location}\r\n")
    assert await fate(bench, recorder) == unknown("result_lost", 200, sent=1)


# No image -----------------------------------------------------------------------------------------------------------


@pytest.mark.fault(6)
async def test_an_error_inside_a_200_may_have_been_billed_and_is_not_sent_again(bench: Bench) -> None:
    async with sandbox(faults=("json-error:text=The model gave up",)) as provider:
        assert await fate(bench, provider) == unknown("bad_response", 200, sent=1)
    assert bench.row("mug")["error"] == "HTTP 200 without an image: The model gave up"


@pytest.mark.fault(6)
async def test_what_it_says_it_charged_is_what_it_counts(bench: Bench, recorder: Recorder) -> None:
    recorder.answer = document({"error": "no image today"}, more="x-cost: 0.3\r\n")
    summary = await bench.run(jobs(1), recorder.base_url)
    assert summary.cost.actual is None
    assert summary.cost.possibly_billed == pytest.approx(0.3)


@pytest.mark.fault(6)
async def test_json_of_any_shape_ends_its_own_job_alone(bench: Bench, recorder: Recorder) -> None:
    shapes: tuple[Any, ...] = (
        *({}, [], "text", {"image": None}, {"image": 7}, {"images": []}, {"output": {"url": {}}}),
        *({"output": "ftp://example.com/a.png"}, {"output": "data:image/png,raw"}),
        b'{"error":' * 1000 + b"1" + b"}" * 1000,
        b'{"odd":' + b"[" * 900 + b"]" * 900 + b"}",
        b'\xef\xbb\xbf{"error": "after a byte order mark"}',
        b"null",
        b"0",
    )
    recorder.answer = in_turn(*(document(shape) for shape in shapes))
    found = await fates(bench, recorder, jobs(len(shapes)), concurrency=1)
    assert found == [unknown("bad_response", 200, sent=1)] * len(shapes)


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        (b"<html><h1>Sign in</h1>\x1b[2J</html>", "text/html", "<html><h1>Sign in</h1> [2J</html>"),
        (b"\xef\xbb\xbf<!doctype html>", "text/html; charset=utf-8", "<!doctype html>"),
        (b"<html>" + b"x" * 100_000, "image/png", "<html>" + "x" * 293 + "…"),
        (b"upstream busy", "text/plain", "upstream busy"),
    ],
    ids=["portal", "mark", "labelled-as-image", "text"],
)
@pytest.mark.fault(7)
async def test_a_page_in_place_of_an_image_is_tried_again(
    bench: Bench, recorder: Recorder, body: bytes, content_type: str, said: str
) -> None:
    recorder.answer = http(body, content_type=content_type)
    assert await fate(bench, recorder) == unknown("bad_response", 200, sent=3)
    assert bench.row("mug")["error"] == f"HTTP 200 with a page instead of an image: {said}"


@pytest.mark.fault(8)
async def test_bytes_count_and_not_what_the_header_says(bench: Bench, recorder: Recorder) -> None:
    types = ("text/plain; charset=utf-8", "application/json", "image/jpeg", '///;;="', 'image/png; charset="no')
    recorder.answer = in_turn(*(http(png(), content_type=each) for each in types))
    found = await fates(bench, recorder, jobs(len(types) + 1), concurrency=1)
    assert found == [succeeded()] * (len(types) + 1)
    assert {row["format"] for row in bench.rows()} == {"png"}


@pytest.mark.fault(8, 48)
async def test_an_image_of_another_format_is_kept_under_its_true_ending(bench: Bench) -> None:
    wanted = job("mug", output_format="png")
    async with sandbox(faults=("wrong-format",)) as provider:
        await bench.run([wanted], provider)
    row = bench.row("mug")
    assert (row["status"], row["format"], row["output_path"]) == ("succeeded", "jpeg", "images/mug.jpg")
    assert bench.stamp("mug") == sha256_of(wanted)


# Cut ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["truncate", "truncate:close=1", "html", "empty", "reset"])
@pytest.mark.fault(7, 10, 42, 43, 58)
async def test_what_came_broken_is_tried_again(bench: Bench, fault: str) -> None:
    wanted = job("mug")
    async with sandbox(faults=(f"{fault}:first=1",)) as provider:
        assert await fate(bench, provider, of=wanted) == succeeded(sent=2, billed=1)
    assert bench.stamp("mug") == sha256_of(wanted)


@pytest.mark.fault(42)
async def test_truncated_with_a_length(bench: Bench) -> None:
    async with sandbox(faults=("truncate",)) as provider:
        assert await fate(bench, provider) == unknown("connection", 200, sent=3)
    assert bench.row("mug")["error"].startswith("the answer was cut off: Not enough data")


@pytest.mark.fault(43)
async def test_truncated_no_length(bench: Bench) -> None:
    async with sandbox(faults=("truncate:close=1",)) as provider:
        assert await fate(bench, provider) == unknown("bad_response", 200, sent=3)
    assert bench.row("mug")["error"] == "HTTP 200 with a png that was cut short"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.fault(43)
async def test_truncated_by_an_old_server_in_every_format(bench: Bench, recorder: Recorder, format: str) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 60).convert("RGB").save(buffer, format)
    whole = b"HTTP/1.0 200 OK\r\n\r\n" + buffer.getvalue()
    recorder.answer = in_turn(*(whole[: len(whole) - cut] for cut in (200, 13)), whole)
    assert await fate(bench, recorder, retry__max_possibly_billed=5) == succeeded(sent=3, billed=2)


@pytest.mark.parametrize(
    "answer",
    [
        chunked(png(), end=b""),
        chunked(png(), end=b"zz\r\n"),
        chunked(png(), end=b"-5\r\n\r\n"),
        chunked(png(), end=b"fffffffffffffffff\r\n"),
        chunked(png()[:40], end=b"30\r\nshort"),
    ],
    ids=["no-end", "no-number", "negative", "too-large", "cut"],
)
@pytest.mark.fault(44)
async def test_truncated_chunked(bench: Bench, recorder: Recorder, answer: bytes) -> None:
    recorder.answer = in_turn(answer)
    assert await fate(bench, recorder) == succeeded(sent=2, billed=1)


@pytest.mark.fault(44)
async def test_json_that_was_cut_while_the_connection_closed_cleanly(bench: Bench, recorder: Recorder) -> None:
    text = base64.b64encode(png()).decode()
    recorder.answer = in_turn(document(f'{{"image": "{text[:50]}'.encode()), document({"image": text}))
    assert await fate(bench, recorder) == succeeded(sent=2, billed=1)


@pytest.mark.fault(45)
async def test_a_body_longer_than_its_length_is_no_400_of_the_provider(bench: Bench, recorder: Recorder) -> None:
    recorder.answer = http(png()) + png()
    assert await fate(bench, recorder) == unknown("connection", "", sent=3)
    assert bench.row("mug")["error"].startswith("the answer was no HTTP that can be read: Bad status line")
    assert "400" not in bench.row("mug")["error"]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b"Content-Length: ", b"Content-Length: 1, "),
        (b"Content-Length: ", b"Content-Length: 1\r\nContent-Length: "),
        (b"Content-Length: ", b"Content-Length: -"),
        (b"Content-Length: ", b"Content-Length: 99999999999999999999"),
        (b"Content-Type: ", b"Transfer-Encoding: chunked\r\nContent-Type: "),
    ],
    ids=["list", "two", "negative", "overflow", "chunked-besides"],
)
@pytest.mark.fault(46)
async def test_a_length_that_cannot_be(bench: Bench, recorder: Recorder, right: bytes, wrong: bytes) -> None:
    recorder.answer = in_turn(http(png()).replace(right, wrong))
    assert await fate(bench, recorder) == succeeded(sent=2, billed=1)


# Images that are none -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["garbage", "corrupt"])
@pytest.mark.fault(47)
async def test_an_image_that_came_broken_was_paid_for_and_is_not_bought_again(bench: Bench, fault: str) -> None:
    async with sandbox(faults=(fault,)) as provider:
        assert await fate(bench, provider) == unknown("bad_response", 200, sent=1)
    # What came is kept, under the name of the job and its attempt.
    (kept,) = bench.files()
    assert kept.startswith(".rejected/mug.attempt-1.")
    assert kept.endswith({"garbage": ".bin", "corrupt": ".png"}[fault])


@pytest.mark.fault(49)
async def test_an_image_of_another_size_is_kept(bench: Bench, recorder: Recorder) -> None:
    recorder.answer = http(png((30, 20)))
    assert await fate(bench, recorder, of=job("mug", size="1024x1024")) == succeeded()
    assert (bench.row("mug")["width"], bench.row("mug")["height"]) == ("30", "20")


def raw_png(width: int, height: int, *, depth: int = 8, pixels: bytes = b"") -> bytes:
    """A PNG with right checksums, whatever its header says."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def jpeg_without_a_size() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "JPEG")
    data = bytearray(buffer.getvalue())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = bytes(4)
    return bytes(data)


@pytest.mark.parametrize("checks", ["header", "full"])
@pytest.mark.parametrize(
    ("format", "body"),
    [
        ("png", raw_png(0, 0)),
        ("png", raw_png(0, 5)),
        ("png", raw_png(5, 0, pixels=bytes(200_000))),  # large enough to be read back from its file
        ("png", raw_png(5, 5, depth=3)),
        ("jpeg", jpeg_without_a_size()),
        ("jpeg", b"\xff\xd8\xff\xff\xd9"),
        ("gif", b"GIF89a;"),
        ("webp", b"RIFF\x04\0\0\0WEBP"),
    ],
)
@pytest.mark.fault(47)
@pytest.mark.slow
async def test_an_image_without_a_size_is_told_in_words_and_kept(
    bench: Bench, recorder: Recorder, format: str, body: bytes, checks: str
) -> None:
    recorder.answer = http(body)
    assert await fate(bench, recorder, checks=checks) == unknown("bad_response", 200, sent=1)
    assert bench.row("mug")["error"] == (f"HTTP 200 with a broken {format}: its header can't be read, or names no size")
    (kept,) = bench.files()
    assert (bench.images / kept).read_bytes() == body


@pytest.mark.fault(50)
async def test_an_image_of_absurd_size_is_refused_by_its_header(bench: Bench, recorder: Recorder) -> None:
    bomb = raw_png(100_000, 100_000, pixels=zlib.compress(bytes(2**20)))
    recorder.answer = http(bomb)
    assert await fate(bench, recorder) == unknown("bad_response", 200, sent=1)
    assert "100000×100000" in bench.row("mug")["error"] or "pixels" in bench.row("mug")["error"]


# Too much, too slow -------------------------------------------------------------------------------------------------


@pytest.mark.fault(51)
async def test_compression_is_not_asked_for(bench: Bench, recorder: Recorder) -> None:
    assert await fate(bench, recorder) == succeeded()
    assert recorder.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.fault(51)
@pytest.mark.slow
async def test_a_bomb_is_unpacked_no_further_than_an_image_is_long(bench: Bench, recorder: Recorder) -> None:
    packer = zlib.compressobj(wbits=31)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(384)) + packer.flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    recorder.answer = http(packed, more="Content-Encoding: gzip\r\n")
    assert await fate(bench, recorder) == unknown("bad_response", 200, sent=1)
    assert bench.row("mug")["error"] == "HTTP 200 with a body of more than 64 MiB"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 2**10


@pytest.mark.fault(51)
@pytest.mark.slow
async def test_bombs_as_errors_and_behind_links_go_off_no_more(bench: Bench, recorder: Recorder) -> None:
    bomb = gzip.compress(bytes(100 * 2**20))
    recorder.answer = in_turn(
        http(bomb, status="400 Bad Request", more="Content-Encoding: gzip\r\n"),
        document({"output": f"{recorder.url}/bomb.png"}),
    )
    recorder.answers["/bomb.png"] = http(bomb, more="Content-Encoding: gzip\r\n")
    found = await fates(bench, recorder, jobs(2), concurrency=1)
    assert found == [failed("invalid_parameter", 400), unknown("result_lost", 200, sent=1)]
    assert bench.row("job-1")["error"].endswith("answers HTTP 200 with a body of more than 64 MiB")


@pytest.mark.parametrize("declared", [None, 2 * 2**30, 10**10])
@pytest.mark.fault(52)
async def test_a_body_without_end_is_cut_at_64_mib(bench: Bench, recorder: Recorder, declared: int | None) -> None:
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        length = f"Content-Length: {declared}\r\n" if declared else ""
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n{length}\r\n".encode())
        while True:
            writer.write(bytes(2**20))
            await writer.drain()
            sent += 2**20

    recorder.answer = flood
    assert await fate(bench, recorder) == unknown("bad_response", 200, sent=1)
    assert bench.row("mug")["error"] == "HTTP 200 with a body of more than 64 MiB"
    assert sent < (100 if declared is None else 16) * 2**20


@pytest.mark.parametrize("fault", ["hang", "slow:over=5"])
@pytest.mark.fault(54, 56)
@pytest.mark.slow
async def test_what_takes_too_long_is_given_up_and_may_have_been_billed(bench: Bench, fault: str) -> None:
    async with Sandbox(SandboxOptions(size_scale=0.3, key=KEY, faults=(fault,))) as provider:
        found = await fate(bench, provider, api__timeout_s=0.5)
    assert found == unknown("timeout", "200" if fault.startswith("slow") else "", sent=3)


@pytest.mark.parametrize("text", [b"X", b"HTTP/1.1 103 Early Hints\r\n\r\n"], ids=["drip", "interim-answers"])
@pytest.mark.fault(55)
@pytest.mark.slow
async def test_headers_that_never_end_are_given_up(bench: Bench, text: bytes) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        if text == b"X":
            writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(text)
            await writer.drain()
            await asyncio.sleep(0.05)

    async with listening(drip) as provider:
        assert await fate(bench, provider, api__timeout_s=0.5) == unknown("timeout", "", sent=3)
        assert provider.connections == 3
    assert bench.row("mug")["error"] == "no answer within 0.5 s"


# Uploads ------------------------------------------------------------------------------------------------------------


async def test_an_upload_is_free_and_so_is_tried_again_whatever_its_answer(bench: Bench, recorder: Recorder) -> None:
    (bench.folder / "in.png").write_bytes(png((100, 100)))
    link = document({"file_urls": ["https://example.com/in.png"]}, status="201 Created")

    async def in_two(writer: asyncio.StreamWriter) -> None:
        answer = next(answers)
        writer.write(answer[:-10])
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(answer[-10:])

    broken = (b"", link[:-5], http(b"<html>busy</html>", status="502 Bad"), http(b"<html>"), http(b'{"urls": []}'))
    answers = iter((*broken, link))
    recorder.answers["/upload-asset"] = in_two
    found = await fate(bench, recorder, of=job("mug", image_urls=["in.png"]), retry__max_attempts=6)
    assert found == succeeded()
    assert len(recorder.requests) == len(broken) + 2
    assert recorder.requests[-1].json["image_urls"] == ["https://example.com/in.png"]
    assert len(edits(recorder)) == 1
