"""The page of the run, the stream that keeps it up to date, and the one thing that it can do: stop the run gently."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import orjson
from aiohttp import web

from batch_editor.errors import BatchEditorError, UsageError
from batch_editor.review.live import Live
from batch_editor.review.pages import Pages

EVERY_S = 1.0
# Something between this machine and the browser, as `ssh` may be, may end a connection on which nothing is sent.
_ALIVE_EVERY = 15
_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}


class LiveApi:
    """The answers about the run. `seen` is called for as long as a page looks."""

    def __init__(self, live: Live, pages: Pages, output: Path, *, seen: Callable[[], None]) -> None:
        self._live = live
        self._pages = pages
        self._name = output.resolve().name
        self._seen = seen
        self._ended = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        """Where everything is."""
        return [
            web.get("/run", self.page),
            web.get("/api/run", self.look),
            web.get("/api/run/events", self.events),
            web.post("/api/run/stop", self.stop),
        ]

    async def end(self, _: web.Application) -> None:
        """End the streams: the server ends."""
        self._ended.set()

    async def page(self, _: web.Request) -> web.Response:
        """The page of the run."""
        text = self._pages.page("run", output=self._name)
        return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})

    async def look(self, _: web.Request) -> web.Response:
        """How the run stands."""
        return _json(await self._looked())

    async def events(self, request: web.Request) -> web.StreamResponse:
        """How the run stands, as server-sent events: `live` when anything changed, `trouble` where it can't be read."""
        response = web.StreamResponse(headers=_HEADERS)
        await response.prepare(request)
        last, quiet = b"", 0
        with suppress(ConnectionError):  # the page was left
            while not self._ended.is_set():
                try:
                    event = b"event: live\ndata: " + await self._looked()
                except BatchEditorError as error:
                    event = b"event: trouble\ndata: " + orjson.dumps({"error": str(error)})
                quiet = 0 if event != last else quiet + 1
                if event != last:
                    await response.write(event + b"\n\n")
                elif quiet % _ALIVE_EVERY == 0:
                    await response.write(b": nothing new\n\n")
                last = event
                self._seen()
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY_S):
                        await self._ended.wait()
        return response

    async def stop(self, request: web.Request) -> web.Response:
        """Tell the run to stop gently."""
        try:
            said = orjson.loads(await request.read())
            run_id = said["run_id"] if said.keys() == {"run_id"} else None
        except (orjson.JSONDecodeError, AttributeError):
            run_id = None
        if not isinstance(run_id, str):
            raise UsageError('expected {"run_id": "…"}')
        await asyncio.to_thread(self._live.stop, run_id)
        return _json(await self._looked())

    async def _looked(self) -> bytes:
        return await asyncio.to_thread(lambda: orjson.dumps(self._live.look()))


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})
