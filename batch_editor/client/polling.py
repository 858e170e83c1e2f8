"""Polls submitted requests until they are done, and fetches their results. Every request here is free."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import aiohttp

from batch_editor.client.download import Lost, Results, said_by
from batch_editor.client.interface import Sink
from batch_editor.client.packing import readable
from batch_editor.client.pictures import Linked, commit
from batch_editor.client.v2 import Completed, Missing, NotYet, PollRefused, Said, progress_of
from batch_editor.client.wire import MAX_BODY_BYTES, unusable
from batch_editor.config import ApiSettings, RetrySettings
from batch_editor.endpoints import Endpoint
from batch_editor.records import Answer, Failure, SavedImage

# A poll is answered in well under a second; one that takes longer than this is made again.
POLL_TIMEOUT_S = 30.0
# One 404 may come from a replica that doesn't know the request yet; so many in a row mean that it is gone.
MISSING_IN_A_ROW = 2
# The first poll of a request is timed by how long so many before it took.
LATELY = 50


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request was: its endpoint, and its prompt, which error texts may repeat."""

    endpoint: Endpoint
    prompt: str

    @classmethod
    def of(cls, endpoint: Endpoint, body: Mapping[str, Any]) -> Asked:
        """From the endpoint and body of a request."""
        return cls(endpoint, str(body.get(endpoint.prompt or "") or ""))


class PollLimiter(Protocol):
    """The rate limiter of polls; `scheduling.RateLimiter` is one."""

    async def permit(self) -> Any:
        """Wait for leave to send one poll."""

    async def depart(self) -> None:
        """Wait out a pause that began meanwhile."""

    def failed(self, permit: Any, request: str, failure: Failure) -> None:
        """Slow down: the provider answered 429."""

    def gone(self, permit: Any) -> None:
        """The poll was answered, or will not be."""


class Polling:
    """Fetches results by their request ids, see `Client.fetch_result`."""

    def __init__(
        self,
        api: ApiSettings,
        retry: RetrySettings,
        *,
        session: aiohttp.ClientSession,
        results: Results,
        limiter: PollLimiter,
        rng: random.Random,
    ) -> None:
        self._api = api
        self._retry = retry
        self._session = session
        self._results = results
        self._limiter = limiter
        self._rng = rng
        self._took_s: deque[float] = deque(maxlen=LATELY)

    async def fetch_result(self, asked: Asked, request_id: str, sink: Sink, *, fresh: bool) -> Answer:
        """The result of a submitted request; `fresh` if it was submitted just now.

        It is given up after `api.timeout_s`, not counting the time that polls wait for their rate limit. Then, and when
        the key is refused, the answer is `fetchable`.
        """
        answer = await self._fetch_result(asked, request_id, sink, fresh=fresh)
        return replace(answer, request_id=request_id)

    async def _fetch_result(self, asked: Asked, request_id: str, sink: Sink, *, fresh: bool) -> Answer:
        url = f"{self._api.v2_url}/requests/{request_id}"
        clock = asyncio.get_running_loop().time
        began = clock()
        queued_s = not_yet_s = 0.0
        missing = polls = 0
        await asyncio.sleep(self._first_s() if fresh else 0.0)
        while True:
            before = clock()
            permit = await self._limiter.permit()
            try:
                await self._limiter.depart()
                queued_s += clock() - before
                found: Answer | Said = await self._ask(asked, f"{url}/status", permit)
                polls += 1
                if isinstance(found, Completed):
                    if fresh:
                        self._took_s.append((not_yet_s + clock() - began) / 2)
                    found = await self._fetched(asked, found, url, permit, sink)
            finally:
                self._limiter.gone(permit)
            if isinstance(found, PollRefused):
                found = Answer(found.failure, http_status=found.failure.http_status, fetchable=True)
            if isinstance(found, Failure):
                found = Answer(found, http_status=found.http_status)
            if isinstance(found, Answer):
                return found
            missing = missing + 1 if isinstance(found, Missing) else 0
            if missing == MISSING_IN_A_ROW:
                return Answer(_expired(request_id), http_status=404)
            if isinstance(found, NotYet):
                not_yet_s = clock() - began
                if not_yet_s - queued_s > self._api.timeout_s:
                    return Answer(self._too_long(request_id, found), fetchable=True)
            await asyncio.sleep(self._backoff_s(polls))

    def _first_s(self) -> float:
        """Seconds until the first poll: what nine in ten requests took lately.

        Polls have a rate limit like that of submissions, so at the full rate there is little more than one poll a
        request. How long a request took is known only between two polls, the last that came too early and the next;
        the middle is taken, so that the estimate can fall as well as rise.
        """
        if not self._took_s:
            return self._backoff_s(1)
        return sorted(self._took_s)[int(0.9 * len(self._took_s))]

    def _backoff_s(self, polls: int) -> float:
        ceiling = self._retry.backoff_s * 2.0 ** min(polls - 1, 30)
        return self._rng.uniform(0.0, min(ceiling, self._retry.backoff_max_s))

    async def _ask(self, asked: Asked, url: str, permit: Any, *, result: bool = False) -> Said:
        try:
            async with self._session.get(
                url,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=POLL_TIMEOUT_S),
                **self._results.network.options_for(url),
            ) as response:
                body = bytearray()
                async for block in response.content.iter_any():
                    body += block
                    if len(body) > MAX_BODY_BYTES:
                        return unusable(f"a record of more than {MAX_BODY_BYTES >> 20} MiB")
                found = progress_of(
                    *(response.status, response.headers, await readable(response, bytes(body))),
                    endpoint=asked.endpoint,
                    prompt=asked.prompt,
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return NotYet(f"a poll failed: {said_by(error)}")
        if isinstance(found, NotYet) and found.refused:
            failure = Failure("rate_limited", "a poll", scope="rate", transient=True, retry_after_s=found.retry_after_s)
            self._limiter.failed(permit, url, failure)
        if result and isinstance(found, Missing):
            return NotYet("its result isn't there yet")
        return found

    async def _fetched(self, asked: Asked, done: Completed, url: str, permit: Any, sink: Sink) -> Answer | Said:
        """The result of a completed request."""
        if done.image is None:
            # One more request, at most once a job: it doesn't take a permit of its own.
            record = await self._ask(asked, url, permit, result=True)
            if not isinstance(record, Completed):
                return record
            cost_usd = done.cost_usd if record.cost_usd is None else record.cost_usd
            done = replace(record, cost_usd=cost_usd)
        await sink.restart()
        outcome: SavedImage | Failure
        if done.image is None:
            outcome = unusable("completed, and its record names no image")
        elif isinstance(done.image, Linked):
            found = await self._results.download(done.image.url, sink)
            if isinstance(found, Lost) and not found.for_good:
                return NotYet(found.message)
            outcome = _lost(found.message) if isinstance(found, Lost) else found
        else:
            await sink.write(done.image)
            try:
                outcome = await commit(sink)
            except ValueError as error:
                outcome = unusable(f"completed with {error}")
        return Answer(outcome, http_status=200, cost_usd=done.cost_usd, remaining_credits=done.remaining_credits)

    def _too_long(self, request_id: str, last: NotYet) -> Failure:
        return Failure(
            "timeout",
            f"submitted as {request_id}, but not done within {self._api.timeout_s:g} s: {last.message};"
            " the next run fetches its result",
            maybe_billed=True,
            transient=True,
        )


def _lost(message: str) -> Failure:
    return Failure("result_lost", message, maybe_billed=True, http_status=200)


def _expired(request_id: str) -> Failure:
    return Failure(
        "result_lost",
        f"the provider no longer knows request {request_id}, which was submitted to it; it may have been billed."
        " `batch-editor reconcile` looks for it in the account's history",
        maybe_billed=True,
        http_status=404,
    )
