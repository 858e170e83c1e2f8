"""What the attempts need of a client, and what a client needs of the disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from batch_editor.endpoints import Endpoint
from batch_editor.records import Answer, Failure, SavedImage


class Sink(Protocol):
    """Where an answer's body goes; `output.StagedFile` is one.

    `commit` raises `ValueError` if what was written is not a whole image. `head` are its first 64 bytes.
    """

    size_bytes: int
    head: bytes

    async def write(self, data: bytes) -> None:
        """Append."""

    async def restart(self) -> None:
        """Forget what was written."""

    async def read(self) -> bytes:
        """Everything written so far."""

    async def commit(self) -> SavedImage:
        """What was written, as a durable image."""


class Client(Protocol):
    """A provider. Implemented by `HttpClient`, and by the doubles of the tests."""

    async def edit(
        self, endpoint: Endpoint, body: Mapping[str, Any], sink: Sink, *, submitted: Callable[[str], Awaitable[None]]
    ) -> Answer:
        """Send one request, once. What goes wrong is in the answer, not raised.

        Where the provider answers with an id under which it keeps the result, `submitted` is awaited with it before
        anything else is done.
        """

    async def fetch_result(self, endpoint: Endpoint, body: Mapping[str, Any], request_id: str, sink: Sink) -> Answer:
        """The result of a request with that body that was submitted before, under that id. Costs nothing."""

    async def upload(self, endpoint: Endpoint, data_link: str) -> str:
        """A public link for a local file, given as a `data:` link, that a request to `endpoint` needs.

        Raises:
            UploadRefused: the provider didn't take it.
        """


class UploadRefused(Exception):
    """A local file could not be uploaded; `failure` says what that means for its jobs."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
