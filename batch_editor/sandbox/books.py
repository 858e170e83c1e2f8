"""What a sandbox saw and what it charged. One log is the truth; every figure is counted from it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from batch_editor.endpoints import SEGMIND

# Enough to know a job by; 32,000 characters of each of 10,000s of requests would be too many to keep.
_PROMPT_CHARACTERS = 200


@dataclass(slots=True)
class Entry:
    """One POST to a model of a provider. `at` is in seconds since the books were opened, `number` counts from 1.

    `status` is None until it is answered, and stays so where no status line was sent.
    """

    number: int
    at: float
    body_sha256: str = ""
    prompt: str = ""
    status: int | None = None
    billed_usd: float | None = None
    provider: str = SEGMIND


class Books:
    """The log of a sandbox's requests, with figures that tests and benchmarks ask for.

    `window_s` is the length that `most_in_window` is reported for.
    """

    def __init__(self, *, window_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.window_s = window_s
        self._clock = clock
        self.in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.reset()

    def reset(self) -> None:
        """Forget everything but the requests that are in flight."""
        self.log: list[Entry] = []
        self.uploads = 0
        self.key_leaks = 0
        self.polled_at: list[float] = []
        self.peak_in_flight = self.in_flight
        # Kept beside the log, which would have to be added up for every request that has credits to check.
        self.billed_usd = 0.0
        self._opened_at = self._clock()

    def upload(self) -> None:
        """Count a file that was uploaded."""
        self.uploads += 1

    def leak_key(self) -> None:
        """Count a request that had the key with it where none belongs."""
        self.key_leaks += 1

    def arrive(self, provider: str = SEGMIND) -> Entry:
        """Log a request that has just arrived; `leave` ends it."""
        entry = Entry(number=len(self.log) + 1, at=self._clock() - self._opened_at, provider=provider)
        self.log.append(entry)
        self.in_flight += 1
        self._idle.clear()
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        return entry

    def poll(self) -> None:
        """Log that somebody asked how far a request is."""
        self.polled_at.append(self._clock() - self._opened_at)

    def leave(self) -> None:
        """A request is no longer in flight."""
        self.in_flight -= 1
        if not self.in_flight:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until no request is in flight, those of clients that left included."""
        await self._idle.wait()

    def identify(self, entry: Entry, *, body_sha256: str, prompt: str) -> None:
        """Write down which body has arrived."""
        entry.body_sha256 = body_sha256
        entry.prompt = prompt[:_PROMPT_CHARACTERS]

    def bill(self, entry: Entry, usd: float) -> None:
        """Charge a request."""
        entry.billed_usd = usd
        self.billed_usd = round(self.billed_usd + usd, 6)

    @property
    def requests(self) -> int:
        """POSTs to models that arrived, refused ones included."""
        return len(self.log)

    @property
    def answered(self) -> Counter[int]:
        """Requests by the status they were answered with."""
        return Counter(entry.status for entry in self.log if entry.status is not None)

    @property
    def billed(self) -> int:
        """Requests that were charged."""
        return sum(self.billed_by_body.values())

    @property
    def arrived_by_body(self) -> Counter[str]:
        """How often each request body arrived, by its SHA-256."""
        return Counter(entry.body_sha256 for entry in self.log if entry.body_sha256)

    @property
    def billed_by_body(self) -> Counter[str]:
        """How often each request body was charged, by its SHA-256."""
        return Counter(entry.body_sha256 for entry in self.log if entry.billed_usd is not None)

    @property
    def double_billed(self) -> int:
        """Charges beyond the first one of each request body."""
        return sum(times - 1 for times in self.billed_by_body.values())

    def most_in_window(self, length_s: float, *, provider: str | None = None) -> int:
        """The largest number of POSTs that arrived within any `length_s` seconds, refused ones included.

        At one provider, or at all.
        """
        return _most_in_window([each.at for each in self.log if provider in (None, each.provider)], length_s)

    def most_polls_in_window(self, length_s: float) -> int:
        """The same of polls, which are not among the POSTs."""
        return _most_in_window(self.polled_at, length_s)

    def as_json(self) -> dict[str, Any]:
        """All the figures, as `GET /_sandbox/books` shows them."""
        return {
            "requests": self.requests,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "answered": {str(status): times for status, times in sorted(self.answered.items())},
            "billed": self.billed,
            "billed_usd": self.billed_usd,
            "double_billed": self.double_billed,
            "window_s": self.window_s,
            "most_in_window": self.most_in_window(self.window_s),
            "polls": len(self.polled_at),
            "uploads": self.uploads,
            "key_leaks": self.key_leaks,
            "arrived_by_body": dict(self.arrived_by_body),
            "billed_by_body": dict(self.billed_by_body),
        }

    def log_as_json(self) -> list[dict[str, Any]]:
        """The log, as `GET /_sandbox/requests` shows it."""
        return [asdict(entry) for entry in self.log]


def _most_in_window(instants: Sequence[float], length_s: float) -> int:
    most = first = 0
    for last, at in enumerate(instants):
        while at - instants[first] >= length_s:
            first += 1
        most = max(most, last - first + 1)
    return most
