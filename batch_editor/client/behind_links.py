"""Asks whether the picture behind a link is still the one that was seen there before."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp

from batch_editor.client.guarded_get import GuardedGet
from batch_editor.client.host_pace import HostPace
from batch_editor.client.link_answers import read_picture, words_of_status
from batch_editor.client.network import Network
from batch_editor.client.polite import AT_ONCE, RATE_REFUSED, TRANSIENT, Asking, NoAnswerYet
from batch_editor.client.waits import retry_after
from batch_editor.records import LinkToAsk, SeenPicture

TIMEOUT_S = 60.0  # of one picture, its body included
MAX_BYTES = 50_000_000  # what the provider takes
# Of each of the 32 that are on their way so much is held, to tell a picture from a page or from half a picture.
HELD_BYTES = 4 * 2**20
LONGEST_HEADER = 1000  # of an ETag; they have a few dozen characters
DIGITS = 32  # of a SHA-256 in hex: its half, as of fingerprints
_TOO_LARGE = f"has more than {MAX_BYTES / 1e6:.0f} MB; the provider takes less"


@dataclass(frozen=True, slots=True)
class SeenAnswer:
    """What is behind a link now; `fault` says why it gave no picture, in words that continue `<link> `."""

    asked: LinkToAsk
    seen: SeenPicture | None
    fault: str | None = None


async def see(
    links: Iterable[LinkToAsk], *, always: bool, allow_private: bool, network: Network, timeout_s: float = TIMEOUT_S
) -> AsyncGenerator[SeenAnswer]:
    """What is behind each link now, in any order; the links are drawn as they are needed.

    A picture is fetched whole, and its content hashed, where its host says by ETag or Last-Modified that it is another
    one, says nothing of either, or was never asked; or `always`.
    """
    async with GuardedGet(network, allow_private=allow_private, timeout_s=timeout_s, at_once=AT_ONCE) as gets:
        seeing = Asking(gets, _Seeing(gets, always=always).see, lambda asked, fault: SeenAnswer(asked, None, fault))
        async with aclosing(seeing.reports(links)) as answers:
            async for answer in answers:
                yield answer


class _Seeing:
    """Sees what is behind links."""

    def __init__(self, gets: GuardedGet, *, always: bool) -> None:
        self._gets = gets
        self._always = always

    async def see(self, asked: LinkToAsk, pace: HostPace) -> SeenAnswer | NoAnswerYet:
        """What one GET and its redirects give."""
        former = None if self._always else asked.seen
        conditions = _conditions(former)
        async with self._gets.get(asked.link, headers=conditions) as (url, response):
            status, headers = response.status, response.headers
            if status == 304 and conditions:
                return SeenAnswer(asked, former)
            if status in RATE_REFUSED:
                return NoAnswerYet(words_of_status(status), status, retry_after(headers, now=datetime.now(UTC)))
            if status in TRANSIENT:
                return NoAnswerYet(words_of_status(status))
            if status != 200:
                return SeenAnswer(asked, None, words_of_status(status))
            etag, last_modified = _sendable(headers.get("etag")), _sendable(headers.get("last-modified"))
            # Many hosts send a picture whatever the condition: by its headers it need not be read.
            if former is not None and _is_same(former, etag, last_modified):
                return SeenAnswer(asked, former)
            found = await _content_of(response, url)
        if isinstance(found, _NoPicture):
            return SeenAnswer(asked, None, found.fault)
        return SeenAnswer(asked, SeenPicture(found, etag, last_modified))


@dataclass(frozen=True, slots=True)
class _NoPicture:
    fault: str


async def _content_of(response: aiohttp.ClientResponse, url: str) -> str | _NoPicture:
    """The hash of a picture's content. A login page, an error's page or half a picture is no other picture."""
    if (response.content_length or 0) > MAX_BYTES:
        return _NoPicture(_TOO_LARGE)
    digest, held, size_bytes = hashlib.sha256(), bytearray(), 0
    async for block in response.content.iter_any():
        digest.update(block)
        held += block[: HELD_BYTES - len(held)]
        size_bytes += len(block)
        if size_bytes > MAX_BYTES:
            return _NoPicture(_TOO_LARGE)
    content_type = response.headers.get("content-type", "").partition(";")[0].strip()
    found = read_picture(bytes(held), whole=size_bytes == len(held), content_type=content_type, url=url)
    return _NoPicture(found) if isinstance(found, str) else digest.hexdigest()[:DIGITS]


def _conditions(former: SeenPicture | None) -> dict[str, str]:
    if former is None:
        return {}
    named = {"If-None-Match": former.etag, "If-Modified-Since": former.last_modified}
    return {name: value for name, value in named.items() if value}


def _is_same(former: SeenPicture, etag: str | None, last_modified: str | None) -> bool:
    """Whether a host says that a picture is the one from before; by its ETag, weak or not, where it has one.

    >>> _is_same(SeenPicture("…", '"1"', "Mon"), 'W/"1"', "Tue"), _is_same(SeenPicture("…", None, "Mon"), '"1"', "Mon")
    (True, False)
    """
    if etag or former.etag:
        return etag is not None and former.etag is not None and _opaque(etag) == _opaque(former.etag)
    return last_modified is not None and last_modified == former.last_modified


def _opaque(etag: str) -> str:
    return etag.removeprefix("W/")


def _sendable(value: str | None) -> str | None:
    """A header's value, where it can be sent back as it came."""
    return value if value and value.isascii() and value.isprintable() and len(value) <= LONGEST_HEADER else None
