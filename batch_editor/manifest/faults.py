"""What is wrong with the manifests, gathered so that one reading lists it all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from batch_editor.errors import ManifestError
from batch_editor.manifest.table_read import TableRead
from batch_editor.text import escape_bytes, has_key_shape, many, printable, quoted, redact

# A wrong column is wrong in every row: twenty lines show the pattern, the count tells the extent.
KEPT = 20
NOTED = 1000
# Of the faults of rows that are skipped: enough to see what it is about.
_SHOWN_OF_SKIPPED = 3
_SHOWN = 60
_USERINFO = re.compile(r"(?<=://)[^/?#\s]*@")


class Refused(ValueError):
    """A value can't be; the message continues the parameter's name: `is 'hgih'; expected low or high`."""

    def with_subject(self, name: str) -> Refused:
        """The same with its subject."""
        return Refused(f"{name} {self}")


class Problem(NamedTuple):
    """One thing that is wrong with a row, or with an entry of one job.

    label: begins the message where the row isn't named otherwise, as `job mug: `.
    advice: for what is likely to be wrong in many rows in the same way: they become one message, which ends with it.
    about: the parameter or key, where it is one's.
    """

    where: str
    message: str
    label: str = ""
    advice: str = ""
    about: str = ""


class Faults:
    """Faults and warnings in the order they were met: the first 20 of each, and the number of faults.

    `faulty` has the ids, with their places, of jobs that a fault kept from being made. `skipped` counts the rows that
    a manifest leaves out on purpose, by reason; `left_out` those that are skipped because they are faulty.
    """

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()
        self._tables: dict[object, TableRead] = {}
        self.left_out = 0
        self.faulty: list[tuple[str, str]] = []
        self._refused = _Listing()
        self._skipped = _Listing()
        self._warned = _Listing()
        self._substitutes: Counter[str] = Counter()
        self._last_skipped: object = None

    @property
    def total(self) -> int:
        """The number of faults for which the manifests are refused."""
        return self._refused.total

    @property
    def lines(self) -> list[str]:
        """The first of them, as messages."""
        return list(self._refused.lines())

    @property
    def warnings(self) -> list[str]:
        """What is worth a look and no fault."""
        if not self.left_out:
            return list(self._warned.lines())
        rows = f"{self.left_out:,} faulty row{' is' if self.left_out == 1 else 's are'} skipped"
        return [f"{rows}:", *self._skipped.lines(_SHOWN_OF_SKIPPED), *self._warned.lines()]

    @property
    def tables(self) -> list[TableRead]:
        """Tables that are a shop's export or resemble one, in the order they were met."""
        return list(self._tables.values())

    @property
    def full(self) -> bool:
        """Whether further ones are only counted: then a message that is expensive to make need not be made."""
        return self._refused.full

    def note(self, job_id: str, where: str) -> None:
        """An id that a faulty job claims: it may be another job's as well. The first thousand are kept."""
        if len(self.faulty) < NOTED:
            self.faulty.append((job_id, escape_bytes(where)))

    def add(self, where: str, message: str) -> None:
        """A fault, as `where: message`."""
        self._refused.add(_line(where, message))

    def refuse(self, problems: Sequence[Problem], row: object = None) -> None:
        """Problems as faults; `row` is equal for all jobs that are made of one row."""
        self._refused.extend(problems, row)

    def leave_out(self, problems: Sequence[Problem], row: object) -> None:
        """A row that is skipped for its problems."""
        if row != self._last_skipped:
            self.left_out += 1
            self._last_skipped = row
        self._skipped.extend(problems, row)

    def warn(self, where: str, message: str) -> None:
        """A warning, unless the same was given before."""
        self._warned.add_once(_line(where, message))

    def note_table(self, table: TableRead) -> None:
        """What a table was read as, unless it was noted before."""
        self._tables.setdefault((table.name, table.format, table.reason), table)

    def warn_of_row(self, warnings: Sequence[Problem], row: object) -> None:
        """Warnings that are counted by rows."""
        self._warned.extend(warnings, row)

    def substitute_id(self, stem: str, where: str) -> str:
        """What a faulty row is called whose own id isn't known: `<stem>-row-<line>`, once only."""
        line = where.rpartition(":")[2]
        name = f"{stem}-row-{line}"
        self._substitutes[name] += 1
        return name if self._substitutes[name] == 1 else f"{name}-{self._substitutes[name]}"

    def refuse_skipped(self) -> None:
        """Rows that were skipped are faults after all, for there is no sound one beside them."""
        if self.left_out:
            self.left_out = 0
            self._refused.join(self._skipped)

    def raise_if_any(self) -> None:
        """End here if there was a fault.

        Raises:
            ManifestError: with the first 20 faults and the number of all.
        """
        if self.total:
            raise ManifestError(self.lines, total=self.total)


@dataclass(slots=True)
class _Kind:
    """What is wrong in many rows in the same way."""

    file: str
    message: str
    advice: str
    first_line: str
    rows: int = 0
    last_row: object = None

    def __str__(self) -> str:
        rows = many(self.rows, "row")
        return _line(self.file, f"{self.message} in {rows}, first at line {self.first_line}; {self.advice}")


class _Listing:
    """Lines in the order they were met: the first 20, and the number of all. A kind is one line."""

    def __init__(self) -> None:
        self.total = 0
        self._kept: list[str | _Kind] = []
        self._kinds: dict[tuple[str, str], _Kind] = {}

    @property
    def full(self) -> bool:
        """Whether further lines are only counted."""
        return len(self._kept) >= KEPT

    def add(self, line: str | _Kind) -> None:
        """Count a line, and keep it while there is room."""
        self.total += 1
        if not self.full:
            self._kept.append(line)

    def add_once(self, line: str) -> None:
        """As `add`, for a line that isn't kept yet."""
        if line not in self._kept:
            self.add(line)

    def extend(self, problems: Sequence[Problem], row: object) -> None:
        """Add a row's problems: those with the same advice as one line with their count."""
        for problem in problems:
            if problem.advice:
                self._count(problem, row)
            else:
                self.add(_line(problem.where, problem.label + problem.message))

    def join(self, other: _Listing) -> None:
        """Add another listing's lines and counts."""
        for line in other._kept:
            self.add(line)
        self.total += other.total - len(other._kept)

    def lines(self, most: int = KEPT) -> Iterator[str]:
        """At most so many, and every kind."""
        left = most
        for line in self._kept:
            left -= isinstance(line, str)
            if left >= 0 or not isinstance(line, str):
                yield str(line)

    def _count(self, problem: Problem, row: object) -> None:
        file, _, line = problem.where.rpartition(":")
        kind = self._kinds.get((file, problem.message))
        if kind is None:
            kind = self._kinds[file, problem.message] = _Kind(file, problem.message, problem.advice, line)
            self.add(kind)
        if row is None or kind.last_row != row:
            kind.rows += 1
            kind.last_row = row


def shown(text: str) -> str:
    r"""A value as messages quote it: one line of at most 60 characters, without keys and passwords.

    >>> shown("hgih")
    "'hgih'"
    >>> shown("https://tom:secret@example.com/a\nb")
    "'https://…@example.com/a\\nb'"
    """
    # A cell may have a mebibyte; what is far beyond the shown part needs no redaction.
    text = _USERINFO.sub("…@", redact(text[: 100 * _SHOWN]))
    return quoted(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def check_text(text: str) -> None:
    """Let pass what can be sent and stored.

    Raises:
        Refused: it holds an API key, a NUL, or half a surrogate pair (which no UTF-8 can carry).
    """
    if has_key_shape(text):
        raise Refused("looks like an API key; keys come from the environment, never from a manifest")
    if "\0" in text:
        raise Refused(f"is {shown(text)}; expected text without NUL characters")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise Refused(f"is {shown(text)}; expected text that UTF-8 can carry, without lone surrogates")


def _line(where: str, message: str) -> str:
    return printable(f"{where}: {message}", limit=1000)
