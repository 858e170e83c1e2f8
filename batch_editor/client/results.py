"""Links to results, fetched by a session that never had the key."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import aiohttp

from batch_editor.client.guard import is_local_url, socket_factory
from batch_editor.client.interface import Sink
from batch_editor.client.wire import unusable
from batch_editor.config import ApiSettings
from batch_editor.records import Failure, SavedImage
from batch_editor.redaction import printable

# An image of the largest size is 3 MB as PNG; JSON around it adds a third.
MAX_BODY_BYTES = 64 * 2**20
READ_BYTES = 64 * 2**10
MAX_HOPS = 3
DOWNLOAD_TRIES = 4


@dataclass(frozen=True, slots=True)
class Lost:
    """Why a link gave no image; `for_good` where it never will."""

    message: str
    for_good: bool


class Results:
    """Fetches results. An async context manager: it owns its session."""

    def __init__(self, api: ApiSettings) -> None:
        self._api = api
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            # With a base URL on this machine (a stand-in, a test), results may come from there too.
            connector=aiohttp.TCPConnector(
                limit=0, socket_factory=socket_factory(allow_private=is_local_url(self._api.base_url))
            ),
            timeout=aiohttp.ClientTimeout(total=self._api.timeout_s, sock_connect=self._api.connect_timeout_s),
            headers={"Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=READ_BYTES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def download(self, url: str, sink: Sink) -> SavedImage | Lost:
        """Fetch a link at once, for such links expire. A GET costs nothing, so it is tried again."""
        message = ""
        for attempt in range(DOWNLOAD_TRIES):
            if attempt:
                await asyncio.sleep(0.5 * 2**attempt)
                await sink.restart()
            try:
                gone = await self._fetch(url, sink)
                return await sink.seal() if gone is None else Lost(gone, for_good=True)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                message = said_by(error)
        host = printable(_host(url), limit=100)
        return Lost(f"paid, but its link at {host} could not be fetched: {message}", for_good=False)

    async def _fetch(self, url: str, sink: Sink) -> str | None:
        """Stream a link's content to the sink; a reason if the link will never give it."""
        for _ in range(MAX_HOPS + 1):
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status in (301, 302, 303, 307, 308):
                    url = urljoin(url, response.headers.get("location", ""))
                    if urlsplit(url).scheme not in ("http", "https"):
                        return "paid, but its link leads to something that is no http(s) link"
                    continue
                if response.status in (401, 403, 404, 410):
                    return f"paid, but its link answers HTTP {response.status}: it has expired"
                response.raise_for_status()
                failure = await stream(response, sink)
                return None if failure is None else failure.message
        return f"paid, but its link redirects more than {MAX_HOPS} times"


async def stream(response: aiohttp.ClientResponse, sink: Sink) -> Failure | None:
    """Body to sink, at most 64 MiB of it."""
    declared = response.content_length or 0
    if declared <= MAX_BODY_BYTES:
        async for block in response.content.iter_any():
            await sink.write(block)
            if sink.size_bytes > MAX_BODY_BYTES:
                break
        else:
            return None
    return unusable(f"HTTP 200 with a body of more than {MAX_BODY_BYTES >> 20} MiB")


def said_by(error: BaseException) -> str:
    """An error of aiohttp in its own words."""
    # Never repr(): that of aiohttp's ClientResponseError holds the request's headers, and so the key.
    return printable(str(error) or type(error).__name__, limit=200)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
