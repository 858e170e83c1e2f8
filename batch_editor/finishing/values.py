"""The words of a rule as values: how each key of `finish` and of a preset is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple, get_args

from batch_editor.errors import did_you_mean
from batch_editor.finishing.marks import MARKS
from batch_editor.finishing.rules import TRANSPARENT, WHITE, Background, Fit, Format, Provenance
from batch_editor.text import printable

MOST_SIDE = 10_000
_SIZE = re.compile(r"(\d{1,6})(?: ?[x×] ?(\d{1,6}))?", re.ASCII)
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


class FinishFaults(ValueError):
    """What is wrong with a `finish` or a preset; `faults` has all of it, a sentence each."""

    def __init__(self, *faults: str) -> None:
        super().__init__(*faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(self.faults)


class Wrong(ValueError):
    """A value that can't be read; `hint` is the tail of the message, such as the nearest word."""

    def __init__(self, hint: str = "") -> None:
        super().__init__(hint)
        self.hint = hint


class Key(NamedTuple):
    """How a key's value is read, what is expected in words, what it is for, and its JSON Schema."""

    read: Callable[[Any], Any]
    expected: str
    about: str
    schema: dict[str, Any]


def shown(value: object) -> str:
    """A value as messages show it."""
    if value is None:
        return "empty"
    return f"'{printable(str(value), limit=80)}'" if isinstance(value, (str, int, float)) else _kind(value)


def _kind(value: object) -> str:
    return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, (list, tuple)) else "no text"


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise Wrong
    return str(value).strip()


def _size(value: object) -> tuple[int, int]:
    found = _SIZE.fullmatch(_text(value).lower())
    if found is None:
        raise Wrong
    width, height = int(found[1]), int(found[2] or found[1])
    if not (1 <= width <= MOST_SIDE and 1 <= height <= MOST_SIDE):
        raise Wrong
    return width, height


def _colour(value: object) -> str:
    if value is None:  # `pad: #f4f4f4`: what stands behind the `#` is a comment
        raise Wrong(" (a colour stands in quotes: '#f4f4f4')")
    text = _text(value).lower()
    if text == "white":
        return WHITE
    if text == TRANSPARENT or _COLOUR.fullmatch(text):
        return text
    raise Wrong(did_you_mean(text, ["white", TRANSPARENT]))


def _words(*known: str, **also: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        text = _text(value).lower()
        text = also.get(text, text)
        if text not in known:
            raise Wrong(did_you_mean(text, known))
        return text

    return read


def _whole(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        text = _text(value)
        if not _NUMBER.fullmatch(text) or not low <= int(text) <= high:
            raise Wrong
        return int(text)

    return read


def _share(value: object) -> float:
    try:
        share = float(_text(value))
    except ValueError:
        raise Wrong from None
    if not 0 < share <= 1:
        raise Wrong
    return share


def _flag(value: object) -> bool:
    text = str(value).strip().lower() if isinstance(value, (bool, str)) else ""
    if text not in ("true", "false"):
        raise Wrong
    return text == "true"


def _mark(value: object) -> str:
    return MARKS[_marks(value)]


def _several(read: Callable[[object], str]) -> Callable[[object], tuple[str, ...]]:
    def read_all(value: object) -> tuple[str, ...]:
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if not values:
            raise Wrong
        return tuple(read(each) for each in values)

    return read_all


def _pattern(value: object) -> str:
    text = _text(value)
    try:
        re.compile(text)
    except re.error as error:
        raise Wrong(f" ({error})") from error
    return text


def _either(known: tuple[str, ...]) -> str:
    return f"{', '.join(known[:-1])} or {known[-1]}"


_FORMATS: tuple[str, ...] = get_args(Format)
_format = _words(*_FORMATS, jpg="jpeg")
_marks = _words(*MARKS)
_COUNT = {"type": "integer", "minimum": 1}
_BOOL = {"type": "boolean"}


def _choice(known: tuple[str, ...], about: str) -> Key:
    return Key(_words(*known), _either(known), about, {"enum": list(known)})


MAKES: dict[str, Key] = {
    "size": Key(
        _size,
        f"WIDTHxHEIGHT in pixels, such as 2000x2000, of at most {MOST_SIDE:,} a side",
        "width and height in pixels; one number for both",
        {"anyOf": [{"type": "string", "pattern": r"^\d+( ?[x×] ?\d+)?$"}, _COUNT]},
    ),
    "enlarge": Key(
        _flag,
        "true or false",
        "whether a smaller picture is enlarged to `size`, or the file is smaller, in that shape. Default: true",
        _BOOL,
    ),
    "fit": _choice(
        get_args(Fit),
        "`contain`: all of the picture is within `size`; `cover`: it fills it, cut at both sides. Default: contain",
    ),
    "pad": Key(
        _colour,
        "white, transparent, or a colour such as '#f4f4f4'",
        "the colour beside a picture of another shape than `size`. Default: none, the file has the picture's shape",
        {"type": "string"},
    ),
    "format": Key(
        _format, _either(_FORMATS), "the file's format. Default: the picture's", {"enum": [*_FORMATS, "jpg"]}
    ),
    "quality": Key(
        _whole(1, 100),
        "a whole number from 1 to 100",
        "of JPEG and WebP. Default: 90",
        {"type": "integer", "minimum": 1, "maximum": 100},
    ),
    "max_bytes": Key(
        _whole(1, 10**12),
        "a whole number of bytes",
        "the largest file: quality is lowered down to 40, then width and height",
        _COUNT,
    ),
    "background": _choice(
        get_args(Background), "what becomes of what is transparent; `white`: it becomes white. Default: keep"
    ),
    "provenance": _choice(
        get_args(Provenance), "the AI mark: what came is kept, or one is set, or all XMP is stripped. Default: keep"
    ),
}

CHECKS: dict[str, Key] = {
    "formats": Key(_several(_format), f"a list of {_either(_FORMATS)}", "the file's format", {}),
    "longest_side_at_least": Key(_whole(1, 10**6), "a number of pixels", "the longer side, in pixels", {}),
    "longest_side_at_most": Key(_whole(1, 10**6), "a number of pixels", "the longer side, in pixels", {}),
    "shortest_side_at_least": Key(_whole(1, 10**6), "a number of pixels", "the shorter side, in pixels", {}),
    "pixels_at_most": Key(_whole(1, 10**12), "a number of pixels", "width times height, in pixels", {}),
    "bytes_at_most": Key(_whole(1, 10**12), "a whole number of bytes", "the file's size, in bytes", {}),
    "square": Key(_flag, "true or false", "whether width and height are equal", {}),
    "white_border": Key(
        _flag,
        "true or false",
        "the pixels at the edge, and at the picture's own within the padding: exactly #ffffff",
        {},
    ),
    "product_at_least": Key(
        _share, "a share above 0, at most 1, such as 0.85", "what isn't background, as a share of the longer side", {}
    ),
    "product_at_most": Key(
        _share, "a share above 0, at most 1, such as 0.9", "what isn't background, as a share of the longer side", {}
    ),
    "srgb": Key(_flag, "true or false", "the colours: sRGB", {}),
    "name": Key(_pattern, "a regular expression", "the file's name, with its ending", {}),
    "provenance": Key(
        _several(_mark), f"a list of {_either(tuple(MARKS.values()))}", "the AI mark that the file carries", {}
    ),
}


def known_rules() -> tuple[dict[str, Key], dict[str, Key]]:
    """The rules by which files are made, and those by which they are checked, by name."""
    return MAKES, CHECKS
