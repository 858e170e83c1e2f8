"""GETs of links that others chose: to no address of this network, through the environment's proxies, a few redirects
far. Says in words why a link isn't answered.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import aiohttp
from yarl import URL

from batch_editor.client.guard import check_named_address, is_public, socket_factory
from batch_editor.client.link_answers import words_of_error
from batch_editor.client.network import Network, proxy_failure
from batch_editor.client.user_agent import USER_AGENT
from batch_editor.links.encoded import as_encoded
from batch_editor.text import printable

MAX_HOPS = 5
_REDIRECTS = (301, 302, 303, 307, 308)


class LeadsNowhere(ValueError):
    """A link's redirects don't end, or not at an http(s) link; the message continues `<link> `."""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Why a link gave nothing, in words that continue `<link> `.

    is_lasting: asked again it would say the same. is_silent: nobody answered at all.
    """

    fault: str
    is_lasting: bool = False
    is_silent: bool = False


class GuardedGet:
    """Gets links. An async context manager: it owns its sessions.

    allow_private: whether links may lead to this network. timeout_s: of one GET, its body included. at_once:
    connections at most.
    """

    def __init__(self, network: Network, *, allow_private: bool, timeout_s: float, at_once: int) -> None:
        self._network = network
        self._timeout_s = timeout_s
        self._at_once = at_once
        self._allowed: Callable[[str], bool] = (lambda _: True) if allow_private else is_public

    async def __aenter__(self) -> Self:
        self._session = self._made(guarded=True)
        self._proxied = self._made(guarded=False)  # the proxy's own address is one of this network
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._proxied.close()

    def _made(self, *, guarded: bool) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._at_once,
                ssl=self._network.trusted,
                socket_factory=socket_factory(self._allowed) if guarded else None,
            ),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity", "User-Agent": USER_AGENT},
        )

    @asynccontextmanager
    async def get(
        self, link: str, *, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[tuple[str, aiohttp.ClientResponse]]:
        """The answer that a link's redirects lead to, and its URL.

        Raises:
            LeadsNowhere: they lead to none.
            aiohttp.ClientError, OSError, ValueError: there is no answer, see `why_not`.
        """
        url = link
        for _ in range(MAX_HOPS + 1):
            options = self._network.options_for(url)
            if options:
                check_named_address(url, self._allowed)
            session = self._proxied if options else self._session
            # As it is sent to the provider: yarl would write some characters of a signed link otherwise.
            async with session.get(
                URL(as_encoded(url), encoded=True), headers=headers, allow_redirects=False, **options
            ) as response:
                if response.status not in _REDIRECTS:
                    yield url, response
                    return
                if not (where := response.headers.get("location", "")):
                    raise LeadsNowhere(f"answers HTTP {response.status}, a redirect that doesn't say where to")
                url = urljoin(url, where)
                if urlsplit(url).scheme not in ("http", "https"):
                    raise LeadsNowhere("redirects to something that is no http(s) link")
        raise LeadsNowhere(f"redirects more than {MAX_HOPS} times")

    def why_not(self, error: Exception, link: str) -> NoAnswer:
        """What an error of `get`, or of reading what it gave, says of a link."""
        if isinstance(error, LeadsNowhere):
            return NoAnswer(str(error), is_lasting=True)
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            said = printable(str(error), limit=150)
            return NoAnswer(f"has a certificate that is not valid: {said}", is_lasting=True)
        if isinstance(error, TimeoutError):
            return NoAnswer(f"no answer within {self._timeout_s:g} s", is_silent=True)
        refused = error if isinstance(error, PermissionError) else getattr(error, "os_error", None)
        if isinstance(refused, PermissionError):
            return NoAnswer(f"refused: {refused.strerror}; inputs.allow_private_links allows it", is_lasting=True)
        if isinstance(error, aiohttp.ClientPayloadError):
            return NoAnswer("breaks off in the middle")
        if (failure := proxy_failure(error, link, self._network.proxy_for(link))) is not None:
            said = f"not reachable: {failure.message}"
            return NoAnswer(said, is_lasting=not failure.transient, is_silent=failure.transient)
        is_lasting = isinstance(error, (aiohttp.InvalidURL, ValueError))
        return NoAnswer(words_of_error(error), is_lasting=is_lasting, is_silent=not is_lasting)
