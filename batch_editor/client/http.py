"""A provider over HTTP: sends each request once, streams its answer to a sink, turns every error into data.

aiohttp's own errors stop here. Redirects are not followed on a paid request, for aiohttp would hand the key to
whatever host they name; answers that are links are fetched by a session that never had the key.
"""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import aiohttp
import orjson
from pydantic import SecretStr

from batch_editor.client.download import MAX_HEADER_BYTES, READ_BYTES, Lost, Results, said_by, stream
from batch_editor.client.interface import Sink, UploadRefused
from batch_editor.client.network import CONNECTIONS, Network, proxy_failure, refused_by_proxy, with_key
from batch_editor.client.openai_wire import EmbeddedImage, request_body
from batch_editor.client.packing import readable, unpack
from batch_editor.client.pictures import IMAGE_STARTS, Linked, commit, image_in_json
from batch_editor.client.polling import Asked, Polling, PollLimiter
from batch_editor.client.user_agent import USER_AGENT
from batch_editor.client.v2 import Submitted, submitted_in
from batch_editor.client.waits import rate_said
from batch_editor.client.wire import (
    BYTE_ORDER_MARK,
    MAX_ERROR_BYTES,
    billing_of,
    failure_of,
    unusable,
    unusable_by_words,
)
from batch_editor.config import ApiSettings, RetrySettings
from batch_editor.endpoints import Endpoint
from batch_editor.records import Answer, Failure, SavedImage
from batch_editor.text import printable

# Seconds to wait for an error's text. The status alone says what to do: a 429 must pause the run at once.
ERROR_BODY_S = 5.0
LARGE_BODY_BYTES = 256 * 2**10
_UPLOADED = (200, 201)
# Besides 200: such a request was submitted and will be billed, so its id is worth waiting for.
_SUBMITTED = (201, 202)


class HttpClient:
    """A `Client` for a provider's API. An async context manager: it owns its sessions.

    An answer may hold a request id instead of the image. That is how v2 works; it is understood from v1 as well.

    Parameters:
        api: where the provider is, which version of it, and for how long an attempt may take.
        key: the API key.
        retry: statuses that are worth another attempt, and how patiently polls are made again.
        polls: lets polls go at their rate.
    """

    def __init__(self, api: ApiSettings, key: SecretStr, *, retry: RetrySettings, polls: PollLimiter) -> None:
        self._api = api
        self._key = key
        self._retry = retry
        self._polls = polls
        self._results = Results(api)
        self._network: Network
        self._session: aiohttp.ClientSession
        self._polling: Polling

    async def __aenter__(self) -> Self:
        await self._results.__aenter__()
        self._network = self._results.network
        timeout = aiohttp.ClientTimeout(
            total=self._api.timeout_s,
            # Of all until a connection stands: a proxy that is silent would else be waited for as for an answer.
            connect=CONNECTIONS * self._api.connect_timeout_s if self._network.proxy_for(self._api.edits_at) else None,
            sock_connect=self._api.connect_timeout_s,
        )
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_mark_left)
        self._session = aiohttp.ClientSession(
            # force_close: if the server closes a kept-alive connection just as a paid request is sent on it, nobody
            # knows whether it was billed. That met 234 of 600 requests; without keep-alive none. A handshake is short
            # beside a minute. limit=0: the worker pool bounds the connections; a second bound here would hold
            # requests back after the rate limiter let them go.
            connector=aiohttp.TCPConnector(limit=0, force_close=True, ttl_dns_cache=300, ssl=self._network.trusted),
            timeout=timeout,
            headers={"Accept-Encoding": "identity", "User-Agent": USER_AGENT},
            middlewares=(with_key(self._key),),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
            auto_decompress=False,  # see `packing`
            read_bufsize=READ_BYTES,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        self._polling = Polling(
            self._api,
            self._retry,
            session=self._session,
            results=self._results,
            limiter=self._polls,
            rng=random.Random(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._results.__aexit__(kind, error, trace)

    async def edit(
        self, endpoint: Endpoint, body: Mapping[str, Any], sink: Sink, *, submitted: Callable[[str], Awaitable[None]]
    ) -> Answer:
        """Send one request, once, and stream its image to the sink."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        departure, asked = _Departure(), Asked.of(endpoint, body)
        embedded = EmbeddedImage(sink) if endpoint.wire == "openai" else None
        url = f"{self._api.edits_at}/{endpoint.path}"
        proxy = self._network.proxy_for(url)
        status: int | None = None
        headers: Mapping[str, str] = {}
        try:
            async with self._session.post(
                url,
                data=_json({**endpoint.constants, **body} if embedded is None else request_body(endpoint, body)),
                headers={"Content-Type": "application/json"},
                middlewares=(with_key(self._key, is_bearer=embedded is not None),),
                allow_redirects=False,
                trace_request_ctx=departure,
                **self._network.options_for(url),
            ) as response:
                status, headers = response.status, response.headers
                if status == 200:
                    outcome: SavedImage | Failure | Submitted = await self._image(response, sink, asked, embedded)
                elif status == 407 and proxy is not None:  # of a plain http URL, which proxies don't tunnel
                    outcome = refused_by_proxy(status, url, proxy)
                else:
                    text = await _text_of(response, whole=status in _SUBMITTED)
                    outcome = (submitted_in(text) if status in _SUBMITTED else None) or failure_of(
                        status,
                        headers,
                        text,
                        endpoint=endpoint,
                        retried=self._retry.statuses,
                        now=datetime.now(UTC),
                        prompt=asked.prompt,
                    )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            outcome = (None if departure.left else proxy_failure(error, url, proxy)) or _broken(
                error, left=departure.left, status=status, limit_s=self._api.timeout_s
            )
            _let_go(error)
        if isinstance(outcome, Submitted):
            await submitted(outcome.request_id)
            answer = await self._polling.fetch_result(asked, outcome.request_id, sink, fresh=True)
            return replace(answer, latency_s=loop.time() - began)
        billing = billing_of(headers)
        return Answer(
            outcome,
            http_status=status,
            latency_s=loop.time() - began,
            cost_usd=billing.cost_usd if embedded is None else endpoint.cost_of_usage(embedded.usage()),
            request_id=billing.request_id,
            remaining_credits=billing.remaining_credits,
            rate=None if embedded is None else rate_said(headers, now=datetime.now(UTC)),
        )

    async def fetch_result(self, endpoint: Endpoint, body: Mapping[str, Any], request_id: str, sink: Sink) -> Answer:
        """The result of a request that was submitted before."""
        return await self._polling.fetch_result(Asked.of(endpoint, body), request_id, sink, fresh=False)

    async def upload(self, endpoint: Endpoint, data_link: str) -> str:
        """A public link for a local file, given as a `data:` link.

        Raises:
            UploadRefused: there is none; whether another try may help is in its failure.
        """
        url = self._api.uploads_to
        proxy = self._network.proxy_for(url)
        try:
            async with self._session.post(
                url,
                data=_json({"data_urls": [data_link]}),
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
                **self._network.options_for(url),
            ) as response:
                status, headers = response.status, response.headers
                text = await _text_of(response, whole=status in _UPLOADED)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _let_go(error)
            failure = proxy_failure(error, url, proxy) or Failure("connection", said_by(error), transient=True)
            raise UploadRefused(replace(failure, message=f"upload: {failure.message}")) from error
        if status == 407 and proxy is not None:
            failure = refused_by_proxy(status, url, proxy)
            raise UploadRefused(replace(failure, message=f"upload: {failure.message}"))
        if status not in _UPLOADED:
            raise UploadRefused(self._upload_failure(endpoint, status, headers, text))
        try:
            answer = orjson.loads(text)
            link = (answer.get("file_urls") or answer["urls"])[0]
            if not link.startswith(("http://", "https://")):
                raise ValueError(link)
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError, ValueError) as error:
            said = printable(text.decode(errors="replace"), limit=200)
            raise UploadRefused(
                Failure("bad_response", f"upload: answered without a link: {said}", transient=True)
            ) from error
        return str(link)

    def _upload_failure(self, endpoint: Endpoint, status: int, headers: Mapping[str, str], text: bytes) -> Failure:
        failure = failure_of(
            status, headers, text, endpoint=endpoint, retried=self._retry.statuses, now=datetime.now(UTC)
        )
        # An upload is free, and it is not what the rate limit counts.
        return replace(
            failure,
            message=f"upload: {failure.message}",
            scope="run" if failure.scope == "run" else "request",
            maybe_billed=False,
            transient=failure.transient or status >= 500,
        )

    async def _image(
        self, response: aiohttp.ClientResponse, sink: Sink, asked: Asked, embedded: EmbeddedImage | None
    ) -> SavedImage | Failure | Submitted:
        """What a 200 holds, by its bytes: the image, or a request id.

        Segmind's page promises an image, its code sample reads JSON, and v2 gives a request id. Where the image is
        expected within JSON, `embedded` takes it out.
        """
        if (too_large := await stream(response, embedded or sink)) is not None:
            await sink.restart()  # no image is so large: nothing to keep, and a disk to fill
            return too_large
        if embedded is not None:
            await embedded.end()
        packed = await unpack(response, sink)
        # Look for the image whether unpacking worked or not: the Content-Encoding header may be wrong.
        found = await self._found(sink, said_to_be=response.headers.get("content-type", ""))
        if not isinstance(found, Failure) or found.kind != "bad_response":
            return found
        if packed is not None:
            return packed
        if sink.size_bytes <= MAX_ERROR_BYTES and not sink.head.startswith(IMAGE_STARTS):
            return unusable_by_words(await sink.read(), asked.endpoint, prompt=asked.prompt) or found
        return found

    async def _found(self, sink: Sink, *, said_to_be: str) -> SavedImage | Failure | Submitted:
        start = sink.head.removeprefix(BYTE_ORDER_MARK).lstrip()
        if start.startswith((b"{", b"[", b'"')):
            body = await sink.read()
            if (submitted := submitted_in(body)) is not None:
                return submitted
            found = image_in_json(body)
            if isinstance(found, Failure):
                return found
            await sink.restart()
            if isinstance(found, Linked):
                result = await self._results.download(found.url, sink)
                if isinstance(result, Lost):
                    return Failure("result_lost", result.message, maybe_billed=True, http_status=200)
                return result
            await sink.write(found)
        try:
            return await commit(sink)
        except ValueError as error:
            # After looking at the bytes: an image that is labelled as text is still an image, and paid for.
            text = start[:1] == b"<" or (start and "text/" in said_to_be)
            if text and not sink.head.startswith(IMAGE_STARTS):
                said = printable((await sink.read())[:2000].decode(errors="replace"), limit=300)
                return unusable(f"HTTP 200 with a page instead of an image: {said}", transient=True)
            # A body that was cut while the connection closed cleanly, or came empty, may come whole next time.
            return unusable(f"HTTP 200 with {error}", transient=sink.size_bytes == 0 or "cut short" in str(error))


@dataclass(slots=True)
class _Departure:
    """Whether a request's headers went out."""

    left: bool = False


async def _text_of(response: aiohttp.ClientResponse, *, whole: bool) -> bytes:
    """A body's first 64 KiB. Unless it must be `whole`, reading ends after ERROR_BODY_S."""
    body = bytearray()
    try:
        async with asyncio.timeout(None if whole else ERROR_BODY_S):
            async for block in response.content.iter_any():
                body += block[: MAX_ERROR_BYTES - len(body)]
                if len(body) == MAX_ERROR_BYTES:
                    break
    except (aiohttp.ClientError, TimeoutError, OSError):
        if whole:
            raise
    return await readable(response, bytes(body))


def _broken(error: Exception, *, left: bool, status: int | None, limit_s: float) -> Failure:
    """An attempt that ended without a usable answer. If its request never left, it cost nothing."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Failure("connection", f"the provider's certificate is not valid: {said_by(error)}", scope="run")
    # TimeoutError first: it is an OSError, and aiohttp's own time-outs are both.
    if isinstance(error, TimeoutError) and left:
        return Failure(
            "timeout",
            f"no answer within {limit_s:g} s" if status is None else f"the answer took longer than {limit_s:g} s",
            maybe_billed=True,
            transient=True,
            http_status=status,
        )
    if not left:
        return Failure("connection", f"not reached: {said_by(error)}", transient=True)
    if status is not None:
        what = "the answer was cut off"
    elif isinstance(error, aiohttp.ClientResponseError):
        what = "the answer was no HTTP that can be read"
    else:
        what = "the connection broke before an answer"
    return Failure("connection", f"{what}: {said_by(error)}", maybe_billed=True, transient=True, http_status=status)


def _let_go(error: BaseException) -> None:
    """Drop an error's traceback. aiohttp keeps the error, its traceback our frames, and those request bodies of MB."""
    error.__traceback__ = None


def _json(document: Mapping[str, Any]) -> bytes | io.BytesIO:
    """A body to send. A large one is a file, which aiohttp sends in pieces; in one piece it would block the loop."""
    body = orjson.dumps(document)
    return body if len(body) < LARGE_BODY_BYTES else io.BytesIO(body)


async def _mark_left(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    """From here on the provider may have the request. Refused, unresolved or failed handshakes never get here."""
    if isinstance(departure := context.trace_request_ctx, _Departure):
        departure.left = True
