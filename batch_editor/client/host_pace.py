"""How quickly one host is asked for links: as it lets us, never more than is polite. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio

from aiolimiter import AsyncLimiter

from batch_editor.text import duration

# A shop's page loads twenty pictures at once; a host that is asked for no more takes us for a visitor or two.
MAX_PER_S = 20.0
MIN_PER_S = 0.2
# Each answer after a refusal makes it a little quicker again.
GAIN_PER_S = 0.2
FIRST_PAUSE_S, MAX_PAUSE_S = 1.0, 30.0
# A host may ask for a longer pause than somebody waits for a check.
MAX_ASKED_PAUSE_S = 60.0
# Thousands of links of a host that is gone, or lets nobody in, must not be waited for one by one.
REFUSED_FOR_S, SILENCES_IN_A_ROW = 60.0, 6


class HostPace:
    """The pace of one host's requests, halved when it refuses for their number.

    `given_up` says why the host isn't asked any more, None while it is. `takes_ranges` is the client's to remember.
    """

    def __init__(self, host: str) -> None:
        self.given_up: str | None = None
        self.takes_ranges = True
        self._host = host
        self._silences = self._pauses = 0
        self._refused_since: float | None = None
        self._resumes_at = self._slowed_at = 0.0
        self._set_rate(MAX_PER_S)

    async def turn(self) -> float:
        """Wait for the next request's turn; the instant, on the loop's clock."""
        clock = asyncio.get_running_loop().time
        while True:
            await self._limiter.acquire()
            pause_s = self._resumes_at - clock()
            if pause_s <= 0:
                return clock()
            await asyncio.sleep(pause_s)

    def answered(self) -> None:
        """A request was answered, whatever the answer says of its link."""
        self._silences = self._pauses = 0
        self._refused_since = None
        if self._per_s < MAX_PER_S:
            self._set_rate(min(self._per_s + GAIN_PER_S, MAX_PER_S))

    def refused(self, status: int, *, asked_s: float | None, sent_at: float) -> None:
        """A request was refused for the number of them; the host asks to wait so long, or doesn't say."""
        now = asyncio.get_running_loop().time()
        if self._refused_since is None:
            self._refused_since = sent_at
        if asked_s is not None and asked_s > MAX_ASKED_PAUSE_S:
            self._give_up(f"asks to wait {duration(asked_s)} (HTTP {status}); check again then")
        elif sent_at - self._refused_since >= REFUSED_FOR_S:
            waited = duration(sent_at - self._refused_since)
            self._give_up(f"refused every request for {waited} (HTTP {status}); check again later")
        if self.given_up is not None:
            return
        pause_s = asked_s or 0.0
        if sent_at >= self._slowed_at:  # not one of those that left at the former pace
            pause_s = max(pause_s, min(FIRST_PAUSE_S * 2.0**self._pauses, MAX_PAUSE_S))
            self._pauses += 1
            self._slowed_at = now
            self._set_rate(max(self._per_s / 2, MIN_PER_S))
        self._resumes_at = max(self._resumes_at, now + pause_s)

    def silent(self) -> None:
        """A request got no answer: no connection, or none in time."""
        self._silences += 1
        if self._silences >= SILENCES_IN_A_ROW:
            self._give_up(f"didn't answer {self._silences} times in a row")

    def _give_up(self, why: str) -> None:
        self.given_up = self.given_up or f"was not looked at: {self._host} {why}"

    def _set_rate(self, per_s: float) -> None:
        self._per_s = per_s
        self._limiter = AsyncLimiter(1, 1 / per_s)
