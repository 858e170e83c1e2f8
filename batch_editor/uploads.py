"""Local files on their way out: each uploaded once for its content, or sent inline."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from pathlib import Path

from batch_editor.client import Client, UploadRefused
from batch_editor.endpoints import Endpoint
from batch_editor.ledger import Ledger, LedgerWriter, PendingRequest
from batch_editor.records import LOCAL, Failure, ParamValue
from batch_editor.storage import Store

# Uploads are small beside edits and not what the rate limit counts; a few at a time fill any line.
UPLOADS_AT_ONCE = 4


class Uploads:
    """Turns a request's parameters into what is sent; remembers links over runs in the ledger."""

    def __init__(
        self,
        *,
        inline: bool,
        sandbox: bool,
        client: Client,
        ledger: Ledger,
        writer: LedgerWriter,
        store: Store,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._inline = inline
        self._sandbox = sandbox
        self._client = client
        self._ledger = ledger
        self._writer = writer
        self._store = store
        self._clock = clock
        self._links: dict[str, asyncio.Future[str]] = {}
        self._slots = asyncio.Semaphore(UPLOADS_AT_ONCE)

    async def body(self, request: PendingRequest, endpoint: Endpoint) -> dict[str, ParamValue]:
        """The parameters as they are sent: local files by their links.

        Raises:
            UploadRefused: a file is gone, or the provider didn't take it.
        """
        body = dict(request.params)
        for name, value in body.items():
            if isinstance(value, str) and value.startswith(LOCAL):
                body[name] = await self._link(value, request, endpoint)
            elif isinstance(value, list):
                body[name] = [
                    await self._link(item, request, endpoint) if item.startswith(LOCAL) else item for item in value
                ]
        return body

    async def _link(self, value: str, request: PendingRequest, endpoint: Endpoint) -> str:
        sha256 = value.removeprefix(LOCAL)
        path, format = request.files[sha256]
        if self._inline:
            return await self._data_link(path, format)
        if sha256 not in self._links:
            self._links[sha256] = asyncio.get_running_loop().create_future()
            try:
                link = await self._upload(sha256, path, format, endpoint)
            except BaseException as error:
                # The next request that needs the file tries again; those who wait now share this outcome.
                waiting = self._links.pop(sha256)
                if isinstance(error, Exception):
                    waiting.set_exception(error)
                    waiting.exception()
                else:
                    waiting.cancel()
                raise
            self._links[sha256].set_result(link)
        return await asyncio.shield(self._links[sha256])

    async def _upload(self, sha256: str, path: str, format: str, endpoint: Endpoint) -> str:
        async with self._slots:
            known = await self._writer.do(lambda: self._ledger.upload_of(sha256, sandbox=self._sandbox))
            if known is not None:
                return known
            link = await self._client.upload(endpoint, await self._data_link(path, format))
            await self._writer.do(lambda: self._ledger.uploaded(sha256, link, now=self._clock(), sandbox=self._sandbox))
            return link

    async def _data_link(self, path: str, format: str) -> str:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._store.executor, _data_link, path, format)


def _data_link(path: str, format: str) -> str:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UploadRefused(
            Failure("input_unreachable", f"{path}: can't be read any more ({error.strerror})")
        ) from error
    return f"data:image/{format};base64,{base64.b64encode(data).decode()}"
