"""The account history: the provider's list of requests and charges, read page by page.

Its parameters and fields are those of the provider's SDK: https://pypi.org/project/segmind/1.3.0/, generations.py.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from pydantic import SecretStr

from batch_editor.client.download import READ_BYTES, said_by
from batch_editor.client.network import Network, with_key
from batch_editor.client.user_agent import USER_AGENT
from batch_editor.client.wire import MAX_COST_USD, TooManyValues, amount, error_text, parsed
from batch_editor.config import ApiSettings
from batch_editor.errors import HistoryError
from batch_editor.text import printable

PER_PAGE = 100
# 31 days at 1,000 requests a minute. It ends the reading of a server that always has another page.
MAX_PAGES = 500_000
TRIES = 5
MAX_PAGE_BYTES = 512 * 2**20
# JSON values in a page: a hundred requests, whose prompts may have many commas.
MAX_VALUES = 1_000_000


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One request of the account. `body` is what was sent, `at` when, in seconds since 1970; None if not said."""

    request_id: str
    state: str
    usd: float | None
    body: Mapping[str, Any] | None
    link: str | None
    at: float | None
    latency_s: float | None

    @property
    def made(self) -> bool:
        """Whether it was charged, or at least done."""
        return bool(self.usd) or self.state == "COMPLETED"


class AccountHistory:
    """Reads the history. An async context manager: it owns its session."""

    def __init__(self, api: ApiSettings, key: SecretStr) -> None:
        self._api = api
        self._key = key
        self._rng = random.Random()
        self._network: Network
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._network = await asyncio.to_thread(Network.from_environment)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._network.trusted),
            timeout=aiohttp.ClientTimeout(total=60.0, sock_connect=self._api.connect_timeout_s),
            headers={"Accept-Encoding": "identity", "User-Agent": USER_AGENT},
            middlewares=(with_key(self._key),),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=READ_BYTES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def rows(self, first: date, last: date) -> list[HistoryRow]:
        """Every request of those days of UTC, once, oldest first as far as the provider sorts.

        Raises:
            HistoryError: it can't be read, or not whole.
        """
        found: dict[str, HistoryRow] = {}
        for page in range(1, MAX_PAGES):
            # Not "until a page is short": a server may give fewer rows a page than it was asked for.
            new = [row for row in await self._page(page, first, last) if row.request_id not in found]
            if not new:
                return list(found.values())
            for row in new:
                # A request has one row for each of its outputs, each with the whole charge. The first is ours.
                found.setdefault(row.request_id, row)
        raise HistoryError(f"the provider's history has more than {MAX_PAGES:,} pages")

    async def _page(self, page: int, first: date, last: date) -> list[HistoryRow]:
        query = {
            "page": str(page),
            "per_page": str(PER_PAGE),
            "from_date": first.isoformat(),
            "to_date": last.isoformat(),
            "sort_by": "model_created",
            "sort_order": "asc",
        }
        message = ""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(self._rng.uniform(0.0, 2.0**attempt))
            try:
                async with self._session.get(
                    self._api.history_at,
                    params=query,
                    allow_redirects=False,
                    **self._network.options_for(self._api.history_at),
                ) as response:
                    body = await _all(response)
                    status = response.status
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                message = said_by(error)
                continue
            if status == 200:
                return rows_in(body)
            message = f"HTTP {status}: {error_text(body)}"
            if status not in (408, 429) and status < 500:
                break
        raise HistoryError(
            f"the provider's history at {printable(self._api.history_at, limit=200)} can't be read ({message});"
            " nothing was resolved. Check api.history_url and the key"
        )


async def _all(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for block in response.content.iter_any():
        body += block
        if len(body) > MAX_PAGE_BYTES:
            raise HistoryError(f"the provider's history has a page of more than {MAX_PAGE_BYTES >> 20} MiB")
    return bytes(body)


def rows_in(body: bytes) -> list[HistoryRow]:
    """The rows of a page: its first list, under any name. Rows without an id are left out.

    >>> rows_in(b'{"data": [{"request_id": "a", "credits_deduction": 0.2}]}')[0].usd
    0.2

    Raises:
        HistoryError: it is no such page.
    """
    try:
        document = parsed(body, most=MAX_VALUES)
    except orjson.JSONDecodeError as error:
        raise HistoryError("the provider's history is no JSON; nothing was resolved") from error
    except TooManyValues as error:
        raise HistoryError(
            f"the provider's history has a page of more than {MAX_VALUES:,} values; nothing was resolved"
        ) from error
    values = document.values() if isinstance(document, dict) else [document]
    listed = next((value for value in values if isinstance(value, list)), None)
    if listed is None:
        raise HistoryError("the provider's history has no list of requests; nothing was resolved")
    return [_row(row) for row in listed if isinstance(row, dict) and isinstance(row.get("request_id"), str)]


def _row(row: Mapping[str, Any]) -> HistoryRow:
    body = row.get("request_body")
    if isinstance(body, str):
        try:
            body = orjson.loads(body)
        except orjson.JSONDecodeError:
            body = None
    link = row.get("generation_url")
    latency_ms = amount(row.get("latency_ms"))
    return HistoryRow(
        request_id=row["request_id"],
        state=str(row.get("model_status") or "").upper(),
        usd=amount(row.get("credits_deduction"), most=MAX_COST_USD),
        body=body if isinstance(body, dict) else None,
        link=link if isinstance(link, str) and link.startswith(("http://", "https://")) else None,
        at=_instant(row.get("model_created") or row.get("created_at")),
        latency_s=None if latency_ms is None else latency_ms / 1000,
    )


def _instant(text: object) -> float | None:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
