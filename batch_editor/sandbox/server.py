"""A sandbox that listens: the API on a port of this machine, for the length of a block."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from aiohttp import web

from batch_editor.endpoints import Endpoint, load_endpoint, shipped_endpoints
from batch_editor.sandbox.app import Api
from batch_editor.sandbox.books import Books
from batch_editor.sandbox.options import SandboxOptions
from batch_editor.sandbox.rates import parse_rate

# The default of 128 refuses connections when 2,000 clients come at once.
_BACKLOG = 4096
# What aiohttp gives handlers to finish, twice. 0 would wait for ever; a job that hangs mustn't hold the stop.
_STOP_WITHIN_S = 0.05


_AS_SHIPPED = SandboxOptions()


class Sandbox:
    """A stand-in for the provider, listening while its block lasts.

    It serves the shipped endpoints and those passed in, which replace shipped ones of the same path.

        async with Sandbox(SandboxOptions(rate_limit="60/min")) as sandbox:
            ...  # talk to sandbox.base_url
            assert sandbox.books.double_billed == 0

    `books` are live; `url` is there once it listens.
    """

    url: str
    books: Books

    def __init__(self, options: SandboxOptions = _AS_SHIPPED, *, endpoints: Iterable[Endpoint] = ()) -> None:
        self._options = options
        self._endpoints = tuple(endpoints)
        self.books = Books(window_s=parse_rate(options.rate_limit).window_s if options.rate_limit else 60.0)

    async def __aenter__(self) -> Self:
        shipped = await asyncio.to_thread(_shipped)
        self._api = Api(self._options, (*shipped, *self._endpoints), self.books)
        self._runner = web.AppRunner(self._api.application(), access_log=None, shutdown_timeout=_STOP_WITHIN_S)
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, self._options.host, self._options.port, backlog=_BACKLOG)
            await site.start()
        except (OSError, OverflowError, asyncio.CancelledError):  # a port that is taken, or is none
            await self._runner.cleanup()
            raise
        host, port = self._runner.addresses[0][:2]
        if host in ("0.0.0.0", "::"):  # noqa: S104 - compared with, not listened on
            host = "127.0.0.1"
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    def serve(self, endpoints: Iterable[Endpoint]) -> None:
        """Serve these as well, from now on; one of a path that is known replaces that."""
        self._api.serve(endpoints)

    async def serve_forever(self) -> None:
        """Wait inside the block until cancelled."""
        await asyncio.Event().wait()

    @property
    def base_url(self) -> str:
        """Where the endpoints' paths are appended."""
        return f"{self.url}/v1"

    @property
    def history_url(self) -> str:
        """Where the account's requests are listed."""
        return f"{self.url}/inference-request/request-history"

    @property
    def upload_url(self) -> str:
        """Where local files are uploaded."""
        return f"{self.url}/upload-asset"


def _shipped() -> list[Endpoint]:
    return [load_endpoint(name) for name in shipped_endpoints()]
