from __future__ import annotations

import pytest

from batch_editor.records import Failure, Rate
from batch_editor.scheduling.send_policy import SendPolicy

REFUSED = Failure("rate_limited", "429", scope="rate", transient=True, http_status=429)
BROKEN = Failure("connection", "reset", maybe_billed=True, transient=True)


def policy() -> SendPolicy:
    return SendPolicy(Rate(60, 60.0))


def refuse(policy: SendPolicy, at: float) -> None:
    policy.failed(policy.sent(at), f"request at {at}", REFUSED, at)


def test_nothing_but_429s_is_counted_from_the_first_of_them() -> None:
    it = policy()
    assert it.only_refused_s(50.0) == 0.0
    refuse(it, 100.0)
    assert it.only_refused_s(100.0) == 0.0
    refuse(it, 400.0)
    refuse(it, 1000.0)
    assert it.only_refused_s(1000.0) == 900.0


@pytest.mark.parametrize(
    "failure",
    [
        None,
        Failure("moderation", "no", http_status=400),
        Failure("server_error", "502", maybe_billed=True, transient=True, http_status=502),
        Failure("input_unreachable", "400", transient=True, http_status=400),
        Failure("bad_response", "200", maybe_billed=True, http_status=200),
    ],
    ids=str,
)
def test_any_other_answer_begins_the_count_anew(failure: Failure | None) -> None:
    it = policy()
    refuse(it, 100.0)
    permit = it.sent(400.0)
    if failure is None:
        it.succeeded(permit, 1.0)
    else:
        it.failed(permit, "another", failure, 401.0)
    assert it.only_refused_s(500.0) == 0.0
    refuse(it, 600.0)
    assert it.only_refused_s(700.0) == 100.0


def test_no_answer_is_none() -> None:
    it = policy()
    refuse(it, 100.0)
    it.failed(it.sent(200.0), "another", BROKEN, 200.0)
    it.gone(it.sent(300.0))
    assert it.only_refused_s(400.0) == 300.0


def failed_in_a_row(failure: Failure) -> SendPolicy:
    it = policy()
    for number in range(20):
        it.failed(it.sent(100.0), f"request {number}", failure, 100.0)
    return it


@pytest.mark.parametrize("status", [400, 404, 409, 422, 424])
def test_a_provider_that_answers_with_a_4xx_is_not_down_though_it_may_well_succeed_later(status: int) -> None:
    assert not failed_in_a_row(Failure("input_unreachable", "no", transient=True, http_status=status)).breaker.is_open


@pytest.mark.parametrize("status", [None, 200, 204, 408, 425, 500, 502, 503, 504, 520])
def test_one_that_gives_no_answer_of_its_own_is(status: int | None) -> None:
    assert failed_in_a_row(Failure("server_error", "no", transient=True, http_status=status)).breaker.is_open
