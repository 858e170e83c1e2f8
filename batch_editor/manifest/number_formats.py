"""The text that a spreadsheet shows for a number, by the cell's number format.

ECMA-376 part 1, 18.8.30 and 18.8.31 describe formats. What depends on the reader's own language is written in one way:
decimals with a point, names of months in English, the system's short date as 2026-11-27. A number that a sheet would
show cut (1.23457E+12) is written in full: it is an id, or a barcode.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TypeAlias

Show: TypeAlias = Callable[[str], str]

# Spreadsheets keep 15 digits of a number and write 17: 19.989999999999998 is 19.99.
_KEPT = Context(prec=15)
_WIDE = Context(prec=60, rounding=ROUND_HALF_UP)
_PLAIN = re.compile(r"-?[1-9][0-9]{0,14}|0")
_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|_(?P<space>.)|\*(?P<fill>.)|\[\$(?P<currency>[^\]-]*)[^\]]*\]'
    r"|\[(?P<elapsed>h+|m+|s+)\]|\[(?P<bracket>[^\]]*)\]|(?P<general>General)|(?P<ampm>AM/PM|A/P)"
    r"|(?P<date>y+|m+|d+|h+|s+)|(?P<exponent>E[+-])|(?P<rest>.)",
    re.IGNORECASE | re.DOTALL,
)
_COLORS = re.compile(r"black|blue|cyan|green|magenta|red|white|yellow|color ?\d+|dbnum\d", re.IGNORECASE)
# Formats that each reader's system shows in its own way.
_OF_THE_SYSTEM = {
    **dict.fromkeys(("mm-dd-yy", "m/d/yy", "m/d/yyyy"), "yyyy-mm-dd"),  # the built-in short date
    **dict.fromkeys(("m/d/yy h:mm", "m/d/yyyy h:mm"), "yyyy-mm-dd hh:mm"),
}
_LONG_DATE, _LONG_TIME = "[$-f800]", "[$-f400]"
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LONGEST = 30  # digits before the point that are written out

Tokens: TypeAlias = "list[tuple[str, str]]"


def show_number(raw: str) -> str:
    """A number without a format, whole ones in full.

    >>> show_number("1.23456789012E+12"), show_number("19.989999999999998"), show_number("0.5")
    ('1234567890120', '19.99', '0.5')
    """
    if _PLAIN.fullmatch(raw):
        return raw
    try:
        value = _KEPT.create_decimal(raw)
    except ArithmeticError:
        return raw
    if not value.is_finite() or not -_LONGEST < value.adjusted() < _LONGEST:
        return raw
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def shower_of(code: str, epoch: datetime) -> Show:
    """What a number format makes of a number as the file has it. `epoch` is day 0 of the workbook's dates.

    A format that isn't known here is passed over.

    >>> show = shower_of("00000", datetime(1899, 12, 30))
    >>> show("123")
    '00123'
    """
    code = _of_the_system(code)
    sections = [_tokens(section) for section in _sections(code)]
    kinds = [{kind for kind, _ in tokens} for tokens in sections]
    if code == "General" or any("bracket" in kind or "exponent" in kind for kind in kinds):
        return show_number

    def formatted(raw: str) -> str:
        """The number by the section of the format that is meant for its sign."""
        value = _KEPT.create_decimal(raw)
        index = 0
        if value < 0 and len(sections) > 1:
            index, value = 1, -value
        elif value == 0 and len(sections) > 2:
            index = 2
        tokens = sections[index]
        if kinds[index] & {"date", "elapsed"}:
            return _date(tokens, value, epoch) if value >= 0 else show_number(raw)
        if "general" in kinds[index]:
            whole = show_number(str(value))
            return "".join(whole if kind == "general" else text for kind, text in tokens)
        return _number(tokens, value, show_number(raw))

    def show(raw: str) -> str:
        """As `formatted`; the plain number where the format can't show it."""
        try:
            return formatted(raw)
        except ArithmeticError:  # no number, or beyond the calendar or the digits that are written out
            return show_number(raw)

    return show


def _of_the_system(code: str) -> str:
    low = code.lower()
    if low.startswith((_LONG_DATE, _LONG_TIME)):
        return "yyyy-mm-dd" if low.startswith(_LONG_DATE) else "hh:mm:ss"
    return _OF_THE_SYSTEM.get(low, code)


def text_shower_of(code: str) -> Show | None:
    """What a format makes of a text; None where that is the text itself."""
    section = _sections(code)[-1]
    if "@" not in section or section.strip() == "@":
        return None
    tokens = _tokens(section)
    return lambda text: "".join(text if each == ("rest", "@") else each[1] for each in tokens)


def _sections(code: str) -> list[str]:
    parts = [""]
    for match in _TOKEN.finditer(code):
        if match.lastgroup == "rest" and match[0] == ";":
            parts.append("")
        else:
            parts[-1] += match[0]
    return parts


def _tokens(section: str) -> Tokens:
    tokens: Tokens = []
    for match in _TOKEN.finditer(section):
        kind = match.lastgroup or ""
        text = match[kind]
        if kind in ("quoted", "escaped", "currency"):
            tokens.append(("literal", text))
        elif kind == "space":
            tokens.append(("literal", " "))
        elif kind == "bracket" and _COLORS.fullmatch(text):
            continue
        elif kind != "fill":
            tokens.append((kind, text if kind in ("rest", "bracket") else text.lower()))
    return tokens


def _number(tokens: Tokens, value: Decimal, plain: str) -> str:
    """By a format of digits: `00000`, `#,##0.00 "€"`, `0%`, `000-00-0000`."""
    pattern = "".join(text if kind == "rest" else "\0" for kind, text in tokens)
    if "/" in pattern or "@" in pattern:  # fractions; text
        return plain
    if not re.search("[0#?]", pattern):
        return "".join(text for _, text in tokens).strip()
    whole, point, part = pattern.partition(".")
    last = max(whole.rfind(character) for character in "0#?")
    thousands = whole[last + 1 :].count(",") if last >= 0 else 0
    grouped = "," in whole[: max(last, 0)]
    decimals = sum(map(part.count, "0#?"))
    scaled = value.scaleb(2 * pattern.count("%") - 3 * thousands)
    rounded = abs(scaled).quantize(Decimal(1).scaleb(-decimals), context=_WIDE)
    digits, _, fraction = format(rounded, "f").partition(".")
    sign = "-" if scaled < 0 and rounded else ""
    before, after = tokens[: len(whole)], tokens[len(whole) + len(point) :]
    needed = max((len(part) - at for at, each in enumerate(part) if each in "0?"), default=0)
    optional = sum(1 for each in part if each == "#") if not needed else 0
    text = _whole(before, "" if digits == "0" else digits, grouped=grouped)
    shown = _fraction(after, fraction)
    if point and (decimals == 0 or any(character.isdigit() for character in shown) or not optional):
        text += "."
    return (sign + text + shown).strip()


def _whole(tokens: Tokens, digits: str, *, grouped: bool) -> str:
    """Digits from the right into their places; the first place takes all that are left."""
    places = [at for at, token in enumerate(tokens) if token[0] == "rest" and token[1] in "0#?"]
    out: list[str] = []
    count = 0

    def put(character: str) -> None:
        """Add a digit, and a comma behind every third."""
        nonlocal count
        if grouped and count and count % 3 == 0:
            out.append(",")
        out.append(character)
        count += 1

    for at in range(len(tokens) - 1, -1, -1):
        kind, text = tokens[at]
        if at in places:
            if digits:
                put(digits[-1])
                digits = digits[:-1]
            elif text == "0":
                put("0")
            while at == places[0] and digits:
                put(digits[-1])
                digits = digits[:-1]
        elif (kind, text) != ("rest", ","):
            out.extend(reversed(text))
    if not places and digits:
        out.extend(reversed(digits))
    return "".join(reversed(out))


def _fraction(tokens: Tokens, digits: str) -> str:
    out = ""
    left = len(digits.rstrip("0"))
    at = 0
    for kind, text in tokens:
        if kind == "rest" and text in "0#?":
            if text != "#" or at < left:
                out += digits[at]
            at += 1
        elif (kind, text) != ("rest", ","):
            out += text
    return out


def _date(tokens: Tokens, value: Decimal, epoch: datetime) -> str:
    """By a format of dates and times. A day's number counts from the epoch, its fraction is the time."""
    is_fine = any(kind == "rest" and text == "0" for kind, text in tokens)
    unit = Decimal(1000) if is_fine else Decimal(1)
    seconds = (value * 86_400 * unit).quantize(Decimal(1), context=_WIDE) / unit
    days = int(seconds // 86_400)
    if days < 60 and epoch.year == 1899:  # the day 1900-02-29, which never was, is counted
        days += 1
    moment = epoch + timedelta(days=days, seconds=float(seconds % 86_400))
    has_half_days = any(kind == "ampm" for kind, _ in tokens)
    out = ""
    before = ""
    for at, (kind, text) in enumerate(tokens):
        if kind == "date":
            after = next((each for each, _t in tokens[at + 1 :] if each in ("date", "elapsed")), "")
            following = next((t for each, t in tokens[at + 1 :] if each == "date"), "") if after == "date" else ""
            is_minute = text[0] == "m" and (before[:1] == "h" or following[:1] == "s")
            out += _part(text, moment, is_minute=is_minute, has_half_days=has_half_days)
            before = text
        elif kind == "elapsed":
            total = {"h": 3600, "m": 60, "s": 1}[text[0]]
            out += str(int(seconds // total)).zfill(len(text))
            before = text
        elif kind == "ampm":
            mark = "AM" if moment.hour < 12 else "PM"
            out += mark if text == "am/pm" else mark[0]
        elif kind == "rest" and text == "0":
            out += f"{moment.microsecond // 1000:03d}"[_zeros_before(tokens, at) :][:1]
        elif (kind, text) != ("rest", "@"):
            out += text
    return out.strip()


def _zeros_before(tokens: Tokens, at: int) -> int:
    count = 0
    while at and tokens[at - 1] == ("rest", "0"):
        at -= 1
        count += 1
    return count


def _part(code: str, moment: datetime, *, is_minute: bool, has_half_days: bool) -> str:
    width = len(code)
    match code[0]:
        case "y":
            return f"{moment.year % 100:02d}" if width <= 2 else f"{moment.year:04d}"
        case "m" if is_minute:
            return str(moment.minute).zfill(min(width, 2))
        case "m":
            name = _MONTHS[moment.month - 1]
            return {3: name[:3], 4: name, 5: name[0]}.get(width, str(moment.month).zfill(min(width, 2)))
        case "d":
            name = _DAYS[moment.weekday()]
            return {3: name[:3], 4: name}.get(width, str(moment.day).zfill(min(width, 2)))
        case "h":
            hour = (moment.hour % 12 or 12) if has_half_days else moment.hour
            return str(hour).zfill(min(width, 2))
        case _:
            return str(moment.second).zfill(min(width, 2))
