"""JSON Lines as records: one object a line, every value as text."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from batch_editor.manifest.csv_table import MAX_ROW
from batch_editor.manifest.faults import shown
from batch_editor.manifest.file_types import JSON, foreign_type
from batch_editor.manifest.table import HAS_KEY, Record, TableFault
from batch_editor.text import has_key_shape

_TOO_DEEP = "nested too deep; expected one object a line"
MAX_COLUMNS = 16_384  # as a spreadsheet's; more are ids that were taken for names
_JSON_WORDS = {
    "Expecting property name enclosed in double quotes": "no key in double quotes",
    "Expecting ',' delimiter": "no comma",
    "Expecting ':' delimiter": "no colon",
    "Expecting value": "no value",
    "Extra data": "another value",
    "Invalid control character at": "a line end or tab within a text",
    "Invalid \\escape": "a single backslash (\\\\ is one)",
    "Unterminated string starting at": "a text that is never closed, begun",
}


class _Fault(ValueError):
    """A line is no object of text and numbers."""


class JsonLinesReader:
    """Reads JSON Lines, twice: objects may have different keys, and the columns are those of all of them."""

    def __init__(self, open_file: Callable[[], BinaryIO]) -> None:
        self._open = open_file
        self.warnings: list[str] = []

    def records(self) -> Iterator[Record]:
        """The header, then the rows; see `TableReader`."""
        columns: dict[str, int] = {}
        for line, text in self._lines():
            try:
                names = _cells(text)
            except _Fault:
                continue
            for name in names:
                columns.setdefault(name, len(columns))
            if len(columns) > MAX_COLUMNS:
                raise TableFault(f"more than {MAX_COLUMNS:,} different keys up to this line", line)
        if not columns:
            for line, text in self._lines():
                raise TableFault(_problem(text), line)
            return
        yield 1, list(columns), None
        for line, text in self._lines():
            try:
                found = _cells(text)
            except _Fault as fault:
                yield line, [], str(fault)
            else:
                yield line, [found.get(name, "") for name in columns], None if found else "an object without keys"

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Lines that aren't blank, with their numbers."""
        with self._open() as raw:
            foreign = foreign_type(raw)
            if foreign is not None and foreign[0] != JSON:
                raise TableFault(f"is {foreign[0]}, not JSON Lines; {foreign[1] or 'name it .xlsx'}")
            number = 0
            while line := raw.readline(MAX_ROW + 1):
                number += 1
                if len(line) > MAX_ROW:
                    raise TableFault(f"a line of more than {MAX_ROW >> 20} MiB", number)
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                except UnicodeDecodeError as error:
                    byte = error.object[error.start]
                    if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                        raise TableFault("is UTF-16; save it as UTF-8, in PowerShell by -Encoding utf8") from error
                    message = f"not UTF-8: byte 0x{byte:02X} in column {error.start + 1}; JSON Lines are UTF-8"
                    raise TableFault(message, number) from error
                if text:
                    yield number, text


def _problem(text: str) -> str:
    try:
        return "an object without keys" if not _cells(text) else ""
    except _Fault as fault:
        return str(fault)


def _cells(text: str) -> dict[str, str]:
    """The cells of a line by their columns.

    >>> _cells('{"sku": 1e12, "price": {"amount": 12.50}, "images": ["a.jpg", "b.jpg"], "new": true, "note": null}')
    {'sku': '1e12', 'price.amount': '12.50', 'images': 'a.jpg|b.jpg', 'new': 'true', 'note': ''}
    """
    if has_key_shape(text):
        raise _Fault(HAS_KEY)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _Fault(_not_json(error, text)) from error
    except RecursionError as error:
        raise _Fault(_TOO_DEEP) from error
    if not isinstance(value, dict):
        raise _Fault(f'is {shown(text)}; expected one object a line, such as {{"sku": "A1"}}')
    cells: dict[str, str] = {}
    try:
        _flatten(value, "", cells)
    except RecursionError as error:  # what is just not too deep to be read may be so here
        raise _Fault(_TOO_DEEP) from error
    if "\\u" in text:
        for name, cell in cells.items():
            if any("\ud800" <= character <= "\udfff" or character == "\0" for character in name + cell):
                raise _Fault(f"{name.encode(errors='replace').decode()} has half a character (\\ud800) or a NUL")
    return cells


def _not_json(error: json.JSONDecodeError, text: str) -> str:
    """What is wrong with a line that is no JSON, in words."""
    if error.pos >= len(text) and text[0] in "{[":
        return "the object goes on in the next line; expected one object a line, as `jq -c .` writes them"
    at, there = f"at character {error.colno}", text[error.pos : error.pos + 1]
    if ("property name" in error.msg and there == "}") or "trailing comma" in error.msg:
        why = f"a comma before the }} {at}"
    elif there == "'":
        why = f"a single quote {at}, where JSON has double ones"
    else:
        why = f"{_JSON_WORDS.get(error.msg, error.msg)} {at}"
    return f"not JSON: {why}; expected one object a line"


def _flatten(value: dict[str, Any], prefix: str, cells: dict[str, str]) -> None:
    for key, item in value.items():
        name = f"{prefix}{key.strip()}"
        if isinstance(item, dict) and item:
            _flatten(item, f"{name}.", cells)
            continue
        if name in cells:
            raise _Fault(f"key {shown(name)} stands twice in one object")
        cells[name] = _text(item)


def _text(item: Any) -> str:
    """A value as a cell. Numbers have come as the text they were written with."""
    if isinstance(item, str):
        return item
    if item is None:
        return ""
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, list) and all(isinstance(each, str) and _is_one_link(each) for each in item):
        return "|".join(item)
    return json.dumps(item, ensure_ascii=False)


def _is_one_link(text: str) -> bool:
    """Whether it comes out whole where a cell is read as several links."""
    return bool(text) and "|" not in text and not any(map(str.isspace, text))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Fault(f"key {shown(twice)} stands twice in one object")
    return found


def _refused(word: str) -> Any:
    raise _Fault(f"{word} is no JSON; expected a number, a text or null")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=str, parse_int=str, parse_constant=_refused)
