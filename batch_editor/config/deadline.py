"""Deadlines as people write them, turned into an instant."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?:in)?)?(?:(\d+)s)?", re.ASCII)
_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_WANTED = "a time of day (06:00), a date and time (2026-11-23T06:00) or a duration (2h, 1h30m)"


def deadline_at(text: str, now: datetime) -> datetime:
    """The instant that `06:00`, `2026-11-23T06:00` or `2h` means at `now`.

    A naive `now` is by this machine's clock and zone, whose rules for summer time then count; so is the result.

    A time of day is the next one on the clock of `now`'s zone, also across a change to or from summer time; a
    time that such a change skips is moved on with the clock.

    >>> from zoneinfo import ZoneInfo
    >>> evening = datetime(2026, 10, 24, 22, 0, tzinfo=ZoneInfo("Europe/Berlin"))
    >>> deadline_at("06:00", evening).isoformat()
    '2026-10-25T06:00:00+01:00'

    Raises:
        ValueError: it is none of these, or lies in the past.
    """
    text = text.strip()
    if match := _TIME_OF_DAY.fullmatch(text):
        return _next_time_of_day(now, *(int(part or 0) for part in match.groups()))
    if (span := read_duration(text)) is not None:
        if not span:
            raise ValueError(f"deadline is {text!r}; expected a duration above zero")
        # By the clock of UTC, or an hour would be lost or won when summer time ends or begins.
        return datetime.fromtimestamp(now.timestamp() + span.total_seconds(), tz=now.tzinfo)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"deadline is {text!r}; expected {_WANTED}") from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=now.tzinfo)
    if instant.timestamp() <= now.timestamp():
        raise ValueError(f"deadline is {text!r}, which has passed; expected {_WANTED} to come")
    return instant


def read_duration(text: str) -> timedelta | None:
    """What `8w`, `30d`, `12h` or `1h30m` means; None where it is no duration.

    >>> read_duration("1w2d").days
    9
    """
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        return None
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    try:
        return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        return None


def _next_time_of_day(now: datetime, hour: int, minute: int, second: int) -> datetime:
    today = now.replace(hour=hour, minute=minute, second=second, microsecond=0, fold=0)
    days = [today, today + timedelta(days=1)]
    # A time that the clock shows twice comes a second time (fold=1, later); one that it skips has a fold=1 that is
    # earlier and never shown.
    instants = [day.timestamp() for day in days]
    instants += [again for day in days if (again := day.replace(fold=1).timestamp()) > day.timestamp()]
    return datetime.fromtimestamp(min(at for at in instants if at > now.timestamp()), tz=now.tzinfo)
