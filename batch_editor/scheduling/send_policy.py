"""When the next request may leave, by how those before it ended. Pure: instants are given, not read.

Joins all that holds requests back: the spacing that keeps the rate limit, the pause after a 429, the rate learnt from
429s, the limit on concurrency, and the circuit breaker. A run and its simulation both use it, so that a plan
foretells what the run does.

Why no window of the provider holds more than N requests: departures are T' = (T + jitter + slack) / N apart, but one
that leaves late lets the next one follow sooner, by `slack` at most (the generic cell rate algorithm). So of N + 1
requests the last leaves at least N × T' - slack = T + jitter after the first. Requests may arrive up to `jitter` later
than they left, so they arrive at least T apart. A bucket of N tokens that refills N in T, as `AsyncLimiter(60, 60)`,
lets 119 through in the first minute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from batch_editor.records import Failure, Rate, RateSaid
from batch_editor.scheduling.adaptive_rate import AdaptiveRate
from batch_editor.scheduling.circuit_breaker import CircuitBreaker
from batch_editor.scheduling.concurrency_limit import ConcurrencyLimit
from batch_editor.scheduling.retry import RetryPolicy

# How much the way to the provider may vary: handshakes and our own fsync before sending. 0.35 s keeps 99 % of a
# limit per minute; 4.5 % of a second keeps 95 % of a limit per second, where 5 ms were seen to be too little.
JITTER_S = 0.35
JITTER_SHARE = 0.045
# Timers fire late by a millisecond or two; without catching up, 100/s would come to 91/s.
SLACK_SHARE = 0.004


def jitter_s(rate: Rate) -> float:
    """Seconds by which the way to the provider may vary."""
    return min(JITTER_S, JITTER_SHARE * rate.period_s)


def slack_s(rate: Rate) -> float:
    """Seconds of lateness that the next departures may catch up."""
    return SLACK_SHARE * rate.period_s


def spacing_s(rate: Rate) -> float:
    """Seconds between departures at the full rate.

    >>> round(spacing_s(Rate(60, 60.0)), 3)
    1.01
    """
    # A millionth more, for rounding.
    return (1 + 1e-6) * (rate.period_s + jitter_s(rate) + slack_s(rate)) / rate.count


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send one request: when it was given, its number in the run, from 1, and by when it must be used where
    other runs share the rate.
    """

    at: float
    number: int
    leave_by: float = math.inf


class SendPolicy:
    """Tells when the next request may leave. Every permit of `sent` is given back once, by how its request ended.

    Parameters:
        rate: what the provider allows.
        retry: the first pause after a 429 that names none, the longest, and the longest that the provider may ask for;
            see also `CircuitBreaker`.
    """

    def __init__(self, rate: Rate, retry: RetryPolicy | None = None) -> None:
        self._rate = rate
        self._retry = retry or RetryPolicy()
        self._out: set[int] = set()
        self._number = 0
        self._due_at = -math.inf
        self._open_at = 0.0
        self._paused_at = -math.inf
        self._pauses_in_a_row = 0
        self._first_after_pause = 0
        self._only_refused_since: float | None = None
        self.adaptive = AdaptiveRate(rate)
        self.concurrency = ConcurrencyLimit(rate.count / rate.period_s)
        self.breaker = CircuitBreaker(self._retry.backoff_s, self._retry.backoff_max_s)

    @property
    def open_at(self) -> float:
        """When the latest pause ends, or ended."""
        return self._open_at

    def next_at(self, now: float) -> float:
        """When the next request may leave: `now` or later, or infinity while that depends on one in flight."""
        return max(self.free_at(now), self._due_at)

    def free_at(self, now: float) -> float:
        """The same but for the configured rate, which a run's `RateLimiter` keeps by a leaky bucket."""
        if not self.concurrency.has_room:
            return math.inf
        due_at = self._due_at if self.adaptive.allowed < self._rate.count else now
        return max(now, self._open_at, due_at, self.breaker.next_at(now))

    def backlog(self, now: float) -> float:
        """How full a leaky bucket is that has seen what was sent; in requests."""
        return max(0.0, (self._due_at + slack_s(self._rate) - now) / spacing_s(self._rate))

    def only_refused_s(self, now: float) -> float:
        """For how many seconds the provider has answered nothing but 429s; 0 if anything else came last."""
        return 0.0 if self._only_refused_since is None else now - self._only_refused_since

    def sent_before(self, at: float) -> None:
        """Count a request of an earlier run; oldest first."""
        self.adaptive.sent(at)
        self._space(at)

    def sent(self, now: float) -> Permit:
        """Count a request that leaves now."""
        self._number += 1
        self.adaptive.sent(now)
        self._space(now)
        self.concurrency.sent()
        self.breaker.sent(self._number)
        self._out.add(self._number)
        return Permit(now, self._number)

    def said(self, permit: Permit, said: RateSaid, now: float) -> None:
        """The answer to the request of that permit says what the rate limit is, and how much of it was left then.

        Then, and not at the time of the answer, a minute later: where nothing was left, the wait began when it was
        sent. Nothing is waited for where this run alone uses the limit up: its spacing keeps it.
        """
        if said.per_min is not None:
            self.adaptive.said(said.per_min * self._rate.period_s / 60.0)
        if said.left == 0 and said.reset_s is not None and not self.adaptive.takes_all(now):
            opens_at = permit.at + min(said.reset_s, self._retry.retry_after_max_s)
            if opens_at > now:
                self._open_at = max(self._open_at, opens_at)

    def gone(self, permit: Permit) -> None:
        """The request did not leave after all, or its end says nothing. Has no effect on one given back already."""
        if self._given_back(permit):
            self.concurrency.gone()
            self.breaker.gone(permit.number)

    def succeeded(self, permit: Permit, latency_s: float) -> None:
        """The request gave its image."""
        if self._given_back(permit):
            self._only_refused_since = None
            self.concurrency.succeeded(permit.at, latency_s)
            self._answered(permit)

    def failed(self, permit: Permit, request: str, failure: Failure, now: float) -> None:
        """The request, by its fingerprint, failed."""
        if not self._given_back(permit):
            return
        if failure.scope == "rate":
            self.concurrency.gone()
            self._answered(permit)
            self._refused(permit, failure.retry_after_s, now)
            return
        if failure.http_status is not None:  # a connection that broke is no answer
            self._only_refused_since = None
        if failure.http_status in (503, 504) or failure.kind == "timeout":
            self.concurrency.dropped(permit.at, now)
        else:
            self.concurrency.gone()
        if failure.transient and not _is_an_answer(failure):
            asked_s = min(failure.retry_after_s or 0.0, self._retry.retry_after_max_s)
            self.breaker.failed(request, permit.number, now, asked_s=asked_s)
        else:
            self._answered(permit)

    def _space(self, at: float) -> None:
        """Set when the next request is due after one that left at that instant."""
        spacing = spacing_s(self._rate) * self._rate.count / self.adaptive.allowed
        self._due_at = max(self._due_at, at - slack_s(self._rate)) + spacing

    def _given_back(self, permit: Permit) -> bool:
        if permit.number not in self._out:
            return False
        self._out.remove(permit.number)
        return True

    def _answered(self, permit: Permit) -> None:
        was_open = self.breaker.is_open
        self.breaker.answered(permit.number)
        if was_open and not self.breaker.is_open:
            self.concurrency.restart()

    def _refused(self, permit: Permit, retry_after_s: float | None, now: float) -> None:
        """A 429: pause everyone, and lower the rate if it was too high.

        Requests that left before the pause began and are refused as well belong to it: they may lengthen it, but
        lower the rate no further. If the provider names no time, pauses double as long as the first request after
        each is refused again.
        """
        if self._only_refused_since is None:
            self._only_refused_since = now
        self.adaptive.refused(permit.at)
        is_new = permit.at > self._paused_at
        if is_new:
            self._paused_at = now
            self._pauses_in_a_row = self._pauses_in_a_row + 1 if permit.number == self._first_after_pause else 1
            self._first_after_pause = self._number + 1
        pause_s = min(self._retry.backoff_s * 2.0 ** min(self._pauses_in_a_row - 1, 30), self._retry.backoff_max_s)
        if retry_after_s:
            pause_s = min(retry_after_s, self._retry.retry_after_max_s)
        if is_new:
            self.adaptive.pause(now, pause_s, in_a_row=self._pauses_in_a_row)
        if is_new or retry_after_s:
            self._open_at = max(self._open_at, now + pause_s)


def _is_an_answer(failure: Failure) -> bool:
    """Whether the provider itself answered, and so is not down: any 4xx but those that gateways give for time-outs."""
    return (
        failure.http_status is not None and 400 <= failure.http_status < 500 and failure.http_status not in (408, 425)
    )
