"""Checks input links by their first bytes, before money is spent on them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urljoin, urlsplit

import aiohttp

from batch_editor.client.guard import is_public, socket_factory
from batch_editor.client.user_agent import USER_AGENT
from batch_editor.images import NotAnImage, TooManyPixels, read_beginning
from batch_editor.text import printable

# Headers of PNG, JPEG and WebP tell their dimensions; a JPEG's thumbnail and profile may take tens of KB before.
FIRST_BYTES = 128 * 2**10
MAX_BYTES = 50_000_000  # what the provider takes
MIN_SIDE = 64  # a smaller picture is an icon or a tracking pixel that got into a feed
AT_ONCE = 16
TIMEOUT_S = 20.0
MAX_HOPS = 5
ACCEPTED = ("PNG", "JPEG", "MPO", "WEBP")  # MPO: a phone's JPEG with a second picture behind the first


@dataclass(frozen=True, slots=True)
class LinkReport:
    """What was found at a link; `fault` says what is wrong with it, None if nothing is."""

    link: str
    fault: str | None = None
    width: int = 0
    height: int = 0
    has_alpha: bool = False
    expires_at: datetime | None = None


async def look_at(links: Iterable[str], *, allow_private: bool) -> AsyncIterator[LinkReport]:
    """A report for each link, in any order, a few at a time; the links are drawn as they are needed.

    A ranged GET rather than a HEAD: it works on signed links, which are often signed for GET alone, and tells the
    type by the bytes themselves.
    """
    connector = aiohttp.TCPConnector(limit=AT_ONCE, socket_factory=None if allow_private else socket_factory(is_public))
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": USER_AGENT},
    ) as session:
        iterator = iter(links)
        running: set[asyncio.Task[LinkReport]] = set()
        try:
            while True:
                while len(running) < AT_ONCE and (link := next(iterator, None)) is not None:
                    running.add(asyncio.create_task(_look(session, link)))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def expiry_of(link: str) -> datetime | None:
    """When a signed link ends, where it says so (AWS, Google, CloudFront, Azure).

    >>> expiry_of("https://b.s3.amazonaws.com/a.png?X-Amz-Date=20261122T100000Z&X-Amz-Expires=900").isoformat()
    '2026-11-22T10:15:00+00:00'
    >>> expiry_of("http://[") is None
    True
    """
    try:
        query = {name.lower(): values[0] for name, values in parse_qs(urlsplit(link).query).items()}
        for vendor in ("x-amz", "x-goog"):
            if f"{vendor}-date" in query and f"{vendor}-expires" in query:
                signed = datetime.strptime(query[f"{vendor}-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return signed + timedelta(seconds=int(query[f"{vendor}-expires"]))
        if "signature" in query and re.fullmatch(r"\d{9,11}", query.get("expires", "")):
            return datetime.fromtimestamp(int(query["expires"]), UTC)
        if "sig" in query and "se" in query:
            at = datetime.fromisoformat(query["se"])
            return at if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return None


async def _look(session: aiohttp.ClientSession, link: str) -> LinkReport:
    try:
        return await _fetch(session, link)
    except TimeoutError:
        return LinkReport(link, f"no answer within {TIMEOUT_S:g} s")
    except aiohttp.ClientConnectorError as error:
        if not isinstance(error.os_error, PermissionError):
            return LinkReport(link, f"not reachable: {printable(str(error), limit=150)}")
        return LinkReport(link, f"refused: {error.os_error.strerror}; inputs.allow_private_links allows it")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return LinkReport(link, f"not reachable: {printable(str(error) or type(error).__name__, limit=150)}")


async def _fetch(session: aiohttp.ClientSession, link: str) -> LinkReport:
    url = link
    for _ in range(MAX_HOPS + 1):
        async with session.get(url, headers={"Range": f"bytes=0-{FIRST_BYTES - 1}"}, allow_redirects=False) as response:
            if response.status in (301, 302, 303, 307, 308):
                url = urljoin(url, response.headers.get("location", ""))
                if urlsplit(url).scheme not in ("http", "https"):
                    return LinkReport(link, "redirects to something that is no http(s) link")
                continue
            if response.status not in (200, 206):
                return LinkReport(link, f"answers HTTP {response.status}")
            if (size := _size(response)) is not None and size > MAX_BYTES:
                return LinkReport(link, f"has {size / 1e6:.0f} MB; the provider takes less than 50")
            return _report(link, await _first_bytes(response))
    return LinkReport(link, f"redirects more than {MAX_HOPS} times")


async def _first_bytes(response: aiohttp.ClientResponse) -> bytes:
    data = b""
    async for block in response.content.iter_any():
        data += block
        if len(data) >= FIRST_BYTES:
            break
    return data[:FIRST_BYTES]


def _size(response: aiohttp.ClientResponse) -> int | None:
    total = response.headers.get("content-range", "").rpartition("/")[2]
    if response.status == 206 and total.isascii() and total.isdigit():
        return int(total)
    return response.content_length if response.status == 200 else None


def _report(link: str, data: bytes) -> LinkReport:
    try:
        header = read_beginning(data)
    except TooManyPixels:
        return LinkReport(link, "has more than 178 million pixels")
    except NotAnImage:
        return LinkReport(link, f"is no image: it begins with {data[:12]!r}" if data else "is empty")
    if header.format not in ACCEPTED:
        return LinkReport(link, f"is a {header.format}; the provider takes png, jpeg and webp")
    width, height = header.width, header.height
    if min(width, height) < MIN_SIDE:
        return LinkReport(link, f"has {width}×{height} pixels; a picture has at least {MIN_SIDE} a side")
    return LinkReport(link, None, width, height, header.has_alpha, expiry_of(link))
