"""The API key out of what people keep it in: quoted, assigned to a name, pasted as a header, beside comments.

No message shows any of the text: whatever it is, it may be a key.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from batch_editor.text import KEY_SHAPE

# Nobody sees them: zero-width characters, marks of direction, soft hyphens, and a BOM wherever it stands.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_QUOTES = dict(zip("\"'`“”„‘’‚«»", "\"'`””“’’‘»«", strict=True))
_COMMENT = ("#", ";", "//")
# `export NAME=…`, `set NAME=…`, `$env:NAME = …`, `NAME: …`, of a shell, of Windows' two, of headers and YAML.
_ASSIGNED = re.compile(
    r"(?:(?:export|set|declare\s+-x)\s+)?(?:\$env:)?"
    r"[\"']?(?P<name>[A-Za-z_][\w.-]*)[\"']?\s*(?P<sign>[=:])(?P<value>.*)"
)
_BEARER = re.compile(r"(?:bearer|token|basic)\s+(?=\S)", re.IGNORECASE)
_BEHIND = re.compile(r"(?<!\s)\s++(?:#|//).*$|[,;]\s*$")
_EMPTY = "is empty; expected the API key"
# Names of keys in general; others are another service's, which this one must not be sent.
_NAMES = frozenset(("key", "apikey", "token", "apitoken", "xapikey", "authorization", "secret", "bearer"))
# Of templates and instructions; any word may be a stand-in's key.
_PLACEHOLDER = re.compile(
    r"(?:sg_|sk-)?[x*.…•·?_-]+|<.*>|\[.*\]|\{.*\}|\$.*|%.*%|(?:sg_|.*[-_])?(?:your|my)[-_]?(?:[-_\w]*key|[-_\w]*token|key).*"
    r"|(?:sg_|sk-)?(?:insert|paste|put|enter|add)[-_].*|.*[-_]here|change[-_]?me|placeholder|replace[-_]?me|todo"
    r"|none|null|undefined|api[-_]?key|(?:segmind|openai)[-_]api[-_]key",
    re.IGNORECASE,
)


class NoKey(ValueError):
    """A text holds no key, or it isn't clear which; the message continues where it stands: `is empty; …`."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that isn't blank or a comment. name: what its value is assigned to."""

    number: int
    name: str | None
    value: str


def decode_key(data: bytes) -> str:
    """The text of a key's file: UTF-8, or UTF-16 as Windows' tools write it.

    Raises:
        NoKey: it is neither.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif data[1:2] == b"\0" or data[:1] == b"\0":
        encoding = "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        # Not as the cause either: the error has the bytes.
        raise NoKey("is no text; expected the API key as plain text (UTF-8 or UTF-16)") from None


def key_of(text: str, name: str, provider: str) -> str:
    """The key of a provider that a text holds; `name` is the environment variable that its keys are kept in.

    Raises:
        NoKey: it holds none, or it isn't clear which.
    """
    text = _INVISIBLE.sub("", text)
    lines = list(_lines(text))
    if not lines:
        raise NoKey("holds comments alone; expected the API key" if text.strip() else _EMPTY)
    line = _meant(lines, name, provider)
    if line.name is not None and not _is_ours(line.name, name, provider):
        raise NoKey(f"holds a key by the name of another service; expected the API key alone, or {name}=…")
    if not line.value:
        raise NoKey(_EMPTY if line.name is None else f"has a name without a key; expected {name}=…")
    if _PLACEHOLDER.fullmatch(re.sub(r"\s+", "-", line.value)):
        raise NoKey("holds a placeholder; put your API key in its place")
    # It travels in a header: anything else would be refused by the HTTP library, with the key in its message.
    if not (line.value.isascii() and line.value.isprintable() and " " not in line.value):
        raise NoKey("holds something other than an API key (white space, or characters that no key has)")
    return line.value


def _lines(text: str) -> Iterator[_Line]:
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith(_COMMENT):
            continue
        name, value = None, _unquoted(line)
        if (assigned := _ASSIGNED.fullmatch(value)) and not _is_part_of_a_key(assigned):
            name, value = assigned["name"], _unquoted(assigned["value"])
        yield _Line(number, name, _unquoted(_BEARER.sub("", value, count=1)))


def _is_part_of_a_key(assigned: re.Match[str]) -> bool:
    """Whether what looks like an assignment is a key: base64 ends in `=`, and some keys are `id:secret`."""
    written = assigned["value"]
    if assigned["sign"] == "=":
        return written == "="
    return (
        bool(written) and not written[0].isspace() and re.sub(r"[^a-z0-9]", "", assigned["name"].lower()) not in _NAMES
    )


def _unquoted(text: str) -> str:
    """Without one pair of quotes around it, or what stands behind it."""
    text = text.strip()
    if closing := _QUOTES.get(text[:1]):
        end = text.find(closing, 1)
        if end > 0 and (end == len(text) - 1 or _BEHIND.fullmatch(text[end + 1 :]) or not text[end + 1 :].strip(";, ")):
            return text[1:end].strip()
    return _BEHIND.sub("", text).strip()


def _meant(lines: list[_Line], name: str, provider: str) -> _Line:
    """The line that has the key.

    Raises:
        NoKey: several may be it.
    """
    for chosen in (
        [line for line in lines if line.name == name],
        [
            line
            for line in lines
            if KEY_SHAPE.fullmatch(line.value) and (line.name is None or _is_ours(line.name, name, provider))
        ],
        lines,
    ):
        if len({line.value for line in chosen}) == 1:
            return chosen[0]
        if chosen:
            lines = chosen
            break
    numbers = [str(line.number) for line in lines[:4]]
    listed = f"{', '.join(numbers[:-1])} and {numbers[-1]}" if len(lines) <= len(numbers) else f"{numbers[0]} and more"
    raise NoKey(f"may hold a key in each of lines {listed}; expected one: the API key alone, or {name}=…")


def _is_ours(written: str, name: str, provider: str) -> bool:
    plain = _plain(written)
    return plain in _NAMES or plain == _plain(name) or _plain(provider) in plain


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
