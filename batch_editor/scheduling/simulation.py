"""How long a run takes: simulates its scheduler many times. Pure: no clock, no network."""

from __future__ import annotations

import heapq
import math
import random
import statistics
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from batch_editor.records import Failure, Rate
from batch_editor.scheduling.retry import RetryPolicy, backoff
from batch_editor.scheduling.send_policy import Permit, SendPolicy, spacing_s

# Requests to simulate. After so many a run is steady, and the rest is extrapolated: a plan for a million takes no
# longer. At least so many times as many as are in flight, or the sample would have no steady middle.
SAMPLE = 3000
SAMPLE_IN_FLIGHT = 8
# Runs to simulate. Those of many requests differ less and take longer, so there are fewer of them.
REPEATS = 21
LEAST_REPEATS = 3
SIMULATED = 40_000
# With fewer latencies than this, the shape of their distribution isn't known, and they are not smoothed.
SMOOTHED_FROM = 10

_BROKEN = Failure("server_error", "simulated", transient=True, http_status=502)
_DROPPED = Failure("timeout", "simulated", transient=True, http_status=504)


@dataclass(frozen=True, slots=True)
class Failed:
    """A transient failure: seconds until it came, and whether it lowers the concurrency, see `ConcurrencyLimit`."""

    latency_s: float
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class Workload:
    """What a run has to do, and how the provider behaves.

    latencies_s: latencies of successes to draw from, in any order; likewise `failures`.
    failure_share: of attempts that fail transiently and are retried.
    refused_share: of departures that meet a 429, after refused_s seconds, and then pause everyone for pause_s.
    """

    requests: int
    concurrency: int
    rate: Rate
    latencies_s: Sequence[float]
    failure_share: float
    failures: Sequence[Failed]
    policy: RetryPolicy
    refused_share: float = 0.0
    refused_s: float = 0.0
    pause_s: float = 0.0

    @property
    def spacing_s(self) -> float:
        """Seconds between departures that the rate limit leaves."""
        return spacing_s(self.rate)

    @property
    def in_flight(self) -> int:
        """How many the rate limit would have in flight, if there were slots for them."""
        return math.ceil(sum(self.latencies_s) / len(self.latencies_s) / self.spacing_s)

    @property
    def sample(self) -> int:
        """How many requests show what the whole run is like."""
        return min(self.requests, max(SAMPLE, SAMPLE_IN_FLIGHT * min(self.concurrency, self.in_flight)))


@dataclass(frozen=True, slots=True)
class Course:
    """One simulated run: when requests were done, in seconds from the start, ascending.

    Of a long run they are a sample: its beginning, a part of its steady middle, and its end. The missing requests
    belong in the middle, at its rate. Added after the end, where the last answers trickle in, they would make the run
    too long.
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
    """One run: slots that free up, departures that are spaced, attempts that fail and wait and come back.

    `SendPolicy` is the run's own. As in the pool, requests with a slot queue for their permits, and those that come
    back are drawn before fresh ones.
    """
    policy, sample = work.policy, work.sample
    sending = SendPolicy(work.rate, policy)
    refused = Failure("rate_limited", "simulated", scope="rate", transient=True, retry_after_s=work.pause_s)
    fresh = iter(range(sample))
    queue: deque[tuple[int, int]] = deque()
    out: list[tuple[float, int, int, Permit, Failure | None]] = []
    waiting: list[tuple[float, int, int]] = []
    now = 0.0
    done: list[float] = []
    while len(done) < sample:
        while len(queue) + len(out) < work.concurrency:
            if waiting and waiting[0][0] <= now:
                queue.append(heapq.heappop(waiting)[1:])
            elif (number := next(fresh, None)) is not None:
                queue.append((number, 1))
            else:
                break
        leaves_at = sending.next_at(now) if queue else math.inf
        back_at = waiting[0][0] if waiting and not queue and len(out) < work.concurrency else math.inf
        if out and out[0][0] <= min(leaves_at, back_at):
            now, number, tries, permit, failure = heapq.heappop(out)
            if failure is None:
                sending.succeeded(permit, now - permit.at)
                done.append(now)
                continue
            sending.failed(permit, str(number), failure, now)
            if failure is refused or sending.breaker.is_open:
                heapq.heappush(waiting, (now + sending.breaker.wait_s(now), number, tries))
            else:
                heapq.heappush(waiting, (now + backoff(tries, policy, rng), number, tries + 1))
        elif queue:
            now = leaves_at
            number, tries = queue.popleft()
            failure, latency_s = _outcome(work, tries, refused, rng)
            heapq.heappush(out, (now + latency_s, number, tries, sending.sent(now), failure))
        else:
            now = back_at
    return Course(sorted(done), work.requests)


def _outcome(work: Workload, tries: int, refused: Failure, rng: random.Random) -> tuple[Failure | None, float]:
    """How an attempt ends, and after how many seconds; `tries` counts it."""
    if work.refused_share and rng.random() < work.refused_share:
        return refused, work.refused_s
    if tries < work.policy.max_attempts and rng.random() < work.failure_share:
        failed = rng.choice(work.failures)
        return (_DROPPED if failed.dropped else _BROKEN), failed.latency_s
    return None, rng.choice(work.latencies_s)


def simulate_often(work: Workload, *, seed: int = 0, repeats: int | None = None) -> list[Course]:
    """Simulated runs, the quickest first: the middle one is the median."""
    rng = random.Random(seed)
    repeats = repeats or min(REPEATS, max(LEAST_REPEATS, SIMULATED // max(work.sample, 1)))
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


def smoothed(latencies_s: Sequence[float], *, seed: int = 0, draws: int = 2000) -> list[float]:
    """Latencies like those that were seen, but not only those: the slowest of many more would be slower.

    A bootstrap smoothed on the logarithms, h = 1.06 min(σ, IQR/1.349) n^(-1/5) (B. W. Silverman, Density Estimation,
    1986, §3.4), scaled to keep the mean that was seen.
    """
    if len(latencies_s) < SMOOTHED_FROM or min(latencies_s) <= 0:
        return list(latencies_s)
    rng = random.Random(seed)
    logs = [math.log(latency) for latency in latencies_s]
    first, _, third = statistics.quantiles(logs, n=4)
    width = 1.06 * min(statistics.stdev(logs), (third - first) / 1.349) * len(logs) ** -0.2
    drawn = [math.exp(rng.choice(logs) + rng.gauss(0.0, width)) for _ in range(draws)]
    scale = statistics.fmean(latencies_s) / statistics.fmean(drawn)
    return [latency * scale for latency in drawn]
