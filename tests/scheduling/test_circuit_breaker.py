from __future__ import annotations

import math

from batch_editor.scheduling.circuit_breaker import CircuitBreaker

ENOUGH = CircuitBreaker.FAILURES_TO_OPEN


def begun(*, at: float = 100.0) -> CircuitBreaker:
    """A breaker that permits 1 to 5 opened, all at once."""
    breaker = CircuitBreaker(backoff_s=1.0, backoff_max_s=30.0)
    for number in range(1, ENOUGH + 1):
        breaker.failed(f"request {number}", number, at)
    return breaker


def test_it_opens_when_different_requests_fail_in_a_row() -> None:
    breaker = CircuitBreaker(1.0, 60.0)
    for number in range(ENOUGH - 1):
        breaker.failed(f"request {number}", number, 0.0)
    assert not breaker.is_open
    breaker.failed("another", 9, 0.0)
    assert breaker.is_open


def test_a_request_that_always_fails_does_not_open_it() -> None:
    breaker = CircuitBreaker(1.0, 60.0)
    for number in range(50):
        breaker.failed("the same", number, 0.0)
    assert not breaker.is_open


def test_an_answer_in_between_begins_the_count_anew() -> None:
    breaker = CircuitBreaker(1.0, 60.0)
    for number in range(10 * ENOUGH):
        breaker.failed(f"request {number}", number, 0.0)
        if number % 3 == 0:
            breaker.answered(number)
    assert not breaker.is_open


def test_one_probe_at_a_time_leaves_at_intervals_that_double() -> None:
    breaker, at, gaps = begun(at=100.0), 100.0, []
    for number in range(10, 16):
        gaps.append(breaker.next_at(at) - at)
        at = breaker.next_at(at)
        breaker.sent(number)
        assert math.isinf(breaker.next_at(at))
        breaker.failed("any", number, at)
    assert gaps == [5.0, 10.0, 20.0, 30.0, 30.0, 30.0]


def test_failures_of_what_was_in_flight_when_it_opened_lengthen_nothing() -> None:
    breaker = begun(at=100.0)
    for number in range(50):
        breaker.failed(f"in flight {number}", None, 101.0)
    assert breaker.next_at(100.0) == 105.0


def test_an_upload_that_fails_is_a_probe_as_well() -> None:
    breaker = begun(at=100.0)
    assert breaker.wait_s(102.0) == 3.0
    breaker.failed("too soon", None, 102.0)
    assert breaker.wait_s(102.0) == 3.0
    breaker.failed("an upload", None, 105.0)
    assert breaker.wait_s(105.0) == 10.0


def test_while_a_probe_is_out_the_next_one_is_an_interval_away() -> None:
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


def test_a_probe_that_did_not_leave_lets_another_one_leave() -> None:
    breaker = begun(at=100.0)
    breaker.sent(10)
    breaker.gone(10)
    assert breaker.next_at(107.0) == 107.0


def test_the_answer_to_a_probe_closes_it() -> None:
    breaker = begun()
    breaker.sent(10)
    breaker.answered(10)
    assert not breaker.is_open
    assert breaker.next_at(3.0) == 3.0
    assert breaker.open_for_s(1e9) == 0.0


def test_answers_to_what_was_in_flight_before_do_not_close_it() -> None:
    breaker = begun()
    breaker.answered(6)
    breaker.sent(10)
    breaker.answered(7)
    assert breaker.is_open


def test_a_run_probes_forty_times() -> None:
    breaker, at = begun(at=100.0), 100.0
    for number in range(10, 10 + CircuitBreaker.MAX_PROBES):
        assert not breaker.hopeless
        at = breaker.next_at(at)
        breaker.sent(number)
        breaker.failed("any", number, at)
    assert breaker.hopeless
    assert breaker.open_for_s(at) == 5.0 + 10.0 + 20.0 + 37 * 30.0
    breaker.sent(99)
    breaker.answered(99)
    assert not breaker.hopeless
