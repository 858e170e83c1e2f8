"""How many requests may be in flight, learnt from how they end. Pure: instants are given, not read."""

from __future__ import annotations

import math
from collections import deque


class ConcurrencyLimit:
    """A limit on requests in flight, below the configured concurrency, for providers that queue what they can't do.

    Such a provider answers ever later, at last too late, and bills images that nobody waits for any more. Two limits
    keep a run from feeding it into collapse, and cost next to nothing where the provider is well:

    - A ceiling by Little's law (in flight = rate × latency): rate × p95 of the latency, or × the mean where that is
      more, and a quarter. More in flight means that the provider has become slower; as its answers say so, the ceiling
      follows. Until they do, for one latency, fewer are sent.
    - AIMD (additive increase, multiplicative decrease; V. Jacobson, Congestion Avoidance and Control, 1988): where it
      drops requests (503, 504, no answer in time) so often that chance doesn't explain it, the limit is lowered to 0.7
      of what is in flight, once for all requests sent before that; each success raises it by 1/limit. 429s lower the
      rate instead, and by that what is in flight.
    """

    MIN_CEILING = 8
    HEADROOM = 1.25
    # Of about the last ANSWERS answers, as a moving average. A provider that fails one request in three at random is
    # not congested; one that fails every other is. With 0.35, the former took 1.7 times as long.
    DROPPED_SHARE = 0.45
    CUT = 0.7
    # The ceiling follows every 40 answers: at every one, a provider that queues was filled faster, and billed 417 in
    # vain instead of 337 (of 1,000, 200 slots). With fewer than that in flight, 40 answers would take many latencies:
    # from 8 s to 57 s at 60/min, the rate stayed below nine tenths for 207 s instead of 60 s.
    ANSWERS = 40
    LATENCIES = 200

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._succeeded = 0
        self._limit = math.inf
        self._cut_at = -math.inf
        self._dropped_share = 0.0
        self._latencies: deque[float] = deque(maxlen=self.LATENCIES)
        self._ceiling = math.inf
        self.in_flight = 0

    @property
    def cut(self) -> float:
        """The limit by what was dropped; infinity if nothing was cut."""
        return self._limit

    @property
    def has_room(self) -> bool:
        """Whether one more may leave, if nothing ends before."""
        return self.in_flight < min(self._limit, self._ceiling)

    def sent(self) -> None:
        """One more is in flight."""
        self.in_flight += 1

    def gone(self) -> None:
        """One is no longer in flight; how it ended says nothing."""
        self.in_flight -= 1

    def succeeded(self, sent_at: float, latency_s: float) -> None:
        """One ended with its image."""
        if self.in_flight >= self._limit / 2:
            self._limit += 1 / self._limit
        self.in_flight -= 1
        self._succeeded += 1
        if sent_at > self._cut_at:
            self._dropped_share *= 1 - 1 / self.ANSWERS
        self._latencies.append(latency_s)
        due = self._succeeded % self.ANSWERS == 0 or self.in_flight < self.ANSWERS
        if due and len(self._latencies) >= self.ANSWERS:
            latencies = sorted(self._latencies)
            # Where a few take very long the mean is above the p95, and p95 alone came to half the rate.
            latency_s = max(latencies[int(0.95 * len(latencies))], sum(latencies) / len(latencies))
            self._ceiling = max(self.MIN_CEILING, math.ceil(self.HEADROOM * self._per_s * latency_s))

    def dropped(self, sent_at: float, now: float) -> None:
        """One ended without an answer of the provider's own: lower the limit, unless chance explains it."""
        before = self.in_flight
        self.in_flight -= 1
        if sent_at <= self._cut_at:
            return
        self._dropped_share += (1 - self._dropped_share) / self.ANSWERS
        if self._dropped_share >= self.DROPPED_SHARE:
            self._limit = max(1.0, self.CUT * min(self._limit, before))
            self._cut_at = now
            self._dropped_share = 0.0

    def restart(self) -> None:
        """After an outage: no cut is left over."""
        self._limit = math.inf
        self._dropped_share = 0.0
