"""The routes of OpenAI's image edits: the same checks and jobs as Segmind's, in the words of another wire."""

from __future__ import annotations

import base64
import json
import math
import time
import uuid
from collections.abc import Iterable, Mapping

from aiohttp import web

from batch_editor.endpoints import Endpoint
from batch_editor.sandbox.answers import Answer, bit_flipped, spoil
from batch_editor.sandbox.books import Books, Entry
from batch_editor.sandbox.checks import Refusal, body_sha256, check_body
from batch_editor.sandbox.gate import Gate, bearer_of
from batch_editor.sandbox.jobs import Jobs, Placed
from batch_editor.sandbox.openai_errors import error, known_error, of_fault, refused
from batch_editor.sandbox.openai_requests import Asked, read_request
from batch_editor.sandbox.records import Record
from batch_editor.sandbox.studio import Picture


class OpenAiApi:
    """OpenAI's side of the wire, for the endpoints whose `wire` it is. One path may serve several models."""

    def __init__(self, endpoints: Iterable[Endpoint], gate: Gate, jobs: Jobs, books: Books) -> None:
        self._models: dict[tuple[str, str], Endpoint] = {}
        self.serve(endpoints)
        self._gate = gate
        self._jobs = jobs
        self._books = books

    def serve(self, endpoints: Iterable[Endpoint]) -> None:
        """Serve these as well; one of a path and model that are known replaces that."""
        self._models |= {
            (endpoint.path, str(endpoint.constants.get("model", endpoint.name))): endpoint
            for endpoint in endpoints
            if endpoint.wire == "openai"
        }

    def has(self, path: str) -> bool:
        """Whether a model is at that path."""
        return any(each == path for each, _ in self._models)

    async def edited(self, request: web.Request, path: str) -> web.StreamResponse:
        """The answer to a request to that path."""
        began_at = time.monotonic()
        provider = next(endpoint.provider for (each, _), endpoint in self._models.items() if each == path)
        if request.method != "POST":
            return error(405, f"Not allowed to {request.method} on {request.path}.", code="method_not_supported")
        entry = self._books.arrive(provider)
        names: dict[str, str] = {}
        try:
            response = await self._answered(request, path, provider, entry, names)
        except Refusal as refusal:
            entry.status = refusal.status
            response = refused(refusal, names)
        except ConnectionError:
            # The client closed the connection midway: there is nobody to answer.
            return web.Response()
        finally:
            self._books.leave()
        if not response.prepared:
            response.headers.update(self._headers(request, provider, began_at))
        return response

    async def _answered(
        self, request: web.Request, path: str, provider: str, entry: Entry, names: dict[str, str]
    ) -> web.StreamResponse:
        key = self._gate.check_bearer(request)
        self._gate.check_rate(provider, key, code="rate_limit_exceeded")
        asked = await read_request(request)
        endpoint = self._model(path, asked)
        body = asked.parameters(endpoint)
        names.update(asked.names(endpoint))
        self._books.identify(entry, body_sha256=body_sha256(body), prompt=str(body.get("prompt", "")))
        if not self._gate.has_credits_for(endpoint):
            entry.status = 429
            return known_error("insufficient_quota")
        check_body(endpoint, body)
        placed = self._jobs.place(endpoint, json.dumps(body).encode(), entry, request)
        return await self._worked(request, placed)

    async def _worked(self, request: web.Request, placed: Placed) -> web.StreamResponse:
        entry, fault = placed.entry, placed.fault
        record = Record(_new_id(), placed.endpoint, placed.body, entry, fault, time.time())
        if placed.runs_job:
            picture = await self._jobs.work(record, placed)
        elif fault is not None and not fault.at_once:
            await self._jobs.wait(placed)
        if fault is not None and fault.status is not None:
            entry.status = fault.status
            return of_fault(fault)
        answer = _answer(picture, record, self._headers(request, placed.endpoint.provider, time.monotonic()))
        if fault is None or fault.kind == "corrupt":
            entry.status = 200
            return answer.response()
        entry.status = 200 if fault.answered else None
        return await spoil(fault, answer, request, placed.sent)

    def _model(self, path: str, asked: Asked) -> Endpoint:
        model = asked.fields.get("model")
        if model is None:
            raise Refusal(400, "", parameter="model", code="missing_required_parameter")
        endpoint = self._models.get((path, str(model)))
        if endpoint is None:
            raise Refusal(404, str(model), code="model_not_found")
        return endpoint

    def _headers(self, request: web.Request, provider: str, began_at: float) -> dict[str, str]:
        """What every answer says, errors included."""
        headers = {
            "x-request-id": _new_id(),
            "openai-version": "2020-10-01",
            "openai-processing-ms": str(round(1000 * (time.monotonic() - began_at))),
        }
        window = self._gate.window(provider)
        key = bearer_of(request)
        if window is not None and key:
            now = time.monotonic()
            headers["x-ratelimit-limit-requests"] = str(math.floor(window.rate.count * 60 / window.rate.window_s))
            headers["x-ratelimit-remaining-requests"] = str(window.left(key, now))
            headers["x-ratelimit-reset-requests"] = f"{window.resets_in(key, now):.3f}s"
        return headers


def _answer(picture: Picture, record: Record, headers: Mapping[str, str]) -> Answer:
    order = record.order
    corrupt = record.fault is not None and record.fault.kind == "corrupt"
    data = bit_flipped(picture.data) if corrupt else picture.data
    said = {
        "created": int(record.created_at),
        "data": [{"b64_json": base64.b64encode(data).decode()}],
        **order.chosen(picture.source),
        "usage": order.usage(picture.source),
    }
    return Answer(json.dumps(said).encode(), "application/json", headers)


def _new_id() -> str:
    return f"req_{uuid.uuid4().hex}"
