"""When to come back, by an answer's headers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_editor.client.waits import retry_after

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EPOCH_S = int(NOW.timestamp())


def wait_of(**headers: str) -> float | None:
    return retry_after({name.replace("_", "-"): value for name, value in headers.items()}, now=NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("7.31", 7.31),
        (" 7.31 ", 7.31),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1.", 1.0),
    ],
)
@pytest.mark.fault(28)
def test_retry_after_may_be_seconds_and_parts_of_them(text: str, seconds: float) -> None:
    assert wait_of(retry_after=text) == seconds


DURATIONS = {
    "2s": 2.0, "6m0s": 360.0, "1m3.5s": 63.5, "250ms": 0.25, "1h2m": 3720.0, "1h": 3600.0, "1.5h": 5400.0,
    "1d": 86400.0, "7.31s": 7.31, "1m500ms": 60.5, "1h2m3s4ms": 3723.004, "1m 3.5s": 63.5, " 2s ": 2.0,
}  # fmt: skip


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items())
@pytest.mark.parametrize("name", ["retry_after", "x_ratelimit_reset_requests", "x_ratelimit_reset"])
def test_a_wait_may_be_a_duration(name: str, text: str, seconds: float) -> None:
    assert wait_of(**{name: text}) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["s", "ms", "", "7 s", "3s1m", "1m1m", "1w", "-2s", "+2s", "1e3s", "2S", "2s;", "١s", "2 s 3", "1m3.5.1s", "2s2"],
)
@pytest.mark.parametrize("name", ["retry_after", "x_ratelimit_reset_requests", "x_ratelimit_reset"])
def test_a_duration_that_is_none_is_ignored(name: str, text: str) -> None:
    assert wait_of(**{name: text}) is None


@pytest.mark.parametrize(("text", "seconds"), [("1500", 1.5), (" 250 ", 0.25), ("0.5", 0.0005), ("60000", 60.0)])
def test_a_wait_may_be_milliseconds_and_is_then_the_more_exact_word(text: str, seconds: float) -> None:
    assert wait_of(retry_after_ms=text) == seconds
    assert wait_of(retry_after_ms=text, retry_after="9") == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1500", "1.5s", "1e3", "inf"])
def test_milliseconds_that_are_none_leave_the_word_to_the_seconds(text: str) -> None:
    assert wait_of(retry_after_ms=text, retry_after="9") == 9.0


@pytest.mark.parametrize("name", ["retry_after", "x_ratelimit_reset", "x_ratelimit_reset_requests"])
@pytest.mark.parametrize("left_s", [1, 30, 3600])
def test_a_wait_may_be_an_epoch_that_lies_in_the_next_hour(name: str, left_s: int) -> None:
    assert wait_of(**{name: str(EPOCH_S + left_s)}) == left_s
    assert wait_of(**{name: f"{EPOCH_S + left_s}.0"}) == left_s
    assert wait_of(**{name: str((EPOCH_S + left_s) * 1000)}) == left_s


@pytest.mark.parametrize("left_s", [0, -1, -3600, -86_400 * 365, 3601, 86_400])
def test_an_epoch_that_is_past_or_later_than_that_is_ignored(left_s: int) -> None:
    assert wait_of(retry_after=str(EPOCH_S + left_s)) is None
    assert wait_of(retry_after=str((EPOCH_S + left_s) * 1000)) is None


def test_an_epoch_is_read_against_the_server_s_own_clock() -> None:
    server = int((NOW - timedelta(hours=5)).timestamp())
    assert wait_of(retry_after=str(server + 20), date="Sun, 22 Nov 2026 07:00:00 GMT") == 20.0


@pytest.mark.parametrize(("text", "seconds"), [("20", 20.0), ("0.5", 0.5), ("2026-11-22T12:00:30Z", 30.0)])
@pytest.mark.parametrize(
    "name", ["x_ratelimit_reset_requests", "x_ratelimit_reset_tokens", "x_ratelimit_reset", "ratelimit_reset"]
)
def test_a_limit_s_reset_may_be_seconds_or_an_instant(name: str, text: str, seconds: float) -> None:
    assert wait_of(**{name: text}) == seconds


def test_a_limit_that_has_something_left_is_not_the_one_that_refuses() -> None:
    resets = {"x_ratelimit_reset_requests": "9s", "x_ratelimit_reset_tokens": "6m0s"}
    assert wait_of(**resets) == 9.0
    assert wait_of(**resets, x_ratelimit_remaining_requests="0") == 9.0
    assert wait_of(**resets, x_ratelimit_remaining_requests="3") == 360.0
    assert wait_of(**resets, x_ratelimit_remaining_requests="3", x_ratelimit_remaining_tokens="1") is None


def test_retry_after_wins_over_a_limit_s_reset() -> None:
    assert wait_of(retry_after="7", x_ratelimit_reset_requests="1m0s") == 7.0


@pytest.mark.parametrize(
    "text", ["Sun, 22 Nov 2026 12:01:00 GMT", "Sunday, 22-Nov-26 12:01:00 GMT", "Sun Nov 22 12:01:00 2026"]
)
@pytest.mark.fault(29)
def test_retry_after_may_be_a_date_in_any_of_http_s_forms(text: str) -> None:
    assert wait_of(retry_after=text) == 60.0


@pytest.mark.fault(29)
def test_a_date_is_read_against_the_server_s_own_clock() -> None:
    assert wait_of(retry_after="Sun, 22 Nov 2026 09:01:00 GMT", date="Sun, 22 Nov 2026 09:00:30 GMT") == 30.0


@pytest.mark.parametrize(
    "text",
    [
        "-1", "+5", "abc", "", "120, 60", "inf", "nan", "1e3", "1_0", "١٢", "1,5", "1.5.1", ".", "7" * 10_000,
        "Sun, 22 Nov 2026 25:01:00 GMT", "22.11.2026",
    ],
)  # fmt: skip
@pytest.mark.fault(30)
def test_a_retry_after_that_is_none_is_ignored(text: str) -> None:
    assert wait_of(retry_after=text) is None


@pytest.mark.parametrize("text", ["0", "Sun, 22 Nov 2026 11:00:00 GMT"])
@pytest.mark.fault(31)
def test_a_retry_after_in_the_past_is_now(text: str) -> None:
    assert wait_of(retry_after=text) == 0.0


@pytest.mark.parametrize("text", ["9" * 19, "Fri, 31 Dec 9999 23:59:59 GMT"])
@pytest.mark.fault(32)
def test_a_huge_retry_after_is_a_number_for_the_gate_to_cap(text: str) -> None:
    assert (wait_of(retry_after=text) or 0) > 10**9


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T12:00:30Z",
        "2026-11-22T12:00:30",
        "2026-11-22 12:00:30+00:00",
        "2026-11-22T20:00:30+08:00",
        str(int((NOW + timedelta(seconds=30)).timestamp())),
        f"{(NOW + timedelta(seconds=30)).timestamp():.3f}",
        str(int((NOW + timedelta(seconds=30)).timestamp() * 1000)),
    ],
)
@pytest.mark.fault(27)
def test_the_reset_may_be_iso_8601_or_an_epoch(text: str) -> None:
    assert wait_of(x_rate_limit_reset_at_utc=text) == 30.0


@pytest.mark.parametrize(
    "text",
    ["2026-11-22T11:59:59Z", "2026-11-22T12:00:00Z", "2026-11-22T12:15:01Z", "garbage", "", "12:00:30", "30", "9" * 13],
)
@pytest.mark.fault(33)
def test_a_reset_in_the_past_far_off_or_unreadable_is_ignored(text: str) -> None:
    assert wait_of(x_rate_limit_reset_at_utc=text) is None


def test_a_reset_at_the_end_of_time_is_read() -> None:
    date, reset = "Fri, 31 Dec 9999 23:59:50 GMT", "9999-12-31T23:59:55Z"
    assert wait_of(date=date, x_rate_limit_reset_at_utc=reset) == 5.0


def test_retry_after_wins_over_the_reset_and_the_reset_over_nonsense() -> None:
    reset = "2026-11-22T12:00:30Z"
    assert wait_of(retry_after="7", x_rate_limit_reset_at_utc=reset) == 7.0
    assert wait_of(retry_after="soon", x_rate_limit_reset_at_utc=reset) == 30.0


@given(text=st.text(max_size=40))
@settings(max_examples=200)
@pytest.mark.slow
def test_no_header_breaks_it(text: str) -> None:
    for name in ("retry-after", "retry-after-ms", "date", "x-rate-limit-reset-at-utc", "x-ratelimit-reset"):
        seconds = retry_after({name: text}, now=NOW)
        assert seconds is None or seconds >= 0
