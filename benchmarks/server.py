"""A provider that costs next to nothing, in a process of its own, so that a benchmark measures the client.

`POST /<what>/v1/…` answers with an image: `small` (1 KB), `large` (2–4 MB), `held-N` (1 KB, after N seconds).
`GET` of a path that ends in a number does the same, for downloaders. `GET /look` tells what was seen, as JSON;
`GET /books` tells also when, and begins new books.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import socket
import sys
import time
from collections import Counter
from itertools import count
from typing import cast

import orjson
from PIL import Image

MIB = 2**20
LARGE = tuple((2 + n / 2) * MIB for n in range(5))  # 2.0 to 4.0 MiB, three on average

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
# Every client sends its job's number in the prompt: so the books can tell that each came, and came once.
_NUMBER = re.compile(rb'"prompt": ?"edit (\d+)')


def png(size_bytes: float) -> bytes:
    """A PNG of noise, of about that size."""
    side = max(1, round((size_bytes / 3) ** 0.5))
    buffer = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(3 * side * side)).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


class Books:
    """What the clients sent: arrivals by this machine's monotonic clock, faults, and how many were open at once."""

    def __init__(self) -> None:
        self.arrivals: list[float] = []
        self.numbers: Counter[int] = Counter()
        self.faults: Counter[str] = Counter()
        self.open = self.most_open = 0

    def as_json(self, *, arrivals: bool) -> bytes:
        """The counts, and when each request arrived if that is wanted: of 10,000 it is long."""
        return orjson.dumps(
            {
                "requests": len(self.arrivals),
                "distinct": len(self.numbers),
                "open": self.open,
                "most_open": self.most_open,
                "faults": self.faults,
                "arrivals": self.arrivals if arrivals else [],
            }
        )


class Provider(asyncio.Protocol):
    """One connection. Requests on it come one after the other, as all these clients send them."""

    images: dict[bytes, list[bytes]]
    books = Books()
    _turn = count()

    def __init__(self) -> None:
        self._received = bytearray()
        self._transport: asyncio.Transport
        self._due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is not a subclass

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone; with an answer still due, that is a fault."""
        if self._due is not None:
            self._due.cancel()
            self.books.open -= 1
            self.books.faults["hung up on"] += 1

    def data_received(self, data: bytes) -> None:
        """Answer a request when all of it is there."""
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._received[: end + 2])
        length = _LENGTH.search(head)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self._received) < whole:
            return
        body = bytes(self._received[end + 4 : whole])
        del self._received[:whole]
        self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        method, path, _ = head.split(b" ", 2)
        last = bool(_CLOSE.search(head))
        if path in (b"/books", b"/look"):
            closing = path == b"/books"
            self._send(Provider.books.as_json(arrivals=closing), b"application/json", last=last)
            if closing:
                Provider.books = Books()
            return
        books = self.books = Provider.books
        books.arrivals.append(time.monotonic())
        what, _, held = path.split(b"/")[1].partition(b"-")
        found = _NUMBER.search(body) if method == b"POST" else re.search(rb"(\d+)$", path)
        if what not in self.images or found is None:
            books.faults["not understood"] += 1
            self._transport.close()
            return
        books.numbers[int(found[1])] += 1
        books.open += 1
        books.most_open = max(books.most_open, books.open)
        image = self.images[what][next(self._turn) % len(self.images[what])]
        if held:
            self._due = asyncio.get_running_loop().call_later(float(held), self._deliver, image, last)
        else:
            self._deliver(image, last)

    def _deliver(self, image: bytes, last: bool) -> None:  # call_later takes no keywords
        self._due = None
        self.books.open -= 1
        self._send(image, b"image/png", last=last)

    def _send(self, body: bytes, kind: bytes, *, last: bool) -> None:
        # The cost of each image, as the provider says it.
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\nx-cost: 0.0108\r\n%b\r\n"
            % (kind, len(body), b"Connection: close\r\n" if last else b"")
        )
        self._transport.write(body)
        if last:
            self._transport.close()


async def serve() -> None:
    """Serve on a free port, and print it, until standard input ends."""
    Provider.images = {b"small": [png(1000)], b"held": [png(1000)], b"large": [png(size) for size in LARGE]}
    listener = socket.create_server(("127.0.0.1", 0), backlog=20_000)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Provider, sock=listener, backlog=20_000)
    print(listener.getsockname()[1], flush=True)
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    import resource

    import uvloop

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(serve())
