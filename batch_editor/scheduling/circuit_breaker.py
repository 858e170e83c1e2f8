"""Whether the provider is down, and when to try it again. Pure: instants are given, not read."""

from __future__ import annotations

import math


class CircuitBreaker:
    """A circuit breaker (M. Nygard, Release It!): stops sending to a provider that is down, and tries it now and then.

    - Closed: requests are sent. Failures of FAILURES_TO_OPEN different requests in a row open it.
    - Open: nothing is sent until the interval is over.
    - Half-open: one request is sent as a probe. The provider's answer to it closes the breaker; a failure opens it
      again, for twice as long.

    While it is open or half-open, failures use up no attempts of their requests: neither the probes', nor those of
    requests that were in flight when it opened.

    Parameters:
        backoff_s, backoff_max_s: those of retries; the intervals grow from five times the first to the second.
    """

    # Of different requests, for one that always fails is no outage. A provider that fails one in ten at random fails
    # five in a row once in a hundred thousand requests.
    FAILURES_TO_OPEN = 5
    FIRST_BACKOFFS = 5
    # Forty minutes by the defaults. A longer outage ends the run, and leaves its work for the next.
    MAX_PROBES = 40

    def __init__(self, backoff_s: float, backoff_max_s: float) -> None:
        self._first_s = min(self.FIRST_BACKOFFS * backoff_s, backoff_max_s)
        self._longest_s = backoff_max_s
        self._failed: set[str] = set()
        self._interval_s = 0.0
        self._probe_at = 0.0
        self._probes = 0
        self._probe: int | None = None
        self._opened_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the provider is taken to be down: it is open or half-open."""
        return self._opened_at is not None

    @property
    def hopeless(self) -> bool:
        """Whether the provider has been probed as often as a run does."""
        return self._probes >= self.MAX_PROBES

    def open_for_s(self, now: float) -> float:
        """For how many seconds the provider has been down; 0 if it is not."""
        return 0.0 if self._opened_at is None else now - self._opened_at

    def next_at(self, now: float) -> float:
        """When the next request may leave; infinity while a probe is out."""
        if not self.is_open:
            return now
        return max(now, self._probe_at) if self._probe is None else math.inf

    def wait_s(self, now: float) -> float:
        """Seconds until the next probe, as far as is known; 0 while the provider answers."""
        if not self.is_open:
            return 0.0
        return max(0.0, self._probe_at - now) if self._probe is None else self._interval_s

    def sent(self, number: int) -> None:
        """The request of that permit left; if the breaker is open, it is the probe."""
        if self.is_open:
            self._probe = number

    def gone(self, number: int) -> None:
        """The request of that permit did not leave, or its end says nothing; if it was the probe, another may leave."""
        if self._probe == number:
            self._probe = None

    def answered(self, number: int) -> None:
        """The provider answered the request of that permit, if only to refuse it.

        While the breaker is open only the probe counts: other requests were sent before it opened.
        """
        if self.is_open and number != self._probe:
            return
        self._failed.clear()
        self._probes = 0
        self._probe = self._opened_at = None

    def failed(self, request: str, number: int | None, now: float, *, asked_s: float = 0.0) -> None:
        """The provider failed a request, or could not be reached.

        `number` is that of its permit; None for an upload, which has none and counts as a probe. `asked_s`: seconds
        that the provider asks to wait.
        """
        if self._opened_at is None:
            self._failed.add(request)
            if len(self._failed) < self.FAILURES_TO_OPEN:
                return
            self._opened_at = now
            self._interval_s = self._first_s
        elif number != self._probe or now < self._probe_at:
            return
        else:
            self._probe = None
            self._probes += 1
            self._interval_s = min(2 * self._interval_s, self._longest_s)
        self._probe_at = now + max(self._interval_s, asked_s)
