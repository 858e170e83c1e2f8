"""The API's routes, and a job's way through them: let in, checked, delayed, made, charged, answered."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from batch_editor.endpoints import Endpoint
from batch_editor.sandbox.answers import Answer, error, page, refuse, spoil
from batch_editor.sandbox.books import Books, Entry
from batch_editor.sandbox.checks import Body, Refusal, check_body, decode_data_link
from batch_editor.sandbox.faults import Fault, Sent, first_fault, parse_fault
from batch_editor.sandbox.gate import KEY_HEADER, Gate, check_content_type
from batch_editor.sandbox.options import SandboxOptions, parse_latency
from batch_editor.sandbox.orders import Order
from batch_editor.sandbox.studio import Picture, Studio

FAULT_HEADER = "x-sandbox-fault"
# Sixteen pictures of a few megabytes each, inline as base64.
_MAX_BODY_BYTES = 256 * 1024**2
# Result links expire. A client that fetches them at once never meets this.
_KEPT_RESULTS = 500


@dataclass(frozen=True)
class _File:
    data: bytes
    content_type: str


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
        self._uploads: dict[str, _File] = {}
        self._results: OrderedDict[str, _File] = OrderedDict()

    def application(self) -> web.Application:
        """The routes, to be served once."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.cleanup_ctx.append(self._opened_studio)
        app.add_routes(
            [
                web.get("/v1/get-user-credits", self._credits),
                web.route("*", "/v1/{slug:.+}", self._model),
                web.post("/upload-asset", self._upload),
                web.get("/uploads/{name}", self._uploaded),
                web.get("/_sandbox/results/{name}", self._result),
                web.route("*", "/_sandbox/elsewhere", self._elsewhere),
                web.get("/_sandbox/books", self._show_books),
                web.get("/_sandbox/requests", self._show_log),
                web.post("/_sandbox/reset", self._reset),
            ]
        )
        return app

    async def _opened_studio(self, _: web.Application) -> AsyncIterator[None]:
        async with Studio.opened(scale=self._options.size_scale) as self._studio:
            yield

    # Models.

    async def _model(self, request: web.Request) -> web.StreamResponse:
        if request.method != "POST":
            return page(405, "405 Not Allowed", {"Allow": "POST"})
        entry = self._books.arrive()
        try:
            return await self._answered(request, entry)
        except Refusal as refusal:
            entry.status = refusal.status
            return error(refusal.status, str(refusal), refusal.headers)
        except web.HTTPException as refusal:
            entry.status = refusal.status
            raise
        except ConnectionError:
            # The client left in the midst of its body or of its answer: nobody is there to be told.
            return web.Response()
        finally:
            self._books.leave()

    async def _answered(self, request: web.Request, entry: Entry) -> web.StreamResponse:
        started_at = time.monotonic()
        body = Body(await request.read())
        self._books.identify(entry, body_sha256=body.sha256, prompt=body.prompt)
        endpoint = self._gate.admit(request)
        parameters = body.parameters()
        check_body(endpoint, parameters)
        sent = self._sent(entry, body)
        fault = first_fault(self._faults_for(request), sent, seed=self._options.seed)
        if fault is None or not fault.at_once:
            await asyncio.sleep(self._latency(sent.random(self._options.seed, "latency")))
        if fault is None or fault.runs_job:
            flaw = fault.kind if fault is not None else None
            picture = await self._studio.make(Order(endpoint, parameters), flaw=flaw)
            if fault is None or fault.billed:
                self._books.bill(entry, picture.price_usd)
        if fault is not None and fault.status is not None:
            entry.status = fault.status
            return refuse(fault, request, endpoint)
        answer = self._answer(picture, request, entry, took_s=time.monotonic() - started_at)
        if fault is None:
            entry.status = 200
            return answer.response()
        entry.status = 200 if fault.answered else None
        return await spoil(fault, answer, request, sent)

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

    def _answer(self, picture: Picture, request: web.Request, entry: Entry, *, took_s: float) -> Answer:
        request_id = f"{entry.body_sha256[:12]}-{entry.number}"
        headers = {
            "x-cost": str(entry.billed_usd or 0.0),
            "x-request-id": request_id,
            "x-generation-time": f"{took_s:.3f}",
            **self._gate.account_headers(request),
        }
        match self._options.answer:
            case "image":
                return Answer(picture.data, picture.content_type, headers)
            case "base64":
                shape: dict[str, Any] = {"image": base64.b64encode(picture.data).decode()}
            case "url":
                name = f"{request_id}.{picture.format}"
                self._keep_result(name, _File(picture.data, picture.content_type))
                shape = {"images": [{"url": f"{request.url.origin()}/_sandbox/results/{name}"}]}
        return Answer(json.dumps(shape).encode(), "application/json", headers)

    def _keep_result(self, name: str, file: _File) -> None:
        self._results[name] = file
        if len(self._results) > _KEPT_RESULTS:
            self._results.popitem(last=False)

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
            files = _uploads(Body(await request.read()).parameters())
        except Refusal as refusal:
            return error(refusal.status, str(refusal))
        links = []
        for file in files:
            extension = file.content_type.removeprefix("image/").partition("+")[0]
            name = f"{hashlib.sha256(file.data).hexdigest()}.{extension}"
            self._uploads[name] = file
            links.append(f"{request.url.origin()}/uploads/{name}")
        self._books.uploads += len(files)
        return web.json_response({self._options.upload_shape: links})

    async def _uploaded(self, request: web.Request) -> web.Response:
        return self._public(request, self._uploads.get(request.match_info["name"]))

    async def _result(self, request: web.Request) -> web.Response:
        return self._public(request, self._results.get(request.match_info["name"]))

    async def _elsewhere(self, request: web.Request) -> web.Response:
        return self._public(request, None)

    def _public(self, request: web.Request, file: _File | None) -> web.Response:
        """A file of the public web, where no API key belongs."""
        if KEY_HEADER in request.headers:
            self._books.key_leaks += 1
        if file is None:
            return page(404, "404 Not Found")
        return web.Response(body=file.data, content_type=file.content_type)

    # The sandbox's own.

    async def _show_books(self, _: web.Request) -> web.Response:
        return web.json_response(self._books.as_json())

    async def _show_log(self, _: web.Request) -> web.Response:
        return web.json_response(self._books.log_as_json())

    async def _reset(self, _: web.Request) -> web.Response:
        self._books.reset()
        self._gate.reset()
        self._attempts.clear()
        return web.json_response({})


def _uploads(body: dict[str, Any]) -> list[_File]:
    links = body.get("data_urls")
    if set(body) != {"data_urls"} or not isinstance(links, list) or not links:
        raise Refusal(400, 'expected {"data_urls": [link, …]} with one link or more')
    files = []
    for place, link in enumerate(links):
        try:
            content_type, data = decode_data_link(str(link))
        except ValueError as error:
            raise Refusal(400, f"data_urls[{place}] is {error}") from error
        files.append(_File(data, content_type))
    return files
