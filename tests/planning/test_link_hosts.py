# ruff: noqa: E501  # tables of messages
"""Sound links are sound whatever their host's habits; what isn't is said in words for people."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import signal
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from PIL import Image

from batch_editor.client import LinkReport, Network, look_at
from tests.planning.test_input_check import check, fault_of
from tests.support.bench import Bench, job
from tests.support.fates import listening
from tests.support.picture_server import Answer, PictureServer, picture
from tests.support.proxy import ProxyServer

pytestmark = pytest.mark.slow  # hosts are waited for


@pytest.fixture
async def server() -> AsyncIterator[PictureServer]:
    async with PictureServer() as server:
        yield server


def profiled(size: int, form: str = "JPEG") -> bytes:
    """A picture behind a colour profile of that size."""
    return picture(form=form, icc_profile=os.urandom(size))


def status(code: int, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=code, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def look(*links: str, timeout_s: float = 5.0) -> list[LinkReport]:
    return [each async for each in look_at(links, allow_private=True, network=Network({}), timeout_s=timeout_s)]


@pytest.mark.parametrize("ranged", [True, False, 416, 403, 400, 405, 501])
@pytest.mark.parametrize("size", [0, 256 * 2**10, 2 * 2**20], ids=["short", "256 KB", "2 MB"])
async def test_a_picture_is_read_on_until_its_header_however_its_host_takes_ranges(
    bench: Bench, server: PictureServer, ranged: bool | int, size: int
) -> None:
    server.files = {"it": profiled(size) if size else picture()}
    server.ranged = ranged
    assert await fault_of(bench, f"{server.url}/it") is None
    assert len(server.asked) <= 2


async def test_a_header_that_begins_too_late_is_said(bench: Bench, server: PictureServer) -> None:
    server.files = {"it": profiled(5 * 2**20)}
    assert await fault_of(bench, f"{server.url}/it") == "begins as a JPEG, but its size isn't said in its first 4 MiB"
    assert server.asked == [("it", "bytes=0-131071"), ("it", "bytes=0-4194303")]


@pytest.mark.parametrize("code", [503, 429, 408, 500, 502, 504])
async def test_a_host_that_fails_once_is_asked_again(bench: Bench, server: PictureServer, code: int) -> None:
    server.files, server.before = {"it": picture()}, {"it": [status(code)]}
    assert await fault_of(bench, f"{server.url}/it") is None
    assert len(server.asked) == 2


async def test_a_host_that_hangs_once_is_asked_again_and_one_that_always_does_is_said(server: PictureServer) -> None:
    server.files, server.before = {"it": picture()}, {"it": [hang], "never": [hang] * 9}
    reports = await look(f"{server.url}/it", f"{server.url}/never", timeout_s=0.4)
    assert {report.link.rpartition("/")[2]: report.fault for report in reports} == {
        "it": None,
        "never": "no answer within 0.4 s",
    }


@pytest.mark.parametrize("says", ["nothing", "seconds", "date"])
async def test_a_host_that_allows_five_a_second_has_no_faulty_links(
    bench: Bench, server: PictureServer, says: str
) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    server.when_many = {"nothing": {}, "seconds": {"Retry-After": "1"}, "date": {"Retry-After": at}}[says]
    server.files, server.per_s = {"it": picture()}, 5
    found = await check(bench, *(job(f"j{n}", image_urls=[f"{server.url}/it?{n}"]) for n in range(40)))
    assert (found.looked_at, found.faulty) == (40, ())
    assert len(server.asked) < 40 + 30


async def test_a_pause_longer_than_somebody_waits_is_said_and_the_host_left_alone(server: PictureServer) -> None:
    server.files, server.per_s, server.when_many = {"it": picture()}, 1, {"Retry-After": "7200"}
    reports = await look(*(f"{server.url}/it?{n}" for n in range(300)))
    host = server.url.removeprefix("http://")
    said = f"was not looked at: {host} asks to wait 2h 0m (HTTP 429); check again then"
    assert {report.fault for report in reports} == {None, said}
    assert len(server.asked) < 10


async def test_links_of_a_host_that_is_gone_are_not_waited_for_one_by_one(server: PictureServer) -> None:
    server.files = {"it": picture()}
    began = time.monotonic()
    reports = await look(*(f"http://127.0.0.1:9/{n}" for n in range(2000)), f"{server.url}/it")
    faults = [report.fault for report in reports if report.link.startswith("http://127.0.0.1:9/")]
    assert faults[-1] == "was not looked at: 127.0.0.1:9 didn't answer 6 times in a row"
    assert [report.fault for report in reports if report.link.startswith(server.url)] == [None]
    assert time.monotonic() - began < 20


async def test_hosts_are_looked_at_side_by_side_and_each_by_four_at_most(server: PictureServer) -> None:
    now, most = 0, 0

    async def slow(_: web.Request) -> web.StreamResponse:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.3)
        now -= 1
        return web.Response(body=picture())

    async with PictureServer() as other:
        server.before = {"slow": [slow] * 12}
        other.files = {"it": picture()}
        reports = [
            report.link
            async for report in look_at(
                [*(f"{server.url}/slow?{n}" for n in range(12)), *(f"{other.url}/it?{n}" for n in range(4))],
                allow_private=True,
                network=Network({}),
            )
        ]
    assert most == 4
    assert all(link.startswith(other.url) for link in reports[:3])


STATUSES = {
    401: "answers HTTP 401: it wants a login",
    403: "answers HTTP 403: it isn't public, or its signature has ended",
    404: "answers HTTP 404: there is nothing at this address",
    410: "answers HTTP 410: it was there, and is gone for good",
    418: "answers HTTP 418: i'm a teapot",
    429: "answers HTTP 429: too many requests, also after waiting",
    451: "answers HTTP 451: it is withheld for legal reasons",
    500: "answers HTTP 500: a fault of its host",
    599: "answers HTTP 599: a fault of its host",
    302: "answers HTTP 302, a redirect that doesn't say where to",
}


@pytest.mark.parametrize("code", [code for code in STATUSES if code != 429])
async def test_statuses_are_said_in_words(server: PictureServer, code: int) -> None:
    server.before = {"it": [status(code)] * 9}
    (report,) = await look(f"{server.url}/it")
    assert report.fault == STATUSES[code]


def drawn(form: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (100, 100)).save(buffer, form, **how)
    return buffer.getvalue()


NOISE = Image.effect_noise((300, 300), 80).convert("RGB")
WHOLE = io.BytesIO()
NOISE.save(WHOLE, "JPEG")
BODIES: dict[str, tuple[str, bytes, str]] = {
    "page": ("text/html; charset=utf-8", b"\xef\xbb\xbf\n<!-- x --><!DOCTYPE html><html>Hello", "answered a web page (text/html), not a picture"),
    "page that lies": ("image/jpeg", b"<html><body>Not here</body></html>", "answered a web page (image/jpeg), not a picture"),
    "login": ("text/html", b"<html><input name=p type='password'></html>", "answered a login page (text/html), not a picture"),
    "json": ("application/json", b'{"error": "no such picture"}', "answered JSON (application/json), not a picture"),
    "xml": ("application/xml", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "answered XML (application/xml), not a picture"),
    "text": ("text/plain", "Bild nicht gefunden – größer".encode(), "answered text (text/plain), not a picture"),
    "bytes": ("application/x", bytes(range(200)), "answered a file of an unknown kind (application/x), not a picture"),
    "empty": ("image/png", b"", "is empty"),
    "gif": ("image/jpeg", drawn("GIF"), "is a GIF image; the provider takes png, jpeg and webp"),
    "bmp": ("image/jpeg", drawn("BMP"), "is a BMP image; the provider takes png, jpeg and webp"),
    "tiff": ("image/jpeg", drawn("TIFF"), "is a TIFF image; the provider takes png, jpeg and webp"),
    "heic": ("image/jpeg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "is a HEIC photo; the provider takes png, jpeg and webp"),
    "heic by its second brand": ("image/heic", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heix" + bytes(99), "is a HEIC photo; the provider takes png, jpeg and webp"),
    "avif": ("image/jpeg", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(99), "is an AVIF image; the provider takes png, jpeg and webp"),
    "avif by its second brand": ("image/avif", b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif" + bytes(99), "is an AVIF image; the provider takes png, jpeg and webp"),
    "video": ("video/mp4", b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(99), "is a video; the provider takes png, jpeg and webp"),
    "svg": ("image/svg+xml", b"<?xml version='1.0'?>\n<!-- a cup -->\n<svg xmlns='x'/>", "is an SVG drawing; the provider takes png, jpeg and webp"),
    "psd": ("image/png", b"8BPS\0\1" + bytes(99), "is a Photoshop file (PSD); the provider takes png, jpeg and webp"),
    "pdf": ("application/pdf", b"%PDF-1.7\n", "is a PDF document; the provider takes png, jpeg and webp"),
    "zip": ("image/png", b"PK\3\4" + bytes(99), "is a ZIP archive, or an office document; the provider takes png, jpeg and webp"),
    "cut": ("image/jpeg", WHOLE.getvalue()[:9000], "is a JPEG that was cut short: it ends after 9,000 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("ranged", [True, False])
@pytest.mark.parametrize("name", BODIES)
async def test_what_is_no_picture_is_named_as_what_it_is(server: PictureServer, name: str, ranged: bool) -> None:
    kind, body, said = BODIES[name]
    server.files, server.types, server.ranged = {"it": body}, {"it": kind}, ranged
    (report,) = await look(f"{server.url}/it")
    assert report.fault == said


async def test_a_redirect_to_a_login_is_a_login_page(server: PictureServer) -> None:
    server.files, server.types = {"login": b"<html>Welcome"}, {"login": "text/html"}
    server.moved = {"it": "/login"}
    (report,) = await look(f"{server.url}/it")
    assert report.fault == "answered a login page (text/html), not a picture"


@pytest.mark.parametrize("kind", ["text/html", "image/gif", "application/json", ""])
async def test_a_picture_is_one_whatever_its_host_calls_it(server: PictureServer, kind: str) -> None:
    server.files, server.types = {"it": picture()}, {"it": kind}
    assert [report.fault for report in await look(f"{server.url}/it")] == [None]


async def test_a_packed_picture_is_unpacked_though_nobody_asked_for_it_packed(server: PictureServer) -> None:
    async def packed(request: web.Request) -> web.StreamResponse:
        body = gzip.compress(WHOLE.getvalue())
        if "Range" not in request.headers:
            return web.Response(body=body, headers={"Content-Encoding": "gzip"})
        where = {"Content-Range": f"bytes 0-999/{len(body)}", "Content-Encoding": "gzip"}
        return web.Response(status=206, body=body[:1000], headers=where)

    server.before = {"it": [packed] * 9}
    assert [report.fault for report in await look(f"{server.url}/it")] == [None]


async def test_a_body_shorter_than_its_host_said_is_a_fault() -> None:
    async def short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + WHOLE.getvalue()[:5000])
        await writer.drain()

    async with listening(short) as host:
        (report,) = await look(f"http://127.0.0.1:{host.port}/it")
        assert (report.fault, host.connections) == ("breaks off in the middle", 3)


async def test_a_long_picture_is_not_read_to_its_end() -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n" + picture(form="JPEG"))
        while sent < 40_000_000 - 2**16:
            writer.write(bytes(2**16))
            await writer.drain()
            sent += 2**16

    async with listening(endless) as host:
        assert [report.fault for report in await look(f"http://127.0.0.1:{host.port}/it")] == [None]
    assert sent < 10_000_000


async def test_a_link_is_asked_for_byte_by_byte_as_it_is_sent() -> None:
    asked: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        body = picture()
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    async with listening(hear) as host:
        await look(f"http://127.0.0.1:{host.port}/%7Ea%2fb%20c.jpg?s=x%2By+z%3D&t=%41")
    assert asked[0].startswith(b"GET /%7Ea%2fb%20c.jpg?s=x%2By+z%3D&t=%41 HTTP/1.1\r\n")


async def test_links_go_through_the_proxy_and_the_end_of_the_guard_is_said_once(bench: Bench) -> None:
    async with PictureServer() as server, ProxyServer(int(server.url.rpartition(":")[2])) as proxy:
        server.files = {"it": picture()}
        links = ["http://h.example/it?1", "http://i.example/it?2", "http://10.0.0.1/it", "http://127.0.0.1:9/it"]
        manifest = bench.write([job(f"j{n}", image_urls=[link]) for n, link in enumerate(links)])
        done = await bench.command("plan", manifest, "--check-inputs", "--json", environment=proxy.environment())
        assert done.json["inputs"]["faulty"] == [
            {"job_id": "j2", "fault": "http://10.0.0.1/it refused: 10.0.0.1 is not a public address; inputs.allow_private_links allows it"},
            {"job_id": "j3", "fault": "http://127.0.0.1:9/it refused: 127.0.0.1 is not a public address; inputs.allow_private_links allows it"},
        ]  # fmt: skip
        assert sorted(proxy.asked) == ["GET http://h.example/it?1 HTTP/1.1", "GET http://i.example/it?2 HTTP/1.1"]
        said = [line for line in done.err.splitlines() if "proxy" in line]
        (line,) = said
        assert line == (
            f"links are looked at through the proxy {proxy.url} (HTTPS_PROXY, HTTP_PROXY), which resolves their names;"
            " of private addresses only those that a link names outright are refused"
        )


@pytest.mark.slow
async def test_a_long_check_shows_that_it_lives_and_ends_by_ctrl_c(bench: Bench, server: PictureServer) -> None:
    server.files = {"it": picture()}
    manifest = bench.write([job(f"j{n}", image_urls=[f"{server.url}/it?{n}"]) for n in range(400)])
    allowed = {"BATCH_EDITOR_INPUTS__ALLOW_PRIVATE_LINKS": "true"}
    async with bench.started("plan", manifest, "--check-inputs", key=None, environment=allowed) as command:
        lines: list[str] = []
        while not (lines and lines[-1].startswith("inputs: ")):
            lines.append(await command.error_line())
            assert lines[-1]
        assert lines[-1].endswith(" of 400 links looked at\n")
        command.send(signal.SIGINT)
        finished = await asyncio.wait_for(command.finished(), 5)
    assert (finished.code, finished.err.strip()) == (130, "Interrupted; nothing is lost, running again resumes.")
