"""How many requests a period the provider takes, learnt from its 429s. Pure: instants are given, not read."""

from __future__ import annotations

import math
from collections import deque
from contextlib import suppress

from batch_editor.records import Rate


class AdaptiveRate:
    """Requests a period to send: AIMD (additive increase, multiplicative decrease), driven by 429s.

    It starts at the configured count and never exceeds it, nor what the provider says that it takes. A 429 lowers it by
    a tenth. Where many are refused, it falls to what the provider took in the last period, but by half at most. While
    nothing lowers it, it is raised by a twentieth of the configured count at a time. The wait before a raise doubles
    with each decrease, up to MAX_WAIT_PERIODS, and halves with each raise that holds. So a run whose limit is set too
    high stays near the true one, and takes more when it can.

    Some 429s don't come from the rate, and leave it as it is:

    - A stray one: the run's first, or one after more than STRAY_AFTER_COUNTS × the count went through at the full
      rate. A limit below that rate would have refused one of them.
    - One that meets the first request after a pause: the pause was too short, which says nothing of the rate.
    - One of a few (less than FEW_SHARE), if the provider has lately taken more than it took now: it refuses some
      requests at any rate. Or if the rate was lowered less than a period ago: the window still holds what came before.
    """

    RAISE_SHARE = 0.05
    LOWER_BY = 0.9
    # 429s come to 1 % of the requests where 60/min are configured and 30/min allowed, to 14 % where 5/min are.
    MAX_WAIT_PERIODS = 4
    # A window of ours may begin a little before the provider's. Two counts would lower the rate for one stray 429
    # every 2 minutes of a limit of 60/min, which costs 2–3 % of the time.
    STRAY_AFTER_COUNTS = 1.25
    # Of about the last REQUESTS requests, as a moving average. With 0.15, a provider that refuses one in twenty at
    # random was sent 600/min at a fifth of that; with 0.25, at two thirds.
    FEW_SHARE = 0.25
    REQUESTS = 20
    # A window counted here differs from the provider's by what is on its way; a tenth is more than that.
    SURELY_LESS = 0.9
    # For so long what was taken counts as what can be taken. A limit that falls is followed after that.
    LATELY_PERIODS = 5

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._taken: deque[float] = deque()
        self._refused_share = 0.0
        self._most_taken = 0
        self._most_at = self._lowered_at = -math.inf
        self._unrefused = math.inf
        self._wait_s = rate.period_s
        self._raise_at = math.inf
        self._raises = 0
        self._said = math.inf
        self.allowed = float(rate.count)
        self.reason = "as configured"
        """Why it was last lowered or raised."""

    def sent(self, now: float) -> None:
        """Count one request, and raise the rate if nothing lowered it for long enough."""
        self._forget(now)
        self._taken.append(now)
        self._refused_share *= 1 - 1 / self.REQUESTS
        self._unrefused = self._unrefused + 1 if self.allowed == self._most else 0
        if now < self._raise_at:
            return
        self.reason = f"not lowered for {self._wait_s:g} s"
        self._raises += 1
        if self._raises > 1:  # the raise before this one held
            self._wait_s = max(self._wait_s / 2, self._rate.period_s)
        self.allowed = min(self._most, self.allowed + self.RAISE_SHARE * self._rate.count)
        self._raise_at = now + self._wait_s if self.allowed < self._most else math.inf

    def said(self, count: float) -> None:
        """The provider says how many it takes a period: no more are sent, whatever is configured."""
        was_most, self._said = self._most, max(1.0, count)
        if self._most == was_most:
            return
        # Where 429s have taught less, that stays, and is raised as before.
        if self.allowed == was_most or self.allowed > self._most:
            self.allowed = self._most
            self.reason = f"the provider says that it takes {count:g}"

    def takes_all(self, now: float) -> bool:
        """Whether what was sent lately is about as much as the provider says that it takes, and no more."""
        self._forget(now)
        return self.SURELY_LESS * self._said <= len(self._taken) <= self._said

    @property
    def _most(self) -> float:
        return min(float(self._rate.count), self._said)

    def refused(self, sent_at: float) -> None:
        """The provider answered the request of that instant with 429."""
        with suppress(ValueError):
            self._taken.remove(sent_at)
        self._refused_share += 1 / self.REQUESTS

    def pause(self, now: float, pause_s: float, *, in_a_row: int) -> None:
        """A pause of `pause_s` seconds begins because of a 429: lower the rate, if the rate was the reason.

        `in_a_row` counts the pauses that followed straight on one another.
        """
        self._forget(now)
        period, taken = self._rate.period_s, len(self._taken)
        unrefused, self._unrefused = self._unrefused, 0
        if taken >= self._most_taken or now > self._most_at + self.LATELY_PERIODS * period:
            self._most_taken, self._most_at = taken, now
        few = self._refused_share < self.FEW_SHARE
        took_more = taken + 1 < self.SURELY_LESS * self._most_taken
        stray = unrefused >= self.STRAY_AFTER_COUNTS * self._rate.count
        if in_a_row > 1 or stray or (few and (took_more or now < self._lowered_at + period)):
            return
        lowered = self.LOWER_BY * self.allowed
        self.allowed = max(1.0, lowered if few else max(self.allowed / 2, min(lowered, taken)))
        self._wait_s = min(2 * self._wait_s, self.MAX_WAIT_PERIODS * period)
        self._raise_at = now + pause_s + self._wait_s
        self._raises = 0
        self._lowered_at = now
        self.reason = f"429 after {taken} requests within {period:g} s"

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0] <= now - self._rate.period_s:
            self._taken.popleft()
