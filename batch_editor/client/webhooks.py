"""Small messages to addresses that the config names: how a run ended. They never have the key."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from batch_editor.client.download import said_by
from batch_editor.client.network import Network
from batch_editor.client.user_agent import USER_AGENT


class NotTold(Exception):
    """A message didn't arrive; the text says why."""


class _Resolver(AbstractResolver):
    """Looks names up on the thread of its loop, which has nothing else to do.

    asyncio would do that on threads that Python waits for when it ends, for as long as a network that is away takes.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host."""
        found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is open."""


class Webhooks:
    """Sends such messages. An async context manager, of a loop that does nothing else: looking names up blocks it.

    timeout_s: of one message, in seconds.
    """

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._network: Network
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._network = Network.from_environment()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._network.trusted, resolver=_Resolver()),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            headers={"User-Agent": USER_AGENT},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def post(self, url: str, document: Mapping[str, str]) -> None:
        """Send a JSON document.

        Raises:
            NotTold: it didn't arrive.
        """
        await self._ask("POST", url, document)

    async def get(self, url: str) -> None:
        """Ask for an address that takes that as its message.

        Raises:
            NotTold: it didn't arrive.
        """
        await self._ask("GET", url, None)

    async def _ask(self, method: str, url: str, document: Mapping[str, str] | None) -> None:
        try:
            async with self._session.request(
                method, url, json=document, allow_redirects=False, **self._network.options_for(url)
            ) as response:
                if response.status >= 300:
                    raise NotTold(f"answered HTTP {response.status}")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise NotTold(said_by(error)) from None  # the error has the address, which is a secret
