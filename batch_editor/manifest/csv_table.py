"""A CSV file as records, strict: what a spreadsheet would guess is a fault with its line."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from batch_editor.manifest.csv_cells import bare, written_cells
from batch_editor.manifest.file_types import AS_UTF8, foreign_type
from batch_editor.manifest.table import EXPLAINS_COLUMNS, HAS_KEY, Record, TableFault
from batch_editor.text import has_key_shape

# Characters: the csv module's own limit, which is process-wide. It stays as it is, for a host's other readers.
MAX_CELL = 131_072
# Of one row: an unclosed quote, or a file without line ends, must not be gathered up to its last gigabyte.
MAX_ROW = 16 * 2**20
_CHUNK_BYTES = 2**16
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Excel's own first line, which says what stands between the cells.
_RULE = re.compile(r"[-+: ]*")
_SEPARATOR = re.compile(r"\"?sep=(.)\"?[,;\t|]*[\r\n]*", re.IGNORECASE)


class CsvReader:
    """Reads a CSV file. `delimiter` is what stands between cells; None: what its first line says, or its header shows.

    open_file: opens the file from its beginning; called again where that is needed to say what is wrong with it.
    """

    def __init__(self, open_file: Callable[[], BinaryIO], delimiter: str | None) -> None:
        self._open = open_file
        self._delimiter = delimiter
        self.warnings: list[str] = []
        # What really stands between the cells; known once the header is read.
        self.delimiter = delimiter or ","

    def records(self) -> Iterator[Record]:
        """The header, then the rows; see `TableReader`."""
        with self._open() as raw:
            if (foreign := foreign_type(raw)) is not None:
                raise TableFault(f"is {foreign[0]}, not CSV; {foreign[1] or 'name it .xlsx'}")
            encoding = encoding_of(raw.read(2))
            raw.seek(0)
            with io.TextIOWrapper(raw, encoding, newline="") as text:
                lines = _Lines(text)
                try:
                    yield from self._records_of(lines)
                except UnicodeDecodeError as error:
                    raise self._undecodable(error) from error
                except _Broken as error:
                    raise TableFault(str(error), lines.row_starts) from error

    def _records_of(self, lines: _Lines) -> Iterator[Record]:
        delimiter = self.delimiter = self._delimiter_of(lines)
        is_piped = delimiter == "|"
        reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=is_piped)
        header_seen = False
        while True:
            start = lines.begin_row()
            try:
                cells, fault = _next_row(reader, lines, delimiter, is_header=not header_seen)
            except StopIteration:
                return
            if fault is not None:
                yield lines.number, [], fault
                continue
            if lines.row_size > MAX_CELL and max(map(len, cells)) > MAX_CELL:  # a host has raised the module's limit
                raise _Broken(_too_large(MAX_CELL))
            problem = HAS_KEY if lines.has_key else None
            if not header_seen and (not cells or (len(cells) == 1 and not cells[0].strip())):
                continue
            if problem and not header_seen:
                raise _Broken(problem)
            header_seen = True
            if is_piped or lines.has_formula:
                cells = [bare(cell, delimiter) for cell in cells]
            if not (is_piped and all(map(_RULE.fullmatch, cells))):
                yield start, cells, problem

    def _delimiter_of(self, lines: _Lines) -> str:
        """What stands between the cells; a line that only says that, or explains the
        columns, is passed over.
        """
        first = lines.peek()
        if EXPLAINS_COLUMNS.match(first):  # its words hold more pipes and commas than stand between the cells
            lines.drop()
            first = lines.peek()
        if (said := _SEPARATOR.fullmatch(first)) is None:
            return self._delimiter or _delimiter(first)
        if said[1] == '"':
            raise _Broken("sep=\" can't stand between cells; expected a character such as ; or ,")
        lines.drop()
        return said[1]

    def _undecodable(self, error: UnicodeDecodeError) -> TableFault:
        name = error.encoding.upper()
        place = _first_undecodable(self._open, error.encoding)
        if place is None:  # it changed meanwhile
            return TableFault(f"is not {name}; {AS_UTF8}")
        line, offset, byte = place
        return TableFault(f"not {name}: byte 0x{byte:02X} at offset {offset}; {AS_UTF8}", line)


class _Broken(Exception):
    """The rest of the file can't be divided into rows."""


class _Lines:
    """Physical lines for the csv module, counted and bounded; the next one can be looked at beforehand."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._readline = text.readline
        self._held: str | None = None
        self.row: list[str] = []
        self.row_size = 0
        self.number = 0
        self.row_starts = 1
        self.has_key = False
        self.has_formula = False

    def begin_row(self) -> int:
        """Note that the next line starts a row; its number."""
        self.row = []
        self.row_size = 0
        self.has_key = self.has_formula = False
        self.row_starts = self.number + 1
        return self.row_starts

    def peek(self) -> str:
        """The first line that isn't blank, or nothing."""
        for line in self:
            if line.strip():
                self.number -= 1
                self._held = line
                self.row.pop()
                return line
        return ""

    def drop(self) -> None:
        """Pass over the line that was looked at."""
        next(iter(self))

    def __iter__(self) -> Iterator[str]:
        while line := self._held or self._readline(MAX_ROW + 1):
            self._held = None
            self.number += 1
            self.row_size += len(line)
            if self.row_size > MAX_ROW:
                raise _Broken(f"a row of more than {MAX_ROW >> 20} MiB")
            self.row.append(line)
            if line[0] == "\x1a":  # where programs of DOS end a file
                return
            if '="' in line:
                self.has_formula = True
            if "\0" in line:
                raise _Broken(f"a NUL character; {AS_UTF8}")
            if has_key_shape(line):
                self.has_key = True
            yield line


def encoding_of(beginning: bytes) -> str:
    """UTF-16 where its mark stands, or a NUL beside the first character as some exports without a mark have it.

    >>> encoding_of(b"\\xff\\xfe"), encoding_of(b"s\\0"), encoding_of(b"sk")
    ('utf-16', 'utf-16-le', 'utf-8-sig')
    """
    if beginning in _UTF16:
        return "utf-16"
    if len(beginning) == 2 and beginning.count(0) == 1:
        return "utf-16-le" if beginning[1] == 0 else "utf-16-be"
    return "utf-8-sig"


def _delimiter(header: str) -> str:
    """Comma, semicolon, tab or pipe: the most frequent one outside quotes, the comma when there is none.

    >>> _delimiter('"Size, in cm";Title')
    ';'
    """
    outside = "".join(header.split('"')[::2])
    return max(",;\t|", key=outside.count)


def _next_row(
    reader: Iterator[list[str]], lines: _Lines, delimiter: str, *, is_header: bool
) -> tuple[list[str], str | None]:
    """The cells of the next row, or what is wrong with it.

    Raises:
        StopIteration: there is none.
        _Broken: the rows after it can't be trusted either.
    """
    try:
        return next(reader), None
    except csv.Error as error:
        message, goes_on = _translated(error)
        if goes_on and (cells := _aligned("".join(lines.row), delimiter)) is not None:
            return cells, None
        if is_header or not goes_on:
            raise _Broken(message) from error
        return [], message


def _aligned(row: str, delimiter: str) -> list[str] | None:
    """The cells of a row that somebody's editor has drawn as a table, with blanks behind closing quotes; else None."""
    found = written_cells(row, delimiter)
    return None if found is None or found[1] < len(row) else [cell.value for cell in found[0]]


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


def _first_undecodable(open_file: Callable[[], BinaryIO], encoding: str) -> tuple[int, int, int] | None:
    """Line, offset and value of the first byte that isn't in the encoding.

    A second reading, for the fault alone: the text layer doesn't tell how far it was.
    """
    name = "utf-8" if encoding.startswith("utf-8") else encoding
    decoder = codecs.getincrementaldecoder(name)()
    offset, line, pending = 0, 1, 0
    try:
        with open_file() as raw:
            chunk = b"first"
            while chunk:
                chunk = raw.read(_CHUNK_BYTES)
                line += decoder.decode(chunk, final=not chunk).count("\n")
                offset += len(chunk)
                pending = len(decoder.getstate()[0])
    except UnicodeDecodeError as error:
        good = error.object[: error.start].decode(error.encoding, errors="replace")
        return line + good.count("\n"), offset - pending + error.start, error.object[error.start]
    except OSError:
        pass
    return None
