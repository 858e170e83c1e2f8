"""A provider that answers by a script: `ScriptedClient(ServerFault("502"), png())` fails once, then gives an image."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from batch_editor.client import UploadRefused
from batch_editor.client.interface import Sink
from batch_editor.client.wire import failure_of
from batch_editor.config import RetrySettings
from batch_editor.endpoints import Endpoint
from batch_editor.records import Answer, Failure, SavedImage


@dataclass(frozen=True)
class ServerFault:
    """An answer of that status. `after_s`: its Retry-After header."""

    status: str
    after_s: int | None = None


@dataclass(frozen=True)
class Submitted:
    """The id under which v2 keeps a result, and the result: none comes while this run polls if it is None."""

    request_id: str
    result: bytes | None


@dataclass(frozen=True)
class Priced:
    """An image for which the provider says what it charged."""

    image: bytes
    cost_usd: float


Step = bytes | ServerFault | Submitted | Priced


class ScriptedClient:
    """Gives the steps of its script in turn, one a request; a result that is fetched is a step too.

    on_send: called when a request's bytes go out. What it gives, if anything, is kept in `saw`, as of `on_poll`, which
        is called when a submitted request is polled for the first time.
    """

    def __init__(self, *script: Step) -> None:
        self.on_send: Callable[[], Awaitable[object]] | None = None
        self.on_poll: Callable[[], Awaitable[object]] | None = None
        self.saw: list[object] = []
        self.sent: list[Mapping[str, Any]] = []
        self.fetched: list[str] = []
        self.refuses_uploads: Failure | None = None
        self._script = iter(script)

    async def edit(
        self, endpoint: Endpoint, body: Mapping[str, Any], sink: Sink, *, submitted: Callable[[str], Awaitable[None]]
    ) -> Answer:
        self.sent.append(body)
        await self._look(self.on_send)
        step = next(self._script)
        if not isinstance(step, Submitted):
            return await self._answer(step, endpoint, sink)
        await submitted(step.request_id)
        await self._look(self.on_poll)
        if step.result is None:
            return Answer(Failure("timeout", "no result yet", maybe_billed=True, transient=True), fetchable=True)
        return await self._answer(step.result, endpoint, sink)

    async def fetch_result(self, endpoint: Endpoint, body: Mapping[str, Any], request_id: str, sink: Sink) -> Answer:
        self.fetched.append(request_id)
        await self._look(self.on_poll)
        return await self._answer(next(self._script), endpoint, sink)

    async def upload(self, endpoint: Endpoint, data_link: str) -> str:
        if self.refuses_uploads is not None:
            raise UploadRefused(self.refuses_uploads)
        return "https://files.example.com/mug.png"

    async def _look(self, look: Callable[[], Awaitable[object]] | None) -> None:
        if look is not None and (found := await look()) is not None:
            self.saw.append(found)

    async def _answer(self, step: Step, endpoint: Endpoint, sink: Sink) -> Answer:
        if isinstance(step, ServerFault):
            headers = {} if step.after_s is None else {"retry-after": str(step.after_s)}
            failure = failure_of(
                int(step.status),
                headers,
                b"",
                endpoint=endpoint,
                retried=RetrySettings().statuses,
                now=datetime.now(UTC),
            )
            return Answer(failure, http_status=failure.http_status, latency_s=0.01)
        assert not isinstance(step, Submitted)
        data, cost_usd = (step.image, step.cost_usd) if isinstance(step, Priced) else (step, None)
        return Answer(await _received(data, sink), http_status=200, latency_s=0.01, cost_usd=cost_usd)


async def _received(data: bytes, sink: Sink) -> SavedImage | Failure:
    await sink.write(data)
    try:
        return await sink.commit()
    except ValueError as error:
        return Failure("bad_response", f"HTTP 200 with {error}", maybe_billed=True, http_status=200)
