"""The server of review: listens on this machine alone, while its block lasts."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson
from aiohttp import web

from batch_editor.client import InputPictures, Network
from batch_editor.errors import BatchEditorError, UsageError
from batch_editor.ledger.database import MOUNTS
from batch_editor.output import picture_store
from batch_editor.processes import Processes
from batch_editor.review.access import HEADERS, TOKEN, Access, Forbidden
from batch_editor.review.api import MOST_BYTES, Api, Handler
from batch_editor.review.cache import Cache
from batch_editor.review.index import NETWORK, Index
from batch_editor.review.inputs import Inputs
from batch_editor.review.judging import Conflict, Judge
from batch_editor.review.live import Live
from batch_editor.review.live_api import LiveApi
from batch_editor.review.pages import STATIC, Pages
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

    said: called with the next address under which a browser may come in, when one was used. allow_private: whether
    input links may lead to this network. mounts: where the system lists its mounts.
    """

    output: Path
    by: str
    port: int = 0
    said: Callable[[str], None] = lambda _: None
    allow_private: bool = False
    mounts: Path = MOUNTS


class Review:
    """A server, listening while its block lasts. `url` is where a browser comes in, once.

    judge: who gives the verdicts. asked_at: when a page has last asked for anything, by the monotonic clock.

    Raises:
        UsageError: there is no ledger, a run is at work on a network's file system, or the port is taken.
        MachineError: the ledger or the verdicts can't be read.
    """

    def __init__(self, options: ReviewOptions) -> None:
        self._options = options
        self._access = Access(renewed=lambda: options.said(self.url))
        self.judge = Judge(options.output, options.by)
        self.asked_at = time.monotonic()

    async def __aenter__(self) -> Self:
        options = self._options
        index = Index(options.output, mounts=options.mounts)
        snapshot = await asyncio.to_thread(index.snapshot)
        if snapshot.outdated is not None:
            raise UsageError(f"{options.output}: {NETWORK}; wait for the run's end")
        async with AsyncExitStack() as stack:
            cache = await asyncio.to_thread(Cache, options.output)
            stack.push_async_callback(asyncio.to_thread, cache.close)
            processes = Processes(PROCESSES, limit_s=THUMBNAIL_S)
            stack.push_async_callback(asyncio.to_thread, processes.close)
            stack.push_async_callback(asyncio.to_thread, self.judge.close)
            network = await asyncio.to_thread(Network.from_environment)
            links = await stack.enter_async_context(InputPictures(network, allow_private=options.allow_private))
            thumbnails = Thumbnails(cache, processes)
            store = await asyncio.to_thread(picture_store, options.output)
            stack.push_async_callback(asyncio.to_thread, store.close)
            pictures = Pictures(options.output, store, index, cache, thumbnails)
            inputs = Inputs(options.output, index, cache, thumbnails, links.fetch)
            self._pages = await asyncio.to_thread(Pages)
            api = Api(options.output, index, self._pages, pictures, inputs, self.judge)
            live = LiveApi(Live(options.output, index), self._pages, options.output, seen=self._seen)
            await self._listen(stack, api, live)
            self._stack = stack.pop_all()
        return self

    async def _listen(self, stack: AsyncExitStack, api: Api, live: LiveApi) -> None:
        app = web.Application(middlewares=[self._guarded], client_max_size=MOST_BYTES)
        app.add_routes([*live.routes(), *api.routes()])
        app.on_shutdown.append(live.end)
        app.on_response_prepare.append(_keep_to_itself)
        runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=_STOP_WITHIN_S,
            handler_cancellation=True,  # whoever scrolls on doesn't wait for what went by
            max_field_size=_MOST_HEADER_BYTES,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, HOST, self._options.port).start()
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else error
            raise UsageError(
                f"--port {self._options.port}: can't be listened on ({why}); 0 is any free port"
            ) from error
        self._port = runner.addresses[0][1]
        self._access.listens_on(self._port)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def url(self) -> str:
        """The address under which a browser may come in: good for one."""
        return f"http://{HOST}:{self._port}/?token={self._access.token}"

    def _seen(self) -> None:
        """A page is there."""
        self.asked_at = time.monotonic()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in who may come in; answer errors in words."""
        response: web.StreamResponse
        try:
            if request.path == "/" and TOKEN in request.query:
                response = self._access.entered(request)
            else:
                self._access.check(request, with_session=not request.path.startswith(STATIC))
                self._seen()
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
        return response

    def _refused(self, request: web.Request, status: int, why: str, **more: object) -> web.Response:
        headers = {"Cache-Control": "no-store"}
        if not _is_page(request):
            body = orjson.dumps({"error": why, **more})
            return web.Response(status=status, body=body, content_type="application/json", headers=headers)
        command, paragraphs = None, [f"{why[:1].upper()}{why[1:]}."]
        if status == 403:
            # Who isn't let in isn't told what is reviewed here.
            paragraphs.append(
                "Open the address that batch-editor review has printed last, once. To have a new one, start it again:"
            )
            command = "batch-editor review OUT"
        heading = {403: "Not open to this browser", 404: "Nothing here"}.get(status, "That didn't work")
        text = self._pages.message(heading, paragraphs, command=command)
        return web.Response(status=status, text=text, content_type="text/html", headers=headers)


async def _keep_to_itself(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _is_page(request: web.Request) -> bool:
    return request.method == "GET" and (request.path in ("/", "/run") or request.path.startswith("/job/"))
