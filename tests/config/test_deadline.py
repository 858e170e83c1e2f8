from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_editor.config.deadline import deadline_at

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("06:00", "2026-11-23T06:00:00+00:00"),
        ("6:00", "2026-11-23T06:00:00+00:00"),
        ("23:59", "2026-11-22T23:59:00+00:00"),
        ("12:00", "2026-11-23T12:00:00+00:00"),
        ("12:00:01", "2026-11-22T12:00:01+00:00"),
        (" 2h ", "2026-11-22T14:00:00+00:00"),
        ("1h30m", "2026-11-22T13:30:00+00:00"),
        ("90min", "2026-11-22T13:30:00+00:00"),
        ("45s", "2026-11-22T12:00:45+00:00"),
        ("1d12h", "2026-11-24T00:00:00+00:00"),
        ("2026-11-23T06:00", "2026-11-23T06:00:00+00:00"),
        ("2026-11-23 06:00", "2026-11-23T06:00:00+00:00"),
        ("2026-11-23T06:00:00+02:00", "2026-11-23T06:00:00+02:00"),
        ("2026-11-23T06:00Z", "2026-11-23T06:00:00+00:00"),
        ("2026-11-23", "2026-11-23T00:00:00+00:00"),
    ],
)
def test_a_deadline_is_a_time_of_day_a_date_and_time_or_a_duration(text: str, at: str) -> None:
    assert deadline_at(text, NOON).isoformat() == at


WANTED = "a time of day (06:00), a date and time (2026-11-23T06:00) or a duration (2h, 1h30m)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("soon", f"deadline is 'soon'; expected {WANTED}"),
        ("", f"deadline is ''; expected {WANTED}"),
        ("24:00", f"deadline is '24:00'; expected {WANTED}"),
        ("6:60", f"deadline is '6:60'; expected {WANTED}"),
        ("-2h", f"deadline is '-2h'; expected {WANTED}"),
        ("2 h", f"deadline is '2 h'; expected {WANTED}"),
        ("30m2h", f"deadline is '30m2h'; expected {WANTED}"),
        ("١٢:00", f"deadline is '١٢:00'; expected {WANTED}"),
        ("0h", "deadline is '0h'; expected a duration above zero"),
        ("0s", "deadline is '0s'; expected a duration above zero"),
        ("2026-11-22T11:59", f"deadline is '2026-11-22T11:59', which has passed; expected {WANTED} to come"),
        ("2026-11-22T12:00", f"deadline is '2026-11-22T12:00', which has passed; expected {WANTED} to come"),
    ],
)
def test_anything_else_is_refused_with_what_was_wanted(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        deadline_at(text, NOON)


@pytest.mark.parametrize(
    ("text", "now", "at"),
    [
        # Summer time ends on 2026-10-25: 03:00 becomes 02:00, and the night has an hour more.
        ("06:00", datetime(2026, 10, 24, 22, 0, tzinfo=BERLIN), "2026-10-25T06:00:00+01:00"),
        ("9h", datetime(2026, 10, 24, 22, 0, tzinfo=BERLIN), "2026-10-25T06:00:00+01:00"),
        ("02:30", datetime(2026, 10, 25, 2, 0, tzinfo=BERLIN), "2026-10-25T02:30:00+02:00"),
        ("02:30", datetime(2026, 10, 25, 2, 45, tzinfo=BERLIN), "2026-10-25T02:30:00+01:00"),
        # It begins on 2027-03-28: 02:30 doesn't exist that night.
        ("02:30", datetime(2027, 3, 28, 1, 0, tzinfo=BERLIN), "2027-03-28T03:30:00+02:00"),
        ("06:00", datetime(2027, 3, 27, 22, 0, tzinfo=BERLIN), "2027-03-28T06:00:00+02:00"),
        ("7h", datetime(2027, 3, 27, 22, 0, tzinfo=BERLIN), "2027-03-28T06:00:00+02:00"),
    ],
)
def test_deadlines_go_by_the_clock_on_the_wall_and_durations_by_time_that_passes(
    text: str, now: datetime, at: str
) -> None:
    assert deadline_at(text, now).isoformat() == at


@given(
    now=st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(BERLIN)),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
)
def test_a_time_of_day_is_always_to_come_and_within_about_a_day(now: datetime, hour: int, minute: int) -> None:
    at = deadline_at(f"{hour:02}:{minute:02}", now)
    ahead_s = at.timestamp() - now.timestamp()
    assert 0 < ahead_s <= timedelta(hours=25).total_seconds()


@given(hours=st.integers(0, 99), minutes=st.integers(1, 99))
def test_a_duration_is_exactly_as_long_as_it_says(hours: int, minutes: int) -> None:
    now = datetime(2026, 10, 24, 22, 0, tzinfo=BERLIN)
    at = deadline_at(f"{hours}h{minutes}m", now)
    assert at.timestamp() - now.timestamp() == hours * 3600 + minutes * 60


def test_a_naive_now_gives_a_naive_deadline() -> None:
    assert deadline_at("06:00", datetime(2026, 11, 22, 12, 0)).tzinfo is None
