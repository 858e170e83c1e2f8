"""Fetches input pictures whole, for people to look at: a few at once, each host politely."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from batch_editor.client.guarded_get import GuardedGet
from batch_editor.client.host_pace import HostPace
from batch_editor.client.link_answers import read_picture, words_of_status
from batch_editor.client.network import Network
from batch_editor.client.waits import retry_after
from batch_editor.errors import BatchEditorError, StorageError
from batch_editor.images import sniff
from batch_editor.text import printable

AT_ONCE, PER_HOST = 8, 4
MAX_BYTES = 50_000_000  # what the provider takes
TIMEOUT_S = 60.0
_RATE_REFUSED = (429, 503)
# A host that isn't asked any more is asked again so long after it was first: pages are open for hours.
FORGIVEN_S = 300.0
# Enough to say what it is that is no picture.
_HEAD = 4096


class NotFetched(BatchEditorError):
    """A link gives no picture; the message continues `<link> `."""


class InputPictures:
    """Fetches pictures. An async context manager: it owns its sessions. `allow_private` is as in the settings."""

    def __init__(self, network: Network, *, allow_private: bool, timeout_s: float = TIMEOUT_S) -> None:
        self._links = GuardedGet(network, allow_private=allow_private, timeout_s=timeout_s, at_once=AT_ONCE)
        self._paces: dict[str, tuple[float, HostPace]] = {}
        self._hosts: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(PER_HOST))

    async def __aenter__(self) -> Self:
        await self._links.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._links.__aexit__(kind, error, trace)

    async def fetch(self, link: str, target: Path) -> None:
        """Write the picture of a link to a file, whose content is nothing before.

        Raises:
            NotFetched: there is none.
            StorageError: it can't be written.
        """
        try:
            host = urlsplit(link).netloc.lower()
        except ValueError as error:
            raise NotFetched("is no link") from error
        pace = self._pace_of(host)
        async with self._hosts[host]:
            if pace.given_up is not None:
                raise NotFetched(pace.given_up)
            sent_at = await pace.turn()
            try:
                async with self._links.get(link) as (url, response):
                    await self._answered(url, response, pace, target, sent_at=sent_at)
            except (NotFetched, StorageError):
                raise
            except (aiohttp.ClientError, OSError, ValueError) as error:
                found = self._links.why_not(error, link)
                if found.is_silent:
                    pace.silent()
                raise NotFetched(found.fault) from error

    def _pace_of(self, host: str) -> HostPace:
        now = asyncio.get_running_loop().time()
        since, pace = self._paces.get(host, (now, HostPace(printable(host, limit=100))))
        if pace.given_up is not None and now - since > FORGIVEN_S:
            since, pace = now, HostPace(printable(host, limit=100))
        self._paces[host] = since, pace
        return pace

    async def _answered(
        self, url: str, response: aiohttp.ClientResponse, pace: HostPace, target: Path, *, sent_at: float
    ) -> None:
        if response.status in _RATE_REFUSED:
            asked_s = retry_after(response.headers, now=datetime.now(UTC))
            pace.refused(response.status, asked_s=asked_s, sent_at=sent_at)
        else:
            pace.answered()
        if response.status != 200:
            raise NotFetched(words_of_status(response.status))
        if (response.content_length or 0) > MAX_BYTES:
            raise NotFetched(_TOO_LARGE)
        head, size_bytes = b"", 0
        async for block in response.content.iter_any():
            head += block[: _HEAD - len(head)]
            size_bytes += len(block)
            if size_bytes > MAX_BYTES:
                raise NotFetched(_TOO_LARGE)
            await asyncio.to_thread(_append, target, block)
        if sniff(head[:12]) is None:
            kind = response.headers.get("content-type", "").partition(";")[0].strip()
            said = read_picture(head, whole=size_bytes <= _HEAD, content_type=kind, url=url)
            raise NotFetched(said if isinstance(said, str) else "is no picture that browsers show")


def _append(target: Path, block: bytes) -> None:
    try:
        with target.open("ab") as file:
            file.write(block)
    except OSError as error:
        raise StorageError(f"{target}: can't be written ({error.strerror})") from error


_TOO_LARGE = f"has more than {MAX_BYTES / 1e6:.0f} MB; the provider takes less"
