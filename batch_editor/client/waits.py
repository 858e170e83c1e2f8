"""How long the provider asks to wait, by an answer's headers. Pure: no clock of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from batch_editor.records import RateSaid

# Segmind doesn't document the format of its reset header; an instant further away than this is ignored.
RESET_WITHIN = timedelta(minutes=15)
# Some gateways write the instant, where RFC 9110 has seconds: as an epoch, in seconds or milliseconds.
EPOCH_WITHIN_S = 3600.0
_FIRST_EPOCH_S = 1e9  # 2001; a delay of 31 years is none
_DAY_S = 86_400.0
# OpenAI's, https://platform.openai.com/docs/guides/rate-limits (1s, 6m0s, 250ms), then those of gateways.
_RESETS = (
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-images",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-reset",
    "x-rate-limit-reset",
    "ratelimit-reset",
)
# float() takes '+5', '1_0', '١٢' and 'inf' as well: none of them is a delay.
_NUMBER = re.compile(r"\d{1,19}(\.\d{0,19})?|\.\d{1,19}", re.ASCII)
_UNITS_S = {"d": _DAY_S, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r" ?".join(rf"(?:(\d{{1,9}}(?:\.\d{{1,9}})?){unit})?" for unit in _UNITS_S), re.ASCII)


def retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Seconds that the provider asks to wait; None if it doesn't say, or nonsense.

    `retry-after-ms`, else `Retry-After` (seconds, a duration such as 1m3.5s, an epoch, a date), else when the rate
    limit resets. Instants are read against the answer's own `Date`, where it has one, for clocks differ.
    """
    server_now = _http_date(headers.get("date", "")) or now
    if (milliseconds := _number(headers.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "")
    if (seconds := _delay(text, server_now)) is not None:
        return seconds
    if (at := _http_date(text)) is not None:
        return max(0.0, (at - server_now).total_seconds())
    reset = _instant(headers.get("x-rate-limit-reset-at-utc", "").strip())
    # By the difference: the sum of a date in the year 9999 and anything is none.
    if reset is not None and timedelta(0) < reset - server_now <= RESET_WITHIN:
        return (reset - server_now).total_seconds()
    return _reset(headers, server_now)


def rate_said(headers: Mapping[str, str], *, now: datetime) -> RateSaid | None:
    """What an answer's `x-ratelimit-…-requests` headers say; None if nothing.

    I: the limit is of a minute, as the limits of OpenAI's accounts are. One of a day is larger than any pace.

    >>> noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    >>> rate_said({"x-ratelimit-limit-requests": "50", "x-ratelimit-remaining-requests": "49"}, now=noon)
    RateSaid(per_min=50, left=49, reset_s=None)
    """
    per_min, left = (_number(headers.get(f"x-ratelimit-{name}-requests", "")) for name in ("limit", "remaining"))
    reset_s = _delay(headers.get("x-ratelimit-reset-requests", ""), now)
    if per_min is None and left is None:
        return None
    return RateSaid(int(per_min) if per_min else None, None if left is None else int(left), reset_s)


def _reset(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds until a limit is reset: the first in _RESETS that isn't said to have requests left."""
    for name in _RESETS:
        if _number(headers.get(name.replace("reset", "remaining"), "")):
            continue
        text = headers.get(name, "")
        if (seconds := _delay(text, now)) is not None:
            return seconds
        at = _instant(text.strip())
        if at is not None and timedelta(0) < at - now <= timedelta(seconds=EPOCH_WITHIN_S):
            return (at - now).total_seconds()
    return None


def _delay(text: str, now: datetime) -> float | None:
    """Seconds to wait, of a number of them, a duration, or an epoch that lies in the next hour.

    >>> noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    >>> [_delay(text, noon) for text in ("7.31", "1m3.5s", "250ms", "1795348830", "1795348830000", "soon")]
    [7.31, 63.5, 0.25, 30.0, 30.0, None]
    """
    if (number := _number(text)) is not None:
        for unit in (1.0, 1000.0):
            left_s = number / unit - now.timestamp()
            if number >= _FIRST_EPOCH_S * unit and left_s <= _DAY_S:
                return left_s if 0 < left_s <= EPOCH_WITHIN_S else None
        return number
    parts = _DURATION.fullmatch(text.strip())
    if parts is None or not any(parts.groups()):
        return None
    return sum(float(part) * unit_s for part, unit_s in zip(parts.groups(), _UNITS_S.values(), strict=True) if part)


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _http_date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _instant(text: str) -> datetime | None:
    """ISO 8601, or an epoch in seconds or milliseconds; the header's name says UTC."""
    try:
        if re.fullmatch(r"\d{9,13}(\.\d+)?", text, re.ASCII):
            epoch = float(text)
            return datetime.fromtimestamp(epoch / 1000 if epoch > 1e11 else epoch, UTC)
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
