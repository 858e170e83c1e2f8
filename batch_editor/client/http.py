"""The provider over HTTP: sends each request once, streams its answer to a sink, turns every error into data.

aiohttp's own errors stop here. Redirects are not followed on a paid request, for aiohttp would hand the key to
whatever host they name; answers that are links are fetched by a session that never had the key.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace, TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import aiohttp
import orjson
from pydantic import SecretStr

from batch_editor.client.guard import is_local_url, socket_factory
from batch_editor.client.interface import Sink, UploadRefused
from batch_editor.client.wire import Linked, billing_of, failure_of, image_in_json, unusable
from batch_editor.config import ApiSettings
from batch_editor.endpoints import Endpoint
from batch_editor.records import Answer, Failure, SavedImage
from batch_editor.redaction import printable

# An image of the largest size is 3 MB as PNG; JSON around it adds a third.
MAX_BODY_BYTES = 64 * 2**20
MAX_ERROR_BYTES = 64 * 2**10
READ_BYTES = 64 * 2**10
LARGE_BODY_BYTES = 256 * 2**10
MAX_HOPS = 3
DOWNLOAD_TRIES = 4


class HttpClient:
    """A `Client` for the provider's v1 API. An async context manager: it owns its sessions.

    Parameters:
        api: where the provider is, and for how long an attempt may take.
        key: the API key.
        retried: statuses that are worth another attempt.
    """

    def __init__(self, api: ApiSettings, key: SecretStr, *, retried: frozenset[int]) -> None:
        self._api = api
        self._key = key
        self._retried = retried
        self._session: aiohttp.ClientSession
        self._results: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=self._api.timeout_s, sock_connect=self._api.connect_timeout_s)
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_mark_left)
        self._session = aiohttp.ClientSession(
            # force_close: a kept connection that the server closes just then would make a paid request ambiguous;
            # 234 of 600 were, against none. A handshake is nothing beside a minute. limit=0: the worker pool
            # bounds; a pool of connections here would hold requests back behind the rate limiter.
            connector=aiohttp.TCPConnector(limit=0, force_close=True, ttl_dns_cache=300),
            timeout=timeout,
            headers={"x-api-key": self._key.get_secret_value(), "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
            read_bufsize=READ_BYTES,
        )
        self._results = aiohttp.ClientSession(
            # With a base URL on this machine (a stand-in, a test), results may come from there too.
            connector=aiohttp.TCPConnector(
                limit=0, socket_factory=socket_factory(allow_private=is_local_url(self._api.base_url))
            ),
            timeout=timeout,
            headers={"Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=READ_BYTES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._results.close()

    async def edit(self, endpoint: Endpoint, body: Mapping[str, Any], sink: Sink) -> Answer:
        """Send one request, once, and stream its image to the sink."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        departure = _Departure()
        status: int | None = None
        headers: Mapping[str, str] = {}
        try:
            async with self._session.post(
                f"{self._api.base_url}/{endpoint.path}",
                data=_json(body),
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
                trace_request_ctx=departure,
            ) as response:
                status, headers = response.status, response.headers
                if status == 200:
                    outcome: SavedImage | Failure = await self._image(response, sink)
                else:
                    outcome = failure_of(
                        status,
                        headers,
                        await _error_body(response),
                        errors=endpoint.errors,
                        retried=self._retried,
                        now=datetime.now(UTC),
                    )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            outcome = _broken(error, left=departure.left, status=status, limit_s=self._api.timeout_s)
        billing = billing_of(headers)
        return Answer(
            outcome,
            http_status=status,
            latency_s=loop.time() - began,
            cost_usd=billing.cost_usd,
            request_id=billing.request_id,
            remaining_credits=billing.remaining_credits,
        )

    async def upload(self, endpoint: Endpoint, data_link: str) -> str:
        """A public link for a local file, given as a `data:` link."""
        try:
            async with self._session.post(
                self._api.uploads_to,
                data=_json({"data_urls": [data_link]}),
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
            ) as response:
                text = await response.content.read(MAX_ERROR_BYTES)
                status, headers = response.status, response.headers
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UploadRefused(
                Failure("connection", f"upload: {_said(error)}", passing=True, maybe_billed=False)
            ) from error
        if status != 200:
            raise UploadRefused(self._upload_failure(endpoint, status, headers, text))
        try:
            answer = orjson.loads(text)
            link = (answer.get("file_urls") or answer["urls"])[0]
            if not link.startswith(("http://", "https://")):
                raise ValueError(link)
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError, ValueError) as error:
            said = printable(text.decode(errors="replace"), limit=200)
            raise UploadRefused(Failure("bad_response", f"upload: answered without a link: {said}")) from error
        return str(link)

    def _upload_failure(self, endpoint: Endpoint, status: int, headers: Mapping[str, str], text: bytes) -> Failure:
        failure = failure_of(
            status, headers, text, errors=endpoint.errors, retried=self._retried, now=datetime.now(UTC)
        )
        # An upload is free, and it is not what the rate limit counts.
        return replace(
            failure,
            message=f"upload: {failure.message}",
            reach="run" if failure.reach == "run" else "job",
            maybe_billed=False,
            passing=failure.passing or status >= 500,
        )

    async def _image(self, response: aiohttp.ClientResponse, sink: Sink) -> SavedImage | Failure:
        """The image of a 200, by what its bytes are: the page says an image, its sample reads JSON."""
        if (too_large := await _stream(response, sink)) is not None:
            return too_large
        start = sink.head.lstrip()
        if start.startswith((b"{", b"[", b'"')):
            found = image_in_json(await sink.read())
            if isinstance(found, Failure):
                return found
            await sink.restart()
            if isinstance(found, Linked):
                return await self._download(urljoin(str(response.url), found.url), sink)
            await sink.write(found)
        try:
            return await sink.seal()
        except ValueError as error:
            # Only now: an image that is labelled as text is an image, and paid for.
            if start[:1] == b"<" or (start and "text/" in response.headers.get("content-type", "")):
                said = printable((await sink.read())[:2000].decode(errors="replace"), limit=300)
                return unusable(f"HTTP 200 with a page instead of an image: {said}", passing=True)
            # A body that was cut while the connection closed cleanly, or came empty, may come whole next time.
            return unusable(f"HTTP 200 with {error}", passing=sink.size_bytes == 0 or "cut short" in str(error))

    async def _download(self, url: str, sink: Sink) -> SavedImage | Failure:
        """Fetch a result link at once, for such links expire. A GET costs nothing, so it is tried again."""
        message = ""
        for attempt in range(DOWNLOAD_TRIES):
            if attempt:
                await asyncio.sleep(0.5 * 2**attempt)
                await sink.restart()
            try:
                gone = await self._fetch(url, sink)
                if gone is None:
                    return await sink.seal()
                return Failure("result_lost", gone, maybe_billed=True, http_status=200)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                message = _said(error)
        host = urlsplit(url).hostname or ""
        return Failure(
            "result_lost",
            f"paid, but its link at {printable(host, limit=100)} could not be fetched: {message}",
            maybe_billed=True,
            http_status=200,
        )

    async def _fetch(self, url: str, sink: Sink) -> str | None:
        """Stream a link's content to the sink; a reason if the link will never give it."""
        for _ in range(MAX_HOPS + 1):
            async with self._results.get(url, allow_redirects=False) as response:
                if response.status in (301, 302, 303, 307, 308):
                    url = urljoin(url, response.headers.get("location", ""))
                    if urlsplit(url).scheme not in ("http", "https"):
                        return "paid, but its link leads to something that is no http(s) link"
                    continue
                if response.status in (401, 403, 404, 410):
                    return f"paid, but its link answers HTTP {response.status}: it has expired"
                response.raise_for_status()
                failure = await _stream(response, sink)
                return None if failure is None else failure.message
        return f"paid, but its link redirects more than {MAX_HOPS} times"


@dataclass(slots=True)
class _Departure:
    """Whether a request's headers went out."""

    left: bool = False


async def _stream(response: aiohttp.ClientResponse, sink: Sink) -> Failure | None:
    """Body to sink, at most 64 MiB of it."""
    declared = response.content_length or 0
    if declared <= MAX_BODY_BYTES:
        async for block in response.content.iter_any():
            await sink.write(block)
            if sink.size_bytes > MAX_BODY_BYTES:
                break
        else:
            return None
    return unusable(f"HTTP 200 with a body of more than {MAX_BODY_BYTES >> 20} MiB")


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    """The first 64 KiB of an error's body; what was got of it if the connection breaks: the status says enough."""
    body = b""
    try:
        async for block in response.content.iter_any():
            body += block
            if len(body) >= MAX_ERROR_BYTES:
                break
    except (aiohttp.ClientError, TimeoutError, OSError):
        pass
    return body[:MAX_ERROR_BYTES]


def _broken(error: Exception, *, left: bool, status: int | None, limit_s: float) -> Failure:
    """An attempt that ended without a usable answer. If its request never left, it cost nothing."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Failure("connection", f"the provider's certificate is not valid: {_said(error)}", reach="run")
    # TimeoutError first: it is an OSError, and aiohttp's own time-outs are both.
    if isinstance(error, TimeoutError) and left:
        return Failure(
            "timeout",
            f"no answer within {limit_s:g} s" if status is None else f"the answer took longer than {limit_s:g} s",
            maybe_billed=True,
            passing=True,
            http_status=status,
        )
    if not left:
        return Failure("connection", f"not reached: {_said(error)}", passing=True)
    what = "the connection broke before an answer" if status is None else "the answer was cut off"
    return Failure("connection", f"{what}: {_said(error)}", maybe_billed=True, passing=True, http_status=status)


def _json(document: Mapping[str, Any]) -> bytes | io.BytesIO:
    """A body to send. A large one as a file, which aiohttp sends in pieces: a photograph in one would hold the loop."""
    body = orjson.dumps(document)
    return body if len(body) < LARGE_BODY_BYTES else io.BytesIO(body)


def _said(error: BaseException) -> str:
    # Never repr(): that of aiohttp's ClientResponseError holds the request's headers, and so the key.
    return printable(str(error) or type(error).__name__, limit=200)


async def _mark_left(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    """From here on the provider may have the request. Refused, unresolved or failed handshakes never get here."""
    if isinstance(departure := context.trace_request_ctx, _Departure):
        departure.left = True
