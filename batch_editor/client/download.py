"""Downloads results from their links, by a session that never has the API key."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from batch_editor.client.guard import check_named_address, is_public, is_public_or_loopback, socket_factory
from batch_editor.client.interface import Sink
from batch_editor.client.network import Network
from batch_editor.client.packing import unpack
from batch_editor.client.pictures import commit
from batch_editor.client.user_agent import USER_AGENT
from batch_editor.client.wire import MAX_BODY_BYTES, unusable
from batch_editor.config import ApiSettings
from batch_editor.links.loopback import is_loopback_url
from batch_editor.records import Failure, SavedImage
from batch_editor.text import printable

# aiohttp stops reading when twice this much waits; one read, of up to 256 KB, comes on top.
READ_BYTES = 16 * 2**10
# aiohttp's default is 8 KiB. Headers of a proxy may be longer, and the image behind them is paid for.
MAX_HEADER_BYTES = 64 * 2**10
MAX_HOPS = 3
DOWNLOAD_TRIES = 4


@dataclass(frozen=True, slots=True)
class Lost:
    """Why a link gave no image. `for_good`: it never will."""

    message: str
    for_good: bool


class Results:
    """Fetches results. An async context manager: it owns its sessions.

    `network` is known within the block.
    """

    def __init__(self, api: ApiSettings) -> None:
        self._api = api
        # With a base URL on this machine (the sandbox, a test), results may come from this machine too.
        self._allowed = is_public_or_loopback if is_loopback_url(api.base_url) else is_public
        self.network: Network
        self._session: aiohttp.ClientSession
        self._proxied: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self.network = await asyncio.to_thread(Network.from_environment)
        self._session = self._made(guarded=True)
        # A proxy's own address is one of this network; which one it connects to is its affair.
        self._proxied = self._made(guarded=False)
        return self

    def _made(self, *, guarded: bool) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, ssl=self.network.trusted, socket_factory=socket_factory(self._allowed) if guarded else None
            ),
            timeout=aiohttp.ClientTimeout(total=self._api.timeout_s, sock_connect=self._api.connect_timeout_s),
            headers={"Accept-Encoding": "identity", "User-Agent": USER_AGENT},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # see `packing`
            read_bufsize=READ_BYTES,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._proxied.close()

    async def download(self, url: str, sink: Sink) -> SavedImage | Lost:
        """Fetch a link at once, for such links expire. A GET costs nothing, so it is retried."""
        lost = Lost("could not be fetched in time", for_good=False)
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._api.timeout_s  # of all tries, or a slow link would hold its slot for hours
        for attempt in range(DOWNLOAD_TRIES):
            pause_s = 0.5 * 2**attempt if attempt else 0.0
            if loop.time() + pause_s >= ends_at:
                break
            await asyncio.sleep(pause_s)
            await sink.restart()
            try:
                found = await self._fetch(url, sink, ends_at=ends_at)
                if isinstance(found, SavedImage):
                    return found
                lost = Lost(found, for_good=True)
                break
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                refused = isinstance(getattr(error, "os_error", error), PermissionError)
                lost = Lost(f"could not be fetched: {said_by(error)}", for_good=refused)
                if refused:
                    break  # the guard would say so again
        # The link without its query, which may hold a signature: somebody may still fetch by hand what was paid for.
        link = printable(url.partition("?")[0], limit=200)
        return replace(lost, message=f"paid, but its link {link} {lost.message}")

    async def _fetch(self, url: str, sink: Sink, *, ends_at: float) -> SavedImage | str:
        """A link's content, through the sink; a reason if the link will never give it."""
        target = _link(url)
        loop = asyncio.get_running_loop()
        for _ in range(MAX_HOPS + 1):
            if target is None:
                return "leads to something that is no http(s) link"
            timeout = aiohttp.ClientTimeout(
                total=max(ends_at - loop.time(), 0.001), sock_connect=self._api.connect_timeout_s
            )
            proxy = self.network.options_for(target)
            if proxy:
                check_named_address(target, self._allowed)
            session = self._proxied if proxy else self._session
            async with session.get(target, allow_redirects=False, timeout=timeout, **proxy) as response:
                if response.status in (301, 302, 303, 307, 308):
                    target = _link(response.headers.get("location", ""), base=target)
                    continue
                if response.status in (401, 403, 404, 410):
                    return f"answers HTTP {response.status}: it has expired"
                if response.status != 200:
                    raise aiohttp.ClientError(f"HTTP {response.status}")
                if (too_large := await stream(response, sink)) is not None:
                    return f"answers {too_large.message}"
                packed = await unpack(response, sink)
                try:
                    return await commit(sink)  # even if unpacking failed: the Content-Encoding may be wrong
                except ValueError:
                    if packed is None or packed.transient:
                        raise
                    return f"answers {packed.message}"
        return f"redirects more than {MAX_HOPS} times"


def _link(url: str, *, base: str = "") -> str | None:
    """The URL, made absolute; None if that is no http(s) URL."""
    try:
        absolute = urljoin(base, url)
        parts = urlsplit(absolute)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # http://[, or a port that is none
        return None
    return absolute if usable else None


class Stream(Protocol):
    """What takes a body as it comes. `size_bytes`: how much it has taken."""

    size_bytes: int

    async def write(self, data: bytes) -> None:
        """Take the next part."""


async def stream(response: aiohttp.ClientResponse, sink: Stream) -> Failure | None:
    """Write the body to the sink, at most 64 MiB of it; a failure if it is longer."""
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
    """What an error of aiohttp says."""
    # Never repr(): that of aiohttp's ClientResponseError holds the request's headers, and so the key. Its str() begins
    # with 400, which is the parser's status and not the provider's.
    text = str(error)
    if isinstance(error.__cause__, HttpProcessingError):
        text = error.__cause__.message.rstrip(" ^\n")
    elif isinstance(error, aiohttp.ServerDisconnectedError):
        text = "the server closed it"
    elif isinstance(error, aiohttp.ClientHttpProxyError):
        text = f"the proxy answered HTTP {error.status}"
    elif isinstance(error, TimeoutError):
        text = text or "no end of it in time"
    return printable(text or type(error).__name__, limit=200)
