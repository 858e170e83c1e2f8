"""The server of review: listens on this machine alone, while its block lasts."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson
from aiohttp import web

from batch_editor.errors import BatchEditorError, UsageError
from batch_editor.ledger.database import MOUNTS
from batch_editor.processes import Processes
from batch_editor.review.access import HEADERS, TOKEN, Access, Forbidden
from batch_editor.review.api import MOST_BYTES, Api, Handler
from batch_editor.review.cache import Cache
from batch_editor.review.index import NETWORK, Index
from batch_editor.review.inputs import Inputs
from batch_editor.review.judging import Conflict, Judge
from batch_editor.review.pages import Pages
from batch_editor.review.pictures import NoPicture, Pictures, Thumbnails

HOST = "127.0.0.1"
PROCESSES = 2
# A thumbnail of the largest picture that is decoded takes two seconds.
THUMBNAIL_S = 20.0
# For answers on their way when the server ends.
_STOP_WITHIN_S = 1.0
# Cookies of other servers of this machine come along.
_MOST_HEADER_BYTES = 64 * 2**10


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """What is reviewed, and how: on which port (0: any that is free), in whose name.

    said: told each address under which a browser may come in; the next one when one was used.
    """

    output: Path
    by: str
    port: int = 0
    said: Callable[[str], None] = lambda _: None
    mounts: Path = MOUNTS


class Review:
    """A server, listening while its block lasts. `url` is where a browser comes in, once.

    Raises:
        UsageError: there is no ledger, or a run is at work on a network's file system.
        MachineError: the ledger or the verdicts can't be read.
        OSError: the port can't be listened on.
    """

    def __init__(self, options: ReviewOptions) -> None:
        self._options = options
        self._access = Access(renewed=lambda: options.said(self.url))
        self.asked_at = time.monotonic()

    async def __aenter__(self) -> Self:
        options = self._options
        self._index = Index(options.output, mounts=options.mounts)
        snapshot = await asyncio.to_thread(self._index.snapshot)
        if snapshot.outdated is not None:
            raise UsageError(f"{options.output}: {NETWORK}; wait for the run's end")
        self._judge = Judge(options.output, options.by)
        self._cache = await asyncio.to_thread(Cache, options.output)
        self._pages = await asyncio.to_thread(Pages)
        self._processes = Processes(PROCESSES, limit_s=THUMBNAIL_S)
        thumbnails = Thumbnails(self._cache, self._processes)
        pictures = Pictures(options.output, self._index, thumbnails)
        inputs = Inputs(options.output, self._index, self._cache, thumbnails, _fetch)
        app = web.Application(middlewares=[self._guarded], client_max_size=MOST_BYTES)
        app.add_routes(Api(options.output, self._index, self._pages, pictures, inputs, self._judge).routes())
        self._runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=_STOP_WITHIN_S,
            handler_cancellation=True,  # whoever scrolls on doesn't wait for what went by
            max_field_size=_MOST_HEADER_BYTES,
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, options.port).start()
        except BaseException:
            await self._closed()
            raise
        self._access.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._closed()

    async def _closed(self) -> None:
        await self._runner.cleanup()
        await asyncio.to_thread(self._processes.close)
        await asyncio.to_thread(self._judge.close)
        await asyncio.to_thread(self._cache.close)

    @property
    def url(self) -> str:
        """The address under which a browser may come in: good for one."""
        return f"http://{HOST}:{self._access.port}/?token={self._access.token}"

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in who may come in; answer errors in words, and everything with the headers that keep it here."""
        response: web.StreamResponse
        try:
            if TOKEN in request.query:
                response = self._access.entered(request)
            else:
                self._access.check(request)
                self.asked_at = time.monotonic()
                response = await handler(request)
        except Forbidden as error:
            response = self._refused(request, 403, error.message)
        except NoPicture as error:
            response = self._refused(request, 404, str(error))
        except Conflict as error:
            response = self._refused(request, 409, str(error), count=error.count)
        except UsageError as error:
            response = self._refused(request, 400, str(error))
        except BatchEditorError as error:
            response = self._refused(request, 503, str(error))
        except web.HTTPException as error:  # no such place, too large, …
            response = self._refused(request, error.status, error.reason)
        response.headers.update(HEADERS)
        return response

    def _refused(self, request: web.Request, status: int, why: str, **more: object) -> web.Response:
        headers = {"Cache-Control": "no-store"}
        if not _is_page(request):
            body = orjson.dumps({"error": why, **more})
            return web.Response(status=status, body=body, content_type="application/json", headers=headers)
        command, paragraphs = None, [f"{why[:1].upper()}{why[1:]}."]
        if status == 403:
            paragraphs.append(
                "Open the address that batch-editor review has printed last, once. To have a new one, start it again:"
            )
            command = f"batch-editor review {shlex.quote(str(self._options.output))}"
        heading = {403: "Not open to this browser", 404: "Nothing here"}.get(status, "That didn't work")
        text = self._pages.message(heading, paragraphs, command=command, output=self._options.output.name)
        return web.Response(status=status, text=text, content_type="text/html", headers=headers)


def _is_page(request: web.Request) -> bool:
    return request.method == "GET" and (request.path == "/" or request.path.startswith("/job/"))


async def _fetch(link: str, _: Path) -> None:
    raise NoPicture(f"{link} is not fetched yet")
