"""Text for people: without keys and control characters, and durations as people say them."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

# The shapes of Segmind's and OpenAI's keys (the mark within the latter is "OpenAI" in base64); the keys of a run itself
# are redacted exactly, whatever their shape. Bounded: else a text of nothing but `sk-` takes time by its square.
KEY_SHAPE = re.compile(r"SG_[0-9a-fA-F]{16}|\bsk-[\w-]{10,200}T3BlbkFJ[\w-]{10,200}", re.ASCII)
REDACTED = "[key]"

# What is shorter is no key, but a word such as "test" that stands in other words too.
SHORTEST = 8

# How Python holds the bytes of a file's name that aren't UTF-8. No UTF-8 can carry them: not SQLite's, nor JSON's.
_SURROGATES = re.compile(r"[\ud800-\udfff]+")

# The same of a name's bytes, as `repr` has them; and its backslashes, which stand in pairs.
_BYTES = re.compile(r"(\\\\)|\\udc([89a-f][0-9a-f])")

_guarded: list[str] = []


def guard(secret: str) -> None:
    """Have `redact` remove this text as well, from now on; for a whole process."""
    if len(secret) >= SHORTEST:
        _guarded.append(secret)


@contextmanager
def guarded(secret: str) -> Iterator[None]:
    """Have `redact` remove this text as well, within the block. Its process may have others that mean something else.

    On all threads, for texts are redacted where they come in.
    """
    guard(secret)
    try:
        yield
    finally:
        with suppress(ValueError):  # too short to be there
            _guarded.remove(secret)  # once: another run may use the same key


def has_key_shape(text: str) -> bool:
    """Whether something in the text looks like an API key."""
    # The marks first: this is asked of every cell of a table.
    return ("SG_" in text or "T3BlbkFJ" in text) and KEY_SHAPE.search(text) is not None


def redact(text: str) -> str:
    """The text without anything that is, or looks like, an API key.

    >>> redact("401 for SG_0123456789abcdef")
    '401 for [key]'
    """
    for secret in tuple(_guarded):  # other threads add and remove
        text = text.replace(secret, REDACTED)
    return KEY_SHAPE.sub(REDACTED, text)


def printable(text: str, *, limit: int = 500) -> str:
    r"""One line that is safe in a terminal, a log or a cell: no controls, no bidi marks, no key, bounded.

    >>> printable("bad\x1b[31m\nnews")
    'bad [31m news'
    """
    text = redact(text)[: 4 * limit]  # in this order: half a key has no shape to be known by
    text = escape_bytes(text)
    clean = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c for c in text)
    clean = " ".join(clean.split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def escape_bytes(text: str) -> str:
    r"""The text with the bytes of a file's name that aren't UTF-8 as `\xe9`, so that it can be printed and stored.

    >>> print(escape_bytes("caf\udce9.jpg"))
    caf\xe9.jpg
    """
    return text if text.isascii() else _SURROGATES.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    try:
        # Where Python takes names for ASCII, they are UTF-8 all the same.
        return found[0].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # of no name: half a character out of JSON or YAML
        return found[0].encode("ascii", "backslashreplace").decode()


def quoted(text: str) -> str:
    r"""As `repr`, with such bytes as `escape_bytes` has them.

    >>> print(quoted("caf\udce9.jpg"), quoted("a\\\udce9"))
    'caf\xe9.jpg' 'a\\\xe9'
    """
    return _BYTES.sub(lambda found: found[1] or rf"\x{found[2]}", repr(text))


def escape_all(value: Any) -> Any:
    """A JSON document with the bytes in all its texts escaped, see `escape_bytes`."""
    if isinstance(value, str):
        return escape_bytes(value)
    if isinstance(value, dict):
        return {escape_all(name): escape_all(each) for name, each in value.items()}
    return [escape_all(each) for each in value] if isinstance(value, (list, tuple)) else value


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(59.6), duration(3725)
    ('1m 0s', '1h 2m')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60}s"
    if whole < 48 * 3600:
        return f"{whole // 3600}h {whole % 3600 // 60}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"


def many(count: int, one: str, several: str | None = None) -> str:
    """A count with its noun; `several` where that isn't the noun with an s.

    >>> many(1, "image"), many(1200, "image"), many(0, "request is", "requests are")
    ('1 image', '1,200 images', '0 requests are')
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def shell_word(argument: str) -> str:
    r"""An argument as a shell reads it back, and as text.

    Bytes of a name that aren't UTF-8, controls and marks that nobody sees are written as bash and zsh write them.

    >>> print(shell_word("my mug.csv"), shell_word("caf\udce9.csv"), shell_word("two\nlines"), shell_word("\u202egpj"))
    'my mug.csv' $'caf\xe9.csv' $'two\x0alines' $'\u202egpj'
    """
    if escape_bytes(argument) == argument and not any(map(_is_unseen, argument)):
        return shlex.quote(argument)
    inner = escape_bytes(argument.replace("\\", "\\\\").replace("'", "\\'"))
    return f"$'{''.join(_unseen(each) if _is_unseen(each) else each for each in inner)}'"


def _is_unseen(character: str) -> bool:
    return not character.isprintable() and unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp")


def _unseen(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: int = 0) -> Iterator[str]:
    """Lines of a table; the last `right` columns are figures, and stand to the right.

    >>> for line in table(["quality", "USD"], [["low", "0.01"], ["high", "10.20"]], right=1):
    ...     print(line)
    quality    USD
    low       0.01
    high     10.20
    """
    widths = [max(map(_width, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        blanks = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = [
            cell + blank if at < len(head) - right else blank + cell
            for at, (cell, blank) in enumerate(zip(row, blanks, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _width(text: str) -> int:
    """How many places a terminal takes for it: two for Chinese, Japanese and emojis, none for an accent of its own."""
    if text.isascii():
        return len(text)
    return sum(
        2 if unicodedata.east_asian_width(each) in "WF" else unicodedata.category(each) not in ("Mn", "Me")
        for each in text
    )
