"""The API's routes, and a job's way through them: let in, checked, delayed, made, charged, answered."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from batch_editor.endpoints import Endpoint
from batch_editor.sandbox.answers import Answer, bit_flipped, error, page, refuse, spoil
from batch_editor.sandbox.books import Books, Entry
from batch_editor.sandbox.checks import Body, Refusal, check_body
from batch_editor.sandbox.faults import Fault, Sent, first_fault, parse_fault
from batch_editor.sandbox.files import File, uploaded_files
from batch_editor.sandbox.gate import Gate, check_content_type
from batch_editor.sandbox.options import SandboxOptions, parse_latency
from batch_editor.sandbox.public_files import PublicFiles
from batch_editor.sandbox.queue import result_of, status_of, submitted
from batch_editor.sandbox.records import Record, Records
from batch_editor.sandbox.studio import Picture, Studio

FAULT_HEADER = "x-sandbox-fault"
# Sixteen pictures of a few megabytes each, inline as base64.
_MAX_BODY_BYTES = 256 * 1024**2
# How much of a job's latency it waits for its turn.
_QUEUED_SHARE = 0.1


@dataclass(frozen=True)
class _Placed:
    """A request that was let in and passed the checks."""

    endpoint: Endpoint
    body: bytes
    entry: Entry
    sent: Sent
    fault: Fault | None

    @property
    def runs_job(self) -> bool:
        """Whether the job is done, and billed, whatever the client gets to see of it."""
        return self.fault is None or self.fault.runs_job


class Api:
    """The provider's side of the wire."""

    def __init__(self, options: SandboxOptions, endpoints: Iterable[Endpoint], books: Books) -> None:
        self._options = options
        self._faults = tuple(parse_fault(spec) for spec in options.faults)
        self._latency = parse_latency(options.latency)
        self._books = books
        self._gate = Gate(options, endpoints, books)
        self._studio: Studio
        self._attempts: Counter[str] = Counter()
        self._records = Records(kept_s=options.record_s, rows=options.history_rows)
        self._jobs: set[asyncio.Task[None]] = set()
        self._public = PublicFiles(books, self._made_again)

    def serve(self, endpoints: Iterable[Endpoint]) -> None:
        """Serve these as well; one of a path that is known replaces that."""
        self._gate.serve(endpoints)

    def application(self) -> web.Application:
        """The routes, to be served once."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.cleanup_ctx.append(self._opened_studio)
        app.cleanup_ctx.append(self._jobs_ended)
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
        async with Studio.opened(scale=self._options.size_scale) as self._studio:
            yield

    async def _jobs_ended(self, _: web.Application) -> AsyncIterator[None]:
        yield
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    # Models.

    async def _model(self, request: web.Request) -> web.StreamResponse:
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

    async def _let_in(self, request: web.Request, entry: Entry) -> _Placed:
        body = Body(await request.read())
        self._books.identify(entry, body_sha256=body.sha256, prompt=body.prompt)
        endpoint = self._gate.admit(request)
        check_body(endpoint, body.parameters())
        sent = self._sent(entry, body)
        faults = [fault for fault in self._faults_for(request) if not fault.poll]
        fault = first_fault(faults, sent, seed=self._options.seed)
        return _Placed(endpoint, body.data, entry, sent, fault)

    async def _answered(self, request: web.Request, placed: _Placed) -> web.StreamResponse:
        """v1: the answer is the image, and takes as long as the job."""
        started_at = time.monotonic()
        entry, fault = placed.entry, placed.fault
        if placed.runs_job:
            record = self._records.add(placed.endpoint, placed.body, entry, fault)
            picture = await self._work(record, placed)
        elif fault is not None and not fault.at_once:
            await asyncio.sleep(self._latency_of(placed))
        if fault is not None and fault.status is not None:
            entry.status = fault.status
            return refuse(fault, request, placed.endpoint)
        answer = self._answer(picture, request, record, took_s=time.monotonic() - started_at)
        if fault is None:
            entry.status = 200
            return answer.response()
        entry.status = 200 if fault.answered else None
        return await spoil(fault, answer, request, placed.sent)

    async def _accepted(self, request: web.Request, placed: _Placed) -> web.StreamResponse:
        """v2: answer an id at once; the job continues in the background."""
        entry, fault = placed.entry, placed.fault
        if placed.runs_job:
            record = self._records.add(placed.endpoint, placed.body, entry, fault)
            job = asyncio.create_task(self._queued(record, placed))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)
        if fault is not None and fault.status is not None:
            entry.status = fault.status
            return refuse(fault, request, placed.endpoint)
        said = json.dumps(submitted(record, str(request.url.origin()))).encode()
        answer = Answer(said, "application/json", self._gate.account_headers(request))
        if fault is None or fault.of_the_job:
            entry.status = 200
            return answer.response()
        entry.status = 200 if fault.answered else None
        return await spoil(fault, answer, request, placed.sent)

    async def _queued(self, record: Record, placed: _Placed) -> None:
        try:
            picture = await self._work(record, placed)
            corrupt = placed.fault is not None and placed.fault.kind == "corrupt"
            data = bit_flipped(picture.data) if corrupt else picture.data
            self._public.keep_result(record.file_name, File(data, picture.content_type))
        except Refusal:  # the record says so
            pass
        finally:
            self._books.leave()

    async def _work(self, record: Record, placed: _Placed) -> Picture:
        """A job from its first second to its charge.

        Raises:
            Refusal: it failed, and is not charged.
        """
        fault = placed.fault
        kind = fault.kind if fault is not None else ""
        latency_s = self._latency_of(placed)
        try:
            await asyncio.sleep(_QUEUED_SHARE * latency_s)
            record.state = "PROCESSING"
            await asyncio.sleep((1 - _QUEUED_SHARE) * latency_s)
            if kind == "failed":
                raise Refusal(422, (fault and fault.text) or "The model could not make the image")
            picture = await self._studio.make(record.order, flaw=kind)
        except Refusal as refusal:
            record.fail(time.time(), str(refusal))
            raise
        if fault is None or fault.billed:
            self._books.bill(placed.entry, picture.price_usd)
        record.complete(time.time(), file_size=len(picture.data))
        return picture

    def _latency_of(self, placed: _Placed) -> float:
        return self._latency(placed.sent.random(self._options.seed, "latency"))

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
        fault = first_fault([each for each in self._faults if each.poll], sent, seed=self._options.seed)
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

    def _sent(self, entry: Entry, body: Body) -> Sent:
        self._attempts[body.sha256] += 1
        attempt = self._attempts[body.sha256]
        return Sent(number=entry.number, attempt=attempt, body_sha256=body.sha256, prompt=body.prompt)

    def _faults_for(self, request: web.Request) -> tuple[Fault, ...]:
        """The faults of the options, after those that the request itself asks for."""
        try:
            injected = [parse_fault(spec) for spec in request.headers.getall(FAULT_HEADER, [])]
        except ValueError as unparsed:
            raise Refusal(400, f"{FAULT_HEADER}: {unparsed}") from unparsed
        return (*injected, *self._faults)

    def _answer(self, picture: Picture, request: web.Request, record: Record, *, took_s: float) -> Answer:
        headers = {
            "x-cost": str(record.entry.billed_usd or 0.0),
            "x-request-id": record.request_id,
            "x-generation-time": f"{took_s:.3f}",
            **self._gate.account_headers(request),
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
        picture = await self._studio.make(record.order)
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
        self._attempts.clear()
        self._records.clear()
        return web.json_response({})
