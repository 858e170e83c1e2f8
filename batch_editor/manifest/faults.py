"""What is wrong with the manifests, gathered so that one reading lists it all."""

from __future__ import annotations

import re
from collections import Counter

from batch_editor.errors import ManifestError
from batch_editor.redaction import KEY_SHAPE, printable, redact

# A wrong column is wrong in every row: twenty lines show the pattern, the count tells the extent.
KEPT = 20
NOTED = 1000
_SHOWN = 60
_USERINFO = re.compile(r"(?<=://)[^/?#\s]*@")


class Refused(ValueError):
    """A value can't be; the message goes on from the parameter's name: `is 'hgih'; expected low or high`."""

    def of(self, name: str) -> Refused:
        """The same with its subject."""
        return Refused(f"{name} {self}")


class Faults:
    """Faults and warnings in the order they were met: the first 20 of each, and the number of faults.

    `faulty` has the ids, with their places, of jobs that a fault kept from being made. `skipped` counts the rows that
    a manifest leaves out on purpose, by reason.
    """

    def __init__(self) -> None:
        self.total = 0
        self.skipped: Counter[str] = Counter()
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.faulty: list[tuple[str, str]] = []

    @property
    def full(self) -> bool:
        """Whether further ones are only counted: then a message that is dear to make need not be made."""
        return len(self.lines) >= KEPT

    def note(self, job_id: str, where: str) -> None:
        """An id that a faulty job claims: it may be another job's as well. The first thousand are kept."""
        if len(self.faulty) < NOTED:
            self.faulty.append((job_id, where))

    def add(self, where: str, message: str) -> None:
        """A fault, as `where: message`."""
        self.total += 1
        if not self.full:
            self.lines.append(_line(where, message))

    def warn(self, where: str, message: str) -> None:
        """A warning, unless the same was given before."""
        if len(self.warnings) < KEPT and (line := _line(where, message)) not in self.warnings:
            self.warnings.append(line)

    def raise_if_any(self) -> None:
        """End here if there was a fault.

        Raises:
            ManifestError: with the first 20 faults and the number of all.
        """
        if self.total:
            raise ManifestError(self.lines, total=self.total)


def shown(text: str) -> str:
    r"""A value as messages quote it: one line of at most 60 characters, without keys and passwords.

    >>> shown("hgih")
    "'hgih'"
    >>> shown("https://tom:secret@example.com/a\nb")
    "'https://…@example.com/a\\nb'"
    """
    # A cell may have a mebibyte; what is far beyond the shown part needs no redaction.
    text = _USERINFO.sub("…@", redact(text[: 100 * _SHOWN]))
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def check_text(text: str) -> None:
    """Let pass what can be sent and stored.

    Raises:
        Refused: it holds an API key, a NUL, or half a surrogate pair (which no UTF-8 can carry).
    """
    if "SG_" in text and KEY_SHAPE.search(text):
        raise Refused("looks like an API key; keys come from the environment, never from a manifest")
    if "\0" in text:
        raise Refused(f"is {shown(text)}; expected text without NUL characters")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise Refused(f"is {shown(text)}; expected text that UTF-8 can carry, without lone surrogates")


def _line(where: str, message: str) -> str:
    return printable(f"{where}: {message}", limit=1000)
