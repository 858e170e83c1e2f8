"""Where rows come from, by name: CSV, XLSX, JSON Lines, pictures, or standard input."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

from batch_editor.errors import UsageError
from batch_editor.files import TABLES, NotThere, find_file, open_regular
from batch_editor.manifest.csv_table import CsvReader
from batch_editor.manifest.faults import Faults
from batch_editor.manifest.file_types import XLSX, foreign_type
from batch_editor.manifest.json_lines import JsonLinesReader
from batch_editor.manifest.picture_rows import PictureReader, is_glob, is_picture
from batch_editor.manifest.standard_input import NAME, STANDARD_INPUT, open_standard_input
from batch_editor.manifest.table import Table, TableReader
from batch_editor.manifest.xlsx_table import XlsxReader

TableFormat: TypeAlias = Literal["auto", "csv", "jsonl"]

YAML = (".yaml", ".yml")
_CSV = (".csv", ".tsv", ".txt")
_WORKBOOKS = (".xlsx", ".xlsm")
_LINK = re.compile(r"https?:/", re.IGNORECASE)  # a Path has one of the slashes
_JSON_LINES = (".jsonl", ".ndjson")
WANTED = ".csv, .tsv, .txt, .xlsx or .jsonl file, a folder or glob of pictures"


class NoTable(Exception):
    """A name is no table's; the message says what it is instead, as far as that is seen."""


def open_table(written: str, base: Path, faults: Faults, *, format: TableFormat = "auto") -> Table:
    """The table of a name as it was written, relative to the base. `format` is standard input's.

    Raises:
        NoTable: it has another ending than a table's.
    """
    name = NAME if is_standard_input(written) else str(base / written)
    return Table(name, _reader(written, base, format), faults)


def check_is_table(written: str, base: Path) -> None:
    """Let pass the name of a table.

    Raises:
        NoTable: it has another ending than a table's.
    """
    if _LINK.match(written):
        raise NoTable("is a link; download the table as CSV or XLSX first")
    if not (is_standard_input(written) or is_of_pictures(written, base)):
        place = base / _split_sheet(written, base)[0]
        if place.suffix.lower() not in (*_CSV, *_WORKBOOKS, *_JSON_LINES):
            raise NoTable(_what_it_is(place))


def is_standard_input(written: str) -> bool:
    """Whether a name stands for standard input."""
    return written == str(STANDARD_INPUT)


def is_of_pictures(written: str, base: Path) -> bool:
    """Whether a name stands for pictures: a folder, a glob, or a picture."""
    place = base / written
    if place.is_dir():
        return not written.lower().endswith((*_CSV, *_WORKBOOKS, *_JSON_LINES, *YAML))
    return written.endswith("/") or is_picture(written) or (is_glob(written) and not place.exists())


def find_table(written: str, base: Path, *, endings: Sequence[str] = TABLES) -> str:
    """The name of the table that a text is meant for, see `find_file`; the text itself where there is none.

    Raises:
        NotThere: there is none, and it may be meant for another one.
    """
    if is_standard_input(written) or is_glob(written):
        return written
    path, sheet = _split_sheet(written, base)
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
    path, _ = _split_sheet(str(manifest), Path())
    parts = [part for part in Path(path).parts if not is_glob(part)]
    if is_glob(str(path)) and not Path(path).exists():
        return next((part for part in reversed(parts) if part not in ("..", "/")), "pictures")
    return Path(path).stem or Path(path).resolve().name or "pictures"


def _reader(written: str, base: Path, format: TableFormat) -> TableReader:
    if is_standard_input(written):
        return _reader_of_input(format)
    if is_of_pictures(written, base):
        return PictureReader(written, base)
    path, sheet = _split_sheet(written, base)
    place = base / path

    def open_file() -> BinaryIO:
        return open(place, "rb", opener=open_regular)

    ending = place.suffix.lower()
    if ending in _CSV:
        return CsvReader(open_file, "\t" if ending == ".tsv" else None)
    if ending in _WORKBOOKS:
        return XlsxReader(open_file, sheet)
    if ending in _JSON_LINES:
        return JsonLinesReader(open_file)
    raise NoTable(_what_it_is(place))


def _reader_of_input(format: TableFormat) -> TableReader:
    if format == "auto":
        try:
            with open_standard_input() as file:
                foreign = foreign_type(file)
        except OSError:  # told when it is read
            foreign = None
        if foreign is not None and foreign[0] == XLSX:
            return XlsxReader(open_standard_input, None)
        format = "jsonl" if foreign is not None and foreign[0] == "JSON" else "csv"
    return JsonLinesReader(open_standard_input) if format == "jsonl" else CsvReader(open_standard_input, None)


def _split_sheet(written: str, base: Path) -> tuple[str, str | None]:
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
