"""Whether the provider is down, and when to try it again. Pure: instants are given, not read."""

from __future__ import annotations

import math


class CircuitBreaker:
    """Begins when the provider fails a few requests in a row, and ends with its first answer to one sent since.

    While it lasts, one request at a time is sent to try, at intervals that double. The failures of those, and of
    what was in flight when it began, are the provider's and not the requests': they use up none of their attempts.

    Parameters:
        backoff_s, backoff_max_s: those of retries; the intervals grow from five times the first to the second.
    """

    # In a row and of different requests: one that always fails is no outage. A provider that fails one in ten at
    # random does that once in a hundred thousand requests.
    IN_A_ROW = 5
    FIRST_BACKOFFS = 5
    # Forty minutes by the defaults: longer ones end the run, with its work left for the next.
    TRIES = 40

    def __init__(self, backoff_s: float, backoff_max_s: float) -> None:
        self._first_s = min(self.FIRST_BACKOFFS * backoff_s, backoff_max_s)
        self._longest_s = backoff_max_s
        self._failed: set[str] = set()
        self._interval_s = 0.0
        self._try_at = 0.0
        self._tries = 0
        self._trying: int | None = None
        self._began_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the provider is taken to be down."""
        return self._began_at is not None

    def open_for_s(self, now: float) -> float:
        """For how long it has been down; 0 if it is not."""
        return 0.0 if self._began_at is None else now - self._began_at

    @property
    def hopeless(self) -> bool:
        """Whether it has been tried as often as a run does."""
        return self._tries >= self.TRIES

    def next_at(self, now: float) -> float:
        """When the next request may leave; infinity while the one that was sent to try is out."""
        if not self.is_open:
            return now
        return max(now, self._try_at) if self._trying is None else math.inf

    def wait_s(self, now: float) -> float:
        """Seconds until the next try, as far as is known; 0 while the provider answers."""
        if not self.is_open:
            return 0.0
        return max(0.0, self._try_at - now) if self._trying is None else self._interval_s

    def sent(self, number: int) -> None:
        """A request left; during an outage it is the one that tries."""
        if self.is_open:
            self._trying = number

    def gone(self, number: int) -> None:
        """A request that was to leave did not, or its end says nothing: another one may try."""
        if self._trying == number:
            self._trying = None

    def answered(self, number: int) -> None:
        """The provider answered the request of that permit, if only to refuse it.

        During an outage only the one that tries counts: what was in flight when it began is answered from before.
        """
        if self.is_open and number != self._trying:
            return
        self._failed.clear()
        self._tries = 0
        self._trying = self._began_at = None

    def failed(self, request: str, number: int | None, now: float, *, asked_s: float = 0.0) -> None:
        """The provider failed a request, or could not be reached.

        `number` is that of its permit, None if what it needs could not be uploaded, which is a try as well; `asked_s`
        is how long the provider asks to wait.
        """
        if self._began_at is None:
            self._failed.add(request)
            if len(self._failed) < self.IN_A_ROW:
                return
            self._began_at = now
            self._interval_s = self._first_s
        elif number != self._trying or now < self._try_at:
            return
        else:
            self._trying = None
            self._tries += 1
            self._interval_s = min(2 * self._interval_s, self._longest_s)
        self._try_at = now + max(self._interval_s, asked_s)
