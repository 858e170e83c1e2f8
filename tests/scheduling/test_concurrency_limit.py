from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from batch_editor.scheduling.concurrency_limit import ConcurrencyLimit


def test_what_is_in_flight_stays_below_rate_times_p95_and_a_quarter() -> None:
    limit, rng = ConcurrencyLimit(per_s=1.0), random.Random(0)
    for at in range(200):
        limit.sent()
        limit.succeeded(at, rng.uniform(40.0, 60.0))
    while limit.has_room:
        limit.sent()
    assert limit.in_flight == pytest.approx(1.25 * 59, abs=2)


def test_a_few_that_take_very_long_leave_room_for_the_rate() -> None:
    limit = ConcurrencyLimit(per_s=100.0)
    for at in range(200):
        limit.sent()
        limit.succeeded(at, 10.0 if at % 25 == 0 else 0.2)
    mean_s = 0.04 * 10.0 + 0.96 * 0.2
    assert filled(limit, at=1000.0) == math.ceil(1.25 * 100.0 * mean_s)


def fed(limit: ConcurrencyLimit, *, per_s: float, latencies_s: Callable[[float], float], for_s: float) -> list[float]:
    """When requests left to a provider that takes so long for what is sent at an instant."""
    out: list[tuple[float, float]] = []
    left: list[float] = []
    at = 0.0
    while at < for_s:
        leaves_at = at if limit.has_room else math.inf
        if out and out[0][0] <= leaves_at:
            at_end, sent_at = heapq.heappop(out)
            limit.succeeded(sent_at, at_end - sent_at)
            at = max(at, at_end)
            continue
        limit.sent()
        left.append(leaves_at)
        heapq.heappush(out, (leaves_at + latencies_s(leaves_at), leaves_at))
        at = leaves_at + 1 / per_s
    return left


@pytest.mark.parametrize(("before_s", "after_s"), [(8.0, 57.0), (20.0, 57.0), (57.0, 120.0), (57.0, 8.0)])
@pytest.mark.parametrize("per_minute", [60, 1000])
def test_a_sudden_rise_of_latency_costs_rate_for_one_new_latency(
    per_minute: int, before_s: float, after_s: float
) -> None:
    per_s, rng = per_minute / 60, random.Random(0)

    def latency_s(at: float) -> float:
        return (before_s if at < 900 else after_s) * rng.uniform(0.9, 1.1)

    left = fed(ConcurrencyLimit(per_s), per_s=per_s, latencies_s=latency_s, for_s=1300)
    known_at = 900 + 1.1 * after_s + 15
    for start in (600.0, 750.0, known_at, known_at + 60, known_at + 120):
        assert len([at for at in left if start <= at < start + 60]) >= 0.97 * per_minute


def test_a_quick_provider_is_never_held_to_fewer_than_few() -> None:
    limit = ConcurrencyLimit(per_s=1.0)
    for at in range(200):
        limit.sent()
        limit.succeeded(at, 0.01)
    for _ in range(ConcurrencyLimit.MIN_CEILING):
        assert limit.has_room
        limit.sent()


def test_drops_cut_once_for_what_was_sent_before() -> None:
    limit = ConcurrencyLimit(per_s=1e6)
    for _ in range(100):
        limit.sent()
    for _ in range(60):
        limit.dropped(sent_at=0.0, now=50.0)
    assert limit.in_flight == 40
    # Cut at the 24th, when the moving average reached 0.45: to 0.7 of the 77 that were in flight then.
    while limit.has_room:
        limit.sent()
    assert limit.in_flight == math.ceil(0.7 * 77)


def cut(*, to: int) -> ConcurrencyLimit:
    """One that was cut, and has nothing in flight."""
    limit = ConcurrencyLimit(per_s=1e6)
    for _ in range(100):
        limit.sent()
    for _ in range(100):
        limit.dropped(sent_at=0.0, now=50.0)
    assert filled(limit, at=50.0) == to
    return limit


def filled(limit: ConcurrencyLimit, *, at: float) -> int:
    """How many are in flight when there is no more room."""
    while limit.has_room:
        limit.sent()
    return limit.in_flight


def test_after_a_cut_there_is_room_for_one_more_each_time_that_as_many_succeeded() -> None:
    limit = cut(to=54)
    for at, expected in ((60.0, 55), (70.0, 56), (80.0, 57)):
        for _ in range(limit.in_flight):
            limit.succeeded(at - 1.0, 1.0)
            filled(limit, at=at)
        assert filled(limit, at=at) == expected


def test_after_an_outage_no_cut_is_left_over() -> None:
    limit = cut(to=54)
    limit.restart()
    assert limit.cut == math.inf
    for _ in range(200):
        assert limit.has_room
        limit.sent()


# A provider that queues and bills past its time-out -------------------------------------------------------------------


@dataclass
class Outcome:
    minutes: float
    wasted: int
    most_in_flight: int


def queueing(
    *,
    jobs: int,
    servers: int,
    limit: ConcurrencyLimit | None,
    slots: int = 57,
    per_s: float = 1.0,
    failing: float = 0.0,
) -> Outcome:
    """What becomes of jobs at a provider with so many servers and an endless queue before them.

    It gives up waiting after 120 s with a 504, but does the job all the same, and bills it. `failing` is a share of
    requests that meet a 504 for no reason, soon or late. At most `slots` are in flight.
    """
    rng = random.Random(0)
    free = [0.0] * servers
    out: list[tuple[float, float, bool]] = []
    now = permit = 0.0
    left, done, wasted, most = jobs, 0, 0, 0
    while done < jobs:
        at = max(now, permit) if left and len(out) < slots and (limit is None or limit.has_room) else math.inf
        if out and out[0][0] <= at:
            now, sent_at, good = heapq.heappop(out)
            done, left = (done + 1, left) if good else (done, left + 1)
            if limit and good:
                limit.succeeded(sent_at, now - sent_at)
            elif limit:
                limit.dropped(sent_at, now)
            continue
        now, permit, left = at, at + 1 / per_s, left - 1
        if limit:
            limit.sent()
        if rng.random() < failing:
            heapq.heappush(out, (now + rng.uniform(1.0, 60.0), now, False))
        else:
            end = max(now, free[0]) + 50.0 * rng.lognormvariate(-0.03125, 0.25)
            heapq.heapreplace(free, end)
            wasted += end > now + 120.0
            heapq.heappush(out, (min(end, now + 120.0), now, end <= now + 120.0))
        most = max(most, len(out))
    return Outcome(now / 60, wasted, most)


def test_a_provider_that_queues_is_not_fed_into_collapse() -> None:
    """It could do 25 at a time, so 1,000 in 33 min."""
    fed, limited = (queueing(jobs=1000, servers=25, limit=limit) for limit in (None, ConcurrencyLimit(1.0)))
    assert fed.minutes > 45
    assert fed.wasted > 450
    assert limited.minutes < 42
    assert limited.wasted < 200


def test_many_slots_do_not_fill_the_queue_faster_than_its_answers_say() -> None:
    assert queueing(jobs=1000, servers=25, limit=ConcurrencyLimit(1.0), slots=200).wasted < 380


@pytest.mark.parametrize("failing", [0.0, 0.1, 0.3])
def test_failures_at_random_cost_no_speed(failing: float) -> None:
    fed, limited = (
        queueing(jobs=1000, servers=200, limit=limit, failing=failing) for limit in (None, ConcurrencyLimit(1.0))
    )
    assert limited.minutes < 1.1 * fed.minutes
