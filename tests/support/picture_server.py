"""A host of input pictures: good ones, bad ones, and links that lead elsewhere. It takes ranges, as such hosts do."""

from __future__ import annotations

import io
import os
from typing import Self

from aiohttp import web
from PIL import Image


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
    """Serves `files` by path; `moved` redirects, `sizes` are told instead of the true ones, `closed` answers 403."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.moved: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.asked: list[tuple[str, str]] = []
        self.ranged = True

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
        self.asked.append((name, request.headers.get("Range", "")))
        if name in self.moved:
            return web.Response(status=302, headers={"Location": self.moved[name]})
        if name not in self.files:
            return web.Response(status=404)
        data = self.files[name]
        if not self.ranged or "Range" not in request.headers:
            return web.Response(body=data)
        last = int(request.headers["Range"].partition("-")[2])
        part, total = data[: last + 1], self.sizes.get(name, len(data))
        return web.Response(
            status=206, body=part, headers={"Content-Range": f"bytes 0-{max(len(part) - 1, 0)}/{total}"}
        )
