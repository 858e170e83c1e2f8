"""A sheet of an Excel workbook as records: the text that it shows, cell by cell."""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, BinaryIO, NamedTuple
from xml.etree.ElementTree import ParseError
from xml.parsers import expat

from batch_editor.manifest.faults import shown
from batch_editor.manifest.file_types import XLSX, foreign_type
from batch_editor.manifest.number_formats import Show, show_number, shower_of, text_shower_of
from batch_editor.manifest.table import HAS_KEY, Record, TableFault
from batch_editor.text import has_key_shape

MAX_COLUMNS = 16_384  # Excel's own bound
# What a workbook's parts unpack to: openpyxl holds the texts and styles in memory, the sheet is a stream.
MAX_HELD_BYTES = 256 * 2**20
MAX_SHEET_BYTES = 4 * 2**30
_CHUNK_BYTES = 2**16
# Then it is looked whether any cell below has a value: a format given to whole columns makes a million rows.
_BLANK_ROWS = 10_000
_VALUE = re.compile(rb"<(?:\w+:)?(?:v|is)[\s>]")
_BROKEN = (
    *(AttributeError, EOFError, IndexError, KeyError, NotImplementedError, ParseError, RuntimeError, TypeError),
    *(ValueError, expat.ExpatError, zipfile.BadZipFile, zlib.error),
)
# openpyxl warns of what it doesn't keep, such as charts and rules. Nothing is kept here.
warnings.filterwarnings("ignore", module=r"openpyxl\.")


class XlsxReader:
    """Reads one sheet: the first one that isn't hidden, or the one of a name."""

    def __init__(self, open_file: Callable[[], BinaryIO], sheet: str | None) -> None:
        self._open = open_file
        self._sheet = sheet
        self.warnings: list[str] = []

    def records(self) -> Iterator[Record]:
        """The header, then the rows; see `TableReader`."""
        with self._open() as raw:
            foreign = foreign_type(raw)
            if foreign is None and not raw.read(1):
                raise TableFault("is empty")
            if foreign is None:
                raise TableFault(f"is text, not {XLSX}; if it is CSV, name it .csv")
            if foreign[0] != XLSX:
                raise TableFault(f"is {foreign[0]}, not {XLSX}; {foreign[1]}")
            try:
                _check_size(raw)
                book = _Book(raw)
                chosen = self._chosen(book)
                rows = self._rows(book, chosen.path)
                if (header := next(rows, None)) is None:
                    others = _listed([sheet for sheet in book.sheets if sheet is not chosen])
                    more = f"; FILE.xlsx#SHEET names another: {others}" if others else ""
                    raise TableFault(f"sheet {shown(chosen.name)} is empty{more}")
                yield header
                yield from rows
            except _BROKEN as error:
                raise TableFault(f"is a broken workbook, or one that openpyxl can't read ({error})") from error

    def _chosen(self, book: _Book) -> _Sheet:
        if self._sheet is not None:
            named = [sheet for sheet in book.sheets if sheet.name == self._sheet]
            # A workbook's sheets differ in more than capitals, and blanks at a name's end are seen by nobody.
            wanted = self._sheet.strip().casefold()
            named = named or [sheet for sheet in book.sheets if sheet.name.strip().casefold() == wanted]
            if len(named) != 1:
                raise TableFault(f"has no sheet {shown(self._sheet)}; its sheets are {_listed(book.sheets)}")
            return named[0]
        visible = [sheet for sheet in book.sheets if not sheet.is_hidden]
        if not visible:
            raise TableFault("has no sheet of cells that isn't hidden")
        if visible[0] is not book.sheets[0]:
            hidden, read = shown(book.sheets[0].name), shown(visible[0].name)
            self.warnings.append(f"sheet {hidden} is hidden; {read} is read (FILE.xlsx#SHEET names another)")
        return visible[0]

    def _rows(self, book: _Book, sheet: str) -> Iterator[Record]:
        cells = _Cells(book)
        rows = _SheetRows(cells)
        hidden, first_hidden, blank, is_scanned = 0, 0, 0, False
        with book.archive.open(sheet) as source:
            while chunk := source.read(_CHUNK_BYTES):
                rows.feed(chunk)
                for line, texts, is_hidden in rows.take():
                    if not texts:
                        blank += 1
                        continue
                    blank = 0
                    if is_hidden:
                        hidden += 1
                        first_hidden = first_hidden or line
                    yield line, texts, HAS_KEY if any(map(_is_key, texts)) else None
                if blank > _BLANK_ROWS and not is_scanned:
                    is_scanned = True
                    if b"\0" not in chunk and not _has_value(book, sheet, source.tell() - len(chunk)):
                        break
            else:
                rows.feed(b"", is_last=True)
        if hidden:
            are = "row is" if hidden == 1 else "rows are"
            self.warnings.append(
                f"{hidden:,} hidden {are} read as well, first at line {first_hidden}; delete what isn't meant"
            )
        if cells.cut:
            self.warnings.append(
                f"{cells.cut} has more than the 15 digits that a spreadsheet keeps of a number; format the column as"
                " text and enter it again"
            )


class _Sheet(NamedTuple):
    name: str
    path: str
    is_hidden: bool


def _listed(sheets: Sequence[_Sheet]) -> str:
    return ", ".join(shown(sheet.name) for sheet in sheets[:20])


class _Book:
    """A workbook without its sheets' cells: its texts, its formats, and where the sheets are.

    Not by `openpyxl.load_workbook`, which reads a sheet that doesn't say its size through to the end, twice.
    """

    def __init__(self, raw: BinaryIO) -> None:
        try:
            from openpyxl.reader.excel import ExcelReader  # an extra, and a third of a second
            from openpyxl.styles.stylesheet import apply_stylesheet  # the same
        except ImportError as error:
            raise TableFault("XLSX is read by openpyxl: pip install openpyxl, or save it as CSV") from error
        reader: Any = ExcelReader(raw, read_only=True, data_only=True, keep_links=False)
        reader.read_manifest()
        reader.read_strings()
        reader.read_workbook()
        apply_stylesheet(reader.archive, reader.wb)
        self.archive: zipfile.ZipFile = reader.archive
        self.strings: list[str] = reader.shared_strings
        self.epoch: datetime = reader.wb.epoch
        self.sheets = [
            _Sheet(sheet.name, relation.target, sheet.state != "visible")
            for sheet, relation in reader.parser.find_sheets()
            if relation.Type.endswith("/worksheet")
        ]
        self._styles = reader.wb._cell_styles
        self._formats = reader.wb._number_formats

    def format(self, style: int) -> str:
        """The number format of a cell's style."""
        from openpyxl.styles.numbers import BUILTIN_FORMATS, BUILTIN_FORMATS_MAX_SIZE  # of the same extra

        number = self._styles[style].numFmtId
        if number < BUILTIN_FORMATS_MAX_SIZE:
            return str(BUILTIN_FORMATS.get(number, "General"))
        return str(self._formats[number - BUILTIN_FORMATS_MAX_SIZE])


def _check_size(raw: BinaryIO) -> None:
    """A few kilobytes can unpack to gigabytes. zipfile gives out no more than the directory says."""
    with zipfile.ZipFile(raw) as archive:
        parts = archive.infolist()
    raw.seek(0)
    sheets = [part.file_size for part in parts if part.filename.startswith("xl/worksheets/")]
    held = sum(part.file_size for part in parts if part.filename.endswith((".xml", ".rels"))) - sum(
        part.file_size for part in parts if part.filename.startswith("xl/worksheets/")
    )
    if max(sheets, default=0) > MAX_SHEET_BYTES or held > MAX_HELD_BYTES:
        raise TableFault(
            f"unpacks to more than {MAX_HELD_BYTES >> 20} MiB of texts, or {MAX_SHEET_BYTES >> 30} GiB of cells;"
            " save it as CSV"
        )


def _has_value(book: _Book, sheet: str, offset: int) -> bool:
    """Whether a cell behind this offset of the sheet's XML has a value; a hundred times as fast as parsing it."""
    with book.archive.open(sheet) as source:
        source.seek(offset)
        tail = b""
        while chunk := source.read(16 * _CHUNK_BYTES):
            if _VALUE.search(tail + chunk):
                return True
            tail = chunk[-64:]
    return False


def _is_key(text: str) -> bool:
    return has_key_shape(text)


class _Cells:
    """Makes texts of cells. `cut` is a number that has lost digits, if there was one."""

    def __init__(self, book: _Book) -> None:
        self._book = book
        self._numbers: dict[int, Show] = {}
        self._texts: dict[int, Show | None] = {}
        self.cut = ""

    def text(self, kind: str, style: int, value: str) -> str:
        """What the sheet shows, by the cell's type."""
        if kind == "n":
            return self._number(style, value.strip()) if value.strip() else ""
        if kind == "b":
            return "TRUE" if value.strip() == "1" else "FALSE"
        if kind == "e":
            return value
        if kind == "d":
            return value.strip().replace("T00:00:00", "").replace("T", " ")
        if kind == "s":
            value = self._book.strings[int(value)]
        if "_x" in value:
            value = _unescaped(value)
        if style not in self._texts:
            self._texts[style] = text_shower_of(self._book.format(style))
        show = self._texts[style]
        return value if show is None or not value else show(value)

    def _number(self, style: int, value: str) -> str:
        show = self._numbers.get(style)
        if show is None:
            code = self._book.format(style)
            show = self._numbers[style] = show_number if code == "General" else shower_of(code, self._book.epoch)
        text = show(value)
        if len(text) > 15 and text.isdigit() and text.endswith("0") and not self.cut:
            self.cut = text
        return text


def _unescaped(text: str) -> str:
    """`_x000D_` is how a workbook writes what XML can't; a line's end, for the most part."""
    return re.sub(r"_x([0-9A-Fa-f]{4})_", lambda match: _character(int(match[1], 16)), text)


def _character(code: int) -> str:
    return "" if code == 13 or 0xD800 <= code < 0xE000 or code == 0 else chr(code)


class _SheetRows:
    """Parses a sheet's XML piece by piece. A row: its number, texts up to the last that isn't blank, whether hidden."""

    def __init__(self, cells: _Cells) -> None:
        self._cells = cells
        self._ready: list[tuple[int, list[str], bool]] = []
        self._row = self._column = self._style = 0
        self._kind = "n"
        self._texts: list[str] = []
        self._is_hidden = self._has_formula = self._is_in_cell = False
        self._value: list[str] | None = None
        self._pieces: list[str] = []
        self._is_phonetic = False
        parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = _refuse_doctype
        self._parser = parser

    def feed(self, chunk: bytes, *, is_last: bool = False) -> None:
        """Parse some more."""
        self._parser.Parse(chunk, is_last)

    def take(self) -> list[tuple[int, list[str], bool]]:
        """The rows that have been parsed whole since."""
        ready, self._ready = self._ready, []
        return ready

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        if name == "c":
            self._is_in_cell = True
            self._kind = attributes.get("t", "n")
            self._style = int(attributes.get("s", 0))
            self._column = _column_of(attributes["r"]) if "r" in attributes else self._column + 1
            if not 1 <= self._column <= MAX_COLUMNS:
                raise TableFault(f"a cell beyond column {MAX_COLUMNS:,}", self._row)
            self._pieces = []
            self._has_formula = False
        elif name in ("v", "t"):
            self._value = None if self._is_phonetic else self._pieces
        elif name == "f":
            self._has_formula = self._is_in_cell
        elif name == "rPh":
            self._is_phonetic = True
        elif name == "row":
            self._row = int(attributes.get("r", self._row + 1))
            self._column = 0
            self._texts = []
            self._is_hidden = attributes.get("hidden") in ("1", "true")

    def _characters(self, text: str) -> None:
        if self._value is not None and self._is_in_cell:
            self._value.append(text)

    def _end(self, tag: str) -> None:
        name = tag.rpartition("}")[2]
        if name == "c":
            self._end_cell()
        elif name in ("v", "t"):
            self._value = None
        elif name == "rPh":
            self._is_phonetic = False
        elif name == "row":
            self._ready.append((self._row, self._texts, self._is_hidden))

    def _end_cell(self) -> None:
        self._is_in_cell = False
        value = "".join(self._pieces)
        if not value:
            if self._has_formula and self._kind == "n":
                raise TableFault(
                    "a formula whose result isn't saved in the file; open it in a spreadsheet and save it there",
                    self._row,
                )
            return
        text = self._cells.text(self._kind, self._style, value)
        if text.strip():
            self._texts += [""] * (self._column - len(self._texts) - 1)
            self._texts.append(text)


def _refuse_doctype(*_: object) -> None:
    raise TableFault("a sheet with a document type, which no spreadsheet writes")


def _column_of(reference: str) -> int:
    """The number of a cell's column.

    >>> _column_of("A1"), _column_of("AB12")
    (1, 28)
    """
    number = 0
    for character in reference:
        if not "A" <= character <= "Z":
            break
        number = number * 26 + ord(character) - 64
    return number
