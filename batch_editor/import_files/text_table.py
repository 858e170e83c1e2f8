"""A table of text with some of its cells written over: every other byte stays as it is."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import BinaryIO, TypeAlias

from batch_editor.manifest.csv_cells import bare, with_value, written_cells
from batch_editor.manifest.csv_table import MAX_ROW, CsvReader, encoding_of
from batch_editor.manifest.faults import Faults
from batch_editor.manifest.table import Table
from batch_editor.manifest.table_read import TableFile

# New values of a row's cells by the number of the column, made of the line where the row starts and its cells.
Change: TypeAlias = Callable[[int, Sequence[str]], Mapping[int, str]]

_BLOCK = 2**20  # characters
_MARKS = {"utf-8-sig": (codecs.BOM_UTF8,), "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)}
_ENCODINGS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class TextTable:
    """A CSV file as a run reads it. A context manager that closes what is read."""

    def __init__(self, file: TableFile, name: str, faults: Faults) -> None:
        self._file = file
        self._faults = faults
        self._reader = CsvReader(file.open, "\t" if file.ending == ".tsv" else None)
        self.table = Table(name, self._reader, faults, file=file)
        self.unreadable: list[int] = []

    def __enter__(self) -> TextTable:
        return self

    def __exit__(self, *_: object) -> None:
        self.table.__exit__()

    def write(self, out: BinaryIO, change: Change) -> None:
        """The file again, changed; once. Rows that can't be read stay as they are, and their lines are in `unreadable`.

        Holds a row at a time. Where the table adds a fault, what is written isn't whole.

        Raises:
            OSError: it can't be read or written.
        """
        with self._file.open() as raw:
            mark, encoding = _encoding(raw)
            out.write(mark)
            # Bytes behind the end of the rows may be no text.
            errors = "surrogateescape" if encoding == "utf-8" else "surrogatepass"
            with io.TextIOWrapper(raw, encoding, errors, newline="") as text:
                out.writelines(part.encode(encoding, errors) for part in self._parts(text, change))

    def _parts(self, text: io.TextIOWrapper, change: Change) -> Iterator[str]:
        number = 1
        new: Mapping[int, str] = {}
        cells: Sequence[str] = ()
        for line, next_cells, problem in self.table:
            before = [text.readline(MAX_ROW + 1) for _ in range(line - number)]
            yield self._changed("".join(before), cells, new)
            number, cells, new = line, next_cells, {}
            if problem is None:
                new = change(line, cells)
            else:
                self.unreadable.append(line)
        if self._faults.total:
            return
        yield self._changed(text.read(MAX_ROW + 1), cells, new)
        yield from iter(partial(text.read, _BLOCK), "")

    def _changed(self, text: str, cells: Sequence[str], new: Mapping[int, str]) -> str:
        """A row, and what stands between it and the next one."""
        if not new:
            return text
        delimiter = self._reader.delimiter
        found = written_cells(text, delimiter)
        assert found is not None, "a row that was read"
        for column in sorted(new, reverse=True):
            cell = found[0][self.table.places[column]]
            assert bare(cell.value, delimiter) == cells[column], "a cell that was read"
            written = with_value(text[cell.start : cell.end], cell.value, new[column], delimiter)
            text = text[: cell.start] + written + text[cell.end :]
        return text


def _encoding(raw: BinaryIO) -> tuple[bytes, str]:
    """A file's byte order mark, if it has one, and the encoding of what stands behind it."""
    beginning = raw.read(4)
    named = encoding_of(beginning[:2])
    mark = next((mark for mark in _MARKS.get(named, ()) if beginning.startswith(mark)), b"")
    raw.seek(len(mark))
    return mark, _ENCODINGS.get(mark) or ("utf-8" if named == "utf-8-sig" else named)
