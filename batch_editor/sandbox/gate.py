"""Who is let in: the checks that come before a request's parameters, in the API's order."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta

from aiohttp import web

from batch_editor.endpoints import Endpoint, PriceTable
from batch_editor.sandbox.books import Books
from batch_editor.sandbox.checks import Refusal
from batch_editor.sandbox.options import SandboxOptions
from batch_editor.sandbox.rates import SlidingWindow, parse_rate

KEY_HEADER = "x-api-key"
_NO_BEARER = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth"
    " (i.e. Authorization: Bearer YOUR_KEY)."
)
# What unlimited credits start from, as JSON has no word for them.
_PLENTY_USD = 1_000_000.0


class Gate:
    """Checks model, key, credits and rate. Credits are what the books haven't charged yet."""

    def __init__(
        self,
        options: SandboxOptions,
        endpoints: Iterable[Endpoint],
        books: Books,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = options.key
        self._credits_usd = _PLENTY_USD if math.isinf(options.credits_usd) else options.credits_usd
        self._endpoints: dict[str, Endpoint] = {}
        self.serve(endpoints)
        self._books = books
        self._options = options
        self._windows: dict[str, SlidingWindow] = {}
        self._clock = clock

    def serve(self, endpoints: Iterable[Endpoint]) -> None:
        """Let requests to these in as well; one of a path that is known replaces that."""
        self._endpoints |= {endpoint.path: endpoint for endpoint in endpoints if endpoint.wire == "segmind"}

    @property
    def credits_left_usd(self) -> float:
        """What is left to spend. Below 0 when requests in flight together spent more than there was."""
        return round(self._credits_usd - self._books.billed_usd, 6)

    def admit(self, request: web.Request) -> Endpoint:
        """The endpoint that the request is for.

        Raises:
            Refusal: 404, 401, 406 or 429.
        """
        slug = request.match_info["slug"]
        endpoint = self._endpoints.get(slug)
        if endpoint is None:
            raise Refusal(404, f"Model {slug!r} not found")
        key = self.check_key(request)
        if not self.has_credits_for(endpoint):
            raise Refusal(406, "Insufficient credits: not enough credits to process the request")
        self.check_rate(endpoint.provider, key)
        check_content_type(request)
        return endpoint

    def has_credits_for(self, endpoint: Endpoint) -> bool:
        """Whether there is enough left for its cheapest picture."""
        return self.credits_left_usd >= min(_prices(endpoint.prices.table)) * endpoint.prices.factor

    def check_key(self, request: web.Request) -> str:
        """The request's API key.

        Raises:
            Refusal: 401, it has none or a wrong one.
        """
        key = request.headers.get(KEY_HEADER, "")
        if not key:
            raise Refusal(401, f"Missing API key: send it in the header {KEY_HEADER}")
        if self._key is not None and key != self._key:
            raise Refusal(401, "Invalid API key")
        return key

    def check_bearer(self, request: web.Request) -> str:
        """The request's API key, where it is a bearer's.

        Raises:
            Refusal: 401, it has none or a wrong one.
        """
        key = bearer_of(request)
        if not key:
            raise Refusal(401, _NO_BEARER)
        if self._key is not None and key != self._key:
            raise Refusal(401, f"{key[:3]}{'*' * 8}{key[-4:]}", code="invalid_api_key")
        return key

    def account_headers(self, request: web.Request, endpoint: Endpoint) -> dict[str, str]:
        """What a success says about credits and rate."""
        headers = {"x-remaining-credits": str(self.credits_left_usd)}
        window = self.window(endpoint.provider)
        if window is not None:
            wait_s = window.resets_in(request.headers[KEY_HEADER], self._clock())
            headers["x-rate-limit-reset-at-utc"] = _utc_in(wait_s)
        return headers

    def window(self, provider: str) -> SlidingWindow | None:
        """Who asked when, at that provider; None where nothing limits them."""
        rate = self._options.provider_rates.get(provider, self._options.rate_limit)
        if rate is not None and provider not in self._windows:
            self._windows[provider] = SlidingWindow(parse_rate(rate))
        return self._windows.get(provider)

    def reset(self) -> None:
        """Forget the requests that were let in."""
        for window in self._windows.values():
            window.clear()

    def check_rate(self, provider: str, key: str, *, code: str | None = None) -> None:
        """Count a request of that key.

        Raises:
            Refusal: 429, there are too many.
        """
        window = self.window(provider)
        if window is None:
            return
        wait_s = window.admit(key, self._clock())
        if wait_s > 0:
            rate = window.rate
            said = f"Too many requests: over {rate.count} in {rate.window_s:g} s"
            headers = {"Retry-After": str(math.ceil(wait_s)), "x-rate-limit-reset-at-utc": _utc_in(wait_s)}
            if code is not None:
                said = str(rate.count)
                headers = {"Retry-After": str(math.ceil(wait_s)), "Retry-After-Ms": str(math.ceil(1000 * wait_s))}
            raise Refusal(429, said, headers, code=code)


def bearer_of(request: web.Request) -> str:
    """The key of its `Authorization: Bearer` header; nothing where there is none."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def has_key(request: web.Request) -> bool:
    """Whether it has a key with it, in whichever header."""
    return KEY_HEADER in request.headers or "Authorization" in request.headers


def check_content_type(request: web.Request) -> None:
    """Pass a request that says it is JSON.

    Raises:
        Refusal: 406, it says something else or nothing.
    """
    if request.content_type != "application/json":
        given = request.headers.get("Content-Type", "missing")
        raise Refusal(406, f"Invalid content type: {given}; expected application/json")


def _prices(table: PriceTable) -> Iterator[float]:
    if not isinstance(table, dict):
        yield table
        return
    for inner in table.values():
        yield from _prices(inner)


def _utc_in(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
