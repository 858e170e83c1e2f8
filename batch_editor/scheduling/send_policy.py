"""When the next request may leave, by how those before it ended. Pure: instants are given, not read.

Joins what holds requests back: the pause that a 429 puts on everyone, the pace learnt from 429s, the bound on what
is in flight, and outages. The configured rate itself is kept by the limiter. A run and its simulation both use this, so
that what a plan says of a run is what the run does.
"""

from __future__ import annotations

import math

from batch_editor.records import Failure, Rate
from batch_editor.scheduling.adaptive_rate import AdaptiveRate, Permit
from batch_editor.scheduling.circuit_breaker import CircuitBreaker
from batch_editor.scheduling.concurrency_limit import ConcurrencyLimit

# How much the way to the provider may vary: handshakes and our own fsync before sending. 0.35 s keeps 99 % of a
# limit per minute; 4.5 % of a second keeps 95 % of a limit per second, where 5 ms were seen to be too little.
JITTER_S = 0.35
JITTER_SHARE = 0.045
# Timers fire late by a millisecond or two; without catching up, 100/s would come to 91/s.
SLACK_SHARE = 0.004


def spacing_s(rate: Rate) -> float:
    """Seconds between departures when requests wait: N of them fill the period, the jitter and the slack.

    >>> round(spacing_s(Rate(60, 60.0)), 3)
    1.01
    """
    jitter_s = min(JITTER_S, JITTER_SHARE * rate.period_s)
    return (rate.period_s + jitter_s + slack_s(rate)) / rate.count


def slack_s(rate: Rate) -> float:
    """Seconds that a late departure may be caught up with."""
    return SLACK_SHARE * rate.period_s


class SendPolicy:
    """Tells when the next request may leave. Every permit of `sent` is given back once, by how its request ended.

    Parameters:
        rate: what the provider allows.
        backoff_s, backoff_max_s: first pause after a 429 that names none, and the longest; see `CircuitBreaker`.
        retry_after_max_s: the longest pause that the provider may ask for.
    """

    def __init__(
        self, rate: Rate, *, backoff_s: float = 1.0, backoff_max_s: float = 60.0, retry_after_max_s: float = 600.0
    ) -> None:
        self._rate = rate
        self._backoff_s = backoff_s
        self._backoff_max_s = backoff_max_s
        self._retry_after_max_s = retry_after_max_s
        self._adaptive = AdaptiveRate(rate)
        self._concurrency = ConcurrencyLimit(rate.count / rate.period_s)
        self._out: set[int] = set()
        self._open_at = 0.0
        self._due_at = 0.0
        self._episode_at = -math.inf
        self._refusals = 0
        self._first_after_pause = 0
        self._only_refused_since: float | None = None
        self.breaker = CircuitBreaker(backoff_s, backoff_max_s)

    @property
    def allowed(self) -> float:
        """Requests a period that are sent at present; the configured count unless 429s taught otherwise."""
        return self._adaptive.allowed

    @property
    def open_at(self) -> float:
        """When the latest pause ends, or ended."""
        return self._open_at

    def next_at(self, now: float) -> float:
        """When the next request may leave: `now` or later, or infinity while that depends on one in flight."""
        return max(now, self._open_at, self._due_at, self.breaker.next_at(now), self._concurrency.room_at(now))

    def only_refused_s(self, now: float) -> float:
        """For how long the provider has answered nothing but 429s; 0 if anything else came last."""
        return 0.0 if self._only_refused_since is None else now - self._only_refused_since

    def sent_before(self, at: float) -> None:
        """Count a request of a run before this one."""
        self._adaptive.sent(at)

    def sent(self, now: float) -> Permit:
        """Count a request that leaves now."""
        permit = self._adaptive.sent(now)
        if self._adaptive.allowed < self._rate.count:
            # A late timer may be caught up with.
            since = max(self._due_at, now - slack_s(self._rate))
            self._due_at = since + spacing_s(self._rate) * self._rate.count / self._adaptive.allowed
        else:
            self._due_at = now
        self._concurrency.sent(now)
        self.breaker.sent(permit.number)
        self._out.add(permit.number)
        return permit

    def gone(self, permit: Permit) -> None:
        """The request did not leave after all, or its end says nothing. Has no effect on one given back already."""
        if self._given_back(permit):
            self._concurrency.gone()
            self.breaker.gone(permit.number)

    def succeeded(self, permit: Permit, latency_s: float) -> None:
        """The request gave its image."""
        if self._given_back(permit):
            self._only_refused_since = None
            self._concurrency.succeeded(permit.at, latency_s)
            self._answered(permit)

    def failed(self, permit: Permit, request: str, failure: Failure, now: float) -> None:
        """The request, by its fingerprint, failed."""
        if not self._given_back(permit):
            return
        if failure.scope == "rate":
            self._concurrency.gone()
            self._answered(permit)
            self._refused(permit, failure.retry_after_s, now)
            return
        if failure.http_status is not None:  # a connection that broke is no answer
            self._only_refused_since = None
        if failure.http_status in (503, 504) or failure.kind == "timeout":
            self._concurrency.dropped(permit.at, now)
        else:
            self._concurrency.gone()
        if failure.transient and not _is_an_answer(failure):
            asked_s = min(failure.retry_after_s or 0.0, self._retry_after_max_s)
            self.breaker.failed(request, permit.number, now, asked_s=asked_s)
        else:
            self._answered(permit)

    def _given_back(self, permit: Permit) -> bool:
        if permit.number not in self._out:
            return False
        self._out.remove(permit.number)
        return True

    def _answered(self, permit: Permit) -> None:
        lasted = self.breaker.is_open
        self.breaker.answered(permit.number)
        if lasted and not self.breaker.is_open:
            self._concurrency.restart()

    def _refused(self, permit: Permit, retry_after_s: float | None, now: float) -> None:
        """A 429: pause everyone, and go on more slowly if it is the pace that was refused.

        Requests that had left before the pause began and are refused as well belong to the same episode; they may
        lengthen it, but cut nothing further. Without a word from the provider, pauses double as long as the first
        requests after each are refused again.
        """
        if self._only_refused_since is None:
            self._only_refused_since = now
        self._adaptive.not_taken(permit)
        same_episode = permit.at <= self._episode_at
        if not same_episode:
            self._episode_at = now
            self._refusals = self._refusals + 1 if permit.number == self._first_after_pause else 1
            self._first_after_pause = self._adaptive.number + 1
        pause_s = self._pause_s(retry_after_s)
        if not same_episode:
            self._adaptive.slow_down(now, pause_s, in_a_row=self._refusals)
        if retry_after_s or not same_episode:
            self._open_at = max(self._open_at, now + pause_s)

    def _pause_s(self, retry_after_s: float | None) -> float:
        if retry_after_s:
            return min(retry_after_s, self._retry_after_max_s)
        return min(self._backoff_s * 2.0 ** min(self._refusals - 1, 30), self._backoff_max_s)


def _is_an_answer(failure: Failure) -> bool:
    """Whether the provider said so itself, and so is not down: any 4xx but those that gateways give for time-outs."""
    return (
        failure.http_status is not None and 400 <= failure.http_status < 500 and failure.http_status not in (408, 425)
    )
