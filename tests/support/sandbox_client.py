"""A sandbox and a bare HTTP client on one bench: requests as a client would write them by hand."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from PIL import Image

from batch_editor.endpoints import Endpoint
from batch_editor.sandbox import Sandbox, SandboxOptions

KEY = "SG_0123456789abcdef"
ABSENT: Final = object()


def png(size: tuple[int, int] = (60, 40), colour: str | tuple[int, ...] = "navy", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def data_link(data: bytes, content_type: str = "image/png") -> str:
    return f"data:{content_type};base64,{base64.b64encode(data).decode()}"


def body(**changes: Any) -> dict[str, Any]:
    """The API page's sample with a small input; ABSENT leaves a parameter out."""
    sample = {
        "prompt": "A photorealistic wide drone shot",
        "image_urls": [data_link(png())],
        "mask": None,
        "size": "auto",
        "quality": "high",
        "background": "opaque",
        "output_compression": 100,
        "output_format": "png",
        "moderation": "auto",
    }
    return {name: value for name, value in {**sample, **changes}.items() if value is not ABSENT}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def error(self) -> str:
        assert self.headers["Content-Type"].startswith("application/json")
        return str(json.loads(self.data)["error"])

    @property
    def image(self) -> Image.Image:
        image = Image.open(io.BytesIO(self.data))
        image.load()
        return image

    def json(self) -> Any:
        return json.loads(self.data)


class Bench:
    def __init__(self, sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.books = sandbox.books
        self.http = http

    async def edit(self, fault: str | None = None, **changes: Any) -> Reply:
        """Post the sample body with changes, perhaps asking for a fault."""
        headers = {"x-sandbox-fault": fault} if fault else {}
        return await self.post("/v1/gpt-image-1.5-edit", json=body(**changes), headers=headers)

    async def post(self, path: str, **how: Any) -> Reply:
        return await self.request("POST", path, **how)

    async def get(self, path: str, **how: Any) -> Reply:
        return await self.request("GET", path, **how)

    async def request(
        self,
        method: str,
        path: str,
        *,
        key: str | None = KEY,
        headers: Mapping[str, str] | None = None,
        **how: Any,
    ) -> Reply:
        url = path if path.startswith("http") else self.sandbox.url + path
        sent = {**({"x-api-key": key} if key is not None else {}), **(headers or {})}
        async with self.http.request(method, url, headers=sent, **{"allow_redirects": False, **how}) as response:
            return Reply(response.status, response.headers, await response.read())


@asynccontextmanager
async def bench(*endpoints: Endpoint, **options: Any) -> AsyncIterator[Bench]:
    """A bench with small images, unless the options say otherwise."""
    settings = SandboxOptions(**{"size_scale": 0.05, **options})
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        Sandbox(settings, endpoints=endpoints) as sandbox,
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(10)) as http,
    ):
        yield Bench(sandbox, http)
