"""Answers in other wrappings than asked for: packed, as text, or as JSON that would fill the memory."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import sys
import zlib
from typing import Any

import pytest
from aiohttp.compression_utils import HAS_BROTLI, HAS_ZSTD
from PIL import Image

from tests.support.bench import Bench, job, jobs
from tests.support.fates import document, fate, fates, in_turn, stopped, succeeded, unknown
from tests.support.recorder import Recorder, http, png

# Packed -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "x-gzip", "GZIP, identity"])
@pytest.mark.fault(53)
async def test_what_cannot_be_unpacked_is_tried_again(bench: Bench, recorder: Recorder, encoding: str) -> None:
    broken = b"\x1f\x8b no such thing" * 9
    recorder.answer = in_turn(http(broken, more=f"Content-Encoding: {encoding}\r\n"))
    assert await fate(bench, recorder) == succeeded(sent=2, billed=1)
    (kept,) = (name for name in bench.files() if name.startswith(".rejected/"))
    assert (bench.images / kept).read_bytes() == broken


UNPACKABLE = {
    "compress": "compress",
    "X-Compress": "compress",
    "snappy": "snappy",
    "gzip, snappy": "snappy",
    "snappy, gzip": "snappy",
    "aes128gcm": "aes128gcm",
    **({} if HAS_BROTLI else {"br": "br", "BR": "br", "gzip, br": "br"}),
    **({} if HAS_ZSTD else {"zstd": "zstd"}),
}


@pytest.mark.parametrize(("encoding", "named"), UNPACKABLE.items())
@pytest.mark.fault(53)
async def test_a_packing_that_nobody_here_knows_is_paid_for_once_kept_and_named(
    bench: Bench, recorder: Recorder, encoding: str, named: str
) -> None:
    body = gzip.compress(b"\x8b\x00 packed in some way" * 99) if encoding == "snappy, gzip" else bytes(range(256)) * 9
    recorder.answer = http(body, more=f"Content-Encoding: {encoding}\r\nx-cost: 0.2\r\n")
    assert await fate(bench, recorder) == unknown("bad_response", 200, sent=1)
    assert f"HTTP 200 with a body packed as {named}, which can't be unpacked here" in bench.row("mug")["error"]
    (kept,) = bench.files()
    assert kept.startswith(".rejected/mug.attempt-1.")
    assert (bench.images / kept).read_bytes() == body


@pytest.mark.fault(53)
async def test_a_packing_may_be_written_in_many_ways(bench: Bench, recorder: Recorder) -> None:
    raw = zlib.compressobj(wbits=-15)
    twice = gzip.compress(zlib.compress(png()))
    bodies = [
        ("gzip", gzip.compress(png())),
        ("deflate", zlib.compress(png())),
        ("deflate", raw.compress(png()) + raw.flush()),
        ("X-GZIP", gzip.compress(png())),
        ("identity", png()),
        ("", png()),
        (" identity , gzip", gzip.compress(png())),
        ("deflate, gzip", twice),
        ("deflate\r\nContent-Encoding: gzip", twice),
        ("gzip", gzip.compress(json.dumps({"image": base64.b64encode(png()).decode()}).encode())),
        # What it says of itself may be wrong: the bytes count.
        ("gzip", png()),
        ("br", png()),
        ("snappy", json.dumps({"image": base64.b64encode(png()).decode()}).encode()),
    ]
    recorder.answer = in_turn(*(http(body, more=f"Content-Encoding: {name}\r\n") for name, body in bodies))
    assert await fates(bench, recorder, jobs(len(bodies)), concurrency=1) == [succeeded()] * len(bodies)


@pytest.mark.fault(53)
async def test_a_body_that_was_cut_before_it_was_unpacked_is_tried_again(bench: Bench, recorder: Recorder) -> None:
    recorder.answer = in_turn(http(gzip.compress(png())[:-20], more="Content-Encoding: gzip\r\n"))
    assert await fate(bench, recorder) == succeeded(sent=2, billed=1)


@pytest.mark.fault(53)
async def test_errors_are_read_though_they_are_packed(bench: Bench, recorder: Recorder) -> None:
    said = gzip.compress(b'{"error": "Insufficient credits"}')
    recorder.answer = http(said, status="400 Bad Request", more="Content-Encoding: gzip\r\n")
    assert await fate(bench, recorder) == stopped("credits", 400)


@pytest.mark.fault(53)
async def test_a_result_behind_a_link_may_be_packed_and_one_that_stays_so_is_fetched_once_and_kept(
    bench: Bench, recorder: Recorder
) -> None:
    recorder.answer = in_turn(*(document({"output": f"{recorder.url}/{name}.png"}) for name in ("gzip", "snappy")))
    recorder.answers["/gzip.png"] = http(gzip.compress(png()), more="Content-Encoding: gzip\r\n")
    recorder.answers["/snappy.png"] = http(bytes(range(200)), more="Content-Encoding: snappy\r\n")
    found = await fates(bench, recorder, jobs(2), concurrency=1)
    assert [(each.status, each.kind, each.sent, each.billed) for each in found] == [
        ("succeeded", "", 1, 0),
        ("unknown", "result_lost", 1, 1),
    ]
    assert [seen.path for seen in recorder.requests if seen.method == "GET"] == ["/gzip.png", "/snappy.png"]
    assert "packed as snappy" in bench.row("job-1")["error"]
    (kept,) = (name for name in bench.files() if name.startswith(".rejected/"))
    assert (bench.images / kept).read_bytes() == bytes(range(200))


@pytest.mark.fault(53)
async def test_uploads_and_polls_may_be_packed(bench: Bench, recorder: Recorder) -> None:
    (bench.folder / "in.png").write_bytes(png((100, 100)))

    def packed(content: Any) -> bytes:
        return document(gzip.compress(json.dumps(content).encode()), more="Content-Encoding: gzip\r\n")

    recorder.answers = {
        "/upload-asset": packed({"file_urls": ["https://example.com/in.png"]}),
        "/v2/gpt-image-1.5-edit": packed({"request_id": "r-1", "status": "QUEUED"}),
        "/v2/requests/r-1/status": packed({"status": "COMPLETED", "output": f"{recorder.url}/a.png"}),
        "/a.png": http(png()),
    }
    summary = await bench.run([job("mug", image_urls=["in.png"])], recorder.base_url, api__version="v2")
    assert (summary.exit_code, summary.jobs.succeeded) == (0, 1)


# Images as text -----------------------------------------------------------------------------------------------------

TEXT = base64.b64encode(png((40, 30)))
LINES = b"\r\n".join(TEXT[at : at + 76] for at in range(0, len(TEXT), 76))
AS_TEXT = {
    "bare": TEXT,
    "with-space": b"\n  " + TEXT + b" \r\n",
    "in-lines": LINES + b"\n",
    "in-quotes": b'"' + TEXT + b'"',
    "in-quotes-and-lines": b'"' + LINES + b'"',
    "in-single-quotes": b"'" + TEXT + b"'",
    "as-python-bytes": b"b'" + TEXT + b"'",
    "with-a-mark": b"\xef\xbb\xbf" + TEXT,
    "url-safe": base64.urlsafe_b64encode(png((40, 30))),
    "url-safe-without-padding": base64.urlsafe_b64encode(png((40, 30))).rstrip(b"="),
    "without-padding": TEXT.rstrip(b"="),
    "percent-encoded": TEXT.replace(b"+", b"%2B").replace(b"/", b"%2F").replace(b"=", b"%3D"),
    "data-link": b"data:image/png;base64," + TEXT,
    "data-link-of-another-case": b"DATA:image/png;charset=utf-8;BASE64," + TEXT,
    "data-link-in-lines-and-quotes": b'"data:image/png;base64,\n' + LINES + b'"\n',
    "json-with-a-url-safe-one": json.dumps({"image": base64.urlsafe_b64encode(png((40, 30))).decode()}).encode(),
    "json-after-a-mark": b"\xef\xbb\xbf" + json.dumps({"image": TEXT.decode()}).encode(),
    "json-beside-another-text": json.dumps({"image": "a" * 64, "output": TEXT.decode()}).encode(),
}


@pytest.mark.parametrize("content_type", ["text/plain", "image/png", "application/json", "application/octet-stream"])
@pytest.mark.parametrize("body", AS_TEXT.values(), ids=AS_TEXT)
@pytest.mark.fault(2)
@pytest.mark.slow
async def test_an_image_that_comes_as_text_is_decoded(
    bench: Bench, recorder: Recorder, body: bytes, content_type: str
) -> None:
    recorder.answer = http(body, content_type=content_type)
    assert await fate(bench, recorder) == succeeded()
    assert (bench.out / bench.row("mug")["output_path"]).read_bytes() == png((40, 30))


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "GIF"])
@pytest.mark.fault(2)
async def test_images_of_every_format_may_come_as_text(bench: Bench, recorder: Recorder, format: str) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 60).save(buffer, format)
    recorder.answer = http(base64.b64encode(buffer.getvalue()), content_type="text/plain")
    assert await fate(bench, recorder) == succeeded()
    assert (bench.out / bench.row("mug")["output_path"]).read_bytes() == buffer.getvalue()


@pytest.mark.fault(2)
async def test_a_result_link_may_lead_to_text(bench: Bench, recorder: Recorder) -> None:
    recorder.answer = document({"output": f"{recorder.url}/a.txt"})
    recorder.answers["/a.txt"] = http(LINES, content_type="text/plain")
    assert await fate(bench, recorder) == succeeded()


@pytest.mark.fault(43)
async def test_text_of_an_image_that_was_cut_is_tried_again(bench: Bench, recorder: Recorder) -> None:
    cuts = (TEXT[:-40], b'"' + TEXT[:-41], b"data:image/png;base64," + LINES[:-43])
    recorder.answer = in_turn(*(http(cut, content_type="text/plain") for cut in cuts))
    found = await fates(bench, recorder, jobs(3), retry__max_possibly_billed=9, concurrency=1)
    assert sum(each.sent for each in found) == 3 + 3
    assert [each.status for each in found] == ["succeeded"] * 3


@pytest.mark.parametrize(
    "body",
    [
        b"the service is temporarily not available please try again in a while or ask those who run it for help",
        base64.b64encode(b"words and no image, however long they are, and however well they are packed as text"),
        b"data:text/plain;base64," + base64.b64encode(b"words and no image" * 9),
        b"data:image/png," + TEXT,
        TEXT.replace(TEXT[100:104], b"****"),
    ],
    ids=["words", "words-in-base64", "data-link-of-words", "data-link-without-base64", "broken"],
)
@pytest.mark.fault(7)
async def test_other_text_is_no_image(bench: Bench, recorder: Recorder, body: bytes) -> None:
    recorder.answer = http(body, content_type="text/plain")
    found = await fate(bench, recorder, retry__max_possibly_billed=1)
    assert found == unknown("bad_response", 200, sent=1)
    (kept,) = bench.files()
    assert (bench.images / kept).read_bytes() == body


# JSON that would fill the memory ------------------------------------------------------------------------------------

MEASURE = """
import asyncio, re, sys
from pathlib import Path
from pydantic import SecretStr
from batch_editor import BatchOptions, load_settings, run_batch

base_url, version, out = sys.argv[1:]
settings = load_settings(flags={"api": {"base_url": base_url, "version": version}, "rate_limit": "1000/s"})

def run(name):
    options = BatchOptions(output=Path(out) / name)
    return asyncio.run(run_batch(["jobs.yaml"], settings, SecretStr("SG_0123456789abcdef"), options))

def peak_kb():  # of this program alone: getrusage() begins with that of who started it
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

run("small")  # what a run takes
before = peak_kb()
summary = run("large")
print((peak_kb() - before) // 1024, summary.exit_code)
"""


def hostile(kind: str) -> bytes:
    """Some 25 MB of JSON."""
    match kind:
        case "keys":
            return b"{" + b",".join(b'"k%06d":1' % number for number in range(2_000_000)) + b"}"
        case "zeros":
            return b"[" + b"0," * 12_000_000 + b"0]"
        case "lists":
            return b'{"image":[' + b"[]," * 8_000_000 + b"[]]}"
        case "objects":
            return b'{"data":[' + b"{}," * 8_000_000 + b"{}]}"
        case _:
            return b'{"error":[' + b'"",' * 8_000_000 + b'""]}'


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("kind", ["keys", "zeros", "lists", "objects", "strings"])
@pytest.mark.slow
async def test_json_of_millions_of_values_takes_no_more_memory_than_its_length(
    bench: Bench, recorder: Recorder, kind: str, version: str
) -> None:
    body = hostile(kind)
    answers = iter((document({"error": "no"}), document(body)))

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(next(answers))

    recorder.answer = answer
    bench.write(jobs(1))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MEASURE, recorder.base_url, version, str(bench.out)),
        cwd=bench.folder,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    mib, code = map(int, out.split())
    assert code == 1
    assert mib < 130  # of 25 MB a few copies; read as objects, up to 1,400
    (row,) = bench.rows(bench.out / "large")
    assert row["error"] == "HTTP 200 with JSON of more values than an answer with an image has"
    (kept,) = (bench.out / "large/images/.rejected").iterdir()
    assert kept.stat().st_size == len(body)
