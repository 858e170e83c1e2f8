from __future__ import annotations

import pytest

from batch_editor.records import Failure, Rate, RateSaid
from batch_editor.scheduling.send_policy import Permit, SendPolicy, slack_s, spacing_s

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


def sent_at_rate(policy: SendPolicy, count: int, *, start: float = 0.0) -> tuple[Permit, float]:
    """The last permit of so many requests that leave as soon as they may, and when it was given."""
    now, permit = start, None
    for _ in range(count):
        now = policy.next_at(now)
        permit = policy.sent(now)
    assert permit is not None
    return permit, now


def test_no_more_is_sent_than_the_provider_says_that_it_takes() -> None:
    policy = SendPolicy(Rate(60, 60.0))
    permit, now = sent_at_rate(policy, 1)
    policy.said(permit, RateSaid(per_min=30, left=29, reset_s=2.0), now + 1.0)
    assert policy.adaptive.allowed == 30
    assert policy.adaptive.reason == "the provider says that it takes 30"
    _, first = sent_at_rate(policy, 1, start=now + 1.0)
    _, second = sent_at_rate(policy, 1, start=first)
    assert second - first > 2 * spacing_s(Rate(60, 60.0)) - slack_s(Rate(60, 60.0))


@pytest.mark.parametrize(("said", "allowed"), [(600, 60), (60, 60), (7, 7), (0.5, 1)])
def test_what_the_provider_says_never_raises_the_configured_rate(said: float, allowed: float) -> None:
    policy = SendPolicy(Rate(60, 60.0))
    policy.adaptive.said(said)
    assert policy.adaptive.allowed == allowed


def test_a_limit_that_the_provider_raises_is_followed_at_once_and_what_429s_taught_is_not_forgotten() -> None:
    policy = SendPolicy(Rate(60, 60.0))
    policy.adaptive.said(20)
    policy.adaptive.said(40)
    assert policy.adaptive.allowed == 40
    policy.adaptive.allowed = 25.0
    policy.adaptive.said(50)
    assert policy.adaptive.allowed == 25
    policy.adaptive.said(10)
    assert policy.adaptive.allowed == 10


def test_a_limit_a_minute_is_taken_for_what_it_is_in_the_period_of_the_configured_rate() -> None:
    policy = SendPolicy(Rate(5, 1.0))
    permit, now = sent_at_rate(policy, 1)
    policy.said(permit, RateSaid(per_min=120, left=None, reset_s=None), now)
    assert policy.adaptive.allowed == 2


def test_where_others_have_used_the_limit_up_the_reset_is_waited_for_from_when_the_request_was_sent() -> None:
    policy = SendPolicy(Rate(60, 60.0))
    permit, now = sent_at_rate(policy, 3)
    policy.said(permit, RateSaid(per_min=60, left=0, reset_s=30.0), now + 28.0)
    assert policy.next_at(now + 28.0) == now + 30.0


def test_a_reset_that_is_over_when_the_answer_comes_is_not_waited_for() -> None:
    policy = SendPolicy(Rate(60, 60.0))
    permit, now = sent_at_rate(policy, 3)
    policy.said(permit, RateSaid(per_min=60, left=0, reset_s=20.0), now + 28.0)
    assert policy.next_at(now + 28.0) == now + 28.0


def test_a_run_that_uses_the_limit_up_by_itself_waits_for_nothing_but_its_spacing() -> None:
    policy = SendPolicy(Rate(60, 60.0))
    permit, now = sent_at_rate(policy, 60)
    policy.said(permit, RateSaid(per_min=60, left=0, reset_s=59.0), now + 0.5)
    assert policy.next_at(now + 0.5) < now + 2.0
