"""How answers go out: whole, or spoiled by a fault."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

from batch_editor.endpoints import Endpoint
from batch_editor.sandbox.faults import Fault, Sent

_DRIPS = 20


@dataclass(frozen=True)
class Answer:
    """A 200 as it would go out."""

    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self, body: bytes | None = None) -> web.Response:
        """The answer, or another body under its headers."""
        return web.Response(
            body=self.body if body is None else body, content_type=self.content_type, headers=self.headers
        )


def error(status: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error as the API words it."""
    return web.json_response({"error": text}, status=status, headers=headers)


def page(status: int, title: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """A gateway's page."""
    html = f"<html>\r\n<head><title>{title}</title></head>\r\n<body><h1>{title}</h1></body>\r\n</html>\r\n"
    return web.Response(status=status, text=html, content_type="text/html", headers=headers)


def refuse(fault: Fault, request: web.Request, endpoint: Endpoint) -> web.Response:
    """The answer of a fault that has a status: the API's own errors in JSON, a gateway's as a page."""
    assert fault.status is not None
    if fault.kind == "redirect":
        # The same sandbox by another name: a client that follows takes its key to a host it wasn't meant for.
        host = "127.0.0.1" if request.url.host == "localhost" else "localhost"
        elsewhere = request.url.with_host(host).with_path("/_sandbox/elsewhere")
        return web.Response(status=307, headers={"Location": str(elsewhere)})
    headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
    if fault.status > 500 and fault.text is None:
        return page(fault.status, f"{fault.status} {_phrase(fault.status)}", headers)
    known = endpoint.errors.get(fault.status)
    return error(fault.status, fault.text or (known.meaning if known else _phrase(fault.status)), headers)


async def spoil(fault: Fault, answer: Answer, request: web.Request, sent: Sent) -> web.StreamResponse:
    """Send the answer the way the fault says."""
    match fault.kind:
        case "reset":
            return _reset(request)
        case "hang":
            return await _hang(request)
        case "truncate":
            return await (_cut_unnoticed if fault.close else _cut)(answer, request)
        case "slow":
            return await _drip(answer, request, over_s=fault.over_s)
        case "html":
            return page(200, "Service temporarily unavailable")
        case "empty":
            return answer.response(b"")
        case "garbage":
            return answer.response(sent.random(0, "garbage").randbytes(1000))
        case "json-error":
            return error(200, fault.text or "Image generation failed")
        case "corrupt":
            return answer.response(bit_flipped(answer.body))
    # What is left are the flaws that the image was made with.
    return answer.response()


def _reset(request: web.Request) -> web.Response:
    if (transport := request.transport) is not None:
        # Without lingering, the kernel sends RST where it would send FIN: a reset, not an orderly end.
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        assert isinstance(transport, asyncio.Transport)
        transport.abort()
    return web.Response()


async def _hang(request: web.Request) -> web.Response:
    # Polled, because aiohttp tells a handler of its client's leaving only by cancelling it. That is off: the
    # jobs of clients that left run to their end and are charged, as the provider's are.
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    return web.Response()


async def _cut(answer: Answer, request: web.Request) -> web.StreamResponse:
    response = await _begin(answer, request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _cut_unnoticed(answer: Answer, request: web.Request) -> web.StreamResponse:
    # By hand: aiohttp would send chunks, whose end a client can tell from a cut.
    head = [
        "HTTP/1.1 200 OK",
        f"Content-Type: {answer.content_type}",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
        "Connection: close",
    ]
    if (transport := request.transport) is not None:
        assert isinstance(transport, asyncio.Transport)
        transport.write("\r\n".join([*head, "", ""]).encode() + answer.body[: len(answer.body) // 2])
        transport.close()
    return web.Response()


async def _drip(answer: Answer, request: web.Request, *, over_s: float) -> web.StreamResponse:
    response = await _begin(answer, request)
    length = -(-len(answer.body) // _DRIPS)
    for start in range(0, len(answer.body), length):
        await asyncio.sleep(over_s / _DRIPS)
        await response.write(answer.body[start : start + length])
    await response.write_eof()
    return response


async def _begin(answer: Answer, request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers=answer.headers)
    response.content_type = answer.content_type
    response.content_length = len(answer.body)
    await response.prepare(request)
    return response


def bit_flipped(data: bytes) -> bytes:
    """The same but for one bit in the middle."""
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    return bytes(flipped)


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown Error"
