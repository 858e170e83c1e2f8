"""The provider's own package, as PyPI has it, against the sandbox: neither knows of the other.

It has the provider's hosts in its code. So it runs in a process of its own, behind a proxy that takes all of them for
the sandbox, with a certificate that this process alone trusts.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from batch_editor.sandbox import Sandbox, SandboxOptions
from tests.support.proxy import join
from tests.support.sandbox_client import KEY, png

HERE = Path(__file__).parent
CERTIFICATE = HERE / "segmind_hosts.pem"


@asynccontextmanager
async def proxied(sandbox_port: int) -> AsyncIterator[tuple[str, set[str]]]:
    """The URL of the proxy, and the hosts that were asked for."""
    hosts: set[str] = set()
    running: set[asyncio.Task[None]] = set()

    async def decrypted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await join(reader, writer, sandbox_port)

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.decode().split(" ", 2)
        if method != "CONNECT":  # a link of the sandbox's own, which is plain HTTP
            await join(reader, writer, sandbox_port, first=head)
            return
        hosts.add(target)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await join(reader, writer, tls.sockets[0].getsockname()[1])

    def served(handler: Any) -> Any:
        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(handler(reader, writer))
            running.add(task)
            task.add_done_callback(running.discard)

        return serve

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    tls = await asyncio.start_server(served(decrypted), "127.0.0.1", 0, ssl=context)
    plain = await asyncio.start_server(served(proxy), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{plain.sockets[0].getsockname()[1]}", hosts
    finally:
        for server in (plain, tls):
            server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.timeout(120)
@pytest.mark.slow
async def test_the_provider_s_own_package_runs_unmodified_against_the_sandbox(tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(png())
    options = SandboxOptions(
        size_scale=0.05, key=KEY, latency="0.3", faults=("failed:prompt~failing:text=no mug in sight",)
    )
    async with Sandbox(options) as sandbox, proxied(int(sandbox.url.rpartition(":")[2])) as (proxy, hosts):
        own = {"SEGMIND_API_KEY": KEY, "SSL_CERT_FILE": str(CERTIFICATE)}
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), proxy)
        kept = {name: value for name, value in os.environ.items() if name.lower() not in ("no_proxy", "all_proxy")}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(HERE / "official_client.py"), str(tmp_path / "in.png")),
            env={**kept, **own, **proxies},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        books = sandbox.books
    assert process.returncode == 0
    assert json.loads(out) == {
        "uploaded": True,
        "run_sync": [200, "image/png", "0.0108"],
        "run": ["COMPLETED", 0.0108, "89504e47"],
        "status": True,
        "wait": ["COMPLETED", True, True],
        "failed": ["InferenceFailed", None, "no mug in sight"],
        "history": [["v1", "COMPLETED"], ["v2", "COMPLETED"], ["submitted", "COMPLETED"], ["a failing one", "FAILED"]],
        "asked for": [1, 4, 4, 4, 1, 0],
        "get": True,
        "get failed": "no mug in sight",
        "no such request": ["SegmindError", 404, "Request not found"],
        "no such model": ["SegmindError", 404, "Model 'no-such-model' not found"],
        "bad parameter": ["SegmindError", 400, "prompt is empty"],
        "bad key": ["SegmindError", 401, "Invalid API key"],
        "inline": 200,
    }
    assert hosts == {f"{name}.segmind.com:443" for name in ("api", "api.spotprod", "workflows-api")}
    assert (books.billed, books.uploads, books.key_leaks) == (4, 1, 0)
