"""How fast the provider takes requests, learnt from its 429s. Pure: instants are given, not read."""

from __future__ import annotations

import math
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from batch_editor.records import Rate


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send one request: when it was given, and the how-manieth of the run it is."""

    at: float
    number: int


class AdaptiveRate:
    """How many requests a period the provider takes, learnt from its 429s. Instants are given, not read.

    A limit below the pace refuses one in every so many requests, and those are fewer than the configured count. So
    a 429 after more than that at the full rate is a stray one, as is a run's first: it pauses, and nothing else. So
    does one that follows straight on it, for then the pause was too short, and that is all it says.

    Any other 429 cuts the pace to what the provider took: the requests of the last period that it didn't refuse,
    over the time from the first of them to the end of the pause. Then the pace grows by a tenth at a time, and how
    long it waits for that doubles with each whole period that gave the same answer, and halves while nothing refuses
    it. So a run whose limit is set too high settles near the true one, asks for more now and then, and takes it if it
    can.

    A provider may also refuse some requests whatever the pace. That shows: they come at surely fewer requests a
    period than were taken before. Cuts would then only add up, so the full rate is tried; the pauses are kept. If
    too many are refused in that time, pace was the matter after all. Each trial that holds makes the next one
    longer, each that doesn't makes the next one later.
    """

    GROWTH = 1.1
    # Of a limit of 60/min, 8 periods keep 429s at 0.3 % of the requests; at 5/min at 3 %.
    PATIENCE_PERIODS = 8
    # A window of ours may begin a little before the provider's. Two counts would cut at one stray 429 every 2 minutes
    # of a limit of 60/min, which costs 2–3 % of the time for ever; here it costs the pauses alone.
    STRAY_AFTER_COUNTS = 1.25
    # A window counted at our end differs from the provider's by what is on its way; a tenth is more than that.
    SURELY_LESS = 0.9
    # Measured over less of a period than this, what was taken says little about a whole one.
    WATCHED = 0.8
    TRIAL_PERIODS = 4
    # A trial may have 5 refusals and 15 % of its requests: one in ten passes, and limits that name no pause, set ten
    # times too high (20–37 % refused), do not.
    TRIAL_REFUSALS = 5
    TRIAL_SHARE = 0.15
    # Three pauses in a row that were too short are hardly chance (1 in 1,000 where one in ten is refused), but the end
    # of a fixed window is met so: without this, 9 % of a run at 60/min were refused where 40 were allowed.
    TRIAL_IN_A_ROW = 3

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._taken: deque[float] = deque()
        self._best = 0
        self._sent_unrefused = math.inf
        self._patience_s = rate.period_s / 6
        self._grows_at = float("inf")
        self._grown = False
        self._trial_until = float("-inf")
        self._trial_sent = self._trial_refused = 0
        self._trial_periods = self._trial_pause_periods = self.TRIAL_PERIODS
        self._next_trial_at = float("-inf")
        self.number = 0
        self.allowed = float(rate.count)

    def sent(self, now: float) -> Permit:
        """Count one request, and grow if no 429 came for long enough."""
        self._forget(now)
        self._taken.append(now)
        self.number += 1
        self._trial_sent += 1
        self._sent_unrefused = self._sent_unrefused + 1 if self.allowed == self._rate.count else 0
        if now >= self._grows_at:
            if self._grown:
                # Down to two periods: a window needs one to fill, and a refusal must still find the step it is for.
                self._patience_s = max(self._patience_s / 2, min(self._patience_s, 2 * self._rate.period_s))
            self._grown = True
            self.allowed = min(float(self._rate.count), self.allowed * self.GROWTH)
            self._grows_at = now + self._patience_s
        return Permit(now, self.number)

    def not_taken(self, permit: Permit) -> None:
        """The provider refused the request of that permit."""
        self._trial_refused += 1
        with suppress(ValueError):
            self._taken.remove(permit.at)

    def slow_down(self, now: float, pause_s: float, *, in_a_row: int) -> None:
        """A pause of `pause_s` seconds begins because of a 429.

        `in_a_row` counts the pauses that followed straight on one another: from the second on the pause before was
        too short, and the pace is no better known.
        """
        self._forget(now)
        period = self._rate.period_s
        unrefused, self._sent_unrefused = self._sent_unrefused, 0
        if now < self._trial_until:
            few = self._trial_refused <= self.TRIAL_REFUSALS + self.TRIAL_SHARE * self._trial_sent
            if few and in_a_row <= self.TRIAL_IN_A_ROW:
                return
            self._trial_until = float("-inf")
            self._next_trial_at = now + self._trial_pause_periods * period
            self._trial_pause_periods *= 2
            self._best = 0
        taken = len(self._taken)
        too_short = in_a_row > 1 and self.allowed == self._rate.count
        if too_short or unrefused >= self.STRAY_AFTER_COUNTS * self._rate.count:
            self._best = max(self._best, taken)
            return
        if taken + 1 < self.SURELY_LESS * self._best and in_a_row == 1:
            self._best = 0
            if now >= self._next_trial_at:
                self._try_the_full_rate(now)
                return
        self._best = max(self._best, taken)
        watched_s = now + pause_s - self._taken[0] if self._taken else period
        measured = taken * period / max(watched_s, 1e-9)
        watched = watched_s >= self.WATCHED * period
        limit = measured if watched else max(measured, self._best)
        # Halved at most: a first request may be refused for what others sent.
        self.allowed = max(1.0, self.allowed / 2, min(self.allowed, limit))
        if not watched:
            self._patience_s = period / 6
        elif in_a_row == 1:
            self._patience_s = min(2 * self._patience_s, self.PATIENCE_PERIODS * period)
        self._grown = False
        self._grows_at = now + pause_s + self._patience_s

    def _try_the_full_rate(self, now: float) -> None:
        self.allowed = float(self._rate.count)
        self._patience_s = self._rate.period_s / 6
        self._trial_sent = self._trial_refused = 0
        self._trial_until = now + self._trial_periods * self._rate.period_s
        self._trial_periods *= 2

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0] <= now - self._rate.period_s:
            self._taken.popleft()
