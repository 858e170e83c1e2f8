from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_editor.records import Failure
from batch_editor.scheduling.retry import MAX_REFUSALS, GiveUp, Retry, RetryPolicy, Tally, backoff, decide

TRANSIENT = Failure("connection", "refused", transient=True)
BILLED = Failure("server_error", "502", transient=True, maybe_billed=True)
REFUSED = Failure("rate_limited", "429", scope="rate", transient=True)


def decided(failure: Failure, tally: Tally, policy: RetryPolicy | None = None, *, seed: int = 0) -> Retry | GiveUp:
    return decide(failure, tally, policy or RetryPolicy(), random.Random(seed))


def attempts_of(failure: Failure, policy: RetryPolicy) -> tuple[int, GiveUp]:
    """How many attempts a failure that always comes again gets, and how it ends."""
    tally = Tally()
    while True:
        tally = tally.after(failure)
        verdict = decided(failure, tally, policy)
        if isinstance(verdict, GiveUp):
            return tally.attempts + tally.refusals, verdict


def test_a_passing_failure_is_tried_as_often_as_configured() -> None:
    assert attempts_of(TRANSIENT, RetryPolicy(max_attempts=5)) == (5, GiveUp("failed"))


def test_one_attempt_means_no_second_one() -> None:
    assert attempts_of(TRANSIENT, RetryPolicy(max_attempts=1)) == (1, GiveUp("failed"))


def test_a_failure_that_does_not_pass_is_final_at_once() -> None:
    assert attempts_of(Failure("moderation", "no"), RetryPolicy()) == (1, GiveUp("failed"))


def test_attempts_that_may_have_been_billed_have_a_limit_of_their_own_and_end_unknown() -> None:
    assert attempts_of(BILLED, RetryPolicy(max_attempts=5, max_possibly_billed=2)) == (2, GiveUp("unknown"))


def test_an_attempt_that_may_have_been_billed_ends_unknown_also_when_attempts_run_out() -> None:
    assert attempts_of(BILLED, RetryPolicy(max_attempts=3, max_possibly_billed=9)) == (3, GiveUp("unknown"))


NO_RESULT = Failure("bad_response", "blank", maybe_billed=True, http_status=200)


def test_an_answer_that_is_no_result_is_asked_for_again_only_where_that_is_allowed() -> None:
    assert attempts_of(NO_RESULT, RetryPolicy()) == (1, GiveUp("unknown"))
    assert attempts_of(NO_RESULT, RetryPolicy(bad_response=True, max_possibly_billed=3)) == (3, GiveUp("unknown"))
    assert attempts_of(NO_RESULT, RetryPolicy(bad_response=True, max_attempts=2, max_possibly_billed=9)) == (
        2,
        GiveUp("unknown"),
    )


@pytest.mark.parametrize(
    "failure",
    [
        replace(NO_RESULT, kind="unchecked"),
        replace(NO_RESULT, kind="result_lost"),
        replace(NO_RESULT, http_status=202),
    ],
    ids=["unchecked", "result_lost", "accepted"],
)
def test_what_is_perhaps_a_result_is_not_asked_for_again_even_so(failure: Failure) -> None:
    assert attempts_of(failure, RetryPolicy(bad_response=True)) == (1, GiveUp("unknown"))


def test_a_free_failure_after_billed_ones_ends_failed() -> None:
    assert decided(Failure("moderation", "no"), Tally(attempts=3, possibly_billed=2)) == GiveUp("failed")


def test_a_free_failure_after_billed_ones_is_tried_again_if_it_passes() -> None:
    assert isinstance(decided(TRANSIENT, Tally(attempts=3, possibly_billed=2)), Retry)


def test_what_runs_before_may_have_been_billed_for_counts() -> None:
    assert decided(BILLED, Tally(possibly_billed=2).after(BILLED)) == GiveUp("unknown")


def test_a_failure_that_stops_the_run_leaves_its_request_pending() -> None:
    assert decided(Failure("auth", "401", scope="run"), Tally(attempts=9)) == GiveUp("pending")


def test_a_429_is_repeated_as_soon_as_the_gate_allows_and_uses_up_no_attempt() -> None:
    tally = Tally().after(REFUSED)
    assert tally == Tally(attempts=0, possibly_billed=0, refusals=1)
    assert decided(REFUSED, tally) == Retry(0.0)


def test_the_hundredth_429_of_one_job_is_its_last() -> None:
    assert MAX_REFUSALS == 100
    assert attempts_of(REFUSED, RetryPolicy(max_attempts=1)) == (100, GiveUp("failed"))


def test_retry_after_is_a_floor() -> None:
    verdict = decided(Failure("server_error", "503", transient=True, retry_after_s=90.0), Tally(attempts=1))
    assert verdict == Retry(90.0)


@pytest.mark.fault(32)
def test_a_retry_after_of_the_year_9999_is_capped() -> None:
    failure = Failure("server_error", "503", transient=True, retry_after_s=1e19)
    assert decided(failure, Tally(attempts=1)) == Retry(600.0)
    assert decided(failure, Tally(attempts=1), RetryPolicy(retry_after_max_s=30.0)) == Retry(30.0)


def test_a_short_retry_after_does_not_shorten_the_backoff() -> None:
    policy = RetryPolicy(backoff_s=100.0, backoff_max_s=1000.0)
    delays = [
        decided(Failure("server_error", "503", transient=True, retry_after_s=0.0), Tally(attempts=1), policy, seed=seed)
        for seed in range(20)
    ]
    assert len(set(delays)) == 20


@given(attempts=st.integers(1, 10_000), base=st.floats(0.1, 10), most=st.floats(0.1, 1000), seed=st.integers())
def test_backoff_stays_within_its_ceiling(attempts: int, base: float, most: float, seed: int) -> None:
    policy = RetryPolicy(backoff_s=base, backoff_max_s=most)
    assert 0 <= backoff(attempts, policy, random.Random(seed)) <= min(most, base * 2.0 ** min(attempts - 1, 60))


@pytest.mark.parametrize(("attempts", "ceiling"), [(1, 1.0), (2, 2.0), (3, 4.0), (7, 60.0)])
def test_backoff_doubles_with_full_jitter(attempts: int, ceiling: float) -> None:
    rng = random.Random(1)
    drawn = [backoff(attempts, RetryPolicy(), rng) for _ in range(2000)]
    assert max(drawn) == pytest.approx(ceiling, rel=0.02)
    assert min(drawn) == pytest.approx(0.0, abs=0.02 * ceiling)
    assert sum(drawn) / len(drawn) == pytest.approx(ceiling / 2, rel=0.05)
