"""Checks input links by their first bytes, before money is spent on them: many hosts at once, each politely."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

import aiohttp

from batch_editor.client.guarded_get import GuardedGet
from batch_editor.client.host_pace import HostPace
from batch_editor.client.link_answers import is_enough, read_picture, words_of_status
from batch_editor.client.network import Network
from batch_editor.client.waits import retry_after
from batch_editor.text import printable

# Headers of PNG, JPEG and WebP tell their dimensions; most are within these. Behind a large colour profile, thumbnail
# or depth map of a phone they begin later: profiles of printers have up to 2 MB.
FIRST_BYTES = 128 * 2**10
MOST_BYTES = 4 * 2**20
MAX_BYTES = 50_000_000  # what the provider takes
# 32 × 4 MiB is the most that is held of pictures; four at a time is what a browser asks one host for.
AT_ONCE, PER_HOST = 32, 4
READ_AHEAD = 10_000  # links, of which each host has its own queue; about 2 MB
TIMEOUT_S = 20.0
TRIES = 3
RATE_TRIES = 8  # of a link that is refused for the number of requests, each after the whole host has paused
FIRST_BACKOFF_S = 0.5
# What hosts answer to a Range that they don't take, though the link is sound.
_RANGE_REFUSED = (400, 403, 405, 406, 412, 416, 501)
_RATE_REFUSED = (429, 503)
_TRANSIENT = (408, 425, 500, 502, 504)


@dataclass(frozen=True, slots=True)
class LinkReport:
    """What was found at a link; `fault` says what is wrong with it, None if nothing is."""

    link: str
    fault: str | None = None
    width: int = 0
    height: int = 0
    has_alpha: bool = False
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Later:
    """Why a link says nothing yet. status: of a refusal for the number of requests, 0 of any other reason."""

    fault: str
    status: int = 0
    retry_after_s: float | None = None
    is_silent: bool = False


@dataclass(frozen=True, slots=True)
class _Again:
    """Another GET is needed, of so many bytes; None: without a Range."""

    most: int | None


async def look_at(
    links: Iterable[str], *, allow_private: bool, network: Network, timeout_s: float = TIMEOUT_S
) -> AsyncIterator[LinkReport]:
    """A report for each link, in any order; the links are drawn as they are needed.

    A ranged GET rather than a HEAD: it works on signed links, which are often signed for GET alone, and tells the
    type by the bytes themselves.
    """
    async with _Looking(network, timeout_s, allow_private=allow_private) as looking:
        queues = _Queues(iter(links))
        running: dict[asyncio.Task[LinkReport], str] = {}
        try:
            while True:
                for host, link in queues.next(AT_ONCE - len(running), Counter(running.values())):
                    running[asyncio.create_task(looking.look(host, link))] = host
                if not running:
                    return
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    del running[task]
                    yield task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


class _Queues:
    """Links to look at, by host, so that a slow one doesn't hold back the others."""

    def __init__(self, links: Iterator[str]) -> None:
        self._links = links
        self._waiting: dict[str, deque[str]] = {}
        self._size = 0

    def next(self, most: int, running: Counter[str]) -> list[tuple[str, str]]:
        """The links to begin with now, one of each host in turn, no host with more than PER_HOST."""
        while self._size < READ_AHEAD and (link := next(self._links, None)) is not None:
            self._waiting.setdefault(urlsplit(link).netloc.lower(), deque()).append(link)
            self._size += 1
        chosen: list[tuple[str, str]] = []
        while len(chosen) < most:
            host = next((host for host in self._waiting if running[host] < PER_HOST), None)
            if host is None:
                break
            queue = self._waiting.pop(host)
            chosen.append((host, queue.popleft()))
            running[host] += 1
            self._size -= 1
            if queue:
                self._waiting[host] = queue  # behind the others
        return chosen


class _Looking:
    """Looks at links. An async context manager: it owns its sessions."""

    def __init__(self, network: Network, timeout_s: float, *, allow_private: bool) -> None:
        self._links = GuardedGet(network, allow_private=allow_private, timeout_s=timeout_s, at_once=AT_ONCE)
        self._paces: dict[str, HostPace] = {}

    async def __aenter__(self) -> _Looking:
        await self._links.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._links.__aexit__(kind, error, trace)

    async def look(self, host: str, link: str) -> LinkReport:
        """Look at one link, again where a later answer may be another one."""
        pace = self._paces.setdefault(host, HostPace(printable(host, limit=100)))
        tries = refusals = 0
        while pace.given_up is None:
            sent_at = await pace.turn()
            if pace.given_up is not None:
                break
            found = await self._try(link, pace)
            if isinstance(found, LinkReport):
                pace.answered()
                return found
            if found.status:
                refusals += 1
                pace.refused(found.status, asked_s=found.retry_after_s, sent_at=sent_at)
            else:
                tries += 1
                if found.is_silent:
                    pace.silent()
                else:
                    pace.answered()
            if tries == TRIES or refusals == RATE_TRIES:
                return LinkReport(link, found.fault)
            if not found.status:
                await asyncio.sleep(FIRST_BACKOFF_S * 2.0 ** (tries - 1))
        return LinkReport(link, pace.given_up)

    async def _try(self, link: str, pace: HostPace) -> LinkReport | _Later:
        try:
            return await self._fetch(link, pace)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            found = self._links.why_not(error, link)
            return LinkReport(link, found.fault) if found.is_lasting else _Later(found.fault, is_silent=found.is_silent)

    async def _fetch(self, link: str, pace: HostPace) -> LinkReport | _Later:
        """What a link's first bytes are, and as many more as its header needs."""
        most: int | None = FIRST_BYTES if pace.takes_ranges else None
        while True:
            found = await self._follow(link, most)
            if not isinstance(found, _Again):
                if most is None and isinstance(found, LinkReport) and found.fault is None:
                    pace.takes_ranges = False
                return found
            most = found.most
            await pace.turn()

    async def _follow(self, link: str, most: int | None) -> LinkReport | _Later | _Again:
        """The report of one GET and its redirects; or how to ask again."""
        headers = {} if most is None else {"Range": f"bytes=0-{most - 1}"}
        async with self._links.get(link, headers=headers) as (url, response):
            return await self._read(link, url, response, most)

    async def _read(
        self, link: str, url: str, response: aiohttp.ClientResponse, most: int | None
    ) -> LinkReport | _Later | _Again:
        status, headers = response.status, response.headers
        is_packed = headers.get("content-encoding", "identity").lower() != "identity"
        if most is not None and (status in _RANGE_REFUSED or (status == 206 and is_packed)):
            return _Again(None)  # of what is packed, a part can't be unpacked
        if status in _RATE_REFUSED:
            return _Later(words_of_status(status), status, retry_after(headers, now=datetime.now(UTC)))
        if status in _TRANSIENT:
            return _Later(words_of_status(status))
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
