"""The routes of Segmind's API, and a job's way through them: let in, checked, delayed, made, charged, answered."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

from aiohttp import web

from batch_editor.endpoints import Endpoint
from batch_editor.sandbox.answers import Answer, bit_flipped, error, page, refuse, spoil
from batch_editor.sandbox.books import Books, Entry
from batch_editor.sandbox.checks import Body, Refusal, check_body
from batch_editor.sandbox.faults import Sent
from batch_editor.sandbox.files import File, uploaded_files
from batch_editor.sandbox.gate import Gate, check_content_type
from batch_editor.sandbox.jobs import Jobs, Placed
from batch_editor.sandbox.openai_api import OpenAiApi
from batch_editor.sandbox.options import SandboxOptions
from batch_editor.sandbox.public_files import PublicFiles
from batch_editor.sandbox.queue import result_of, status_of, submitted
from batch_editor.sandbox.records import Record, Records
from batch_editor.sandbox.studio import Picture

# Sixteen pictures of a few megabytes each, inline as base64.
_MAX_BODY_BYTES = 256 * 1024**2


class Api:
    """The provider's side of the wire."""

    def __init__(self, options: SandboxOptions, endpoints: Iterable[Endpoint], books: Books) -> None:
        endpoints = tuple(endpoints)
        self._options = options
        self._books = books
        self._gate = Gate(options, endpoints, books)
        self._jobs = Jobs(options, books)
        self._openai = OpenAiApi(endpoints, self._gate, self._jobs, books)
        self._records = Records(kept_s=options.record_s, rows=options.history_rows)
        self._queue: set[asyncio.Task[None]] = set()
        self._public = PublicFiles(books, self._made_again)

    def serve(self, endpoints: Iterable[Endpoint]) -> None:
        """Serve these as well; one of a path that is known replaces that."""
        endpoints = tuple(endpoints)
        self._gate.serve(endpoints)
        self._openai.serve(endpoints)

    def application(self) -> web.Application:
        """The routes, to be served once."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.cleanup_ctx.append(self._opened_studio)
        app.cleanup_ctx.append(self._queue_ended)
        app.add_routes(
            [
                web.get("/v1/get-user-credits", self._credits),
                web.get("/inference-request/request-history", self._history),
                web.get("/inference-request/request-history/{id}", self._history),
                web.get("/v2/requests/{id}", self._polled),
                web.get("/v2/requests/{id}/status", self._polled),
                web.route("*", "/v2/{slug:.+}", self._model),
                web.route("*", "/v1/{slug:.+}", self._model),
                web.post("/upload-asset", self._upload),
                *self._public.routes(),
                web.get("/_sandbox/books", self._show_books),
                web.get("/_sandbox/requests", self._show_log),
                web.post("/_sandbox/reset", self._reset),
            ]
        )
        return app

    async def _opened_studio(self, _: web.Application) -> AsyncIterator[None]:
        async with self._jobs.opened():
            yield

    async def _queue_ended(self, _: web.Application) -> AsyncIterator[None]:
        yield
        for job in self._queue:
            job.cancel()
        await asyncio.gather(*self._queue, return_exceptions=True)

    # Models.

    async def _model(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/v1/") and self._openai.has(request.match_info["slug"]):
            return await self._openai.edited(request, request.match_info["slug"])
        if request.method != "POST":
            return page(405, "405 Not Allowed", {"Allow": "POST"})
        entry = self._books.arrive()
        queued = False
        try:
            placed = await self._let_in(request, entry)
            if request.path.startswith("/v2/"):
                queued = placed.runs_job
                return await self._accepted(request, placed)
            return await self._answered(request, placed)
        except Refusal as refusal:
            entry.status = refusal.status
            return error(refusal.status, str(refusal), refusal.headers)
        except web.HTTPException as refusal:
            entry.status = refusal.status
            raise
        except ConnectionError:
            # The client closed the connection midway: there is nobody to answer.
            return web.Response()
        finally:
            if not queued:
                self._books.leave()

    async def _let_in(self, request: web.Request, entry: Entry) -> Placed:
        body = Body(await request.read())
        self._books.identify(entry, body_sha256=body.sha256, prompt=body.prompt)
        endpoint = self._gate.admit(request)
        check_body(endpoint, body.parameters())
        return self._jobs.place(endpoint, body.data, entry, request)

    async def _answered(self, request: web.Request, placed: Placed) -> web.StreamResponse:
        """v1: the answer is the image, and takes as long as the job."""
        started_at = time.monotonic()
        entry, fault = placed.entry, placed.fault
        if placed.runs_job:
            record = self._records.add(placed.endpoint, placed.body, entry, fault)
            picture = await self._jobs.work(record, placed)
        elif fault is not None and not fault.at_once:
            await self._jobs.wait(placed)
        if fault is not None and fault.status is not None:
            entry.status = fault.status
            return refuse(fault, request, placed.endpoint)
        answer = self._answer(picture, request, record, took_s=time.monotonic() - started_at)
        if fault is None:
            entry.status = 200
            return answer.response()
        entry.status = 200 if fault.answered else None
        return await spoil(fault, answer, request, placed.sent)

    async def _accepted(self, request: web.Request, placed: Placed) -> web.StreamResponse:
        """v2: answer an id at once; the job continues in the background."""
        entry, fault = placed.entry, placed.fault
        if placed.runs_job:
            record = self._records.add(placed.endpoint, placed.body, entry, fault)
            job = asyncio.create_task(self._queued(record, placed))
            self._queue.add(job)
            job.add_done_callback(self._queue.discard)
        if fault is not None and fault.status is not None:
            entry.status = fault.status
            return refuse(fault, request, placed.endpoint)
        said = json.dumps(submitted(record, str(request.url.origin()))).encode()
        answer = Answer(said, "application/json", self._gate.account_headers(request, placed.endpoint))
        if fault is None or fault.of_the_job:
            entry.status = 200
            return answer.response()
        entry.status = 200 if fault.answered else None
        return await spoil(fault, answer, request, placed.sent)

    async def _queued(self, record: Record, placed: Placed) -> None:
        try:
            picture = await self._jobs.work(record, placed)
            corrupt = placed.fault is not None and placed.fault.kind == "corrupt"
            data = bit_flipped(picture.data) if corrupt else picture.data
            self._public.keep_result(record.file_name, File(data, picture.content_type))
        except Refusal:  # the record says so
            pass
        finally:
            self._books.leave()

    async def _polled(self, request: web.Request) -> web.StreamResponse:
        """v2: how far a request is, or its result."""
        self._books.poll()
        try:
            self._gate.check_key(request)
        except Refusal as refusal:
            return error(refusal.status, str(refusal))
        record = self._records.find(request.match_info["id"])
        if record is None:
            return error(404, "Request not found")
        record.polls += 1
        entry = record.entry
        sent = Sent(number=entry.number, attempt=record.polls, body_sha256=entry.body_sha256, prompt=entry.prompt)
        fault = self._jobs.poll_fault(sent)
        if fault is not None and fault.status is not None:
            return refuse(fault, request, record.endpoint)
        if request.path.endswith("/status"):
            status, said = status_of(record)
        else:
            account = {"remaining_credits": self._gate.credits_left_usd}
            status, said = result_of(record, str(request.url.origin()), account=account)
        if fault is not None:
            return await spoil(fault, Answer(json.dumps(said).encode(), "application/json"), request, sent)
        return web.json_response(said, status=status)

    async def _history(self, request: web.Request) -> web.Response:
        """The account's requests, or the one of an id."""
        origin, request_id = str(request.url.origin()), request.match_info.get("id")
        try:
            self._gate.check_key(request)
            if request_id is not None:
                return web.json_response(self._records.row(request_id, origin=origin))
            return web.json_response(self._records.history(request.query, origin=origin))
        except Refusal as refusal:
            return error(refusal.status, str(refusal))

    def _answer(self, picture: Picture, request: web.Request, record: Record, *, took_s: float) -> Answer:
        headers = {
            "x-cost": str(record.entry.billed_usd or 0.0),
            "x-request-id": record.request_id,
            "x-generation-time": f"{took_s:.3f}",
            **self._gate.account_headers(request, record.endpoint),
        }
        match self._options.answer:
            case "image":
                return Answer(picture.data, picture.content_type, headers)
            case "base64":
                shape: dict[str, Any] = {"image": base64.b64encode(picture.data).decode()}
            case "url":
                name = record.file_name
                self._public.keep_result(name, File(picture.data, picture.content_type))
                shape = {"images": [{"url": f"{request.url.origin()}/_sandbox/results/{name}"}]}
        return Answer(json.dumps(shape).encode(), "application/json", headers)

    async def _made_again(self, name: str) -> File | None:
        """The result of that name, if there was one."""
        if (record := self._records.made(name)) is None:
            return None
        picture = await self._jobs.picture(record.order)
        return File(picture.data, picture.content_type)

    # Around the models.

    async def _credits(self, request: web.Request) -> web.Response:
        try:
            self._gate.check_key(request)
        except Refusal as refusal:
            return error(refusal.status, str(refusal))
        return web.json_response({"credits": self._gate.credits_left_usd, "free-credits": 0.0})

    async def _upload(self, request: web.Request) -> web.Response:
        try:
            self._gate.check_key(request)
            check_content_type(request)
            files = uploaded_files(Body(await request.read()).parameters())
        except Refusal as refusal:
            return error(refusal.status, str(refusal))
        links = [self._public.keep_upload(file, origin=str(request.url.origin())) for file in files]
        return web.json_response({self._options.upload_shape: links})

    # The sandbox's own.

    async def _show_books(self, _: web.Request) -> web.Response:
        return web.json_response(self._books.as_json())

    async def _show_log(self, _: web.Request) -> web.Response:
        return web.json_response(self._books.log_as_json())

    async def _reset(self, _: web.Request) -> web.Response:
        self._books.reset()
        self._gate.reset()
        self._jobs.reset()
        self._records.clear()
        return web.json_response({})
