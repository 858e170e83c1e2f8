"""Asks many links, each as often as it takes: many hosts at once, each of them politely."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from urllib.parse import urlsplit

import aiohttp

from batch_editor.client.guarded_get import GuardedGet
from batch_editor.client.host_pace import HostPace
from batch_editor.text import printable

# Four at a time is what a browser asks one host for.
AT_ONCE, PER_HOST = 32, 4
READ_AHEAD = 10_000  # links, of which each host has its own queue; about 2 MB
TRIES = 3
RATE_TRIES = 8  # of a link that is refused for the number of requests, each after the whole host has paused
FIRST_BACKOFF_S = 0.5
# Statuses that say nothing of a link yet: of too many requests, and of a bad moment.
RATE_REFUSED = (429, 503)
TRANSIENT = (408, 425, 500, 502, 504)


class Linked(Protocol):
    """Something that is asked for by a link."""

    @property
    def link(self) -> str:
        """The link."""


L = TypeVar("L", bound=Linked)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class NoAnswerYet:
    """Why a link says nothing yet. status: of a refusal for the number of requests, 0 of any other reason."""

    fault: str
    status: int = 0
    retry_after_s: float | None = None
    is_silent: bool = False


class Asking(Generic[L, R]):
    """How links are asked. `ask` makes one try, at the host's pace; `failed` makes a report of why there is no answer.

    `ask` raises aiohttp.ClientError, OSError or ValueError where there is none.
    """

    def __init__(
        self,
        gets: GuardedGet,
        ask: Callable[[L, HostPace], Awaitable[R | NoAnswerYet]],
        failed: Callable[[L, str], R],
    ) -> None:
        self._gets = gets
        self._ask = ask
        self._failed = failed
        self._paces: dict[str, HostPace] = {}

    async def reports(self, links: Iterable[L]) -> AsyncGenerator[R, None]:
        """A report for each link, in any order; the links are drawn as they are needed."""
        queues = _Queues(iter(links))
        running: dict[asyncio.Task[R], str] = {}
        try:
            while True:
                for host, link in queues.next(AT_ONCE - len(running), Counter(running.values())):
                    running[asyncio.create_task(self._report(host, link))] = host
                if not running:
                    return
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    del running[task]
                    yield task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _report(self, host: str, link: L) -> R:
        """Ask one link, again where a later answer may be another one."""
        pace = self._paces.setdefault(host, HostPace(printable(host, limit=100)))
        tries = refusals = 0
        while pace.given_up is None:
            sent_at = await pace.turn()
            if pace.given_up is not None:
                break
            found = await self._try(link, pace)
            if not isinstance(found, NoAnswerYet):
                pace.answered()
                return found
            if found.status:
                refusals += 1
                pace.refused(found.status, asked_s=found.retry_after_s, sent_at=sent_at)
            else:
                tries += 1
                if found.is_silent:
                    pace.silent()
                else:
                    pace.answered()
            if tries == TRIES or refusals == RATE_TRIES:
                return self._failed(link, found.fault)
            if not found.status:
                await asyncio.sleep(FIRST_BACKOFF_S * 2.0 ** (tries - 1))
        return self._failed(link, pace.given_up)

    async def _try(self, link: L, pace: HostPace) -> R | NoAnswerYet:
        try:
            return await self._ask(link, pace)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            found = self._gets.why_not(error, link.link)
            if found.is_lasting:
                return self._failed(link, found.fault)
            return NoAnswerYet(found.fault, is_silent=found.is_silent)


class _Queues(Generic[L]):
    """Links to ask, by host, so that a slow one doesn't hold back the others."""

    def __init__(self, links: Iterator[L]) -> None:
        self._links = links
        self._waiting: dict[str, deque[L]] = {}
        self._size = 0

    def next(self, most: int, running: Counter[str]) -> list[tuple[str, L]]:
        """The links to begin with now, one of each host in turn, no host with more than PER_HOST."""
        while self._size < READ_AHEAD and (link := next(self._links, None)) is not None:
            self._waiting.setdefault(urlsplit(link.link).netloc.lower(), deque()).append(link)
            self._size += 1
        chosen: list[tuple[str, L]] = []
        while len(chosen) < most:
            host = next((host for host in self._waiting if running[host] < PER_HOST), None)
            if host is None:
                break
            queue = self._waiting.pop(host)
            chosen.append((host, queue.popleft()))
            running[host] += 1
            self._size -= 1
            if queue:
                self._waiting[host] = queue  # behind the others
        return chosen
