"""How long a run takes: its own scheduler on virtual time, over and over. Pure; no clock, no network."""

from __future__ import annotations

import heapq
import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from batch_editor.retry import Policy, backoff

# Beyond this the run is steady, and what is left is extrapolated from its pace: a million take no longer to plan.
# So many times as many as are in flight together, or there would be no steady middle to take the pace from.
SAMPLE = 3000
SAMPLE_IN_FLIGHT = 8
REPEATS = 21


@dataclass(frozen=True, slots=True)
class Workload:
    """What the scheduler has before it.

    spacing_s: seconds between departures that the rate limit leaves.
    latencies_s: latencies of successes to draw from, in any order; likewise failures_s of passing failures.
    failure_share: of attempts that fail in passing and are made again.
    refused_share: of departures that meet a 429, after refused_s seconds, and then pause everyone for pause_s.
    """

    requests: int
    concurrency: int
    spacing_s: float
    latencies_s: Sequence[float]
    failure_share: float
    failures_s: Sequence[float]
    policy: Policy
    refused_share: float = 0.0
    refused_s: float = 0.0
    pause_s: float = 0.0

    @property
    def in_flight(self) -> int:
        """How many the rate limit would have in flight, if there were slots for them."""
        return math.ceil(sum(self.latencies_s) / len(self.latencies_s) / self.spacing_s)

    @property
    def sample(self) -> int:
        """How many requests show what the whole run is like."""
        return max(SAMPLE, SAMPLE_IN_FLIGHT * min(self.concurrency, self.in_flight))


@dataclass(frozen=True, slots=True)
class Course:
    """One simulated run: when requests were done, in seconds from the start, ascending.

    Of a long run they are a sample: its beginning, as much of its steady middle as is needed, and its end. The
    requests that are missing belong in the middle, at its pace; put behind the end, whose last answers trickle in,
    they would make a long run longer than it is.
    """

    done_s: Sequence[float]
    requests: int

    @property
    def pace_s(self) -> float:
        """Seconds a request, while the run is steady: between the first quarter of the sample and the last."""
        first, last = len(self.done_s) // 4, 3 * len(self.done_s) // 4
        return (self.done_s[last] - self.done_s[first]) / (last - first) if last > first else 0.0

    @property
    def end_s(self) -> float:
        """When the last request is done."""
        return self.done_s[-1] + self._missing_s if self.done_s else 0.0

    def done_by(self, instant_s: float) -> int:
        """How many are done by then."""
        if instant_s >= self.end_s:
            return self.requests
        half = len(self.done_s) // 2
        missing = self.requests - len(self.done_s)
        if not missing or instant_s <= self.done_s[half]:
            return bisect_right(self.done_s, instant_s)
        if instant_s < self.done_s[half] + self._missing_s:
            return half + 1 + int((instant_s - self.done_s[half]) / self.pace_s)
        return missing + bisect_right(self.done_s, instant_s - self._missing_s)

    @property
    def _missing_s(self) -> float:
        return (self.requests - len(self.done_s)) * self.pace_s


def simulate(work: Workload, rng: random.Random) -> Course:
    """One run: slots that free up, departures that are spaced, attempts that fail and wait and come back first."""
    if not work.requests:
        return Course((), 0)
    sample = min(work.requests, work.sample)
    slots = [0.0] * min(work.concurrency, sample)
    waiting: list[tuple[float, int, int]] = []
    order = count()
    permit, fresh = 0.0, sample
    done: list[float] = []
    while len(done) < sample:
        at = heapq.heappop(slots)
        tries = 1
        if waiting and (waiting[0][0] <= at or not fresh):
            due, _, tries = heapq.heappop(waiting)
            at = max(at, due)
        else:
            fresh -= 1
        left = max(at, permit)
        permit = left + work.spacing_s
        if work.refused_share and rng.random() < work.refused_share:
            back = left + work.refused_s
            permit = max(permit, back + work.pause_s)
            heapq.heappush(waiting, (back, next(order), tries))
        elif tries < work.policy.max_attempts and rng.random() < work.failure_share:
            back = left + rng.choice(work.failures_s)
            heapq.heappush(waiting, (back + backoff(tries, work.policy, rng), next(order), tries + 1))
        else:
            back = left + rng.choice(work.latencies_s)
            done.append(back)
        heapq.heappush(slots, back)
    return Course(sorted(done), work.requests)


def simulate_often(work: Workload, *, seed: int = 0, repeats: int = REPEATS) -> list[Course]:
    """Simulated runs, the quickest first: the middle one is the median."""
    rng = random.Random(seed)
    return sorted((simulate(work, rng) for _ in range(repeats)), key=lambda course: course.end_s)


def at_share(courses: Sequence[Course], share: float) -> Course:
    """The course that this share of them, ordered by their ends, does not exceed."""
    return courses[min(int(share * len(courses)), len(courses) - 1)]


def spread_latencies(mean_s: float, *, seed: int = 0, sigma: float = 0.25, draws: int = 500) -> list[float]:
    """Latencies around a published average, where nothing has been measured yet.

    Lognormal, for latencies have a long right tail: exp(N(ln mean - σ²/2, σ²)), whose mean is the average.
    """
    rng = random.Random(seed)
    return [mean_s * rng.lognormvariate(-sigma * sigma / 2, sigma) for _ in range(draws)]
