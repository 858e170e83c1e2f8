"""A table as a stream of rows, whatever file it comes from: columns, then cells, all of them text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from itertools import chain, count, islice
from typing import Protocol, TypeAlias

from batch_editor.manifest.faults import Faults, shown
from batch_editor.manifest.table_read import TableFile

HAS_KEY = "a cell looks like an API key; keys come from the environment, never from a manifest"
# How Meta's catalogs begin: a row above the header that explains the columns.
EXPLAINS_COLUMNS = re.compile(r'"?# ?(?:Required|Optional) ?\|')
# Rows that are looked at before the first is given out, for one that looks more like the header than the first row.
_LOOKED_AT = 10
_HEADER_SHOWN = 8

# A row: the line where it starts, counted from 1; its cells, one a column; and what is wrong with it as a row, if
# anything is. Where that leaves in doubt which cell belongs to which column there are none. The first one of a
# table is its header.
Record: TypeAlias = "tuple[int, list[str], str | None]"


class TableFault(Exception):
    """The rest of a table can't be divided into rows. `line` counts from 1; 0 where the whole file is meant."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


class TableReader(Protocol):
    """Reads one kind of file. `warnings` are of the file as a whole, known once the records are through."""

    warnings: list[str]

    def records(self) -> Iterator[Record]:
        """The header, then the rows; rows of blank cells may be among them.

        Raises:
            TableFault: see there.
            OSError: the file can't be read.
        """


class Table:
    """Columns, then once the rows. A context manager that closes what is read.

    A fault of the file is added with its line, and ends the rows; nothing is raised. Rows of blank cells alone, and
    columns without a name, are left out. A row may lack its last cells, or have blank ones too many. `file` is where it
    comes from, if that is one file.
    """

    def __init__(self, name: str, reader: TableReader, faults: Faults, *, file: TableFile | None = None) -> None:
        self.name = name
        self.file = file
        self._reader = reader
        self._faults = faults
        self._records = self._guarded()
        self.header_line, header, _ = next(self._records, (1, [], None))
        if header and EXPLAINS_COLUMNS.match(header[0]):
            self.header_line, header, _ = next(self._records, (1, [], None))
        # Names that stand there more than once: each column of one has its number behind it.
        self.repeated = tuple(name for name, times in Counter(header).items() if name and times > 1)
        self._header = header = _told_apart(header, self.repeated)
        self._first = list(islice(self._records, _LOOKED_AT))
        # The numbers of the columns in a row of the file, where there may be some without a name.
        self.places = tuple(index for index, name in enumerate(header) if name)
        self.columns = tuple(header[index] for index in self.places)
        if (title := self._title()) is not None:
            faults.add(f"{name}:{self.header_line}", title)
            self.columns = ()

    @property
    def is_usable(self) -> bool:
        """Whether it has a header; if not, the file is empty or the fault was added."""
        return bool(self.columns)

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *_: object) -> None:
        self._records.close()

    def __iter__(self) -> Iterator[Record]:
        """Rows in order."""
        width = len(self._header)
        named = self.places
        for line, cells, problem in chain(self._first, self._records):
            misfit = None
            if len(cells) != width and (cells or problem is None):
                misfit = _fitted(cells, width)
            if cells and len(named) < width:
                yield line, [cells[index] for index in named], problem
            else:
                yield line, cells, problem or misfit

    def _guarded(self) -> Generator[Record, None, None]:
        """The header, whose names are trimmed, then rows; blank ones are left out, and faults added."""
        is_header = True
        try:
            for line, cells, problem in self._reader.records():
                if problem is None and not any(map(str.strip, cells)):
                    continue
                yield line, [cell.strip() for cell in cells] if is_header else cells, problem
                is_header = False
        except TableFault as fault:
            self._faults.add(f"{self.name}:{fault.line}" if fault.line else self.name, str(fault))
        except OSError as error:
            self._faults.add(self.name, f"can't be read: {error.strerror or error}")
        for warning in self._reader.warnings:
            self._faults.warn(self.name, warning)

    def _title(self) -> str | None:
        """What is wrong where a title stands above the header: one of the next rows has at least twice its names."""
        found = len(self.columns)
        if found == 1 and sum(map(self.columns[0].count, ",;\t|")) > 1:
            return f"{columns_said(self.columns)}: whole lines are in quotes; remove those, or export the table again"
        for line, cells, problem in self._first if found else ():
            names = [cell.strip() for cell in cells if cell.strip()]
            if problem is None and len(names) >= max(2, 2 * found) and _looks_like_a_header(names):
                return (
                    f"{columns_said(self.columns)}, which looks like a title; line {line} looks like the header"
                    f" ({', '.join(names[:_HEADER_SHOWN])}{', …' * (len(names) > _HEADER_SHOWN)}): delete what stands"
                    " above it"
                )
        return None


def columns_said(columns: Sequence[str]) -> str:
    """What a table has, for messages.

    >>> columns_said(["sku", "title"])
    "the columns are 'sku', 'title'"
    """
    more = ", …" if len(columns) > _HEADER_SHOWN else ""
    are = "the only column is" if len(columns) == 1 else "the columns are"
    return f"{are} {', '.join(map(shown, columns[:_HEADER_SHOWN]))}{more}"


def _told_apart(names: Sequence[str], repeated: Sequence[str]) -> list[str]:
    """The header with a number behind names that it has more than once: which is meant by the bare name, nobody knows.

    >>> _told_apart(["sku", "note", "note"], ["note"])
    ['sku', 'note (1)', 'note (2)']
    """
    numbers = {name: count(1) for name in repeated}
    return [f"{name} ({next(numbers[name])})" if name in numbers else name for name in names]


def _fitted(cells: list[str], width: int) -> str | None:
    """Make a row as wide as the header where that loses nothing; else what is wrong with it, and it has no cells."""
    if len(cells) < width:
        cells += [""] * (width - len(cells))
        return None
    surplus = [cell for cell in cells[width:] if cell.strip()]
    if not surplus:
        del cells[width:]
        return None
    message = f"has {len(cells)} cells where the header has {width}; {shown(surplus[0])} is one too many"
    cells.clear()
    return message


def _looks_like_a_header(names: Sequence[str]) -> bool:
    """Whether cells could be names of columns: short texts, each another, no numbers and no links."""
    return len(set(names)) == len(names) and all(
        len(name) <= 60 and "://" not in name and not name[0].isdigit() and "\n" not in name for name in names
    )
