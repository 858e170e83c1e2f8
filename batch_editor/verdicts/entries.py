"""What is said of an image: the verdict and a note, checked before they are kept."""

from __future__ import annotations

import unicodedata
from enum import Enum
from typing import Final, Literal, NamedTuple, TypeAlias

from batch_editor.errors import UsageError

VerdictWord: TypeAlias = Literal["approved", "rejected"]

# A note goes into a prompt when its picture is made again, and into a cell of a table.
MAX_NOTE = 4_000
MAX_NAME = 200
# Control characters, and halves of a pair, which can't be stored.
_REFUSED = frozenset(["Cc", "Cs"])


class Unchanged(Enum):
    """Stands for what is not said anew."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


class Picture(NamedTuple):
    """An image by the request that it came from and by its content."""

    fingerprint: str
    sha256: str


class Verdict(NamedTuple):
    """What holds of an image: who said it, and when (seconds since 1970). `event` grows with each thing said."""

    verdict: VerdictWord | None
    note: str | None
    by: str
    at: float
    event: int


def checked_note(text: str) -> str | None:
    r"""A note as it is kept: trimmed, with lines that end in a line feed alone; None if nothing is left.

    >>> checked_note(" the handle\r\nis gone "), checked_note(" ")
    ('the handle\nis gone', None)

    Raises:
        UsageError: it is too long, or has a control character.
    """
    note = "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").replace("\t", " ").split("\n")).strip()
    if len(note) > MAX_NOTE:
        raise UsageError(f"a note has {len(note):,} characters; expected at most {MAX_NOTE:,}")
    for character in note:
        if character != "\n" and unicodedata.category(character) in _REFUSED:
            raise UsageError(f"a note has the character U+{ord(character):04X}; expected text and line breaks")
    return note or None


def checked_name(text: str) -> str:
    """Who gives a verdict, trimmed.

    Raises:
        UsageError: it is empty, too long, or has a control character.
    """
    name = text.strip()
    if not 0 < len(name) <= MAX_NAME or any(unicodedata.category(character) in _REFUSED for character in name):
        raise UsageError(f"the name of who gives verdicts is {name!r}; expected one line of 1 to {MAX_NAME} characters")
    return name
