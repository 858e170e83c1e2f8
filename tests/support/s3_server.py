"""An S3 server on this machine, and a proxy before it that does what networks and stores do at their worst.

The server is moto's, which is in a lock of its own: only the tests of `make test-servers` have it.
"""

from __future__ import annotations

import http.client
import logging
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import boto3
from moto.server import ThreadedMotoServer

REGION = "us-east-1"


@dataclass(frozen=True)
class Fault:
    """What becomes of a request.

    reset: the connection breaks when half of the body has come. lost: it is carried out, and the connection breaks
    before the answer, after `then`. refused: answered with `status` and `code`, and not carried out. slow: carried out
    after `seconds`.
    """

    kind: Literal["reset", "lost", "refused", "slow"]
    status: int = 503
    code: str = "SlowDown"
    more: str = ""
    seconds: float = 0.0
    then: Callable[[], None] = lambda: None

    @property
    def body(self) -> bytes:
        return f"<Error><Code>{self.code}</Code><Message>said by a test</Message>{self.more}</Error>".encode()


@dataclass(frozen=True)
class Request:
    """A request that came: the how-manieth of all, how, and for which path."""

    number: int
    method: str
    path: str


@dataclass
class S3:
    """A bucket of an S3 server that is reached through the proxy. `fault_of` decides what becomes of each request."""

    port: int
    upstream: int
    bucket: str = "pictures"
    fault_of: Callable[[Request], Fault | None] = lambda _: None
    requests: list[Request] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    faults: list[tuple[Request, Fault]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def client(self) -> Any:
        """AWS's own client, past the proxy."""
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.upstream}",
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    @property
    def environment(self) -> dict[str, str]:
        """How a process reaches it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """What is in the bucket, by path below the prefix."""
        client, found = self.client, {}
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            for each in page.get("Contents", []):
                key = each["Key"]
                found[key.removeprefix(prefix)] = client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return found

    def puts(self) -> list[str]:
        """Paths below the bucket that were written to, in order."""
        with self.lock:
            return [each.path for each in self.requests if each.method == "PUT"]

    def seen(self, method: str, path: str) -> Fault | None:
        """Note a request; what becomes of it."""
        with self.lock:
            request = Request(len(self.requests), method, path.removeprefix(f"/{self.bucket}/"))
            self.requests.append(request)
            fault = self.fault_of(request)
            if fault is not None:
                self.faults.append((request, fault))
            return fault


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    s3: S3

    def do_PUT(self) -> None:
        fault = self.s3.seen(self.command, self.path)
        self.s3.authorizations.append(self.headers.get("authorization", ""))
        length = int(self.headers.get("content-length") or 0)
        if fault is not None and fault.kind == "reset":
            self.rfile.read(length // 2)
            self._break()
            return
        body = self.rfile.read(length)
        if fault is not None and fault.kind == "refused":
            self._answer(fault.status, {}, fault.body)
            return
        if fault is not None and fault.kind == "slow":
            time.sleep(fault.seconds)
        status, headers, answer = self._forwarded(body)
        if fault is not None and fault.kind == "lost":
            fault.then()
            self._break()
            return
        self._answer(status, headers, answer)

    do_GET = do_HEAD = do_POST = do_DELETE = do_PUT  # noqa: N815  # as the library calls them

    def _forwarded(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.s3.upstream, timeout=30)
        connection.request(self.command, self.path, body=body, headers=dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
        return answer.status, kept, content

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "content-length" not in map(str.lower, headers):
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            with suppress(ConnectionError):  # whoever asked was killed
                self.wfile.write(body)

    def _break(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        pass


_HOP = frozenset(["connection", "transfer-encoding", "date", "server"])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """A client that was killed is what the tests are about."""


@contextmanager
def moto() -> Iterator[int]:
    """The port of an S3 server."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()[1]
    finally:
        server.stop()


@contextmanager
def before(upstream: int, bucket: str) -> Iterator[S3]:
    """The proxy before an S3 server, and a fresh bucket behind it."""
    s3 = S3(0, upstream, re.sub(r"[^a-z0-9]+", "-", bucket.lower()).strip("-")[:60])
    s3.client.create_bucket(Bucket=s3.bucket)
    handler = type("Handler", (_Handler,), {"s3": s3})
    with _Server(("127.0.0.1", 0), handler) as server:
        s3.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield s3
        finally:
            server.shutdown()
