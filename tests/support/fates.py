"""One job against a provider that does something wrong: what becomes of it, and what the provider saw."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from batch_editor.sandbox import Sandbox
from tests.support.bench import KEY, Bench, Job, job
from tests.support.recorder import Answer, Recorder, http, png

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Fate:
    """The last word on a job; `sent` are its requests by the provider's count, `billed` those possibly billed."""

    exit_code: int
    status: str
    kind: str
    http: str
    sent: int
    billed: int


def succeeded(*, sent: int = 1, billed: int = 0) -> Fate:
    return Fate(0, "succeeded", "", "200", sent, billed)


def failed(kind: str, http: int | str, *, sent: int = 1) -> Fate:
    """Refused for good, and nobody paid."""
    return Fate(1, "failed", kind, str(http), sent, 0)


def stopped(kind: str, http: int) -> Fate:
    """The whole run was refused."""
    return Fate(3, "pending", kind, str(http), 1, 0)


def unknown(kind: str, http: int | str, *, sent: int) -> Fate:
    """Each request may have been billed, and none gave an image."""
    return Fate(1, "unknown", kind, str(http), sent, sent)


class Listener:
    """A bare server: every connection is the handler's."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    def base_url(self, *, scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}/v1"


@asynccontextmanager
async def listening(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    listener = Listener()
    running: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.connections += 1
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has seen enough
        finally:
            writer.close()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(handle(reader, writer))
        running.add(task)
        task.add_done_callback(running.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()


async def fate(
    bench: Bench, provider: Recorder | Sandbox | Listener | str, *, of: Job | None = None, **flags: Any
) -> Fate:
    """What becomes of one job."""
    (found,) = await fates(bench, provider, [of or job("mug")], **flags)
    return found


async def fates(
    bench: Bench, provider: Recorder | Sandbox | Listener | str, wanted: Sequence[Job], **flags: Any
) -> list[Fate]:
    """Run jobs, and hold the manifest, the summary and what is on disk against what the provider saw."""
    url = provider.base_url() if isinstance(provider, Listener) else provider
    summary = await bench.run(wanted, url.base_url if isinstance(url, Recorder) else url, **flags)
    rows = bench.rows()
    sent = sum(int(row["attempts"]) for row in rows)
    billed = sum(int(row["possibly_billed"]) for row in rows)
    match provider:
        case Recorder():
            assert sent == len(edits(provider))
            assert all("x-api-key" not in seen.headers for seen in provider.requests if seen.method == "GET")
        case Sandbox():
            assert (sent, provider.books.key_leaks) == (provider.books.requests, 0)
    assert (summary.sent, summary.possibly_billed) == (sent, billed)
    assert (summary.cost.possibly_billed > 0) == (billed > 0)
    for row in rows:
        assert row["error"].isprintable()
        assert len(row["error"]) < 700
        assert (row["error"] == "") == (row["status"] == "succeeded") == (row["output_path"] != "")
    assert [path for path in bench.out.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []
    assert list((bench.images / ".landing").iterdir()) == []
    return [
        Fate(
            exit_code=summary.exit_code,
            status=row["status"],
            kind=row["error_kind"],
            http=row["http_status"],
            sent=int(row["attempts"]),
            billed=int(row["possibly_billed"]),
        )
        for row in rows
    ]


def document(content: Any, **more: str) -> bytes:
    """An answer of JSON, which is given as bytes or as what it stands for."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return http(data, content_type="application/json", **more)


def in_turn(*answers: bytes) -> Answer:
    """These answers, one a request, and images after them. With one worker, a job each if none is tried again."""
    left = iter(answers)

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(next(left, http(png())))

    return answer


def edits(recorder: Recorder) -> list[str]:
    """The edits that arrived; downloads and uploads don't count."""
    return [seen.path for seen in recorder.requests if seen.method == "POST" and seen.path.startswith("/v1/")]


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by a reset in place of an orderly end."""
    # Without lingering, the kernel sends RST where it would send FIN.
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def head_of(reader: asyncio.StreamReader) -> str:
    """A request's line and headers."""
    return (await reader.readuntil(b"\r\n\r\n")).decode()


async def request_of(reader: asyncio.StreamReader) -> bytes:
    """A whole request's body."""
    head = await head_of(reader)
    fields = dict(line.lower().split(": ", 1) for line in head.strip().split("\r\n")[1:])
    return await reader.readexactly(int(fields.get("content-length", "0")))
