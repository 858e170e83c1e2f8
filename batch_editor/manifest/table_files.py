"""Where rows come from, by name: CSV, XLSX, JSON Lines, XML feeds, pictures, or standard input."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

from batch_editor.errors import UsageError, did_you_mean
from batch_editor.files import MANIFESTS, TABLES, NotThere, find_file, open_regular
from batch_editor.manifest.csv_table import CsvReader
from batch_editor.manifest.faults import Faults, Refused, shown
from batch_editor.manifest.feed_table import FeedReader
from batch_editor.manifest.file_types import JSON, XLSX, XML, foreign_type
from batch_editor.manifest.json_lines import JsonLinesReader
from batch_editor.manifest.picture_rows import PictureReader, is_glob, is_picture
from batch_editor.manifest.standard_input import NAME, STANDARD_INPUT, open_standard_input
from batch_editor.manifest.table import Table, TableReader
from batch_editor.manifest.table_read import TableFile, stamp_of
from batch_editor.manifest.xlsx_table import XlsxReader

# How a table is read; csv and jsonl are words for standard input, which is otherwise read as by auto.
TableFormat: TypeAlias = Literal["auto", "plain", "shopify", "woocommerce", "google", "csv", "jsonl"]
FORMATS: tuple[TableFormat, ...] = ("auto", "plain", "shopify", "woocommerce", "google")

_CSV = (".csv", ".tsv", ".txt")
_WORKBOOKS = (".xlsx", ".xlsm")
_LINK = re.compile(r"https?:/", re.IGNORECASE)  # a Path has one of the slashes
_JSON_LINES = (".jsonl", ".ndjson")
_FEEDS = (".xml",)
WANTED = ".csv, .tsv, .txt, .xlsx, .jsonl or .xml file, a folder or glob of pictures"


class NoTable(Exception):
    """A name is no table's; the message says what it is instead, as far as that is seen."""


def open_table(written: str, base: Path, faults: Faults, *, format: TableFormat = "auto") -> Table:
    """The table of a name as it was written, relative to the base. Of `format`, csv and jsonl are standard input's.

    Raises:
        NoTable: it has another ending than a table's.
    """
    name = NAME if is_standard_input(written) else str(base / written)
    file = file_of(written, base, format=format)
    if file is None:
        return Table(name, PictureReader(written, base), faults)
    sheet = None if is_standard_input(written) else split_sheet(written, base)[1]
    return Table(name, _reader_of(file, sheet), faults, file=file)


def table_in(file: TableFile, name: str, faults: Faults) -> Table:
    """The table that a file holds, as its ending says; messages call it by the name.

    Raises:
        NoTable: it has another ending than a table's.
    """
    return Table(name, _reader_of(file, None), faults, file=file)


def check_is_table(written: str, base: Path) -> None:
    """Let pass the name of a table.

    Raises:
        NoTable: it has another ending than a table's.
    """
    if _LINK.match(written):
        raise NoTable("is a link; download the table as CSV or XLSX first")
    if not (is_standard_input(written) or is_of_pictures(written, base)):
        place = base / split_sheet(written, base)[0]
        if place.suffix.lower() not in TABLES:
            raise NoTable(_what_it_is(place))


def is_standard_input(written: str) -> bool:
    """Whether a name stands for standard input."""
    return written == str(STANDARD_INPUT)


def is_of_pictures(written: str, base: Path) -> bool:
    """Whether a name stands for pictures: a folder, a glob, or a picture."""
    place = base / written
    if place.is_dir():
        return not written.lower().endswith(MANIFESTS)
    return written.endswith("/") or is_picture(written) or (is_glob(written) and not place.exists())


def find_table(written: str, base: Path, *, endings: Sequence[str] = TABLES) -> str:
    """The name of the table that a text is meant for, see `find_file`; the text itself where there is none.

    Raises:
        NotThere: there is none, and it may be meant for another one.
    """
    if is_standard_input(written) or is_glob(written):
        return written
    path, sheet = split_sheet(written, base)
    try:
        found = find_file(path.rstrip("/") or path, base, endings=endings)
    except NotThere as error:
        if error.candidates:
            raise
        if near := _near_names(base / path, endings):
            raise NotThere([str(Path(path).with_name(name)) for name in near]) from error
        return written
    except OSError:  # said by who opens it
        return written
    name = found if found.is_absolute() and not base.is_absolute() else found.relative_to(base)
    return f"{name}{'/' if path.endswith('/') else ''}{'' if sheet is None else f'#{sheet}'}"


def format_of(text: str) -> TableFormat:
    """What a manifest says of how its table is read.

    Raises:
        Refused: there is no such way.
    """
    for word in FORMATS:
        if text.strip().lower() == word:
            return word
    raise Refused(f"is {shown(text)}; expected {', '.join(FORMATS[:-1])} or {FORMATS[-1]}{did_you_mean(text, FORMATS)}")


def _near_names(place: Path, endings: Sequence[str]) -> list[str]:
    """Tables beside it that are named almost so."""
    try:
        beside = [name for name in os.listdir(place.parent) if name.lower().endswith(tuple(endings))]  # noqa: PTH208
    except OSError:
        return []
    return get_close_matches(place.name, sorted(beside), n=3, cutoff=0.8)


def default_output_name(manifest: Path) -> str:
    """What a run's output directory is called, by its first manifest.

    >>> default_output_name(Path("jobs/spring.csv")), default_output_name(Path("photos/**/*.jpg"))
    ('spring', 'photos')

    Raises:
        UsageError: standard input has no name.
    """
    if is_standard_input(str(manifest)):
        raise UsageError("standard input has no name: say where results go, -o OUT")
    return stem_of(manifest)


def stem_of(manifest: Path) -> str:
    """The name of a manifest in ids and of its output directory."""
    path, _ = split_sheet(str(manifest), Path())
    parts = [part for part in Path(path).parts if not is_glob(part)]
    if is_glob(str(path)) and not Path(path).exists():
        return next((part for part in reversed(parts) if part not in ("..", "/")), "pictures")
    return Path(path).stem or Path(path).resolve().name or "pictures"


def file_of(written: str, base: Path, *, format: TableFormat = "auto") -> TableFile | None:
    """The file of a table, which need not be there; None: the name stands for pictures."""
    if is_standard_input(written):
        kind = format if format in ("csv", "jsonl") else _kind_of(open_standard_input)
        ending = {XLSX: ".xlsx", XML: ".xml", JSON: ".jsonl", "jsonl": ".jsonl"}.get(kind or "", ".csv")
        return TableFile(STANDARD_INPUT, ending, open_standard_input)
    if is_of_pictures(written, base):
        return None
    place = base / split_sheet(written, base)[0]

    def open_file() -> BinaryIO:
        """The file, opened anew."""
        return open(place, "rb", opener=open_regular)

    file = TableFile(place, place.suffix.lower(), open_file, stamp_of(place))
    if file.ending in _CSV and _kind_of(open_file) == XML:
        file = replace(file, ending=".xml")
    return file


def _reader_of(file: TableFile, sheet: str | None) -> TableReader:
    ending = file.ending
    if ending in _FEEDS:
        return FeedReader(file.open)
    if ending in _CSV:
        return CsvReader(file.open, "\t" if ending == ".tsv" else None)
    if ending in _WORKBOOKS:
        return XlsxReader(file.open, sheet)
    if ending in _JSON_LINES:
        return JsonLinesReader(file.open)
    raise NoTable(_what_it_is(file.path))


def _kind_of(open_file: Callable[[], BinaryIO]) -> str | None:
    """What a file is, if it isn't CSV; None as well where it can't be read, which is reported when it is read."""
    try:
        with open_file() as file:
            foreign = foreign_type(file)
    except OSError:
        return None
    return None if foreign is None else foreign[0]


def split_sheet(written: str, base: Path) -> tuple[str, str | None]:
    """A workbook's path, and the sheet that is named behind it."""
    for ending in _WORKBOOKS:
        at = written.lower().rfind(f"{ending}#")
        if at >= 0 and not (base / written).exists():
            return written[: at + len(ending)], written[at + len(ending) + 1 :]
    return written, None


def _what_it_is(place: Path) -> str:
    """What a file is that has no table's ending, and what to do; nothing where that isn't seen."""
    try:
        with open(place, "rb", opener=open_regular) as file:
            foreign = foreign_type(file)
    except FileNotFoundError:
        return "isn't there"
    except OSError:
        return ""
    return "" if foreign is None else f"is {foreign[0]}; {foreign[1] or 'name it .xlsx'}"
