"""Keeping keys and control characters out of everything that is printed or stored."""

from __future__ import annotations

import re
import unicodedata

# The shape of the provider's keys; the key of the run itself is redacted exactly, whatever its shape.
KEY_SHAPE = re.compile(r"SG_[0-9a-fA-F]{16}")
REDACTED = "[key]"

_known: set[str] = set()


def guard(secret: str) -> None:
    """From now on, `redact` removes this text as well."""
    if len(secret) >= 4:
        _known.add(secret)


def redact(text: str) -> str:
    """The text without anything that is, or looks like, an API key.

    >>> redact("401 for SG_0123456789abcdef")
    '401 for [key]'
    """
    for secret in _known:
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
