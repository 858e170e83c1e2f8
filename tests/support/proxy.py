"""A small HTTP proxy that keeps what it sees, and what stands in for the provider's hosts behind it."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

# Of *.segmind.com; who trusts it takes this machine for the provider.
CERTIFICATE = Path(__file__).parents[1] / "sandbox" / "segmind_hosts.pem"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, *, first: bytes = b"") -> None:
    """Be the one end of a connection to that port of this machine."""
    to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
    to_writer.write(first)
    await asyncio.gather(pipe(reader, to_writer), pipe(to_reader, writer))


class ProxyServer:
    """A proxy. Whatever host it is asked for, it connects to `port` of this machine, through TLS where it tunnels.

    `heads` are the requests that it was sent, as they came; `asked` their first lines. `status` is answered in place of
    a connection, None for silence; `login` is what it wants, as `user:password`.
    """

    def __init__(self, port: int) -> None:
        self.heads: list[str] = []
        self.status: int | None = 200
        self.login = ""
        self._port = port
        self._running: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []

    @property
    def asked(self) -> list[str]:
        return [head.partition("\r\n")[0] for head in self.heads]

    async def __aenter__(self) -> Self:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(CERTIFICATE)
        self._tls_port = await self._serve(self._decrypt, tls)
        self.port = await self._serve(self._proxy, None)
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def environment(self, *, login: str = "", **more: str) -> dict[str, str]:
        """The variables of a process behind this proxy, which trusts the stand-in for the provider."""
        url = f"http://{login}@127.0.0.1:{self.port}" if login else self.url
        return {"HTTPS_PROXY": url, "HTTP_PROXY": url, "SSL_CERT_FILE": str(CERTIFICATE), **more}

    async def _serve(self, handler: Handler, tls: ssl.SSLContext | None) -> int:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handler(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass  # the client has seen enough
            finally:
                writer.close()

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(handle(reader, writer))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _decrypt(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await join(reader, writer, self._port)

    async def _proxy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.decode())
        status = self.status
        wanted = f"Proxy-Authorization: Basic {base64.b64encode(self.login.encode()).decode()}\r\n"
        if self.login and wanted not in self.heads[-1]:
            status = 407
        if status is None:
            await asyncio.Event().wait()
        if status != 200:
            writer.write(f"HTTP/1.1 {status} No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno".encode())
            await writer.drain()
        elif head.startswith(b"CONNECT"):
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await join(reader, writer, self._tls_port)
        else:
            await join(reader, writer, self._port, first=head)
