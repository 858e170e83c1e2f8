"""A host of input pictures: good ones, bad ones, and links that lead elsewhere. It takes ranges, as such hosts do."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Awaitable, Callable
from typing import Self

from aiohttp import web
from PIL import Image

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def picture(size: tuple[int, int] = (100, 100), form: str = "PNG", mode: str = "RGB", **how: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, "navy").save(buffer, form, **how)
    return buffer.getvalue()


def grainy_webp() -> bytes:
    """A WebP much longer than what is looked at of it."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", (400, 300), os.urandom(400 * 300 * 3)).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


class PictureServer:
    """Serves `files` by path; `moved` redirects, `sizes` are told instead of the true ones, `types` are what files are
    called, `before` has answers that come first, one a request.

    `ranged`: a status that refuses ranges, or whether they are heeded. `per_s`: requests in any second, above which it
    answers 429 with the headers `when_many`.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.moved: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.types: dict[str, str] = {}
        self.before: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, str]] = []
        self.ranged: bool | int = True
        self.per_s = 0
        self.when_many: dict[str, str] = {}
        self._arrived: list[float] = []

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{name:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0][:2])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        ranged = "Range" in request.headers
        self.asked.append((name, request.headers.get("Range", "")))
        if self.per_s and self._is_too_many():
            return web.Response(status=429, headers=self.when_many)
        if self.before.get(name):
            return await self.before[name].pop(0)(request)
        if name in self.moved:
            return web.Response(status=302, headers={"Location": self.moved[name]} if self.moved[name] else {})
        if name not in self.files:
            return web.Response(status=404)
        if ranged and self.ranged not in (True, False):
            return web.Response(status=int(self.ranged))
        data = self.files[name]
        kind = {"Content-Type": self.types.get(name, "application/octet-stream")}
        if not (self.ranged and ranged):
            return web.Response(body=data, headers=kind)
        last = int(request.headers["Range"].partition("-")[2])
        part, total = data[: last + 1], self.sizes.get(name, len(data))
        where = {"Content-Range": f"bytes 0-{max(len(part) - 1, 0)}/{total}"}
        return web.Response(status=206, body=part, headers={**where, **kind})

    def _is_too_many(self) -> bool:
        now = time.monotonic()
        self._arrived = [at for at in self._arrived if at > now - 1]
        if len(self._arrived) >= self.per_s:
            return True
        self._arrived.append(now)
        return False
