"""Local files on their way out: each uploaded once for its content, or sent inline."""

from __future__ import annotations

import asyncio
import base64
import hashlib

from batch_editor.client import Client, UploadRefused
from batch_editor.endpoints import Endpoint
from batch_editor.errors import MachineError
from batch_editor.files import open_regular
from batch_editor.ledger import PendingRequest
from batch_editor.manifest.local_images import MAX_BYTES
from batch_editor.records import LOCAL, Failure, ParamValue
from batch_editor.runs.run import Run
from batch_editor.text import escape_bytes

# Uploads are small beside edits and not what the rate limit counts; a few at a time fill any line.
UPLOADS_AT_ONCE = 4


class FileChanged(Exception):
    """A local file is no longer what its request was planned with; `failure` says so of its jobs."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        # The next run reads the file anew.
        self.failure = Failure("input_unreachable", escape_bytes(message), transient=True)


class Uploads:
    """Turns a request's parameters into what is sent; remembers links over runs in the ledger."""

    def __init__(self, run: Run, client: Client) -> None:
        self._run = run
        self._client = client
        self._links: dict[str, asyncio.Future[str]] = {}
        self._slots = asyncio.Semaphore(UPLOADS_AT_ONCE)

    async def body(self, request: PendingRequest, endpoint: Endpoint) -> dict[str, ParamValue]:
        """The parameters as they are sent: local files by their links.

        Raises:
            FileChanged: a file is gone, or has another content than the request's fingerprint says.
            UploadRefused: the provider didn't take it.
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
        # OpenAI has no upload that gives a link.
        if endpoint.wire == "openai" or self._run.settings.inputs.local_files == "inline":
            return await self._data_link(sha256, path, format)
        if sha256 not in self._links:
            self._links[sha256] = asyncio.get_running_loop().create_future()
            try:
                link = await self._upload(sha256, path, format, endpoint)
            # The next request that needs the file tries again; those who wait now share this outcome.
            except asyncio.CancelledError:
                self._links.pop(sha256).cancel()
                raise
            except (FileChanged, MachineError, UploadRefused) as error:
                waiting = self._links.pop(sha256)
                waiting.set_exception(error)
                waiting.exception()
                raise
            self._links[sha256].set_result(link)
        return await asyncio.shield(self._links[sha256])

    async def _upload(self, sha256: str, path: str, format: str, endpoint: Endpoint) -> str:
        async with self._slots:
            run, requests, sandbox = self._run, self._run.ledger.requests, self._run.options.sandbox
            known = await run.writer.do(lambda: requests.upload_of(sha256, sandbox=sandbox))
            if known is not None:
                return known
            link = await self._client.upload(endpoint, await self._data_link(sha256, path, format))
            await run.writer.do(lambda: requests.uploaded(sha256, link, now=run.clock(), sandbox=sandbox))
            return link

    async def _data_link(self, sha256: str, path: str, format: str) -> str:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._run.store.executor, _data_link, sha256, path, format)


def _data_link(sha256: str, path: str, format: str) -> str:
    try:
        with open(path, "rb", opener=open_regular) as file:
            data = file.read(MAX_BYTES)
    except OSError as error:
        raise FileChanged(f"{path}: can't be read any more ({error.strerror}); put it back, and run again") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        # Sent, another picture would be paid for under this one's fingerprint, and its link kept for this one.
        raise FileChanged(f"{path}: changed since it was planned; run again")
    return f"data:image/{format};base64,{base64.b64encode(data).decode()}"
