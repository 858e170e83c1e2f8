"""A browser's side of review: what a page asks for, over real sockets, with the headers that a browser sends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from batch_editor.review.server import Review, ReviewOptions


class Answered(NamedTuple):
    """An answer, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Page:
    """A page of one browser. An async context manager; it has come in by the server's address unless told otherwise."""

    def __init__(self, url: str, *, enters: bool = True) -> None:
        self.origin = url.partition("/?")[0]
        self._url = url
        self._enters = enters

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        if self._enters:
            assert (await self.ask(self._url.removeprefix(self.origin))).status == 303
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def ask(
        self, path: str, *, method: str = "GET", data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answered:
        """The answer to one request, as it stands: nothing is followed or encoded."""
        url = URL(f"{self.origin}{path}", encoded=True)
        async with self._session.request(method, url, data=data, headers=headers, allow_redirects=False) as response:
            return Answered(response.status, response.headers, await response.read())

    def cookies(self) -> dict[str, str]:
        """What the browser has been given."""
        return {cookie.key: cookie.value for cookie in self._session.cookie_jar}

    def take_cookies(self, cookies: Mapping[str, str]) -> None:
        """Have the browser send these as well."""
        self._session.cookie_jar.update_cookies(cookies, URL(self.origin))

    async def get(self, path: str) -> Any:
        """The JSON that an address gives."""
        async with self._session.get(URL(f"{self.origin}{path}", encoded=True)) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def post(self, path: str, said: Any, *, status: int = 200) -> Any:
        """The JSON that is answered to something said."""
        async with self._session.post(
            f"{self.origin}{path}", json=said, headers={"Origin": self.origin, "Sec-Fetch-Site": "same-origin"}
        ) as response:
            assert response.status == status, await response.text()
            return await response.json()

    async def job(self, job_id: str, query: str = "") -> Any:
        """All of a job."""
        return await self.get(f"/api/jobs/{quote(job_id, safe='')}{query}")

    async def jobs(self, query: str = "") -> list[Any]:
        """The cards of the jobs of a query."""
        found = await self.get(f"/api/jobs{query}")
        listed: list[Any] = found["jobs"]
        return listed


@asynccontextmanager
async def reviewed(output: Path, *, by: str = "ann", **options: Any) -> AsyncIterator[Page]:
    """A page of a server that is there for the block."""
    async with Review(ReviewOptions(output, by, **options)) as server, Page(server.url) as page:
        yield page
