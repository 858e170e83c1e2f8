"""Checks input links by their first bytes, before money is spent on them."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import aiohttp

from batch_editor.client.guarded_get import GuardedGet
from batch_editor.client.host_pace import HostPace
from batch_editor.client.link_answers import is_enough, read_picture, words_of_status
from batch_editor.client.network import Network
from batch_editor.client.polite import AT_ONCE, RATE_REFUSED, TRANSIENT, Asking, NoAnswerYet
from batch_editor.client.waits import retry_after

# Headers of PNG, JPEG and WebP tell their dimensions; most are within these. Behind a large colour profile, thumbnail
# or depth map of a phone they begin later: profiles of printers have up to 2 MB.
FIRST_BYTES = 128 * 2**10
# 32 × 4 MiB is the most that is held of pictures.
MOST_BYTES = 4 * 2**20
MAX_BYTES = 50_000_000  # what the provider takes
TIMEOUT_S = 20.0
# What hosts answer to a Range that they don't take, though the link is sound.
_RANGE_REFUSED = (400, 403, 405, 406, 412, 416, 501)


@dataclass(frozen=True, slots=True)
class LinkReport:
    """What was found at a link; `fault` says what is wrong with it, None if nothing is."""

    link: str
    fault: str | None = None
    width: int = 0
    height: int = 0
    has_alpha: bool = False
    expires_at: datetime | None = None


class _Link(NamedTuple):
    link: str


@dataclass(frozen=True, slots=True)
class _Again:
    """Another GET is needed, of so many bytes; None: without a Range."""

    most: int | None


async def look_at(
    links: Iterable[str], *, allow_private: bool, network: Network, timeout_s: float = TIMEOUT_S
) -> AsyncGenerator[LinkReport, None]:
    """A report for each link, in any order; the links are drawn as they are needed.

    A ranged GET rather than a HEAD: it works on signed links, which are often signed for GET alone, and tells the
    type by the bytes themselves.
    """
    async with GuardedGet(network, allow_private=allow_private, timeout_s=timeout_s, at_once=AT_ONCE) as gets:
        looking = Asking(gets, _Looking(gets).look, lambda link, fault: LinkReport(link.link, fault))
        async with aclosing(looking.reports(map(_Link, links))) as reports:
            async for report in reports:
                yield report


class _Looking:
    """Looks at links."""

    def __init__(self, gets: GuardedGet) -> None:
        self._gets = gets

    async def look(self, link: _Link, pace: HostPace) -> LinkReport | NoAnswerYet:
        """What a link's first bytes are, and as many more as its header needs."""
        most: int | None = FIRST_BYTES if pace.takes_ranges else None
        while True:
            found = await self._follow(link.link, most)
            if not isinstance(found, _Again):
                if most is None and isinstance(found, LinkReport) and found.fault is None:
                    pace.takes_ranges = False
                return found
            most = found.most
            await pace.turn()

    async def _follow(self, link: str, most: int | None) -> LinkReport | NoAnswerYet | _Again:
        """The report of one GET and its redirects; or how to ask again."""
        headers = {} if most is None else {"Range": f"bytes=0-{most - 1}"}
        async with self._gets.get(link, headers=headers) as (url, response):
            return await self._read(link, url, response, most)

    async def _read(
        self, link: str, url: str, response: aiohttp.ClientResponse, most: int | None
    ) -> LinkReport | NoAnswerYet | _Again:
        status, headers = response.status, response.headers
        is_packed = headers.get("content-encoding", "identity").lower() != "identity"
        if most is not None and (status in _RANGE_REFUSED or (status == 206 and is_packed)):
            return _Again(None)  # of what is packed, a part can't be unpacked
        if status in RATE_REFUSED:
            return NoAnswerYet(words_of_status(status), status, retry_after(headers, now=datetime.now(UTC)))
        if status in TRANSIENT:
            return NoAnswerYet(words_of_status(status))
        if status not in (200, 204, 206):
            return LinkReport(link, words_of_status(status))
        size = _size(response)
        if size is not None and size > MAX_BYTES and not is_packed:
            return LinkReport(link, f"has {size / 1e6:.0f} MB; the provider takes less than 50")
        data, is_end = await _first_bytes(response)
        is_whole = is_end and (status != 206 or (size is not None and len(data) >= size))
        if most is not None and not is_whole and len(data) < MOST_BYTES and not is_enough(data):
            return _Again(MOST_BYTES if most < MOST_BYTES else None)
        content_type = headers.get("content-type", "").partition(";")[0].strip()
        found = read_picture(data, whole=is_whole, content_type=content_type, url=url)
        if isinstance(found, str):
            return LinkReport(link, found)
        return LinkReport(link, None, found.width, found.height, found.has_alpha, expiry_of(link))


async def _first_bytes(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """A body as far as its header needs it, and whether that is all of it."""
    data = bytearray()
    wanted = FIRST_BYTES
    async for block in response.content.iter_any():
        data += block
        if len(data) >= wanted:
            if len(data) >= MOST_BYTES or is_enough(bytes(data)):
                return bytes(data[:MOST_BYTES]), response.content.at_eof()
            wanted *= 2
    return bytes(data), True


def _size(response: aiohttp.ClientResponse) -> int | None:
    total = response.headers.get("content-range", "").rpartition("/")[2]
    if response.status == 206 and total.isascii() and total.isdigit():
        return int(total)
    return response.content_length if response.status == 200 else None


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
