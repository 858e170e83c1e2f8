"""How many requests may be in flight, learnt from how they end. Pure: instants are given, not read."""

from __future__ import annotations

import math
from collections import deque


class ConcurrencyLimit:
    """A bound on what is in flight, below the configured concurrency, for providers that queue what they can't do.

    Such a provider answers ever later, at last too late, and bills what nobody waits for any more: feeding it at a
    steady rate ends in collapse. Three things keep from that, and cost a provider that is well next to nothing:

    - A start from few, doubled every eighth of a second and by what succeeds, so that thousands of connections
      are not opened at once and a refusal of everybody is met by few.
    - A ceiling by Little's law: what is in flight is rate × latency, so with more than rate × p95, or mean (and a
      quarter), the provider has become slower than it was; as its answers say so, the ceiling follows. Until they
      do, one latency after a sudden rise, fewer are sent: a provider that hangs looks the same, and at 60/min and
      8 s is sent 13 in two minutes so, where what is in flight counted by its age let 112 go.
    - A cut where it drops requests: 503, 504 or no answer in time, for a share of them that no bad luck explains.
      What is in flight is cut by 0.7, and again only for requests sent after that, which is at most once a latency
      (additive increase, multiplicative decrease; V. Jacobson, Congestion Avoidance and Control, 1988). 429s cut
      the pace instead, and by that what is in flight.
    """

    FEW = 8
    DOUBLES_EACH_S = 0.125
    HEADROOM = 1.25
    # A provider that fails one request in three at random is not congested; one that fails every other is. Failures
    # may come sooner than images, so they must be many beside what is in flight as well.
    DROPPED_SHARE = 0.5
    DROPPED_SHARE_IN_FLIGHT = 0.2
    CUT = 0.7
    # Older than so many answers, neither latencies nor drops tell of now. The ceiling follows every so many: at every
    # one, a provider that queues was filled faster, and billed 417 in vain instead of 337 (of 1,000, 200 slots). But
    # where fewer than that are in flight, they would take many latencies: from 8 s to 57 s at 60/min, the rate stayed
    # below nine tenths for 207 s, and does for 60 s.
    ANSWERS = 40
    LATENCIES = 200

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._began_at: float | None = None
        self._succeeded = 0
        self._limit = math.inf
        self._cut_at = -math.inf
        self._ended = self._dropped = 0.0
        self._latencies: deque[float] = deque(maxlen=self.LATENCIES)
        self._ceiling = math.inf
        self.in_flight = 0

    def room_at(self, now: float) -> float:
        """When one more may leave, if nothing ends before."""
        if self.in_flight >= min(self._limit, self._ceiling):
            return math.inf
        if self._began_at is None or self.in_flight < self.FEW + self._succeeded:
            return now
        return self._began_at + self.DOUBLES_EACH_S * math.log2((self.in_flight + 1 - self._succeeded) / self.FEW)

    def sent(self, now: float) -> None:
        """One more is in flight."""
        self._began_at = now if self._began_at is None else self._began_at
        self.in_flight += 1

    def gone(self) -> None:
        """One that was sent, or was to be, is no longer in flight; how it ended says nothing."""
        self.in_flight -= 1

    def succeeded(self, sent_at: float, latency_s: float) -> None:
        """One ended with its image."""
        if self.in_flight >= self._limit / 2:
            self._limit += 1 / self._limit
        self.in_flight -= 1
        self._succeeded += 1
        if sent_at > self._cut_at:
            self._count(dropped=False)
        self._latencies.append(latency_s)
        due = self._succeeded % self.ANSWERS == 0 or self.in_flight < self.ANSWERS
        if due and len(self._latencies) >= self.ANSWERS:
            latencies = sorted(self._latencies)
            # Where a few take very long, the law's mean is above the p95, and p95 alone came to half the rate.
            latency_s = max(latencies[int(0.95 * len(latencies))], sum(latencies) / len(latencies))
            self._ceiling = max(self.FEW, math.ceil(self.HEADROOM * self._per_s * latency_s))

    def dropped(self, sent_at: float, now: float) -> None:
        """One ended without an answer of the provider's own: cut, if that is no bad luck."""
        before = self.in_flight
        self.in_flight -= 1
        if sent_at <= self._cut_at:
            return
        self._count(dropped=True)
        least = max(self.DROPPED_SHARE * self._ended, self.DROPPED_SHARE_IN_FLIGHT * max(before, 2 * self.FEW))
        if self._dropped >= least:
            self._limit = max(1.0, self.CUT * min(self._limit, before))
            self._cut_at = now
            self._ended = self._dropped = 0.0

    def restart(self) -> None:
        """After an outage: from few again, with no cut left over."""
        self._began_at = None
        self._succeeded = 0
        self._limit = math.inf
        self._ended = self._dropped = 0.0

    def _count(self, *, dropped: bool) -> None:
        """Count an end; by halves, what was long ago counts less and less."""
        if self._ended >= max(self.ANSWERS, self.in_flight / 2):
            self._ended, self._dropped = self._ended / 2, self._dropped / 2
        self._ended += 1
        self._dropped += dropped
