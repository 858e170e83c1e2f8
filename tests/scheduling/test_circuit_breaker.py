from __future__ import annotations

import math

from batch_editor.scheduling.circuit_breaker import CircuitBreaker

FEW = CircuitBreaker.IN_A_ROW


def begun(*, at: float = 100.0) -> CircuitBreaker:
    """An outage whose failures came at once, by permits 1 to 5."""
    breaker = CircuitBreaker(backoff_s=1.0, backoff_max_s=30.0)
    for number in range(1, FEW + 1):
        breaker.failed(f"request {number}", number, at)
    return breaker


def test_it_begins_when_different_requests_fail_in_a_row() -> None:
    breaker = CircuitBreaker(1.0, 60.0)
    for number in range(FEW - 1):
        breaker.failed(f"request {number}", number, 0.0)
    assert not breaker.is_open
    breaker.failed("another", 9, 0.0)
    assert breaker.is_open


def test_a_request_that_always_fails_is_no_outage() -> None:
    breaker = CircuitBreaker(1.0, 60.0)
    for number in range(50):
        breaker.failed("the same", number, 0.0)
    assert not breaker.is_open


def test_an_answer_in_between_begins_the_count_anew() -> None:
    breaker = CircuitBreaker(1.0, 60.0)
    for number in range(10 * FEW):
        breaker.failed(f"request {number}", number, 0.0)
        if number % 3 == 0:
            breaker.answered(number)
    assert not breaker.is_open


def test_one_request_at_a_time_tries_at_intervals_that_double() -> None:
    breaker, at, gaps = begun(at=100.0), 100.0, []
    for number in range(10, 16):
        gaps.append(breaker.next_at(at) - at)
        at = breaker.next_at(at)
        breaker.sent(number)
        assert math.isinf(breaker.next_at(at))
        breaker.failed("any", number, at)
    assert gaps == [5.0, 10.0, 20.0, 30.0, 30.0, 30.0]


def test_what_was_in_flight_when_it_began_lengthens_nothing() -> None:
    breaker = begun(at=100.0)
    for number in range(50):
        breaker.failed(f"in flight {number}", None, 101.0)
    assert breaker.next_at(100.0) == 105.0


def test_an_upload_that_fails_is_a_try_as_well() -> None:
    breaker = begun(at=100.0)
    assert breaker.wait_s(102.0) == 3.0
    breaker.failed("too soon", None, 102.0)
    assert breaker.wait_s(102.0) == 3.0
    breaker.failed("an upload", None, 105.0)
    assert breaker.wait_s(105.0) == 10.0


def test_while_a_try_is_out_the_next_one_is_an_interval_away() -> None:
    breaker = begun(at=100.0)
    breaker.sent(10)
    assert breaker.wait_s(106.0) == 5.0
    breaker.failed("an upload", None, 107.0)
    assert math.isinf(breaker.next_at(107.0))


def test_the_provider_may_ask_for_a_longer_interval() -> None:
    breaker = begun(at=100.0)
    breaker.sent(10)
    breaker.failed("any", 10, 105.0, asked_s=120.0)
    assert breaker.next_at(105.0) == 225.0


def test_a_try_that_did_not_leave_lets_another_one_go() -> None:
    breaker = begun(at=100.0)
    breaker.sent(10)
    breaker.gone(10)
    assert breaker.next_at(107.0) == 107.0


def test_the_answer_to_a_try_ends_it() -> None:
    breaker = begun()
    breaker.sent(10)
    breaker.answered(10)
    assert not breaker.is_open
    assert breaker.next_at(3.0) == 3.0
    assert breaker.open_for_s(1e9) == 0.0


def test_answers_to_what_was_in_flight_before_do_not_end_it() -> None:
    breaker = begun()
    breaker.answered(6)
    breaker.sent(10)
    breaker.answered(7)
    assert breaker.is_open


def test_a_run_tries_forty_times() -> None:
    breaker, at = begun(at=100.0), 100.0
    for number in range(10, 10 + CircuitBreaker.TRIES):
        assert not breaker.hopeless
        at = breaker.next_at(at)
        breaker.sent(number)
        breaker.failed("any", number, at)
    assert breaker.hopeless
    assert breaker.open_for_s(at) == 5.0 + 10.0 + 20.0 + 37 * 30.0
    breaker.sent(99)
    breaker.answered(99)
    assert not breaker.hopeless
