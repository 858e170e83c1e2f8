"""A CSV file as a stream of rows, strict: what a spreadsheet would guess is a fault with its line."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TypeAlias

from batch_editor.files import open_regular
from batch_editor.manifest.faults import Faults, shown
from batch_editor.text import KEY_SHAPE

TABLES = (".csv", ".tsv", ".txt")
# Characters: the csv module's own limit, which is process-wide. It stays as it is, for a host's other readers.
MAX_CELL = 131_072
# Of one row: an unclosed quote, or a file without line ends, must not be gathered up to its last gigabyte.
MAX_ROW = 16 * 2**20
_CHUNK_BYTES = 2**16
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


_HAS_KEY = "a cell looks like an API key; keys come from the environment, never from a manifest"

# A row: the line where it starts, counted from 1; its cells, one a column; and what is wrong with it as a row, if
# anything is. Where that leaves in doubt which cell belongs to which column there are none.
Record: TypeAlias = "tuple[int, list[str], str | None]"


class _Broken(Exception):
    """The rest of the file can't be told apart into rows."""


class Table:
    """A CSV file: its columns, then once its rows. A context manager that closes the file.

    A fault of the file is added with its line, and ends the rows; nothing is raised. Blank lines, rows of empty cells
    alone, and columns without a name are left out.
    """

    def __init__(self, path: Path, faults: Faults) -> None:
        self._path = path
        self._faults = faults
        self._records = self._read()
        self.header_line, self._header, _ = next(self._records, (1, [], None))
        self.columns = tuple(name for name in self._header if name)

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
        named = [index for index, name in enumerate(self._header) if name]
        for line, cells, problem in self._records:
            if len(cells) != width:
                count = f"{len(cells)} cell{'s' * (len(cells) != 1)}"
                yield line, [], problem or f"has {count} where the header has {width}"
            elif len(named) < width:
                yield line, [cells[index] for index in named], problem
            else:
                yield line, cells, problem

    def _read(self) -> Generator[Record, None, None]:
        """The header, then the rows."""
        lines = None
        try:
            with open(self._path, "rb", opener=open_regular) as raw:
                encoding = "utf-16" if raw.peek(2).startswith(_UTF16) else "utf-8-sig"
                with io.TextIOWrapper(raw, encoding, newline="") as text:
                    lines = _Lines(text)
                    yield from self._records_of(lines)
        except UnicodeDecodeError as error:
            self._report_undecodable(error)
        except _Broken as error:
            self._fault(lines.row_starts if lines else 1, str(error))
        except OSError as error:
            self._faults.add(str(self._path), f"can't be read: {error.strerror or error}")

    def _records_of(self, lines: _Lines) -> Iterator[Record]:
        first = lines.peek()
        delimiter = "\t" if self._path.suffix.lower() == ".tsv" else _delimiter(first)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        header_seen = False
        while True:
            start = lines.begin_row()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                message, goes_on = _translated(error)
                if not (goes_on and header_seen):
                    raise _Broken(message) from error
                yield lines.number, [], message
                continue
            if lines.row_size > MAX_CELL and max(map(len, cells)) > MAX_CELL:  # a host has raised the module's limit
                raise _Broken(_too_large(MAX_CELL))
            problem = _HAS_KEY if lines.has_key else None
            if not header_seen:
                if problem:
                    raise _Broken(problem)
                header_seen = True
                yield start, self._checked_header(cells), None
            elif any(map(str.strip, cells)):
                yield start, cells, problem

    def _checked_header(self, cells: list[str]) -> list[str]:
        names = [cell.strip() for cell in cells]
        for index, name in enumerate(names):
            if name and name in names[:index]:
                raise _Broken(f"column {shown(name)} stands twice in the header")
        if not any(names):
            raise _Broken("a header without any name")
        return names

    def _report_undecodable(self, error: UnicodeDecodeError) -> None:
        place = _first_undecodable(self._path, error.encoding)
        if place is None:  # it changed meanwhile, or isn't a file that can be read twice
            self._faults.add(str(self._path), f"is not {error.encoding.upper()}; save it as UTF-8")
            return
        line, offset = place
        self._fault(line, f"not {error.encoding.upper()} at byte {offset}; save the file as UTF-8")

    def _fault(self, line: int, message: str) -> None:
        self._faults.add(f"{self._path}:{line}", message)


class _Lines:
    """Physical lines for the csv module, counted and bounded; the next one can be looked at beforehand."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._readline = text.readline
        self._held: str | None = None
        self.row_size = 0
        self.number = 0
        self.row_starts = 1
        self.has_key = False

    def begin_row(self) -> int:
        """Note that the next line starts a row; its number."""
        self.row_size = 0
        self.has_key = False
        self.row_starts = self.number + 1
        return self.row_starts

    def peek(self) -> str:
        """The first line that isn't blank, or nothing."""
        for line in self:
            if line.strip():
                self.number -= 1
                self._held = line
                return line
        return ""

    def __iter__(self) -> Iterator[str]:
        while line := self._held or self._readline(MAX_ROW + 1):
            self._held = None
            self.number += 1
            self.row_size += len(line)
            if self.row_size > MAX_ROW:
                raise _Broken(f"a row of more than {MAX_ROW >> 20} MiB")
            if "\0" in line:
                raise _Broken("a NUL character; save the file as UTF-8 text")
            if KEY_SHAPE.search(line):
                self.has_key = True
            yield line


def _delimiter(header: str) -> str:
    """Comma, semicolon or tab: the most frequent one outside quotes, the comma when there is none.

    >>> _delimiter('"Size, in cm";Title')
    ';'
    """
    outside = "".join(header.split('"')[::2])
    return max(",;\t", key=outside.count)


def _translated(error: csv.Error) -> tuple[str, bool]:
    """The fault of a row, and whether the rows after it can be trusted."""
    text = str(error)
    if "unexpected end of data" in text:
        return "a quote is opened in this row and never closed", False
    if "field limit" in text:
        return _too_large(csv.field_size_limit()), False
    return 'text after a closing quote; write a quote inside a cell as ""', True


def _too_large(limit: int) -> str:
    return f"a cell of more than {limit:,} characters, or a quote that is never closed"


def _first_undecodable(path: Path, encoding: str) -> tuple[int, int] | None:
    """Line and byte offset of the first byte that isn't in the encoding.

    A second reading, for the fault alone: the text layer doesn't tell how far it was.
    """
    name = "utf-8" if encoding.startswith("utf-8") else encoding
    decoder = codecs.getincrementaldecoder(name)()
    offset, line, pending = 0, 1, 0
    try:
        with open(path, "rb", opener=open_regular) as raw:
            chunk = b"first"
            while chunk:
                chunk = raw.read(_CHUNK_BYTES)
                line += decoder.decode(chunk, final=not chunk).count("\n")
                offset += len(chunk)
                pending = len(decoder.getstate()[0])
    except UnicodeDecodeError as error:
        good = error.object[: error.start].decode(error.encoding, errors="replace")
        return line + good.count("\n"), offset - pending + error.start
    except OSError:
        pass
    return None
