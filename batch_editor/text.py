"""Text for people: without keys and control characters, and durations as people say them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# The shape of the provider's keys; the key of the run itself is redacted exactly, whatever its shape.
KEY_SHAPE = re.compile(r"SG_[0-9a-fA-F]{16}")
REDACTED = "[key]"

# What is shorter is no key, but a word such as "test" that stands in other words too.
SHORTEST = 8

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
    clean = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text)
    clean = " ".join(clean.split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


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
