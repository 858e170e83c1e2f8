"""A row of a CSV file taken apart into cells with their places in its text, so that one can be written over."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

# ="00123": how exports keep Excel from making a number of a text.
_TEXT_FORMULA = re.compile(r'\s*="((?:[^"]|"")*)"\s*')


class WrittenCell(NamedTuple):
    """A cell: where its text begins and ends in the row's, quotes included, and what the csv module reads there."""

    start: int
    end: int
    value: str


def written_cells(row: str, delimiter: str) -> tuple[list[WrittenCell], int] | None:
    """The cells of the first row of a text, and where that row ends with its line ends; None if it is no sound row.

    As the csv module reads it in strict mode, and where somebody's editor has drawn a table with blanks behind closing
    quotes, which the module refuses. Blanks before an opening quote are passed over between pipes alone.

    >>> cells, end = written_cells('mug  ,"Mug, red"   ,1', ",")
    >>> [cell.value for cell in cells], end
    (['mug  ', 'Mug, red', '1'], 21)
    >>> written_cells('"Mug" red,1', ",")
    """
    pattern = _cell_pattern(delimiter)
    cells, place = list[WrittenCell](), 0
    while (found := pattern.match(row, place)) is not None:
        quoted, plain, behind = found.groups()
        value = (plain or "") if quoted is None else quoted.replace('""', '"')
        cells.append(WrittenCell(place, found.start(3), value))
        place = found.end()
        if behind != delimiter:
            return cells, place
    return None


def bare(value: str, delimiter: str) -> str:
    """A cell without what programs put around it: `=""`, and blanks where databases and Markdown draw tables of pipes.

    >>> bare(" Mug ", "|"), bare('="00123"', ",")
    ('Mug', '00123')
    """
    if (formula := _TEXT_FORMULA.fullmatch(value)) is not None:
        return formula[1].replace('""', '"')
    return value.strip() if delimiter == "|" else value


def with_value(written: str, value: str, new: str, delimiter: str) -> str:
    """A cell's text with another value in it, `bare` as it is: quoted as it was, or where it needs it.

    `value` is what stood there, as `WrittenCell.value`.

    >>> with_value('"a.jpg, b.jpg" ', "a.jpg, b.jpg", "c.jpg, b.jpg", ","), with_value("a.jpg", "a.jpg", "c;d", ";")
    ('"c.jpg, b.jpg" ', '"c;d"')
    """
    if (formula := _TEXT_FORMULA.fullmatch(value)) is not None:
        new = value[: formula.start(1)] + new.replace('"', '""') + value[formula.end(1) :]
    elif delimiter == "|":
        start = len(value) - len(value.lstrip())
        new = value[:start] + new + value[start + len(value.strip()) :]
    doubled = new.replace('"', '""')
    in_quotes = f'"{doubled}"'
    if (quote := _opening_quote(written, delimiter)) is not None:
        return written[:quote] + in_quotes + written[written.rindex('"') + 1 :]
    needs_quotes = new.startswith('"') or any(character in new for character in f"{delimiter}\r\n")
    return in_quotes if needs_quotes else new


def _opening_quote(written: str, delimiter: str) -> int | None:
    """Where a cell's opening quote stands; None if it has none."""
    start = len(written) - len(written.lstrip(" ")) if delimiter == "|" else 0
    return start if written.startswith('"', start) else None


@lru_cache(maxsize=16)
def _cell_pattern(delimiter: str) -> re.Pattern[str]:
    end = re.escape(delimiter)
    before = " *" if delimiter == "|" else ""
    behind = "" if delimiter == " " else " *"
    # The group isn't possessive: before Python 3.11.5 such a one takes what it shouldn't.
    return re.compile(rf'(?:{before}"([^"]*+(?:""[^"]*+)*)"{behind}|([^"{end}\r\n][^{end}\r\n]*+)?)({end}|[\r\n]++|\Z)')
