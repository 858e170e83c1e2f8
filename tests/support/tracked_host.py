"""A host of pictures that change behind their links, with books of what it was asked and with which conditions."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Literal, NamedTuple, Self

from aiohttp import web
from PIL import Image

# etags: by content; renewed: another ETag with every answer; dates: Last-Modified alone; none: neither. deaf: as etags,
# but every request is answered with the picture, whatever its conditions.
Kind = Literal["etags", "weak", "renewed", "dates", "none", "deaf"]


class Asked(NamedTuple):
    """A request: the path with its query, its conditions, and the status and bytes of the answer."""

    path: str
    etag: str | None
    since: str | None
    status: int
    size: int


@dataclass
class _Picture:
    data: bytes
    changed_at: float = field(default_factory=lambda: float(int(time.time()) - 1_000))


def _plain(shade: int, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (100, 100), (shade, 0, 0, shade)[: len(mode)]).save(buffer, "PNG")
    return buffer.getvalue()


class TrackedHost:
    """Serves pictures by path. `answers` are statuses in place of a path's picture, `pages` bodies of a 200; `moved`
    redirects; `slow_s` is waited before each answer. `asked` are requests of the program, `fetched` those of others.
    """

    def __init__(self, kind: Kind = "etags") -> None:
        self.kind: Kind = kind
        self.answers: dict[str, int] = {}
        self.pages: dict[str, bytes] = {}
        self.moved: dict[str, str] = {}
        self.slow_s = 0.0
        self.asked: list[Asked] = []
        self.fetched: list[Asked] = []
        self.at_once = self.most_at_once = 0
        self._pictures: dict[str, _Picture] = {}
        self._number = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{name:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0][:2])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def put(self, name: str) -> str:
        """Put a picture at a path, everywhere the same; return its link."""
        self._pictures[name] = _Picture(_plain(0))
        return self.link(name)

    def change(self, name: str, shade: int) -> None:
        """Put another picture there, of that shade, later."""
        former = self._pictures[name]
        self._pictures[name] = _Picture(_plain(shade), former.changed_at + 60)

    def put_mask(self, name: str, hole: int = 0) -> None:
        """Put a mask at a path, another one for another hole."""
        self._pictures[name] = _Picture(_plain(hole, mode="RGBA"), 1e9 + hole)

    def link(self, name: str) -> str:
        """The link of a path."""
        return f"{self.url}/{name}"

    def forget(self) -> None:
        """Begin the books anew."""
        self.asked.clear()

    @property
    def statuses(self) -> list[int]:
        """What the program was answered, sorted."""
        return sorted(each.status for each in self.asked)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.slow_s:
                await asyncio.sleep(self.slow_s)
            answer = self._answer(request)
        finally:
            self.at_once -= 1
        size = len(answer.body) if isinstance(answer.body, bytes) else 0
        conditions = request.headers.get("If-None-Match"), request.headers.get("If-Modified-Since")
        asked = Asked(request.path_qs.lstrip("/"), *conditions, answer.status, size)
        # The sandbox fetches what requests name, as the provider does.
        is_ours = request.headers.get("User-Agent", "").startswith("batch_editor/")
        (self.asked if is_ours else self.fetched).append(asked)
        return answer

    def _answer(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name in self.answers:
            return web.Response(status=self.answers[name])
        if name in self.pages:
            return web.Response(body=self.pages[name], content_type="text/html", headers={"ETag": '"page"'})
        if name in self.moved:
            return web.Response(status=302, headers={"Location": self.moved[name]})
        if name not in self._pictures:
            return web.Response(status=404)
        headers = self._headers(self._pictures[name])
        etag, date = headers.get("ETag"), headers.get("Last-Modified")
        asked = request.headers.get("If-None-Match"), request.headers.get("If-Modified-Since")
        if self.kind != "deaf" and ((etag and etag == asked[0]) or (not etag and date and date == asked[1])):
            return web.Response(status=304, headers=headers)
        return web.Response(body=self._pictures[name].data, content_type="image/png", headers=headers)

    def _headers(self, found: _Picture) -> dict[str, str]:
        self._number += 1
        digest = hashlib.sha256(found.data).hexdigest()[:8]
        date = {"Last-Modified": formatdate(found.changed_at, usegmt=True)}
        match self.kind:
            case "none":
                return {}
            case "dates":
                return date
            case "weak":
                return {"ETag": f'W/"{digest}"', **date}
            case "renewed":
                return {"ETag": f'"{self._number}"', **date}
            case _:
                return {"ETag": f'"{digest}"', **date}
