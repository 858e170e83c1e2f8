"""A rate limit as a sliding window over each key's accepted requests. The caller brings the clock."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from dataclasses import dataclass

_UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Rate:
    """At most `count` requests in any `window_s` seconds."""

    count: int
    window_s: float


def parse_rate(text: str) -> Rate:
    """The rate that a text such as 60/min, 10/s or 100/h stands for.

    >>> parse_rate("60/min")
    Rate(count=60, window_s=60.0)

    Raises:
        ValueError: the text is no rate.
    """
    match = re.fullmatch(r"([1-9][0-9]*)/(s|min|h)", text)
    if match is None:
        raise ValueError(f"rate_limit is {text!r}; expected COUNT/UNIT such as 60/min, 10/s or 100/h")
    return Rate(int(match[1]), _UNITS_S[match[2]])


class SlidingWindow:
    """Who asked when. A refused request leaves no trace here: asking again too early costs nothing."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._accepted_at: defaultdict[str, deque[float]] = defaultdict(deque)

    def admit(self, key: str, now: float) -> float:
        """0 if the request is accepted, else the seconds until the next one would be.

        >>> window = SlidingWindow(Rate(2, window_s=10))
        >>> [window.admit("k", now) for now in (0, 4, 7, 10)]
        [0.0, 0.0, 3.0, 0.0]
        """
        accepted_at = self._current(key, now)
        if len(accepted_at) >= self.rate.count:
            return self.resets_in(key, now)
        accepted_at.append(now)
        return 0.0

    def resets_in(self, key: str, now: float) -> float:
        """Seconds until the oldest accepted request leaves the window; 0 if there is none."""
        accepted_at = self._current(key, now)
        return float(accepted_at[0] + self.rate.window_s - now) if accepted_at else 0.0

    def left(self, key: str, now: float) -> int:
        """How many more would be accepted now."""
        return self.rate.count - len(self._current(key, now))

    def clear(self) -> None:
        """Forget every request."""
        self._accepted_at.clear()

    def _current(self, key: str, now: float) -> deque[float]:
        accepted_at = self._accepted_at[key]
        while accepted_at and accepted_at[0] + self.rate.window_s <= now:
            accepted_at.popleft()
        return accepted_at
