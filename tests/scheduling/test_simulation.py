"""The simulation by itself: laws that every simulated run keeps."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_editor.records import Rate
from batch_editor.scheduling.retry import RetryPolicy
from batch_editor.scheduling.send_policy import slack_s
from batch_editor.scheduling.simulation import (
    SAMPLE,
    Course,
    Failed,
    Workload,
    at_share,
    simulate,
    simulate_often,
    spread_latencies,
)

PATIENT = RetryPolicy(max_attempts=5, backoff_s=0.5, backoff_max_s=5.0)

latencies = st.lists(st.floats(0.01, 100.0), min_size=1, max_size=20)


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    return Workload(
        requests=draw(st.integers(1, 300)),
        concurrency=draw(st.integers(1, 80)),
        rate=Rate(draw(st.integers(1, 1000)), draw(st.sampled_from([1.0, 5.0, 60.0]))),
        latencies_s=draw(latencies),
        failure_share=draw(st.floats(0.0, 0.9)),
        failures=[Failed(latency_s, draw(st.booleans())) for latency_s in draw(latencies)],
        policy=PATIENT,
        refused_share=draw(st.sampled_from([0.0, 0.05, 0.5])),
        refused_s=draw(st.floats(0.0, 1.0)),
        pause_s=draw(st.floats(0.0, 5.0)),
    )


def workload(requests: int, *, concurrency: int = 64, rate: str = "60/min", sigma: float = 0.25) -> Workload:
    drawn = spread_latencies(57.0, sigma=sigma)
    return Workload(requests, concurrency, Rate.parse(rate), drawn, 0.01, [Failed(57.0)], PATIENT)


@given(workloads(), st.integers())
@pytest.mark.slow
def test_a_run_is_never_shorter_than_the_rate_allows(work: Workload, seed: int) -> None:
    # But for what a late timer may catch up.
    least_s = (work.requests - 1) * work.spacing_s + min(work.latencies_s) - slack_s(work.rate)
    assert simulate(work, random.Random(seed)).end_s >= least_s - 1e-6


@given(workloads(), st.integers())
@pytest.mark.slow
def test_a_run_is_never_shorter_than_its_slots_allow(work: Workload, seed: int) -> None:
    waves = -(-work.requests // work.concurrency)
    assert simulate(work, random.Random(seed)).end_s >= waves * min(work.latencies_s) * (1 - 1e-9)


@given(workloads(), st.integers())
@pytest.mark.slow
def test_every_request_is_done_once_and_none_before_an_answer_could_be_there(work: Workload, seed: int) -> None:
    course = simulate(work, random.Random(seed))
    assert len(course.done_s) == work.requests
    assert list(course.done_s) == sorted(course.done_s)
    assert course.done_s[0] >= min(work.latencies_s)
    assert course.done_by(course.end_s) == work.requests
    assert course.done_by(0.0) == 0


@given(workloads(), st.integers())
@settings(max_examples=20)  # ten runs each
@pytest.mark.slow
def test_the_same_seed_gives_the_same_runs_in_order_of_their_ends(work: Workload, seed: int) -> None:
    courses = simulate_often(work, seed=seed, repeats=5)
    assert courses == simulate_often(work, seed=seed, repeats=5)
    ends = [at_share(courses, share).end_s for share in (0.1, 0.5, 0.9)]
    assert ends == sorted(ends)


@given(workloads())
@pytest.mark.slow
def test_more_slots_do_not_make_a_run_without_faults_slower(work: Workload) -> None:
    alone = Workload(work.requests, 1, work.rate, work.latencies_s, 0.0, work.failures, work.policy)
    together = Workload(work.requests, 1000, work.rate, work.latencies_s, 0.0, work.failures, work.policy)
    assert simulate(together, random.Random(0)).end_s <= simulate(alone, random.Random(0)).end_s + 1e-6


def test_nothing_to_send_takes_no_time() -> None:
    course = simulate(workload(0), random.Random(0))
    assert (course.end_s, course.done_by(10.0), course.pace_s) == (0.0, 0, 0.0)


@pytest.mark.parametrize(
    ("concurrency", "rate"),
    [(64, "60/min"), (8, "60/min"), (1000, "6000/min")],
    ids=["rate", "concurrency", "many in flight"],
)
@pytest.mark.slow
def test_a_sample_extrapolated_is_as_long_as_the_whole_simulated(concurrency: int, rate: str) -> None:
    long = workload(40_000, concurrency=concurrency, rate=rate)
    extrapolated = at_share(simulate_often(long, repeats=5), 0.5)
    assert len(extrapolated.done_s) == long.sample < 40_000
    # One attempt in a hundred is made again, and the last answers trickle in.
    busy_s = 40_000 * 1.01 * max(long.spacing_s, 57.0 / concurrency)
    assert extrapolated.end_s == pytest.approx(busy_s + 1.5 * 57.0, rel=0.02)


def test_a_million_requests_take_a_hundred_times_as_long_as_ten_thousand_from_the_same_sample() -> None:
    small, large = (simulate(workload(requests), random.Random(0)) for requests in (10_000, 1_000_000))
    assert small.done_s == large.done_s
    assert len(large.done_s) == SAMPLE
    assert large.end_s / small.end_s == pytest.approx(100, rel=0.01)
    # Half of the time does half of the work, and all of it all.
    assert large.done_by(large.end_s / 2) == pytest.approx(500_000, rel=0.01)
    assert large.done_by(large.end_s) == 1_000_000
    assert large.done_by(large.end_s - 0.001) < 1_000_000


@given(st.integers(100, 10_000), st.lists(st.floats(0.0, 1000.0), min_size=50, max_size=50))
@pytest.mark.slow
def test_what_is_done_by_an_instant_only_grows(requests: int, instants: list[float]) -> None:
    course = Course([float(second) for second in range(1, 101)], requests)
    done = [course.done_by(instant) for instant in sorted(instants)]
    assert done == sorted(done)
    assert 0 <= done[0] <= done[-1] <= requests


def test_assumed_latencies_have_the_published_mean_and_a_tail_to_the_right() -> None:
    drawn = sorted(spread_latencies(57.0, draws=20_000))
    assert sum(drawn) / len(drawn) == pytest.approx(57.0, rel=0.01)
    assert drawn[len(drawn) // 2] < 57.0
    assert drawn == sorted(spread_latencies(57.0, draws=20_000))
