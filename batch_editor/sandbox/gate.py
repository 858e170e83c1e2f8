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
        self._window = SlidingWindow(parse_rate(options.rate_limit)) if options.rate_limit else None
        self._clock = clock

    def serve(self, endpoints: Iterable[Endpoint]) -> None:
        """Let requests to these in as well; one of a path that is known replaces that."""
        self._endpoints |= {endpoint.path: endpoint for endpoint in endpoints}

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
        if self.credits_left_usd < min(_prices(endpoint.prices.table)) * endpoint.prices.factor:
            raise Refusal(406, "Insufficient credits: not enough credits to process the request")
        self._check_rate(key)
        check_content_type(request)
        return endpoint

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

    def account_headers(self, request: web.Request) -> dict[str, str]:
        """What a success says about credits and rate."""
        headers = {"x-remaining-credits": str(self.credits_left_usd)}
        if self._window is not None:
            wait_s = self._window.resets_in(request.headers[KEY_HEADER], self._clock())
            headers["x-rate-limit-reset-at-utc"] = _utc_in(wait_s)
        return headers

    def reset(self) -> None:
        """Forget the requests that were let in."""
        if self._window is not None:
            self._window.clear()

    def _check_rate(self, key: str) -> None:
        if self._window is None:
            return
        wait_s = self._window.admit(key, self._clock())
        if wait_s > 0:
            rate = self._window.rate
            raise Refusal(
                429,
                f"Too many requests: over {rate.count} in {rate.window_s:g} s",
                {"Retry-After": str(math.ceil(wait_s)), "x-rate-limit-reset-at-utc": _utc_in(wait_s)},
            )


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
