from __future__ import annotations

import math

from batch_editor.scheduling.outage import Outage

FEW = Outage.IN_A_ROW


def begun(*, at: float = 100.0) -> Outage:
    """An outage whose failures came at once, by tickets 1 to 5."""
    outage = Outage(backoff_s=1.0, backoff_max_s=30.0)
    for number in range(1, FEW + 1):
        outage.failed(f"request {number}", number, at)
    return outage


def test_it_begins_when_different_requests_fail_in_a_row() -> None:
    outage = Outage(1.0, 60.0)
    for number in range(FEW - 1):
        outage.failed(f"request {number}", number, 0.0)
    assert not outage.lasts
    outage.failed("another", 9, 0.0)
    assert outage.lasts


def test_a_request_that_always_fails_is_no_outage() -> None:
    outage = Outage(1.0, 60.0)
    for number in range(50):
        outage.failed("the same", number, 0.0)
    assert not outage.lasts


def test_an_answer_in_between_begins_the_count_anew() -> None:
    outage = Outage(1.0, 60.0)
    for number in range(10 * FEW):
        outage.failed(f"request {number}", number, 0.0)
        if number % 3 == 0:
            outage.answered(number)
    assert not outage.lasts


def test_one_request_at_a_time_tries_at_intervals_that_double() -> None:
    outage, at, gaps = begun(at=100.0), 100.0, []
    for number in range(10, 16):
        gaps.append(outage.next_at(at) - at)
        at = outage.next_at(at)
        outage.sent(number)
        assert math.isinf(outage.next_at(at))
        outage.failed("any", number, at)
    assert gaps == [5.0, 10.0, 20.0, 30.0, 30.0, 30.0]


def test_what_was_in_flight_when_it_began_lengthens_nothing() -> None:
    outage = begun(at=100.0)
    for number in range(50):
        outage.failed(f"in flight {number}", None, 101.0)
    assert outage.next_at(100.0) == 105.0


def test_an_upload_that_fails_is_a_try_as_well() -> None:
    outage = begun(at=100.0)
    assert outage.wait_s(102.0) == 3.0
    outage.failed("too soon", None, 102.0)
    assert outage.wait_s(102.0) == 3.0
    outage.failed("an upload", None, 105.0)
    assert outage.wait_s(105.0) == 10.0


def test_while_a_try_is_out_the_next_one_is_an_interval_away() -> None:
    outage = begun(at=100.0)
    outage.sent(10)
    assert outage.wait_s(106.0) == 5.0
    outage.failed("an upload", None, 107.0)
    assert math.isinf(outage.next_at(107.0))


def test_the_provider_may_ask_for_a_longer_interval() -> None:
    outage = begun(at=100.0)
    outage.sent(10)
    outage.failed("any", 10, 105.0, asked_s=120.0)
    assert outage.next_at(105.0) == 225.0


def test_a_try_that_did_not_leave_lets_another_one_go() -> None:
    outage = begun(at=100.0)
    outage.sent(10)
    outage.gone(10)
    assert outage.next_at(107.0) == 107.0


def test_the_answer_to_a_try_ends_it() -> None:
    outage = begun()
    outage.sent(10)
    outage.answered(10)
    assert not outage.lasts
    assert outage.next_at(3.0) == 3.0
    assert outage.lasted_s(1e9) == 0.0


def test_answers_to_what_was_in_flight_before_do_not_end_it() -> None:
    outage = begun()
    outage.answered(6)
    outage.sent(10)
    outage.answered(7)
    assert outage.lasts


def test_a_run_tries_forty_times() -> None:
    outage, at = begun(at=100.0), 100.0
    for number in range(10, 10 + Outage.TRIES):
        assert not outage.hopeless
        at = outage.next_at(at)
        outage.sent(number)
        outage.failed("any", number, at)
    assert outage.hopeless
    assert outage.lasted_s(at) == 5.0 + 10.0 + 20.0 + 37 * 30.0
    outage.sent(99)
    outage.answered(99)
    assert not outage.hopeless
